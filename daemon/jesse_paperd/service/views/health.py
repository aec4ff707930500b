"""Is a session doing its work, and if not, why?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jesse_paper import protocol as wire
from jesse_paper.rfc3339 import to_text
from jesse_paperd.core.minutes import MINUTE
from jesse_paperd.feed.messages import MarketState
from jesse_paperd.records.journal import JournalReader, Outcome, Progress
from jesse_paperd.records.record import Record, now_ms
from jesse_paperd.service.journals import JournalView
from jesse_paperd.service.process_view import ProcessView
from jesse_paperd.service.views.sessions import stopped_from


def health_of(
    record: Record,
    view: ProcessView,
    progress: Progress | None,
    outcome: Outcome | None,
    journal: JournalView,
    total: int | None = None,
) -> wire.Health:
    """A session's health.

    Args:
        total: how many candles a replay trades in all, where that is known.
    """
    events = journal.reader.event_counts()
    reasons = []
    state = "ok"
    if events.get("diverged"):
        state = "diverged"
        reasons.append(_why_diverged(journal.reader.last_event("diverged") or {}))
    if progress is None or progress.phase == "warming_up":
        state = "warming_up"
    if outcome is not None or record.ended_at is not None or record.failure is not None:
        state = "ended"
        if differs := disagreement(record, journal.reader):
            state = "damaged"
            reasons.append(differs)
    elif view.process is None:
        state = "stalled" if view.reason else state
        reasons += [view.reason] if view.reason else []
    else:
        silence = view.process.silence()
        if view.process.is_frozen():
            state = "stalled"
            reasons.append("its process is frozen (SIGSTOP)")
        elif silence is not None and silence > view.stalled_seconds:
            state = "stalled"
            reasons.append(f"its process has shown no sign of life for {silence:.0f} seconds")
    feed_state = "replay"
    if not record.spec.candle_files:
        feed_state = _feed_state(view)
        if state in ("ok", "warming_up") and feed_state == "stale":
            state = "stale"
        reasons += [market.reason for market in view.markets if market.reason]
        if state != "ended":
            reasons += _held_by(view.markets)
        if view.feed_down_since is not None:
            reasons.append(f"the feed process is down since {to_text(view.feed_down_since)}")
    last = progress.last_candle if progress is not None else None
    return wire.Health(
        state=state,
        reasons=reasons,
        last_candle=to_text(last) if last is not None else None,
        last_candle_age_seconds=None
        if last is None or record.spec.candle_files
        else max(0.0, (now_ms() - last - MINUTE) / 1000),
        feed_state=feed_state,
        candles=progress.candles if progress is not None else 0,
        candles_total=total,
        gaps=progress.gaps if progress is not None else 0,
        missing_minutes=progress.missing if progress is not None else 0,
        missed_decisions=progress.missed_decisions if progress is not None else 0,
        restarts=events.get("restarted", 0),
        next_try=to_text(int(view.next_try * 1000)) if view.next_try is not None else None,
        progress=min((m.progress for m in view.markets), default=None) if state == "warming_up" else None,
        pid=view.process.pid if view.process is not None else None,
    )


def disagreement(record: Record, reader: JournalReader) -> str:
    """How an ended session's journal differs from its final answer: one of them is an older copy; empty: not at all."""
    if record.final is None:
        return ""
    final = stopped_from(record).final_metrics
    progress = reader.progress()
    until = None if progress is None or progress.last_candle is None else to_text(progress.last_candle + MINUTE)
    if (reader.trade_count(), until) == (final.total_trades, final.as_of):
        return ""
    return (
        f"its journal has {reader.trade_count()} trades up to {until}, its final answer {final.total_trades} up to "
        f"{final.as_of}: one of them is an older copy"
    )


def _why_diverged(detail: dict[str, Any]) -> str:
    """A divergence in words: after an upgrade, that is the likelier reason."""
    if (versions := detail.get("versions")) is None:
        return "a replay differed from the journal: the strategy is not deterministic (see its events)"
    then = ", ".join(f"{name} {version}" for name, version in versions["then"].items()) or "an earlier version"
    now = ", ".join(f"{name} {version}" for name, version in versions["now"].items())
    return (
        f"a replay differed from the journal: the session began under {then} and was replayed under {now}, "
        "or the strategy is not deterministic (see its events)"
    )


def _held_by(markets: Sequence[MarketState]) -> list[str]:
    """The markets that a session waits for, since it steps a minute once all have it, and for how long by now."""
    newest = max((market.upto for market in markets), default=0)
    told = []
    for market in markets:
        # Markets close their minutes a few seconds apart: that alone holds nothing up.
        held = now_ms() - (market.upto + MINUTE)
        if 0 < market.upto < newest and held >= MINUTE:
            told.append(
                f"{market.symbol} holds the session up for {held / MINUTE:,.0f} minutes: its candle of "
                f"{to_text(market.upto)} is not there, those of its other markets are there up to "
                f"{to_text(newest - MINUTE)}"
            )
    return told


#: Worst first: a session is as well fed as the worst of its markets.
_FEED_STATES = ("refused", "stale", "starting", "warming_up", "quiet", "live")


def _feed_state(view: ProcessView) -> str:
    if view.feed_down_since is not None:
        return "stale"
    known = [market.state for market in view.markets]
    worst = next((state for state in _FEED_STATES if state in known), "starting")
    return "stale" if worst == "refused" else worst
