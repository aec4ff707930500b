"""Deleting sessions: one that is named, and by and by those that ended long ago."""

from __future__ import annotations

import asyncio
import logging
import time

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paperd.records.record import Record, now_ms
from jesse_paperd.service.maintenance import Retention, bytes_in, sweep_leftovers
from jesse_paperd.service.parts import Parts

log = logging.getLogger(__name__)


async def delete_session(parts: Parts, session_id: str, request: tuple[str, wire.Operation] | None) -> wire.Deleted:
    """Delete a session. The caller is in the session's line (service/serial.py).

    Raises:
        PaperError: `conflict` while it runs or is being stopped.
    """
    _check_has_no_process(parts, parts.directory.record(session_id))
    await parts.verifier.cancel(session_id)
    freed = await parts.workers.load(bytes_in, parts.layout.session(session_id).root)
    # Its supervision may have started a process meanwhile.
    _check_has_no_process(parts, parts.directory.record(session_id))
    deleted = wire.Deleted(session_id=session_id, freed_mb=freed / 1_000_000)
    is_supervised = parts.manager.run_of(session_id) is not None
    parts.manager.abandon(session_id)
    try:
        await parts.manager.remove(session_id, (*request, deleted) if request is not None else None)
    except PaperError:
        if is_supervised:
            parts.manager.start(session_id)
        raise
    parts.data.forget(session_id)
    parts.capacity.sweep()
    return deleted


def _check_has_no_process(parts: Parts, record: Record) -> None:
    run = parts.manager.run_of(record.session_id)
    if run is None or (record.desired == "stopped" and run.process is None):
        return
    if record.desired == "stopped":
        told, hint = "is being stopped", "delete it once paper_stop has answered"
    else:
        told, hint = "has not ended", "stop it first with paper_stop, or archive it"
    raise PaperError("conflict", f"session {record.session_id!r} {told}", hint)


async def retain(parts: Parts) -> None:
    """Delete what `retention_days` says, looking every hour. Does not return."""
    retention = Retention(parts.config.retention_days)
    while True:
        try:
            ended = {r.session_id: r.ended_at for r in parts.registry.all() if r.ended_at is not None}
            for session_id in retention.due(ended, now_ms(), time.monotonic()):
                async with parts.lines.of(session_id):
                    record = parts.registry.get(session_id)
                    if record is None or record.ended_at != ended[session_id]:
                        continue  # it was deleted meanwhile, or goes on
                    await delete_session(parts, session_id, None)
                log.info("deleted session %s: it ended %g days ago", session_id, parts.config.retention_days)
            if freed := await parts.workers.load(sweep_leftovers, parts.layout):
                log.info("deleted %.1f MB that interrupted work had left", freed / 1_000_000)
        except Exception:
            log.exception("what has expired could not be deleted")
        await asyncio.sleep(3600)
