"""What a client is told of a session: registry, process and journal put together. Pure reading, in worker threads."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import msgspec

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paper.figures import money
from jesse_paper.rfc3339 import to_ms, to_text
from jesse_paperd.analytics.chart import chart_png
from jesse_paperd.analytics.compare import compare
from jesse_paperd.analytics.equity import equity_curve
from jesse_paperd.analytics.metrics import metrics_of
from jesse_paperd.analytics.report import Subject, report_html
from jesse_paperd.analytics.trades import trade_of
from jesse_paperd.candles.opening import open_candles
from jesse_paperd.core.layout import Layout
from jesse_paperd.core.minutes import HOUR, MINUTE, Rows
from jesse_paperd.feed.messages import MarketState
from jesse_paperd.processes import identity, lease
from jesse_paperd.records.journal import OrderRow, Outcome, PositionRow, Progress
from jesse_paperd.records.registry import ProcessEnd, Record, now_ms
from jesse_paperd.records.spec import wire_timeframe
from jesse_paperd.service.journals import Ledger, Ledgers
from jesse_paperd.service.start_hints import hint_of_start
from jesse_paperd.service.states import state_of


@dataclass(frozen=True)
class ProcessView:
    """What the daemon knows of a session's process and markets at one moment. Times are wall-clock seconds."""

    pid: int | None = None
    reason: str = ""
    next_try: float | None = None
    markets: tuple[MarketState, ...] = ()
    feed_trouble: str = ""
    feed_down_since: int | None = None  # milliseconds
    ends: tuple[ProcessEnd, ...] = ()


