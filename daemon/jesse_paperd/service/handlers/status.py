"""How sessions are now."""

from __future__ import annotations

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paperd.core.minutes import DAY
from jesse_paperd.records.record import Record, now_ms
from jesse_paperd.service.handlers.handler import handles
from jesse_paperd.service.parts import Parts
from jesse_paperd.service.views.sessions import stopped_from
from jesse_paperd.service.views.status import status as status_of

#: A failed session is listed with the active ones for so long.
_FAILED_LATELY_MS = DAY


@handles(wire.PaperStatus)
async def status(parts: Parts, body: wire.PaperStatus, _request_id: str) -> wire.Status:
    record = parts.directory.record(body.session_id)
    pending = parts.registry.latest_leverage(body.session_id) if record.ended_at is None else None
    view = parts.directory.full_view(body.session_id)
    return await parts.workers.read_at_once(status_of, parts.data, record, view, pending)


@handles(wire.PaperListSessions)
async def list_sessions(parts: Parts, body: wire.PaperListSessions, _request_id: str) -> wire.Sessions:
    records = [r for r in parts.registry.all() if not body.active_only or _is_of_interest(parts, r)]
    unreadable = parts.directory.damaged_rows()
    page = slice(body.offset, body.offset + body.limit)
    if body.status is not None:
        rows = [row for row in [*await parts.directory.rows(records), *unreadable] if row.status in body.status]
        total, rows = len(rows), rows[page]
    else:
        total = len(records) + len(unreadable)
        rows = await parts.directory.rows(records[page])
        rows += unreadable[max(0, page.start - len(records)) : max(0, page.stop - len(records))]
    following = body.offset + len(rows)
    more = following < total
    hint = f"{body.offset + 1} to {following} of {total}: offset={following} gives the next ones" if more else ""
    return wire.Sessions(
        sessions=rows, total=total, offset=body.offset, next_offset=following if more else None, hint=hint
    )


def _is_of_interest(parts: Parts, record: Record) -> bool:
    """Whether a session is active, or failed so lately that somebody should know."""
    if parts.manager.run_of(record.session_id) is not None:
        return True
    failed_at = record.ended_at
    if record.failure is not None:
        ends = parts.registry.process_ends(record.session_id)
        failed_at = ends[-1].at if ends else now_ms()
    elif record.final is None or not _has_failed(record):
        return False
    return failed_at is not None and now_ms() - failed_at < _FAILED_LATELY_MS


def _has_failed(record: Record) -> bool:
    try:
        return stopped_from(record).status == "failed"
    except PaperError:
        return True  # its final answer is damaged, which somebody should know


@handles(wire.PaperWait)
async def wait(parts: Parts, body: wire.PaperWait, _request_id: str) -> wire.Waited:
    return await parts.waits.wait(body)
