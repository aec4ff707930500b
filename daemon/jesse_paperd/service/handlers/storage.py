"""Sessions on disk: delete, archive, restore, and what takes how much."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from pathlib import Path

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paperd.core.layout import Layout
from jesse_paperd.records.registry import Record, Registry, now_ms
from jesse_paperd.service import archives
from jesse_paperd.service.capacity import Capacity
from jesse_paperd.service.directory import Directory
from jesse_paperd.service.handlers.handler import handles
from jesse_paperd.service.maintenance import Retention, bytes_in, disk_use
from jesse_paperd.service.manager import SessionManager
from jesse_paperd.service.serial import Lines
from jesse_paperd.service.session_data import SessionData
from jesse_paperd.service.verification import Verifier
from jesse_paperd.service.views import status
from jesse_paperd.service.workers import Workers

log = logging.getLogger(__name__)


class StorageHandlers:
    """Deletes, archives and restores sessions."""

    def __init__(
        self,
        layout: Layout,
        registry: Registry,
        manager: SessionManager,
        directory: Directory,
        data: SessionData,
        capacity: Capacity,
        lines: Lines,
        workers: Workers,
        verifier: Verifier,
        retention_days: float,
    ) -> None:
        self._layout = layout
        self._registry = registry
        self._manager = manager
        self._directory = directory
        self._data = data
        self._capacity = capacity
        self._lines = lines
        self._workers = workers
        self._verifier = verifier
        self._retention_days = retention_days

    @handles(wire.PaperDeleteSession)
    async def delete(self, body: wire.PaperDeleteSession, request_id: str) -> wire.Deleted:
        async with self._lines.of(body.session_id):
            return await self._delete(body.session_id, (request_id, body))

    async def _delete(self, session_id: str, request: tuple[str, wire.Operation] | None) -> wire.Deleted:
        """Delete a session, from within its line.

        Raises:
            PaperError: `conflict` while it runs or is being stopped.
        """
        self._check_has_no_process(self._directory.record(session_id))
        await self._verifier.cancel(session_id)
        freed = await self._workers.load(bytes_in, self._layout.session(session_id).root)
        # Its supervision may have started a process meanwhile. From here on nothing else happens in between.
        self._check_has_no_process(self._directory.record(session_id))
        deleted = wire.Deleted(session_id=session_id, freed_mb=freed / 1_000_000)
        is_supervised = self._manager.run_of(session_id) is not None
        self._manager.abandon(session_id)
        try:
            self._manager.remove(session_id, (*request, deleted) if request is not None else None)
        except PaperError:
            if is_supervised:
                self._manager.start(session_id)
            raise
        self._data.forget(session_id)
        self._capacity.sweep()
        return deleted

    def _check_has_no_process(self, record: Record) -> None:
        run = self._manager.run_of(record.session_id)
        if run is None or (record.desired == "stopped" and run.process is None):
            return
        if record.desired == "stopped":
            told, hint = "is being stopped", "delete it once paper_stop has answered"
        else:
            told, hint = "has not ended", "stop it first with paper_stop, or archive it"
        raise PaperError("conflict", f"session {record.session_id!r} {told}", hint)

    async def retain(self) -> None:
        """Delete what `retention_days` says, looking every hour. Does not return."""
        retention = Retention(self._retention_days)
        while True:
            try:
                ended = {r.session_id: r.ended_at for r in self._registry.all() if r.ended_at is not None}
                for session_id in retention.due(ended, now_ms(), time.monotonic()):
                    async with self._lines.of(session_id):
                        record = self._registry.get(session_id)
                        if record is None or record.ended_at != ended[session_id]:
                            continue  # it was deleted meanwhile, or goes on
                        await self._delete(session_id, None)
                    log.info("deleted session %s: it ended %g days ago", session_id, self._retention_days)
            except Exception:
                log.exception("what has expired could not be deleted")
            await asyncio.sleep(3600)

    @handles(wire.PaperArchiveSession)
    async def archive(self, body: wire.PaperArchiveSession, _request_id: str) -> wire.Archived:
        async with self._lines.of(body.session_id):
            folder = await self._workers.load(archives.gather, self._layout, self._directory.record(body.session_id))
        return await self._workers.load(archives.pack, self._layout, body.session_id, folder)

    @handles(wire.PaperRestoreSession)
    async def restore(self, body: wire.PaperRestoreSession, request_id: str) -> wire.Restored:
        session_id = self._registry.session_of(request_id)
        if session_id is None:
            with self._capacity.arrival():
                unpacked = await self._workers.load(archives.unpack, self._layout, Path(body.path))
                session_id = unpacked.record.session_id
                with unpacked.folder:
                    async with self._lines.of(session_id):
                        self._bring_back(unpacked, request_id, body)
        record = self._directory.record(session_id)
        row = await self._workers.read(status.row, self._data, record, self._directory.view(session_id))
        goes_on = "it had not ended when it was archived, and goes on from there" if record.ended_at is None else ""
        return wire.Restored(session_id=session_id, status=row.status, hint="" if record.failure else goes_on)

    def _bring_back(self, unpacked: archives.Unpacked, request_id: str, body: wire.PaperRestoreSession) -> None:
        """Put what was unpacked in its place, whole: cut off at any moment, it is there or it is not.

        Raises:
            PaperError: `conflict`, `too_many_sessions`, `storage_failed`.
        """
        record = unpacked.record
        session_id = record.session_id
        if self._registry.get(session_id) is not None or self._layout.session(session_id).root.exists():
            raise PaperError(
                "conflict",
                f"there is a session {session_id!r} already: the archive's is not brought back over it",
                "delete that one first with paper_delete_session, if the archive's is the one to keep",
            )
        runs = record.ended_at is None and record.failure is None
        with self._capacity.place() if runs else contextlib.nullcontext():
            self._manager.insert(unpacked.files, record, unpacked.leverage_changes, (request_id, body))
            if runs:
                self._manager.start(session_id)

    @handles(wire.PaperDiskUse)
    async def disk_use(self, _body: wire.PaperDiskUse, _request_id: str) -> wire.DiskUse:
        rows = await self._directory.rows(self._registry.all())
        return await self._workers.read(disk_use, self._layout, {row.session_id: row.status for row in rows})