class Answers:
    """Answers about sessions.

    Args:
        stalled_seconds: a heartbeat older than this is reported.
    """

    def __init__(self, layout: Layout, ledgers: Ledgers, stalled_seconds: float) -> None:
        self._layout = layout
        self._ledgers = ledgers
        self._stalled_seconds = stalled_seconds
        #: Replayed candles in all, by session: a file of them never changes.
        self._totals: dict[str, int | None] = {}

    def started(self, record: Record, view: ProcessView, already_existed: bool) -> wire.Started:
        spec = record.spec
        status, outcome = self._state(record, view)
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
            hint=hint_of_start(record, status, outcome, already_existed, view.reason, view.feed_trouble),
        )

    def final(self, record: Record, outcome: Outcome | None, failure: str = "") -> wire.Stopped:
        """The answer that an ended session gives for ever."""
        spec = record.spec
        ended_at = outcome.ended_at if outcome is not None else now_ms()
        with self._ledgers.read(spec.session_id, spec.starting_balance) as ledger:
            metrics = metrics_of(ledger.state)
            traded = _market_hours(ledger.reader.progress())
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

    def status(self, record: Record, view: ProcessView, leverage_pending: int | None) -> wire.Status:
        spec = record.spec
        with self._ledgers.read(spec.session_id, spec.starting_balance) as ledger:
            metrics = metrics_of(ledger.state)
            progress = ledger.reader.progress()
            outcome = ledger.reader.outcome()
            positions = [_position(row, progress, view) for row in ledger.reader.positions()]
            orders = [_order(row) for row in ledger.reader.orders("status = 'ACTIVE'")]
            health = self._health(record, view, progress, outcome, ledger, total=self._total(record))
            failed = ledger.reader.last_event("failed") if outcome is not None else None
        ended = outcome.ended_at if outcome is not None else record.ended_at
        # Between candles the last traded price moves what is open; the metrics stay on closed candles.
        since_candle = 0.0
        if positions and view.markets:
            since_candle = sum(p.unrealized_pnl for p in positions) - metrics.unrealized_pnl
        return wire.Status(
            session_id=spec.session_id,
            status=_state_of(record, view, progress, outcome),
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
            market_hours=_market_hours(progress),
            stop_reason=_reason(record, outcome),
            error=record.failure or (outcome.error if outcome is not None else ""),
            warnings=list(spec.warnings),
            notes=record.notes,
            health=health,
            failure=msgspec.convert(failed, wire.SessionFailure) if failed is not None else None,
            process_ends=_ends(view),
        )

    def row(self, record: Record, view: ProcessView) -> wire.SessionRow:
        spec = record.spec
        if record.final is not None:
            return _ended_row(record, stopped_from(record))
        known: dict[str, Any] = {}
        progress = outcome = None
        try:
            with self._ledgers.read(spec.session_id, spec.starting_balance) as ledger:
                path = ledger.state.path
                progress, outcome = ledger.reader.progress(), ledger.reader.outcome()
                health = self._health(record, view, progress, outcome, ledger)
                known = {
                    "health": health.state,
                    "current_equity": path.equity,
                    "total_return": path.equity / spec.starting_balance - 1,
                    "current_drawdown": path.drawdown,
                    "total_trades": ledger.state.trades.count,
                    "position": ", ".join(f"{row.side} {abs(row.qty):g}" for row in ledger.reader.positions()),
                    "last_candle": health.last_candle,
                    "last_candle_age_seconds": health.last_candle_age_seconds,
                }
        except PaperError:
            # A list must not fail for one unreadable journal; asking for that session says why.
            known["health"] = "warming_up" if view.pid is not None and not view.reason else "unreadable"
        if view.pid is not None and (used := identity.usage(view.pid)) is not None:
            known |= {"pid": view.pid, "cpu_seconds": used[0], "memory_mb": round(used[1] / 1e6, 1)}
        ended = outcome.ended_at if outcome is not None else record.ended_at
        return wire.SessionRow(
            session_id=spec.session_id,
            strategy=spec.strategy,
            symbol=spec.symbol,
            status=_state_of(record, view, progress, outcome),
            started_at=to_text(record.created_at),
            duration_hours=_hours(record, ended),
            timeframe=wire_timeframe(spec.timeframe),
            exchange=spec.exchange,
            market=spec.market,
            market_hours=_market_hours(progress),
            stop_reason=_reason(record, outcome),
            failed_at=_failed_at(view) if record.failure is not None else None,
            error=record.failure or (outcome.error if outcome is not None else ""),
            notes=record.notes,
            **known,
        )

    def metrics(self, record: Record, body: wire.PaperGetMetrics) -> wire.MetricsOf:
        with self._ledgers.read(record.session_id, record.spec.starting_balance) as ledger:
            return wire.MetricsOf(session_id=record.session_id, metrics=metrics_of(ledger.state, body.returns_interval))

    def equity(self, record: Record, body: wire.PaperGetEquity) -> wire.Equity:
        since, until = _span(body.since, body.until)
        with self._ledgers.read(record.session_id, record.spec.starting_balance) as ledger:
            curve = equity_curve(ledger.state, body.resolution, since, until, body.max_points)
        hint = ""
        if curve.truncated:
            hint = (
                f"the newest {body.max_points} of {curve.total_points} points; use a coarser resolution or max_points"
            )
        return wire.Equity(
            session_id=record.session_id,
            resolution=body.resolution,
            equity_curve=curve.points(),
            total_points=curve.total_points,
            truncated=curve.truncated,
            hint=hint,
        )

    def trades(self, record: Record, body: wire.PaperGetTrades) -> wire.Trades:
        since, until = _span(body.since, body.until)
        filtered = body.side != "all" or since is not None or until is not None
        with self._ledgers.read(record.session_id, record.spec.starting_balance) as ledger:
            total = matching = ledger.reader.trade_count()
            if filtered:
                rows = [
                    row
                    for row in ledger.reader.trades()
                    if body.side in ("all", row.side)
                    and (since is None or row.exit_at >= since)
                    and (until is None or row.exit_at < until)
                ]
                matching = len(rows)
                rows = rows[body.offset : body.offset + body.limit]
            else:
                rows = ledger.reader.trades(after=body.offset, limit=body.limit)
            progress = ledger.reader.progress()
            positions = ledger.reader.positions() if body.include_open else []
        following = body.offset + len(rows)
        return wire.Trades(
            session_id=record.session_id,
            total_trades=total,
            trades=[trade_of(row) for row in rows],
            offset=body.offset,
            limit=body.limit,
            matching=matching,
            truncated=following < matching,
            next_offset=following if following < matching else None,
            open_trades=[_position(row, progress, ProcessView()) for row in positions],
        )

    def compared(self, records: list[Record], body: wire.PaperCompareSessions) -> wire.Compared:
        with contextlib.ExitStack() as stack:
            states = {}
            # In one order whoever asks, so that two comparisons never wait for each other.
            for record in sorted(records, key=lambda record: record.session_id):
                ledger = stack.enter_context(self._ledgers.read(record.session_id, record.spec.starting_balance))
                states[record.session_id] = ledger.state
            found = compare({r.session_id: states[r.session_id] for r in records}, body.returns_interval)
        return wire.Compared(
            whole=found.whole,
            common=found.common,
            correlation=found.correlation,
            returns_interval=found.returns_interval,
            observations=found.observations,
            since=to_text(found.since) if found.since is not None else None,
            until=to_text(found.until) if found.until is not None else None,
            hint="" if found.common else "the sessions share no time: only their whole lives can be compared",
        )

    def chart(self, record: Record, body: wire.PaperChart) -> wire.Chart:
        with self._ledgers.read(record.session_id, record.spec.starting_balance) as ledger:
            metrics = metrics_of(ledger.state)
            png = chart_png(ledger.state, _heading(record), self._candles(record, ledger), body.theme)
        description = (
            f"{_heading(record)}: equity {money(metrics.current_equity)} ({metrics.total_return:+.2%}), "
            f"largest drawdown {metrics.max_drawdown:.2%}, {metrics.total_trades} closed trades, "
            f"as of {metrics.as_of}; simulated money"
        )
        return wire.Chart(session_id=record.session_id, png=png, description=description)

    def report(self, record: Record, view: ProcessView) -> wire.Report:
        told = msgspec.to_builtins(record.spec)
        shown = {name: str(value) for name, value in told.items() if name not in ("candle_files", "feed", "seed")}
        # A report goes to others: it names the candle file, not where it lies on this machine.
        source = record.spec.feed.removeprefix("replay:").rsplit("/", 1)[-1]
        shown["feed"] = f"replay of {source}" if record.spec.candle_files else "live"
        with self._ledgers.read(record.session_id, record.spec.starting_balance) as ledger:
            status = _state_of(record, view, ledger.reader.progress(), ledger.reader.outcome())
            subject = Subject(record.session_id, _heading(record), status, shown, record.notes or "")
            html = report_html(ledger.state, ledger.reader, subject, self._candles(record, ledger))
        return wire.Report(session_id=record.session_id, html=html)

    def _candles(self, record: Record, ledger: Ledger) -> Rows | None:
        """The candles that a session traded, or None while there are none or they cannot be read any more."""
        progress = ledger.reader.progress()
        if progress is None or progress.last_candle is None:
            return None
        with contextlib.suppress(PaperError):
            return open_candles(self._layout, record.spec).upto(0, progress.last_candle, 10**9)[record.spec.symbol]
        return None

    def orders(self, record: Record, body: wire.PaperGetOrders) -> wire.Orders:
        where = "1" if body.status == "all" else f"status = '{body.status.upper()}'"
        with self._ledgers.read(record.session_id, record.spec.starting_balance) as ledger:
            rows = ledger.reader.orders(where)
        page = rows[body.offset : body.offset + body.limit]
        following = body.offset + len(page)
        return wire.Orders(
            session_id=record.session_id,
            orders=[_order(row) for row in page],
            total=len(rows),
            offset=body.offset,
            next_offset=following if following < len(rows) else None,
        )

    def logs(self, record: Record, view: ProcessView, body: wire.PaperGetLogs) -> wire.Logs:
        levels = () if body.level == "all" else ("error", "stderr")
        with self._ledgers.read(record.session_id, record.spec.starting_balance) as ledger:
            rows = ledger.reader.logs(body.after, body.limit, levels)
        lines = [wire.LogLine(seq=seq, at=to_text(at), level=lvl, message=text) for seq, at, lvl, text in rows]
        last = lines[-1].seq if lines else body.after or 0
        return wire.Logs(session_id=record.session_id, lines=lines, next_after=last, process_ends=_ends(view))

    def events(self, record: Record, view: ProcessView, body: wire.PaperGetEvents) -> wire.Events:
        with self._ledgers.read(record.session_id, record.spec.starting_balance) as ledger:
            rows = ledger.reader.events(body.after, body.limit)
        events = [
            wire.Event(seq=seq, at=to_text(at), event=kind, detail=msgspec.json.decode(detail))
            for seq, at, kind, detail in rows
        ]
        return wire.Events(
            session_id=record.session_id,
            events=events,
            next_after=events[-1].seq if events else body.after,
            process_ends=_ends(view),
        )

    def standing(
        self, record: Record, view: ProcessView, min_trades: int | None, until: int | None
    ) -> tuple[wire.SessionState, bool]:
        """A session's state, and whether it has so many closed trades, or has traded a candle up to a time."""
        if record.final is not None and min_trades is None and until is None:
            return stopped_from(record).status, False
        try:
            with self._ledgers.read(record.session_id, record.spec.starting_balance) as ledger:
                progress = ledger.reader.progress()
                closed_at = progress.last_candle + MINUTE if progress is not None and progress.last_candle else 0
                there = (min_trades is not None and ledger.reader.trade_count() >= min_trades) or (
                    until is not None and closed_at >= until
                )
                return _state_of(record, view, progress, ledger.reader.outcome()), there
        except PaperError:
            return _state_of(record, view, None, None), False

    def forget(self, session_id: str) -> None:
        """Keep nothing of a session that was removed."""
        self._totals.pop(session_id, None)
        self._ledgers.drop(session_id)

    def _state(self, record: Record, view: ProcessView) -> tuple[wire.SessionState, Outcome | None]:
        try:
            with self._ledgers.read(record.session_id, record.spec.starting_balance) as ledger:
                outcome = ledger.reader.outcome()
                return _state_of(record, view, ledger.reader.progress(), outcome), outcome
        except PaperError:
            return _state_of(record, view, None, None), None

    def _total(self, record: Record) -> int | None:
        """How many candles a replay trades in all; None for a live session, or when its file cannot be read."""
        if record.spec.candle_files and record.session_id not in self._totals:
            with contextlib.suppress(PaperError):
                self._totals[record.session_id] = open_candles(self._layout, record.spec).total()
        return self._totals.get(record.session_id)

    def _health(
        self,
        record: Record,
        view: ProcessView,
        progress: Progress | None,
        outcome: Outcome | None,
        ledger: Ledger,
        total: int | None = None,
    ) -> wire.Health:
        events = ledger.reader.event_counts()
        reasons = []
        state = "ok"
        if events.get("diverged"):
            state = "diverged"
            reasons.append(_why_diverged(ledger.reader.last_event("diverged") or {}))
        if progress is None or progress.phase == "warming_up":
            state = "warming_up"
        if outcome is not None or record.ended_at is not None or record.failure is not None:
            state = "ended"
        elif view.pid is None:
            state = "stalled" if view.reason else state
            reasons += [view.reason] if view.reason else []
        else:
            silence = lease.silence(self._layout.session(record.session_id).lease)
            if identity.state(view.pid) == "T":
                state = "stalled"
                reasons.append("its process is frozen (SIGSTOP)")
            elif silence is not None and silence > self._stalled_seconds:
                state = "stalled"
                reasons.append(f"its process has shown no sign of life for {silence:.0f} seconds")
        feed_state = "replay"
        if not record.spec.candle_files:
            feed_state = _feed_state(view)
            if state in ("ok", "warming_up") and feed_state == "stale":
                state = "stale"
            reasons += [market.reason for market in view.markets if market.reason]
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
            pid=view.pid,
        )


