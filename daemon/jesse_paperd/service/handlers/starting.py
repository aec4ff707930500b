"""Starting sessions, and starting them again."""

from __future__ import annotations

import itertools
import logging
import shutil

import msgspec

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError, code_of
from jesse_paperd.records.record import Record
from jesse_paperd.service.handlers.handler import handles
from jesse_paperd.service.parts import Parts
from jesse_paperd.service.preparation import new_session_id, prepare
from jesse_paperd.service.start_hints import failed_before
from jesse_paperd.service.views import sessions

log = logging.getLogger(__name__)


@handles(wire.PaperStart)
async def start(parts: Parts, body: wire.PaperStart, request_id: str) -> wire.Started:
    return await _start(parts, body, request_id, body)


async def _start(parts: Parts, body: wire.PaperStart, request_id: str, request: wire.Operation) -> wire.Started:
    """Start a session. `request` is what was really asked, where that is not `body` itself."""
    retried = parts.registry.session_of(request_id)
    session_id = body.session_id or retried or new_session_id()
    while True:
        async with parts.lines.of(session_id):
            record = parts.registry.get(session_id)
            existed = record is not None
            if record is None:
                record = await _add(parts, session_id, body, request_id, request)
            elif retried is None:
                _check_same(record, body)
        # Out of the line, so that a stop need not wait for a live session's exchange.
        await parts.manager.wait_running(session_id, parts.config.start_seconds)
        async with parts.lines.of(session_id):
            now = parts.registry.get(session_id)
            is_ours = now is not None and now.created_at == record.created_at
            if now is not None and is_ours:
                if not existed or retried is not None:
                    await _refuse_what_never_ran(parts, session_id)
                return await _started(parts, now, existed and retried is None)
        if not existed or retried is not None:
            raise PaperError("session_not_found", f"session {session_id!r} was deleted while it was being started")
        # Whoever started it was refused, or it is deleted: then this is the first.


async def _started(parts: Parts, record: Record, already_existed: bool) -> wire.Started:
    started = await parts.workers.read(
        sessions.started, parts.data, record, parts.directory.view(record.session_id), already_existed
    )
    if already_existed and started.status == "failed":
        raise failed_before(record, parts.data.outcome(record.session_id))
    return started


async def _add(
    parts: Parts, session_id: str, body: wire.PaperStart, request_id: str, request: wire.Operation
) -> Record:
    """Make a session and have it run."""
    with parts.capacity.place(), parts.capacity.arrival():
        spec = await parts.workers.load(prepare, parts.config, parts.layout, body, session_id)
        try:
            await parts.workers.write(parts.registry.add, spec, _arguments(body), body.notes, request_id, request)
        except PaperError:
            shutil.rmtree(parts.layout.session(session_id).root, ignore_errors=True)
            raise
        parts.manager.start(session_id)
    return parts.directory.record(session_id)


async def _refuse_what_never_ran(parts: Parts, session_id: str) -> None:
    """Remove a session that could not even begin, and say why."""
    files = parts.layout.session(session_id)
    outcome, progress = parts.data.outcome(session_id), parts.data.progress(session_id)
    run = parts.manager.run_of(session_id)
    names = ", ".join(dict.fromkeys(route.strategy for route in parts.directory.record(session_id).spec.routes))
    if outcome is not None and outcome.reason == "failed" and (progress is None or progress.started_at is None):
        error = PaperError(
            code_of(outcome.code or "strategy_failed"),
            f"strategy {names} could not be started: {outcome.error}",
            ("correct the strategy" if outcome.code == "strategy_failed" else "correct the arguments")
            + " and start it again; nothing was left running",
        )
    elif run is not None and run.process is None and parts.launcher.state == "unavailable":
        parts.manager.abandon(session_id)
        remedy = parts.launcher.problem.hint if parts.launcher.problem else ""
        error = PaperError("engine_unavailable", run.reason, remedy or "pip install 'jesse-paper[engine]'")
    else:
        return
    log_tail = files.log.read_text(errors="replace")[-20_000:] if files.log.exists() else ""
    log.error("session %s could not start; its log:\n%s", session_id, log_tail)
    await parts.manager.remove(session_id)
    parts.data.forget(session_id)
    raise error


def _check_same(record: Record, body: wire.PaperStart) -> None:
    """Refuse other arguments than the session's.

    Raises:
        PaperError: `conflict`.
    """
    ours = msgspec.json.decode(record.arguments, type=wire.PaperStart)
    names = (name for name in body.__struct_fields__ if name != "session_id")
    differing = [name for name in names if getattr(body, name) != getattr(ours, name)]
    if differing:
        listed = ", ".join(
            f"{name} {_shown(getattr(ours, name))} (you sent {_shown(getattr(body, name))})" for name in differing
        )
        raise PaperError(
            "conflict",
            f"session {record.session_id!r} exists already with {listed}",
            "choose another session_id, or send the same arguments to get the same session",
        )


