"""How sessions are now."""

from __future__ import annotations

from jesse_paper import protocol as wire
from jesse_paperd.core.minutes import DAY
from jesse_paperd.records.registry import Record, Registry, now_ms
from jesse_paperd.service.directory import Directory
from jesse_paperd.service.handlers.handler import handles
from jesse_paperd.service.manager import SessionManager
from jesse_paperd.service.session_data import SessionData
from jesse_paperd.service.views.sessions import stopped_from
from jesse_paperd.service.views.status import standing
from jesse_paperd.service.views.status import status as status_of
from jesse_paperd.service.waiting import Standings, Waits
from jesse_paperd.service.workers import Workers

#: A failed session is listed with the active ones for so long.
_FAILED_LATELY_MS = DAY


class StatusHandlers:
    """Answers questions about the state of sessions."""

    def __init__(
        self,
        registry: Registry,
        manager: SessionManager,
        directory: Directory,
        data: SessionData,
        workers: Workers,
    ) -> None:
        self._registry = registry
        self._manager = manager
        self._directory = directory
        self._data = data
        self._workers = workers
        self._waits = Waits(self._standings, lambda ids: directory.rows([directory.record(each) for each in ids]))

    @handles(wire.PaperStatus)
    async def status(self, body: wire.PaperStatus, _request_id: str) -> wire.Status:
        record = self._directory.record(body.session_id)
        pending = self._registry.latest_leverage(body.session_id) if record.ended_at is None else None
        view = self._directory.full_view(body.session_id)
        return await self._workers.read(status_of, self._data, record, view, pending)

    @handles(wire.PaperListSessions)
    async def list_sessions(self, body: wire.PaperListSessions, _request_id: str) -> wire.Sessions:
        records = [r for r in self._registry.all() if not body.active_only or self._is_of_interest(r)]
        if body.status is not None:
            rows = [row for row in await self._directory.rows(records) if row.status in body.status]
            total, rows = len(rows), rows[body.offset : body.offset + body.limit]
        else:
            total, rows = len(records), await self._directory.rows(records[body.offset : body.offset + body.limit])
        following = body.offset + len(rows)
        more = following < total
        hint = f"{body.offset + 1} to {following} of {total}: offset={following} gives the next ones" if more else ""
        return wire.Sessions(
            sessions=rows, total=total, offset=body.offset, next_offset=following if more else None, hint=hint
        )

    def _is_of_interest(self, record: Record) -> bool:
        """Whether a session is active, or failed so lately that somebody should know."""
        if self._manager.run_of(record.session_id) is not None:
            return True
        failed_at = record.ended_at
        if record.failure is not None:
            ends = self._registry.process_ends(record.session_id)
            failed_at = ends[-1].at if ends else now_ms()
        elif record.final is None or stopped_from(record).status != "failed":
            return False
        return failed_at is not None and now_ms() - failed_at < _FAILED_LATELY_MS

    @handles(wire.PaperWait)
    async def wait(self, body: wire.PaperWait, _request_id: str) -> wire.Waited:
        return await self._waits.wait(body)

    def end_waits(self) -> None:
        """Answer those who wait: the daemon is about to end."""
        self._waits.end()

    async def _standings(self, session_ids: list[str], min_trades: int | None, until: int | None) -> Standings:
        asked = [(self._directory.record(session_id), self._directory.view(session_id)) for session_id in session_ids]

        def look() -> Standings:
            return [
                (record.session_id, *standing(self._data, record, view, min_trades, until)) for record, view in asked
            ]

        return await self._workers.read(look)
