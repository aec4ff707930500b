"""Stopping sessions and changing them while they run."""

from __future__ import annotations

import asyncio
import time

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paperd.records.record import now_ms
from jesse_paperd.service.handlers.handler import handles
from jesse_paperd.service.parts import Parts
from jesse_paperd.service.views import sessions
from jesse_paperd.service.views.sessions import stopped_from

#: How long an update waits for a session to use its new leverage: a flat one does at once.
_LEVERAGE_SECONDS = 1.0


@handles(wire.PaperStop)
async def stop(parts: Parts, body: wire.PaperStop, request_id: str) -> wire.Stopped:
    session_id = body.session_id
    while True:
        async with parts.lines.of(session_id):
            record = parts.directory.record(session_id)
            if record.final is not None:
                return stopped_from(record)
            if parts.manager.run_of(session_id) is None:
                # Given up on: it ends here, with what its journal has.
                outcome = parts.data.outcome(session_id)
                final = await parts.workers.read(sessions.final, parts.data, record, outcome, "failed")
                await parts.workers.write(parts.registry.end, session_id, now_ms(), final)
                return final
            await parts.workers.write(parts.registry.want_stopped, session_id, request_id, body)
        await parts.manager.stop(session_id)


@handles(wire.PaperUpdateSession)
async def update(parts: Parts, body: wire.PaperUpdateSession, request_id: str) -> wire.Updated:
    updates = body.updates
    if updates.notes is None and updates.leverage is None:
        raise PaperError("invalid_argument", "updates: names nothing to change; it may have leverage and notes")
    updated = ["notes"] if updates.notes is not None else []
    pending: dict[str, str] = {}
    refused: dict[str, str] = {}
    leverage: int | None = None
    async with parts.lines.of(body.session_id):
        record = parts.directory.record(body.session_id)
        if updates.leverage is not None:
            if record.ended_at is not None or record.failure is not None or record.desired == "stopped":
                refused["leverage"] = "the session has ended"
            elif reason := record.spec.refusal_of_leverage(int(updates.leverage)):
                refused["leverage"] = reason
            else:
                leverage = int(updates.leverage)
                pending["leverage"] = "from the next moment the session has no position and no entry order"
        reply = _updated(body.session_id, updated, pending, refused)
        await parts.workers.write(
            parts.registry.update, body.session_id, updates.notes, leverage, request_id, body, reply
        )
    parts.manager.ring(body.session_id)
    has_it = leverage is not None and await _has_leverage(parts, body.session_id, leverage)
    await parts.manager.keep_intents()
    if has_it:
        return _updated(body.session_id, ["leverage", *updated], {}, refused)
    return reply


async def _has_leverage(parts: Parts, session_id: str, leverage: int) -> bool:
    """Whether a session uses a leverage, waiting a moment for it."""
    deadline = time.monotonic() + _LEVERAGE_SECONDS
    while time.monotonic() < deadline:
        progress = await parts.workers.read(parts.data.progress, session_id)
        if progress is not None and progress.leverage == leverage:
            return True
        await asyncio.sleep(0.02)
    return False


def _updated(session_id: str, updated: list[str], pending: dict[str, str], refused: dict[str, str]) -> wire.Updated:
    done = bool(updated or pending)
    status = "refused" if not done else "partly_updated" if refused else "updated"
    return wire.Updated(session_id=session_id, status=status, updated_fields=updated, pending=pending, refused=refused)
