"""How sessions are now: one in full, many in a line each, and whether they have got somewhere."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paper.rfc3339 import to_ms, to_text
from jesse_paperd.analytics.metrics import metrics_of
from jesse_paperd.core.minutes import HOUR, MINUTE
from jesse_paperd.records.journal import Outcome, PositionRow
from jesse_paperd.records.record import Record, now_ms
from jesse_paperd.records.spec import SessionSpec, wire_timeframe
from jesse_paperd.service.process_view import ProcessView
from jesse_paperd.service.session_data import SessionData
from jesse_paperd.service.views.health import health_of
from jesse_paperd.service.views.logs import process_ends
from jesse_paperd.service.views.sessions import market_hours, routes_of, stopped_from
from jesse_paperd.service.views.trading import order_of, position_of


def status(data: SessionData, record: Record, view: ProcessView, leverage_pending: int | None) -> wire.Status:
    """The state of a session now.

    Args:
        leverage_pending: the leverage asked for last, which it may use already; None when none was asked for.
    """
    spec = record.spec
    with data.read(record) as journal:
        metrics = metrics_of(journal.track)
        progress = journal.reader.progress()
        outcome = journal.reader.outcome()
        positions = [position_of(row, spec, progress, view) for row in journal.reader.positions()]
        orders = [order_of(row, spec) for row in journal.reader.working_orders()]
        health = health_of(record, view, progress, outcome, journal, data.total(record))
        failed = journal.reader.last_event("failed") if outcome is not None else None
    ended = outcome.ended_at if outcome is not None else record.ended_at
    # Between candles the last traded price moves what is open; the metrics stay on closed candles.
    since_candle = 0.0
    if positions and view.markets:
        since_candle = sum(p.unrealized_pnl for p in positions) - metrics.unrealized_pnl
    return wire.Status(
        session_id=spec.session_id,
        status=view.state_of(record, progress, outcome),
        strategy=spec.strategy,
        symbol=spec.symbol,
        current_equity=metrics.current_equity + since_candle,
        unrealized_pnl=metrics.unrealized_pnl + since_candle,
        positions=positions,
        open_orders=orders,
        metrics=metrics,
        timeframe=wire_timeframe(spec.timeframe),
        exchange=spec.exchange,
        market=spec.market,
        leverage=progress.leverage if progress is not None else spec.leverage,
        pending_leverage=leverage_pending if progress is None or leverage_pending != progress.leverage else None,
        started_at=to_text(record.created_at),
        stopped_at=to_text(ended) if ended is not None else None,
        duration_hours=_hours(record, ended),
        market_hours=market_hours(progress),
        stop_reason=_reason(record, outcome),
        error=record.failure or (outcome.error if outcome is not None else ""),
        warnings=list(spec.warnings),
        notes=record.notes,
        health=health,
        failure=msgspec.convert(failed, wire.SessionFailure) if failed is not None else None,
        process_ends=process_ends(view),
        routes=routes_of(spec),
    )


def row(data: SessionData, record: Record, view: ProcessView) -> wire.SessionRow:
    """One line about a session."""
    spec = record.spec
    if record.final is not None:
        return _ended_row(record, stopped_from(record))
    known: dict[str, Any] = {}
    progress = outcome = None
    try:
        with data.read(record) as journal:
            path = journal.track.path
            progress, outcome = journal.reader.progress(), journal.reader.outcome()
            health = health_of(record, view, progress, outcome, journal)
            known = {
                "health": health.state,
                "current_equity": path.equity,
                "total_return": path.equity / spec.starting_balance - 1,
                "current_drawdown": path.drawdown,
                "total_trades": journal.track.trades.count,
                "position": ", ".join(_in_short(row, spec) for row in journal.reader.positions()),
                "last_candle": health.last_candle,
                "last_candle_age_seconds": health.last_candle_age_seconds,
            }
    except PaperError:
        # A list must not fail for one unreadable journal; asking for that session says why.
        known["health"] = "warming_up" if view.process is not None and not view.reason else "unreadable"
    if view.process is not None and (used := view.process.usage()) is not None:
        memory_mb = round(used.memory_bytes / 1e6, 1)
        known |= {"pid": view.process.pid, "cpu_seconds": used.cpu_seconds, "memory_mb": memory_mb}
    ended = outcome.ended_at if outcome is not None else record.ended_at
    return wire.SessionRow(
        session_id=spec.session_id,
        strategy=spec.strategy,
        symbol=spec.symbol,
        status=view.state_of(record, progress, outcome),
        started_at=to_text(record.created_at),
        duration_hours=_hours(record, ended),
        timeframe=wire_timeframe(spec.timeframe),
        exchange=spec.exchange,
        market=spec.market,
        market_hours=market_hours(progress),
        stop_reason=_reason(record, outcome),
        failed_at=_failed_at(view) if record.failure is not None else None,
        error=record.failure or (outcome.error if outcome is not None else ""),
        notes=record.notes,
        routes=_several(spec),
        **known,
    )


def _several(spec: SessionSpec) -> list[wire.TradedRoute]:
    return routes_of(spec) if spec.further_routes else []


def _in_short(position: PositionRow, spec: SessionSpec) -> str:
    named = f" {position.symbol}" if spec.further_routes else ""
    return f"{position.side} {abs(position.qty):g}{named}"


def _ended_row(record: Record, final: wire.Stopped) -> wire.SessionRow:
    """An ended session's line, from its final answer: a list of hundreds must not read as many journals."""
    spec, metrics = record.spec, final.final_metrics
    return wire.SessionRow(
        session_id=spec.session_id,
        strategy=spec.strategy,
        symbol=spec.symbol,
        status=final.status,
        started_at=to_text(record.created_at),
        duration_hours=final.duration_hours,
        timeframe=wire_timeframe(spec.timeframe),
        exchange=spec.exchange,
        market=spec.market,
        health="ended",
        current_equity=metrics.current_equity,
        total_return=metrics.total_return,
        current_drawdown=metrics.current_drawdown,
        total_trades=metrics.total_trades,
        position="",
        last_candle=to_text(to_ms(metrics.as_of) - MINUTE) if metrics.as_of is not None else None,
        market_hours=final.market_hours,
        stop_reason=final.stop_reason,
        failed_at=final.stopped_at if final.status == "failed" else None,
        error=final.error,
        notes=record.notes,
        routes=_several(spec),
    )


