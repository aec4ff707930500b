"""What sessions have traded, logged and come to: each is read from the journal in a worker thread."""

from __future__ import annotations

from jesse_paper import protocol as wire
from jesse_paperd.service.directory import Directory
from jesse_paperd.service.handlers.handler import handles
from jesse_paperd.service.session_data import SessionData
from jesse_paperd.service.views import logs, performance, trading
from jesse_paperd.service.workers import Workers


class ResultHandlers:
    """Answers questions about trading, performance and logs."""

    def __init__(self, directory: Directory, data: SessionData, workers: Workers) -> None:
        self._directory = directory
        self._data = data
        self._workers = workers

    @handles(wire.PaperGetTrades)
    async def trades(self, body: wire.PaperGetTrades, _request_id: str) -> wire.Trades:
        return await self._workers.read(trading.trades, self._data, self._directory.record(body.session_id), body)

    @handles(wire.PaperGetOrders)
    async def orders(self, body: wire.PaperGetOrders, _request_id: str) -> wire.Orders:
        return await self._workers.read(trading.orders, self._data, self._directory.record(body.session_id), body)

    @handles(wire.PaperGetEquity)
    async def equity(self, body: wire.PaperGetEquity, _request_id: str) -> wire.Equity:
        return await self._workers.read(performance.equity, self._data, self._directory.record(body.session_id), body)

    @handles(wire.PaperGetMetrics)
    async def metrics(self, body: wire.PaperGetMetrics, _request_id: str) -> wire.MetricsOf:
        return await self._workers.read(performance.metrics, self._data, self._directory.record(body.session_id), body)

    @handles(wire.PaperCompareSessions)
    async def compare(self, body: wire.PaperCompareSessions, _request_id: str) -> wire.Compared:
        records = [self._directory.record(session_id) for session_id in dict.fromkeys(body.session_ids)]
        return await self._workers.read(performance.compared, self._data, records, body)

    @handles(wire.PaperChart)
    async def chart(self, body: wire.PaperChart, _request_id: str) -> wire.Chart:
        return await self._workers.read(performance.chart, self._data, self._directory.record(body.session_id), body)

    @handles(wire.PaperReport)
    async def report(self, body: wire.PaperReport, _request_id: str) -> wire.Report:
        record, view = self._directory.record(body.session_id), self._directory.view(body.session_id)
        return await self._workers.read(performance.report, self._data, record, view)

    @handles(wire.PaperGetLogs)
    async def logs(self, body: wire.PaperGetLogs, _request_id: str) -> wire.Logs:
        record, view = self._directory.record(body.session_id), self._directory.full_view(body.session_id)
        return await self._workers.read(logs.logs, self._data, record, view, body)

    @handles(wire.PaperGetEvents)
    async def events(self, body: wire.PaperGetEvents, _request_id: str) -> wire.Events:
        record, view = self._directory.record(body.session_id), self._directory.full_view(body.session_id)
        return await self._workers.read(logs.events, self._data, record, view, body)
