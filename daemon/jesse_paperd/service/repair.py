"""Making a session's journal anew: its spec, its candles and what was asked of it give the same numbers again."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paper.rfc3339 import to_ms
from jesse_paperd.core.minutes import MINUTE
from jesse_paperd.processes.launcher import ProcessLives
from jesse_paperd.records.record import Record
from jesse_paperd.service.parts import Parts
from jesse_paperd.service.views.sessions import stopped_from

_JOURNAL_FILES = ("", "-wal", "-shm")


async def repair_session(parts: Parts, record: Record, request: tuple[str, wire.Operation]) -> Path | None:
    """Put a session's journal aside and have the session run from its beginning to where it was; from within its line.

    Returns:
        Where the old journal is, or None where there was none.

    Raises:
        PaperError: `conflict` while the session runs, `storage_failed`.
    """
    session_id = record.session_id
    if parts.manager.run_of(session_id) is not None:
        raise PaperError(
            "conflict",
            f"session {session_id!r} runs",
            "stop it first with paper_stop; one with a damaged journal is given up by itself",
        )
    stop_at = await parts.workers.load(_end_of, parts, record)
    kept = _put_aside(parts, session_id)
    parts.data.forget(session_id)
    await parts.workers.write(parts.registry.begin_again, session_id, stop_at, *request)
    parts.manager.start(session_id)
    return kept


def _end_of(parts: Parts, record: Record) -> int | None:
    """The market time at which the session was stopped; None for one that ends by itself or goes on."""
    if record.final is None:
        return None
    with contextlib.suppress(PaperError):
        final = stopped_from(record)
        if final.stop_reason != "stopped":
            return None
        as_of = final.final_metrics.as_of
        return to_ms(as_of) if as_of is not None else 0
    # Its final answer is damaged too: the journal may still say how far it was.
    progress = parts.data.progress(record.session_id)
    return progress.last_candle + MINUTE if progress is not None and progress.last_candle is not None else None


def _put_aside(parts: Parts, session_id: str) -> Path | None:
    journal = parts.layout.session(session_id).journal
    aside = journal.with_name(f"journal.damaged-{time.strftime('%Y%m%dT%H%M%S')}-{time.time_ns() % 10**6:06d}.sqlite")
    kept = None
    try:
        with parts.launcher.vacant(session_id):
            for suffix in _JOURNAL_FILES:
                part = journal.with_name(journal.name + suffix)
                if part.exists():
                    kept = aside
                    part.rename(aside.with_name(aside.name + suffix))
    except ProcessLives as error:
        raise PaperError("conflict", f"session {session_id!r} still has a process: {error}") from error
    except OSError as error:
        raise PaperError("storage_failed", f"the journal {journal} cannot be put aside: {error}") from error
    return kept
