"""How a session began and how it ended."""

from __future__ import annotations

import contextlib

import msgspec

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paper.rfc3339 import to_ms, to_text
from jesse_paperd.analytics.metrics import metrics_of
from jesse_paperd.core.minutes import HOUR, MINUTE
from jesse_paperd.records.journal import Outcome, Progress
from jesse_paperd.records.record import Record, damaged, now_ms
from jesse_paperd.records.spec import SessionSpec, wire_timeframe
from jesse_paperd.service.process_view import ProcessView
from jesse_paperd.service.session_data import SessionData
from jesse_paperd.service.start_hints import hint_of_start


def started(data: SessionData, record: Record, view: ProcessView, already_existed: bool) -> wire.Started:
    """A session as it runs.

    Args:
        already_existed: it was not started by this request.
    """
    spec = record.spec
    outcome, progress = None, None
    with contextlib.suppress(PaperError), data.read(record) as journal:
        progress, outcome = journal.reader.progress(), journal.reader.outcome()
    status = view.state_of(record, progress, outcome)
    return wire.Started(
        session_id=spec.session_id,
        status=status,
        strategy=spec.strategy,
        symbol=spec.symbol,
        timeframe=wire_timeframe(spec.timeframe),
        exchange=spec.exchange,
        starting_balance=spec.starting_balance,
        started_at=to_text(record.created_at),
        market=spec.market,
        leverage=spec.leverage,
        leverage_mode=spec.leverage_mode,
        fee=spec.fee,
        warmup_candles=spec.warmup_candles,
        feed=spec.feed,
        speed=spec.speed,
        already_existed=already_existed,
        routes=routes_of(spec),
        hint=hint_of_start(record, status, outcome, already_existed, view.reason, view.feed_trouble),
    )


def routes_of(spec: SessionSpec) -> list[wire.TradedRoute]:
    """What a session trades, as it was asked for."""
    return [
        wire.TradedRoute(route.symbol, route.strategy, wire_timeframe(route.timeframe), route.hyperparameters)  # type: ignore[arg-type]
        for route in spec.routes
    ]


def final(data: SessionData, record: Record, outcome: Outcome | None, failure: str = "") -> wire.Stopped:
    """The answer that an ended session gives for ever."""
    spec = record.spec
    ended_at = outcome.ended_at if outcome is not None else now_ms()
    with data.read(record) as journal:
        metrics = metrics_of(journal.track)
        traded = market_hours(journal.reader.progress())
    hint = ""
    if outcome is None:
        hint = "its process could not be run to close open positions: they are left as the journal has them"
    elif outcome.reason == "failed":
        hint = f"it had failed: {outcome.error}"
    return wire.Stopped(
        session_id=spec.session_id,
        status="failed" if "failed" in (failure, outcome and outcome.reason) else "stopped",
        stopped_at=to_text(ended_at),
        duration_hours=max(0.0, (ended_at - record.created_at) / HOUR),
        final_metrics=wire.FinalMetrics(
            **{name: getattr(metrics, name) for name in metrics.__struct_fields__},
            final_equity=metrics.current_equity,
        ),
        stop_reason=outcome.reason if outcome is not None else failure or "stopped",
        closed_at_stop=outcome.closed_at_stop if outcome is not None else 0,
        market_hours=traded,
        error=outcome.error if outcome is not None else record.failure or "",
        hint=hint,
    )


def stopped_from(record: Record) -> wire.Stopped:
    """The final answer of an ended session, as the registry keeps it.

    Earlier versions wrote times with milliseconds, and called a session that was given up and then stopped `stopped`.

    Raises:
        PaperError: `damaged`.
    """
    assert record.final is not None
    try:
        final = msgspec.json.decode(record.final, type=wire.Stopped)
    except msgspec.MsgspecError as error:
        raise damaged(f"the final answer of session {record.session_id!r} is damaged: {error}") from error
    return msgspec.structs.replace(
        final,
        status="failed" if record.failure is not None else final.status,
        stopped_at=to_text(to_ms(final.stopped_at)) if final.stopped_at is not None else None,
    )


def market_hours(progress: Progress | None) -> float | None:
    """Market time from the first traded candle to the end of the last, in hours; None before the first."""
    if progress is None or progress.first_candle is None or progress.last_candle is None:
        return None
    return max(0.0, (progress.last_candle + MINUTE - progress.first_candle) / HOUR)
