"""Verifying sessions: a fork of the zygote reruns one and says what it found; the daemon passes it on.

The fork runs the strategy, and so has the limits of a session's process, and a deadline. It ends with the daemon.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sqlite3
import time
from pathlib import Path

import msgspec

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError, code_of
from jesse_paper.rfc3339 import to_text
from jesse_paperd.core.layout import Layout
from jesse_paperd.core.sqlite import copy_database
from jesse_paperd.processes.launcher import EngineUnavailable, LaunchInterrupted, SessionLauncher, SessionProcess
from jesse_paperd.records import journal
from jesse_paperd.records.verification import Finding

_log = logging.getLogger(__name__)

_PREFIX = "verify-"
_AT_ONCE = 2
_FRESH_SECONDS = 60.0

_Seen = tuple[tuple[int, int, int], ...]


class _Rerun:
    """A verification under way or done, and what the journal was when it began."""

    def __init__(self, seen: _Seen, task: asyncio.Task[wire.Verified]) -> None:
        self.seen = seen
        self.task = task
        self.done_at: float | None = None
        task.add_done_callback(self._note)

    def answers(self, seen: _Seen) -> bool:
        """Whether its result, had or to come, answers a question about a journal that is now like this."""
        return self.done_at is None or self.seen == seen or time.monotonic() - self.done_at < _FRESH_SECONDS

    def _note(self, task: asyncio.Task[wire.Verified]) -> None:
        self.done_at = time.monotonic()
        if not task.cancelled():
            task.exception()  # there may be nobody who waits for it


class Verifier:
    """Runs verifications, one a session at a time; asking again while one runs waits for the same.

    A result that nobody has got yet is kept for whoever asks next, as long as it is that of the session as it is; and
    for a moment longer, since who was told to ask again does so while the session trades on.
    """

    def __init__(self, layout: Layout, launcher: SessionLauncher, longest_seconds: float) -> None:
        self._layout = layout
        self._launcher = launcher
        self._longest_seconds = longest_seconds
        self._reruns: dict[str, _Rerun] = {}
        self._closed = False
        #: Sessions that trade come first: verifications take at most so many processors, and wait for each other.
        self._turns = asyncio.Semaphore(_AT_ONCE)
        for path in layout.run.glob(f"{_PREFIX}*"):  # of a daemon that was killed
            path.unlink(missing_ok=True)

    async def verify(self, session_id: str, seconds: float) -> wire.Verified:
        """The result, or word that it is not done yet after so long.

        Raises:
            PaperError: `strategy_failed`, `engine_unavailable`, `timeout` beyond the deadline; `session_not_found` when
                the session was deleted meanwhile.
        """
        rerun = self._reruns.get(session_id)
        seen = self._seen(session_id)
        if rerun is None or not rerun.answers(seen):
            rerun = self._reruns[session_id] = _Rerun(seen, asyncio.create_task(self._run(session_id)))
        await asyncio.wait({rerun.task}, timeout=seconds)
        if not rerun.task.done():
            return wire.Verified(session_id=session_id, done=False, hint="it goes on: ask again for the result")
        if self._reruns.get(session_id) is rerun:
            del self._reruns[session_id]
        if rerun.task.cancelled():
            if self._closed:
                raise PaperError("shutting_down", "the daemon is shutting down and ended the verification", "try again")
            raise PaperError("session_not_found", f"session {session_id!r} was deleted while it was being verified")
        return rerun.task.result()

    async def cancel(self, session_id: str) -> None:
        """End what verifies a session, for one that is deleted."""
        rerun = self._reruns.pop(session_id, None)
        if rerun is not None:
            rerun.task.cancel()
            await asyncio.wait({rerun.task})

    async def close(self) -> None:
        """End all of them."""
        self._closed = True
        for session_id in list(self._reruns):
            await self.cancel(session_id)

    def _seen(self, session_id: str) -> _Seen:
        """What tells whether a session has gone on: its journal's files, in their sizes and times."""
        path = self._layout.session(session_id).journal
        seen = []
        for file in (path, path.with_name(f"{path.name}-wal")):
            with contextlib.suppress(FileNotFoundError):
                status = file.stat()
                seen.append((status.st_ino, status.st_size, status.st_mtime_ns))
        return tuple(seen)

    async def _run(self, session_id: str) -> wire.Verified:
        base = self._layout.run / f"{_PREFIX}{session_id}"
        copy, result, log = (base.with_suffix(suffix) for suffix in (".sqlite", ".json", ".log"))
        async with self._turns:
            try:
                await asyncio.to_thread(copy_database, self._layout.session(session_id).journal, copy, journal.VERSION)
                process = await self._launcher.launch_verification(session_id, copy, result, log)
                await self._live(session_id, process)
                if result.exists():
                    return self._read(session_id, result)
                raise _no_result(session_id, log, (await process.how_it_ended()).reason)
            except (EngineUnavailable, LaunchInterrupted) as error:
                raise PaperError("engine_unavailable", f"the engine cannot verify now: {error}") from error
            except (OSError, sqlite3.Error) as error:
                raise PaperError("storage_failed", f"session {session_id} cannot be verified: {error}") from error
            finally:
                for path in base.parent.glob(f"{base.name}.*"):
                    path.unlink(missing_ok=True)

    async def _live(self, session_id: str, process: SessionProcess) -> None:
        """Wait for the process's end, or see to it."""
        try:
            await asyncio.wait_for(process.died(), self._longest_seconds or None)
        except TimeoutError:
            took = f"it took longer than {self._longest_seconds:g} seconds"
            _log.warning("verifying session %s was ended: %s", session_id, took)
            raise PaperError(
                "timeout",
                f"verifying session {session_id} was ended: {took}",
                "limits.verify_seconds in the daemon's configuration says how long it may take",
            ) from None
        finally:
            process.send_signal(signal.SIGKILL)
            process.close()

    def _read(self, session_id: str, result: Path) -> wire.Verified:
        finding = msgspec.json.decode(result.read_bytes(), type=Finding)
        found = finding.verification
        if found is None:
            raise PaperError(code_of(finding.code), finding.message)
        until = found.compared_until
        return wire.Verified(
            session_id=session_id,
            done=True,
            equal=found.equal,
            trades=found.trades,
            compared=found.compared,
            method=found.method,
            compared_until=None if until is None else to_text(until),
            difference="" if found.difference is None else str(found.difference),
            replay_differences=[str(difference) for difference in found.replay],
            limits=found.limits,
            method_reason=found.method_reason,
        )


def _no_result(session_id: str, log: Path, how: str) -> PaperError:
    last = (log.read_text(errors="replace").strip().splitlines() or ["it left no word"])[-1]
    return PaperError(
        "strategy_failed",
        f"verifying {session_id} came to no result, {how}: {last[:500]}",
        "the limits of a session's process hold for it too: limits.memory_mib and limits.cpu_seconds",
    )