@handles(wire.PaperRestart)
async def restart(parts: Parts, body: wire.PaperRestart, request_id: str) -> wire.Started:
    if body.mode == "new":
        return await _start_again(parts, body, request_id)
    session_id = body.session_id
    async with parts.lines.of(session_id):
        record = parts.directory.record(session_id)
        if parts.registry.session_of(request_id) is None:
            _check_continuable(parts, record)
            with parts.capacity.place():
                await parts.workers.write(parts.registry.revive, session_id, request_id, body)
                parts.manager.start(session_id)
    await parts.manager.wait_running(session_id, parts.config.start_seconds)
    started = await parts.workers.read(
        sessions.started, parts.data, parts.directory.record(session_id), parts.directory.view(session_id), True
    )
    went_on = "the session goes on from where it was given up"
    return msgspec.structs.replace(started, hint="; ".join(filter(None, (went_on, started.hint))))


def _check_continuable(parts: Parts, record: Record) -> None:
    """Refuse to go on with a session that was not given up.

    Raises:
        PaperError: `conflict` where it runs, `session_ended` where it has ended.
    """
    if parts.manager.run_of(record.session_id) is not None:
        doing = "being stopped" if record.desired == "stopped" else "running already"
        raise PaperError(
            "conflict",
            f"session {record.session_id!r} is {doing}: there is nothing to continue",
            "paper_status shows how it does",
        )
    if record.ended_at is not None or parts.data.outcome(record.session_id) is not None:
        raise PaperError(
            "session_ended",
            f"session {record.session_id!r} has ended, and an ended session is not continued",
            "mode 'new' starts another session with the same settings",
        )


async def _start_again(parts: Parts, body: wire.PaperRestart, request_id: str) -> wire.Started:
    """Another session with the settings of one that has ended, or beside one that runs, if that was said."""
    record = parts.directory.record(body.session_id)
    named = body.new_session_id or parts.registry.session_of(request_id)
    if named == record.session_id:
        raise PaperError(
            "invalid_argument",
            f"new_session_id: {named!r} is the session itself",
            "name another one, or leave it out to have one made of it",
        )
    if named is None and parts.manager.run_of(record.session_id) is not None:
        raise PaperError(
            "conflict",
            f"session {record.session_id!r} has not ended",
            "stop it first with paper_stop; or give new_session_id to have a second one beside it",
        )
    again = msgspec.structs.replace(
        msgspec.json.decode(record.arguments, type=wire.PaperStart),
        session_id=named or _next_id(parts, record.session_id),
        notes=record.notes,
    )
    try:
        started = await _start(parts, again, request_id, body)
    except PaperError as error:
        if error.code not in ("invalid_argument", "candles_invalid", "strategy_not_found", "strategy_failed"):
            raise
        raise PaperError(
            error.code,
            f"session {record.session_id!r} cannot be started again with its settings: {error.message}",
            error.hint,
        ) from error
    new = parts.registry.get(started.session_id)
    changed = new is not None and new.spec.strategy_digest != record.spec.strategy_digest
    told = f"another session than {record.session_id}, with its settings" + (
        "; the strategy's code has changed since" if changed else ""
    )
    return msgspec.structs.replace(
        started, strategy_changed=changed, hint="; ".join(filter(None, (told, started.hint)))
    )


def _next_id(parts: Parts, session_id: str) -> str:
    """An id for a session like this one: `sma`, `sma-2`, `sma-3`."""
    stem, dash, number = session_id.rpartition("-")
    if not (dash and number.isdecimal() and parts.registry.get(stem) is not None):
        stem = session_id
    candidates = (f"{stem[: 63 - len(str(n))]}-{n}" for n in itertools.count(2))
    return next(candidate for candidate in candidates if not _is_taken(parts, candidate))


def _is_taken(parts: Parts, session_id: str) -> bool:
    # Whoever starts one is in its line from the moment that it has the id.
    is_known = parts.lines.is_busy(session_id) or parts.registry.get(session_id) is not None
    return is_known or parts.layout.session(session_id).root.exists()


def _arguments(body: wire.PaperStart) -> str:
    return msgspec.json.encode(msgspec.structs.replace(body, session_id=None), order="sorted").decode()


def _shown(value: object) -> str:
    """An argument as its sender wrote it."""
    return msgspec.json.encode(value).decode()
