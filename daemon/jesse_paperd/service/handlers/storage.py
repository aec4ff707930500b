"""Sessions on disk: delete, archive, restore, and what takes how much."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paperd.service import archives
from jesse_paperd.service.checking import problems_of
from jesse_paperd.service.deletion import delete_session
from jesse_paperd.service.handlers.handler import handles
from jesse_paperd.service.maintenance import disk_use as disk_use_of
from jesse_paperd.service.parts import Parts
from jesse_paperd.service.repair import repair_session
from jesse_paperd.service.views import status

log = logging.getLogger(__name__)


@handles(wire.PaperDeleteSession)
async def delete(parts: Parts, body: wire.PaperDeleteSession, request_id: str) -> wire.Deleted:
    async with parts.lines.of(body.session_id):
        return await delete_session(parts, body.session_id, (request_id, body))


@handles(wire.PaperArchiveSession)
async def archive(parts: Parts, body: wire.PaperArchiveSession, _request_id: str) -> wire.Archived:
    async with parts.lines.of(body.session_id):
        folder = await parts.workers.load(archives.gather, parts.layout, parts.directory.record(body.session_id))
    return await parts.workers.load(archives.pack, parts.layout, body.session_id, folder)


@handles(wire.PaperRestoreSession)
async def restore(parts: Parts, body: wire.PaperRestoreSession, request_id: str) -> wire.Restored:
    session_id = parts.registry.session_of(request_id)
    if session_id is None:
        with parts.capacity.arrival():
            unpacked = await parts.workers.load(archives.unpack, parts.layout, Path(body.path))
            session_id = unpacked.record.session_id
            with unpacked.folder:
                async with parts.lines.of(session_id):
                    await _bring_back(parts, unpacked, request_id, body)
    record = parts.directory.record(session_id)
    row = await parts.workers.read(status.row, parts.data, record, parts.directory.view(session_id))
    goes_on = "it had not ended when it was archived, and goes on from there" if record.ended_at is None else ""
    return wire.Restored(session_id=session_id, status=row.status, hint="" if record.failure else goes_on)


async def _bring_back(
    parts: Parts, unpacked: archives.Unpacked, request_id: str, body: wire.PaperRestoreSession
) -> None:
    """Move the unpacked session into place atomically: after a crash it is either there or not.

    Raises:
        PaperError: `conflict`, `too_many_sessions`, `storage_failed`.
    """
    record = unpacked.record
    session_id = record.session_id
    if parts.registry.get(session_id) is not None or parts.layout.session(session_id).root.exists():
        raise PaperError(
            "conflict",
            f"there is a session {session_id!r} already: the archive's is not brought back over it",
            "delete that one first with paper_delete_session, if the archive's is the one to keep",
        )
    runs = record.ended_at is None and record.failure is None
    with parts.capacity.place() if runs else contextlib.nullcontext():
        await parts.manager.insert(unpacked.files, record, unpacked.leverage_changes, (request_id, body))
        if runs:
            parts.manager.start(session_id)


@handles(wire.PaperRepairSession)
async def repair(parts: Parts, body: wire.PaperRepairSession, request_id: str) -> wire.Repaired:
    session_id = body.session_id
    kept = None
    async with parts.lines.of(session_id):
        record = parts.directory.record(session_id)
        if parts.registry.session_of(request_id) is None:
            kept = await repair_session(parts, record, (request_id, body))
    await parts.manager.wait_running(session_id, parts.config.start_seconds)
    (row,) = await parts.directory.rows_of([session_id])
    hint = "it runs again from its beginning to where it was; paper_verify proves it afterwards"
    return wire.Repaired(session_id=session_id, status=row.status, kept=str(kept or ""), hint=hint)


@handles(wire.PaperCheckFiles)
async def check_files(parts: Parts, _body: wire.PaperCheckFiles, _request_id: str) -> wire.Checked:
    records = parts.registry.all()

    def check() -> list[wire.DamagedSession]:
        remedy = "restore it from a backup; or stop it, if it runs, and: jesse-paper repair {}"
        found = {record.session_id: problems_of(parts.layout, record) for record in records}
        return [
            wire.DamagedSession(session_id=session_id, problems=problems, remedy=remedy.format(session_id))
            for session_id, problems in found.items()
            if problems
        ]

    registry = [*parts.registry.damaged.values(), *parts.registry.notes]
    return wire.Checked(sessions=len(records), damaged=await parts.workers.load(check), registry=registry)


@handles(wire.PaperDiskUse)
async def disk_use(parts: Parts, _body: wire.PaperDiskUse, _request_id: str) -> wire.DiskUse:
    rows = await parts.directory.rows(parts.registry.all())
    return await parts.workers.read(disk_use_of, parts.layout, {row.session_id: row.status for row in rows})
