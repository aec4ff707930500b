"""One session that has not ended: there is a process for it, until it has.

adopt the process that lives, or launch one ──► wait for its death ──► dead
     ▲                                                                  │
     └── wait by the restart policy ◄── no outcome ◄────────────────────┤
                                        in the journal                  └── outcome ──► concluded
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sqlite3
import time
from collections.abc import Awaitable, Callable

from jesse_paper.errors import PaperError
from jesse_paperd.config import Config
from jesse_paperd.core.disk import problem_of
from jesse_paperd.core.layout import SessionFiles
from jesse_paperd.core.sqlite import schema_version
from jesse_paperd.processes.launcher import End, EngineUnavailable, LaunchInterrupted, SessionLauncher, SessionProcess
from jesse_paperd.processes.restart import Backoff
from jesse_paperd.records import journal
from jesse_paperd.records.journal import Outcome
from jesse_paperd.records.record import ProcessEnd, Record, now_ms
from jesse_paperd.records.registry import Registry
from jesse_paperd.service.session_data import SessionData
from jesse_paperd.service.workers import Workers

log = logging.getLogger(__name__)

Conclude = Callable[[Record, Outcome | None], Awaitable[None]]

#: A session that is meant to stop is tried again at least this often: someone waits for it.
_LONGEST_WAIT_TO_STOP = 1.0
#: How often a process is looked at, at most; how many times the limit of a candle it may take before it is ended here.
_WATCH_SECONDS = 1.0
_PATIENCE = 3.0
#: When the daemon itself could not do its part, such as write to a full disk.
_LOOK_AGAIN_SECONDS = 5.0


class Supervision:
    """Supervises one session, from when it is made until the session has ended.

    Args:
        conclude: computes and keeps the final answer of the ended session.
        on_end: called when it has ended.
    """

    def __init__(
        self,
        files: SessionFiles,
        config: Config,
        registry: Registry,
        launcher: SessionLauncher,
        data: SessionData,
        workers: Workers,
        conclude: Conclude,
        on_end: Callable[[], None],
    ) -> None:
        self._files = files
        self._config = config
        self._registry = registry
        self._launcher = launcher
        self._data = data
        self._workers = workers
        self._conclude = conclude
        self._on_end = on_end
        policy = config.restart
        self._backoff = Backoff(policy.limit, policy.first_seconds, policy.longest_seconds, policy.settled_seconds)
        self._code = ""
        self._nudged = asyncio.Event()
        #: The living process, if there is one.
        self.process: SessionProcess | None = None
        #: Why there is no process now; empty while nothing is wrong.
        self.reason = ""
        #: When there will be another try, by the wall clock, to show.
        self.next_try: float | None = None
        self.ended = asyncio.Event()
        # Adoption needs no waiting: with a hundred living sessions, all are known at once.
        with contextlib.suppress(OSError):
            self.process = self._adopt()
        self._task = asyncio.create_task(self._keep(), name=f"session {files.session_id}")

    @property
    def session_id(self) -> str:
        return self._files.session_id

    @property
    def waits_for_storage(self) -> bool:
        """Whether only the disk keeps it from running: an operator fixes that, not giving up."""
        return self.process is None and self._code == "storage_failed"

    @property
    def is_silent(self) -> bool:
        """Whether its process has shown no sign of life lately."""
        silence = self.process.silence() if self.process is not None else None
        return silence is None or silence > self._config.stalled_seconds

    def nudge(self) -> None:
        """What is wanted of it has changed: do not wait for the next try, and count the tries anew."""
        self._backoff.deaths = 0
        self._nudged.set()

    def cancel(self) -> asyncio.Task[None]:
        """Let go of the session; its process lives on. The task has ended when that is done."""
        self._task.cancel()
        return self._task

    async def _keep(self) -> None:
        """Supervise to the end. Nothing that goes wrong on the way ends it: the session would be lost."""
        try:
            while True:
                try:
                    if await self._try():
                        return
                except (PaperError, OSError, sqlite3.Error) as error:
                    log.error("session %s: %s", self.session_id, error)
                    self._code, self.reason = "storage_failed", str(error)
                except Exception as error:
                    log.exception("supervising session %s failed", self.session_id)
                    self._code, self.reason = "internal", f"a defect of the daemon: {error!r}"
                else:
                    continue
                await self._wait(min(_LOOK_AGAIN_SECONDS, self._config.restart.longest_seconds))
        finally:
            self._bury()

    async def _try(self) -> bool:
        """Live through one life of the process, or one attempt at it; whether the session has ended."""
        try:
            return await self._live()
        except EngineUnavailable as error:
            self._code, self.reason = "engine_unavailable", str(error)
            return await self._wait_or_give_up()
        except LaunchInterrupted as error:
            # Not the session's fault, and it may have forked: not counted, and looked at again.
            self._code, self.reason = "", str(error)
            await self._wait(self._backoff.first_seconds)
            return False

    async def _live(self) -> bool:
        if self.process is None:
            if await self._concluded():
                return True
            self.process = self._adopt() or await self._launch()
        self._code, self.reason, self.next_try = "", "", None
        self._backoff.start(time.monotonic())
        process = self.process
        overtime = await self._watch(process)
        self._bury()
        if await self._concluded():
            return True
        end = await process.how_it_ended()
        if overtime:
            end = end._replace(code="strategy_failed", reason=f"{overtime}; {_last_place(self._files)}".rstrip("; "))
        self._note_end(end)
        self.process = self._adopt()
        if self.process is not None:
            # The one that died had found the session taken: by a process that an earlier daemon had asked for.
            return False
        return await self._wait_or_give_up()

    async def _watch(self, process: SessionProcess) -> str:
        """Wait for a process's death, or see to it when its strategy cannot be stopped from within; why, or empty.

        The process itself interrupts a strategy that takes too long over a candle. What no signal reaches, a loop in
        C or one that the strategy protects, is ended from here. Time for which the process was frozen does not count.
        """
        limit = self._config.limits.candle_seconds
        interval = max(_WATCH_SECONDS, limit / 4)
        dead = asyncio.ensure_future(process.died())
        counted, seen = 0.0, time.monotonic()
        try:
            while not (await asyncio.wait({dead}, timeout=interval if limit else None))[0]:
                took, now = process.turn_seconds(), time.monotonic()
                counted = 0.0 if took is None or took < now - seen or process.is_frozen() else counted + now - seen
                seen = now
                if counted > _PATIENCE * limit + interval:
                    took_too_long = f"the strategy took longer than {_PATIENCE * limit:g} seconds over a candle"
                    told = f"{took_too_long} and could not be interrupted"
                    log.error("session %s: %s", self.session_id, told)
                    process.send_signal(signal.SIGABRT)  # faulthandler writes into the log what it is doing
                    if not (await asyncio.wait({dead}, timeout=_WATCH_SECONDS))[0]:
                        process.send_signal(signal.SIGKILL)
                    await dead
                    return told
            return ""
        finally:
            dead.cancel()

    async def _concluded(self) -> bool:
        """End the session when its journal says that it ended."""
        record = self._registry.get(self.session_id)
        if record is None:
            self._end()
            return True
        outcome = self._data.outcome(self.session_id)
        if outcome is None:
            return False
        await self._conclude(record, outcome)
        self._end()
        return True

    async def _wait_or_give_up(self) -> bool:
        record = self._registry.get(self.session_id)
        stopping = record is not None and record.desired == "stopped"
        wait = self._backoff.died(time.monotonic())
        if self._code in ("strategy_failed", "damaged"):
            # It says so itself, and would do the same again: an operator restores a journal or has it made anew.
            wait = None
        if self._code == "storage_failed" or (self._code == "engine_unavailable" and not stopping):
            wait = self._config.restart.longest_seconds if wait is None else wait
        if wait is None:
            return await self._give_up(record, stopping)
        if stopping:
            wait = min(wait, _LONGEST_WAIT_TO_STOP)
        log.warning("session %s: %s; next try in %.1f s", self.session_id, self.reason, wait)
        await self._wait(wait)
        return False

    async def _wait(self, seconds: float) -> None:
        self.next_try = time.time() + seconds
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._nudged.wait(), seconds)
        self._nudged.clear()

    async def _give_up(self, record: Record | None, stopping: bool) -> bool:
        reason = f"died {self._backoff.deaths} times in a row: {self.reason}"
        log.error("session %s is given up: %s", self.session_id, reason)
        if stopping and record is not None:
            # It could not be ended as Jesse ends one; it ends with what its journal has.
            await self._conclude(record, None)
        else:
            await self._workers.write(self._registry.fail, self.session_id, reason)
        self._end()
        return True

    def _adopt(self) -> SessionProcess | None:
        process = self._launcher.adopt(self.session_id)
        if process is None:
            return None
        log.debug("adopted session %s, pid %d", self.session_id, process.pid)
        if 0 < schema_version(self._files.journal) < journal.VERSION:
            log.info("session %s runs an older version: it is started again", self.session_id)
            process.send_signal(signal.SIGTERM)
        return process

    async def _launch(self) -> SessionProcess:
        """A new process.

        Raises:
            EngineUnavailable, LaunchInterrupted
        """
        process = await self._launcher.launch(self.session_id, self.reason)
        log.info("started session %s, pid %d", self.session_id, process.pid)
        return process

    def _bury(self) -> None:
        if self.process is not None:
            self.process.close()
            self.process = None

    def _note_end(self, end: End) -> None:
        """Keep in the registry why a process ended without an outcome."""
        if not end.code and (problem := problem_of(self._files.root)):
            end = end._replace(code="storage_failed", reason=problem)
        self._code, self.reason = end.code, end.reason
        # Its reason is shown all the same, so nobody waits for it.
        self._workers.write_soon(self._registry.note_end, self.session_id, ProcessEnd(now_ms(), *end))

    def _end(self) -> None:
        self._on_end()
        self.ended.set()


def _last_place(files: SessionFiles) -> str:
    """Where a strategy was when its process was ended, by the stack that faulthandler wrote last into the log."""
    try:
        with files.log.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - 20_000))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    starts = [n for n, line in enumerate(lines) if line.startswith(("Current thread", "Thread 0x"))]
    frames = [line.strip() for line in lines[starts[-1] + 1 :] if line.strip().startswith("File ")] if starts else []
    own = next((frame for frame in frames if str(files.strategy) in frame), frames[0] if frames else "")
    return f"it was at {own.removeprefix('File ').replace(f'{files.strategy}/', '')}" if own else ""