#: Worst first: a session is as well fed as the worst of its markets.
_FEED_STATES = ("refused", "stale", "starting", "warming_up", "quiet", "live")


def _ends(view: ProcessView) -> list[wire.ProcessEnd]:
    return [wire.ProcessEnd(at=to_text(e.at), pid=e.pid, status=e.status, reason=e.reason) for e in view.ends]


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


def _feed_state(view: ProcessView) -> str:
    if view.feed_down_since is not None:
        return "stale"
    known = [market.state for market in view.markets]
    worst = next((state for state in _FEED_STATES if state in known), "starting")
    return "stale" if worst == "refused" else worst


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
    )


def _heading(record: Record) -> str:
    spec = record.spec
    return f"{spec.strategy} · {spec.symbol} {wire_timeframe(spec.timeframe)} · {spec.market}"


def _time(field: str, text: str | None) -> int | None:
    """Milliseconds of a time argument.

    Raises:
        PaperError: `invalid_argument`, naming the field.
    """
    try:
        return None if text is None else to_ms(text)
    except ValueError as error:
        raise PaperError("invalid_argument", f"{field}: {error}") from None


def _span(since: str | None, until: str | None) -> tuple[int | None, int | None]:
    """Both ends of a span of time in milliseconds.

    Raises:
        PaperError: `invalid_argument` when one is no time, or when it ends before it begins.
    """
    begin, end = _time("since", since), _time("until", until)
    if begin is not None and end is not None and begin > end:
        raise PaperError("invalid_argument", f"since: {since} is after until: {until}", "exchange the two")
    return begin, end


