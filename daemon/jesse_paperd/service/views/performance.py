"""How a session performed: metrics, equity, comparison, chart, report."""

from __future__ import annotations

import contextlib

import msgspec

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paper.figures import money
from jesse_paper.rfc3339 import to_text
from jesse_paperd.analytics.by_route import metrics_by_route
from jesse_paperd.analytics.chart import chart_png
from jesse_paperd.analytics.compare import compare
from jesse_paperd.analytics.equity import equity_curve
from jesse_paperd.analytics.metrics import metrics_of
from jesse_paperd.analytics.report import Subject, report_html
from jesse_paperd.records.record import Record
from jesse_paperd.records.spec import wire_timeframe
from jesse_paperd.service.process_view import ProcessView
from jesse_paperd.service.session_data import SessionData
from jesse_paperd.service.times import span_of


def metrics(data: SessionData, record: Record, body: wire.PaperGetMetrics) -> wire.MetricsOf:
    with data.read(record) as journal:
        return wire.MetricsOf(
            session_id=record.session_id,
            metrics=metrics_of(journal.track, body.returns_interval),
            routes=metrics_by_route(record.spec, journal.track, journal.reader.positions(), journal.reader.progress()),
        )


def equity(data: SessionData, record: Record, body: wire.PaperGetEquity) -> wire.Equity:
    since, until = span_of(body.since, body.until)
    with data.read(record) as journal:
        curve = equity_curve(journal.track, body.resolution, since, until, body.max_points)
    hint = ""
    if curve.truncated:
        hint = f"the newest {body.max_points} of {curve.total_points} points; use a coarser resolution or max_points"
    return wire.Equity(
        session_id=record.session_id,
        resolution=body.resolution,
        equity_curve=curve.points(),
        total_points=curve.total_points,
        truncated=curve.truncated,
        hint=hint,
    )


def compared(data: SessionData, records: list[Record], body: wire.PaperCompareSessions) -> wire.Compared:
    with contextlib.ExitStack() as stack:
        states = {}
        # In one order whoever asks, so that two comparisons never wait for each other.
        for record in sorted(records, key=lambda record: record.session_id):
            journal = stack.enter_context(data.read(record))
            states[record.session_id] = journal.track
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


def chart(data: SessionData, record: Record, body: wire.PaperChart) -> wire.Chart:
    symbol = body.symbol or record.spec.symbol
    if symbol not in record.spec.traded:
        raise PaperError(
            "invalid_argument",
            f"symbol {symbol!r} is not traded by this session",
            f"It trades {', '.join(record.spec.traded)}.",
        )
    with data.read(record) as journal:
        metrics = metrics_of(journal.track)
        candles = data.traded_candles(record, journal.reader.progress()).get(symbol)
        png = chart_png(journal.track, _heading(record, symbol), candles, body.theme, symbol)
    description = (
        f"{_heading(record, symbol)}: equity {money(metrics.current_equity)} ({metrics.total_return:+.2%}), "
        f"largest drawdown {metrics.max_drawdown:.2%}, {metrics.total_trades} closed trades, "
        f"as of {metrics.as_of}; simulated money"
    )
    return wire.Chart(session_id=record.session_id, png=png, description=description)


def report(data: SessionData, record: Record, view: ProcessView) -> wire.Report:
    told = msgspec.to_builtins(record.spec)
    shown = {name: str(value) for name, value in told.items() if name not in ("candle_files", "feed", "seed")}
    # A report goes to others: it names the candle file, not where it lies on this machine.
    source = record.spec.feed.removeprefix("replay:").rsplit("/", 1)[-1]
    shown["feed"] = f"replay of {source}" if record.spec.candle_files else "live"
    with data.read(record) as journal:
        progress = journal.reader.progress()
        status = view.state_of(record, progress, journal.reader.outcome())
        routes = metrics_by_route(record.spec, journal.track, journal.reader.positions(), progress)
        subject = Subject(record.session_id, _account(record), status, shown, routes, record.notes or "")
        html = report_html(journal.track, journal.reader, subject, data.traded_candles(record, progress))
    return wire.Report(session_id=record.session_id, html=html)


def _account(record: Record) -> str:
    """What a session is: its route, or how many there are."""
    spec = record.spec
    if spec.further_routes:
        return f"{len(spec.routes)} routes, one wallet · {spec.market}"
    return _heading(record, spec.symbol)


def _heading(record: Record, symbol: str) -> str:
    """What a picture shows: the route whose price is seen, and how many share its account."""
    spec = record.spec
    route = next(route for route in spec.routes if route.symbol == symbol)
    others = f" · one of {len(spec.routes)} routes" if spec.further_routes else ""
    return f"{route.strategy} · {symbol} {wire_timeframe(route.timeframe)} · {spec.market}{others}"
