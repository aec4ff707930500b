"""What sessions have traded, logged and come to: each is read from the journal in a worker thread."""

from __future__ import annotations

from jesse_paper import protocol as wire
from jesse_paperd.service.handlers.handler import handles
from jesse_paperd.service.parts import Parts
from jesse_paperd.service.views import logs as log_views
from jesse_paperd.service.views import performance, trading


@handles(wire.PaperGetTrades)
async def trades(parts: Parts, body: wire.PaperGetTrades, _request_id: str) -> wire.Trades:
    return await parts.workers.read(trading.trades, parts.data, parts.directory.record(body.session_id), body)


@handles(wire.PaperGetOrders)
async def orders(parts: Parts, body: wire.PaperGetOrders, _request_id: str) -> wire.Orders:
    return await parts.workers.read(trading.orders, parts.data, parts.directory.record(body.session_id), body)


@handles(wire.PaperGetEquity)
async def equity(parts: Parts, body: wire.PaperGetEquity, _request_id: str) -> wire.Equity:
    return await parts.workers.read(performance.equity, parts.data, parts.directory.record(body.session_id), body)


@handles(wire.PaperGetMetrics)
async def metrics(parts: Parts, body: wire.PaperGetMetrics, _request_id: str) -> wire.MetricsOf:
    return await parts.workers.read(performance.metrics, parts.data, parts.directory.record(body.session_id), body)


@handles(wire.PaperCompareSessions)
async def compare(parts: Parts, body: wire.PaperCompareSessions, _request_id: str) -> wire.Compared:
    records = [parts.directory.record(session_id) for session_id in dict.fromkeys(body.session_ids)]
    return await parts.workers.read(performance.compared, parts.data, records, body)


@handles(wire.PaperChart)
async def chart(parts: Parts, body: wire.PaperChart, _request_id: str) -> wire.Chart:
    return await parts.workers.read(performance.chart, parts.data, parts.directory.record(body.session_id), body)


@handles(wire.PaperReport)
async def report(parts: Parts, body: wire.PaperReport, _request_id: str) -> wire.Report:
    record, view = parts.directory.record(body.session_id), parts.directory.view(body.session_id)
    return await parts.workers.read(performance.report, parts.data, record, view)


@handles(wire.PaperGetLogs)
async def logs(parts: Parts, body: wire.PaperGetLogs, _request_id: str) -> wire.Logs:
    record, view = parts.directory.record(body.session_id), parts.directory.full_view(body.session_id)
    return await parts.workers.read(log_views.logs, parts.data, record, view, body)


@handles(wire.PaperGetEvents)
async def events(parts: Parts, body: wire.PaperGetEvents, _request_id: str) -> wire.Events:
    record, view = parts.directory.record(body.session_id), parts.directory.full_view(body.session_id)
    return await parts.workers.read(log_views.events, parts.data, record, view, body)