def _state_of(
    record: Record, view: ProcessView, progress: Progress | None, outcome: Outcome | None
) -> wire.SessionState:
    return state_of(record, view.pid is not None, view.reason, progress, outcome)


def _market_hours(progress: Progress | None) -> float | None:
    """Market time from the first traded candle to the end of the last, in hours; None before the first."""
    if progress is None or progress.first_candle is None or progress.last_candle is None:
        return None
    return max(0.0, (progress.last_candle + MINUTE - progress.first_candle) / HOUR)


def _failed_at(view: ProcessView) -> str | None:
    """When a session was given up: when its last process died, as far as that is kept."""
    return to_text(view.ends[-1].at) if view.ends else None


def _hours(record: Record, ended: int | None) -> float:
    return max(0.0, ((ended if ended is not None else now_ms()) - record.created_at) / HOUR)


def _reason(record: Record, outcome: Outcome | None) -> str:
    if outcome is not None:
        return outcome.reason
    return "failed" if record.failure is not None else "stopped" if record.ended_at is not None else ""


def _position(row: PositionRow, progress: Progress | None, view: ProcessView) -> wire.Position:
    """A position, marked to the last traded price where that is newer than the last candle."""
    price, at = row.entry_price, row.opened_at
    if progress is not None and progress.last_close is not None and progress.last_candle is not None:
        price, at = progress.last_close, progress.last_candle + MINUTE
    for market in view.markets:
        if market.symbol == row.symbol and market.last_price is not None and (market.last_price_at or 0) > at:
            price, at = market.last_price, market.last_price_at or at
    size = abs(row.qty)
    direction = 1 if row.side == "long" else -1
    return wire.Position(
        side=row.side,
        size=size,
        entry_price=row.entry_price,
        current_price=price,
        unrealized_pnl=direction * size * (price - row.entry_price),
        symbol=row.symbol,
        leverage=row.leverage,
        liquidation_price=row.liquidation_price,
        opened_at=to_text(row.opened_at),
        price_time=to_text(at),
    )


def _order(row: OrderRow) -> wire.Order:
    return wire.Order(
        order_id=row.order_id,
        symbol=row.symbol,
        side=row.side,
        type=row.type,
        size=abs(row.qty),
        price=row.price,
        status=row.status,
        reduce_only=row.reduce_only,
        created_at=to_text(row.created_at),
        role=row.role,
        filled_size=abs(row.filled_qty),
        fee=row.fee,
        executed_at=to_text(row.executed_at) if row.executed_at is not None else None,
        canceled_at=to_text(row.canceled_at) if row.canceled_at is not None else None,
        trade_id=row.trade_id,
    )


def stopped_from(record: Record) -> wire.Stopped:
    """The final answer of an ended session, as the registry keeps it.

    Earlier versions wrote times with milliseconds, and called a session that was given up and then stopped `stopped`.
    """
    assert record.final is not None
    final = msgspec.json.decode(record.final, type=wire.Stopped)
    return msgspec.structs.replace(
        final,
        status="failed" if record.failure is not None else final.status,
        stopped_at=to_text(to_ms(final.stopped_at)) if final.stopped_at is not None else None,
    )