def unreadable_row(session_id: str, why: str, record: Record | None = None) -> wire.SessionRow:
    """A line about a session that cannot be read, with the reason."""
    spec = record.spec if record is not None else None
    return wire.SessionRow(
        session_id=session_id,
        strategy=spec.strategy if spec is not None else "",
        symbol=spec.symbol if spec is not None else "",
        status="failed" if record is None or record.failure is not None else "restarting",
        started_at=to_text(record.created_at) if record is not None else "",
        duration_hours=0.0,
        health="unreadable",
        error=why,
    )


class Standing(NamedTuple):
    """Where a session stands: its state, its closed trades, and the close of its last candle in milliseconds."""

    state: wire.SessionState
    trades: int
    closed_at: int


def standing(data: SessionData, record: Record, view: ProcessView) -> Standing:
    """Where a session stands; one that cannot be read stands at its beginning."""
    try:
        with data.read(record) as journal:
            progress = journal.reader.progress()
            closed_at = progress.last_candle + MINUTE if progress is not None and progress.last_candle else 0
            state = view.state_of(record, progress, journal.reader.outcome())
            return Standing(state, journal.reader.trade_count(), closed_at)
    except PaperError:
        return Standing(view.state_of(record, None, None), 0, 0)


def _failed_at(view: ProcessView) -> str | None:
    """When a session was given up: when its last process died, as far as that is kept."""
    return to_text(view.ends[-1].at) if view.ends else None


def _hours(record: Record, ended: int | None) -> float:
    return max(0.0, ((ended if ended is not None else now_ms()) - record.created_at) / HOUR)


def _reason(record: Record, outcome: Outcome | None) -> str:
    if outcome is not None:
        return outcome.reason
    return "failed" if record.failure is not None else "stopped" if record.ended_at is not None else ""
