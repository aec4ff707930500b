"""The sessions' lifecycle: what should run, does.

`reconcile` is the one way a session process comes to be: at the daemon's start it adopts the living and starts the
dead; a new session and one that died go through the same `_supervise`. Crash-only: there is no other recovery.

    registry says running ──► adopt the lease's holder, or fork ──► watch its pidfd ──► dead
         ▲                                                                               │
         └── wait by the restart policy ◄── no outcome in the journal ◄──────────────────┤
                                                                                         └── outcome ──► ended
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from jesse_paperd.config import Config
from jesse_paperd.process import doorbell, lease
from jesse_paperd.process.identity import Identity, send_signal, watch
from jesse_paperd.process.restart import Backoff
from jesse_paperd.process.zygote import Zygote, ZygoteUnavailable
from jesse_paperd.service.feed import FeedKeeper
from jesse_paperd.store.journal import JournalReader, Outcome, Progress
from jesse_paperd.store.layout import Layout, SessionFiles
from jesse_paperd.store.registry import Record, Registry
from jesse_paperd.wire.errors import PaperError

log = logging.getLogger(__name__)

#: A session that is meant to stop and cannot is started this often to end as Jesse ends one; then it just ends.
_STOP_ATTEMPTS = 3


@dataclass
class Process:
    """A living session process: who it is, and a descriptor of exactly that process."""

    identity: Identity
    pidfd: int

    async def died(self) -> None:
        """Wait for its death."""
        loop = asyncio.get_running_loop()
        dead = loop.create_future()
        loop.add_reader(self.pidfd, lambda: None if dead.done() else dead.set_result(None))
        try:
            await dead
        finally:
            loop.remove_reader(self.pidfd)

    def send_signal(self, number: signal.Signals) -> bool:
        return send_signal(self.pidfd, number)

    def close(self) -> None:
        os.close(self.pidfd)


@dataclass
class Run:
    """What the daemon knows of a session that has not ended."""

    session_id: str
    backoff: Backoff
    process: Process | None = None
    reason: str = ""
    next_try: float | None = None  # wall clock, to show
    stop_attempts: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    nudge: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class SessionManager:
    """Owns the session processes.

    Args:
        conclude: computes and keeps the final answer of an ended session.
    """

    def __init__(
        self,
        config: Config,
        layout: Layout,
        registry: Registry,
        zygote: Zygote,
        feed: FeedKeeper,
        conclude: Callable[[Record, Outcome | None], Awaitable[None]],
    ) -> None:
        self._config = config
        self._layout = layout
        self._registry = registry
        self._zygote = zygote
        self._feed = feed
        self._conclude = conclude
        self._runs: dict[str, Run] = {}

    def reconcile(self) -> None:
        """Make what runs what should run. Returns at once; adopting and starting go on by themselves."""
        self._clean_orphans()
        for record in self._registry.unended():
            if record.session_id not in self._runs:
                self._supervise(record.session_id)

    def run_of(self, session_id: str) -> Run | None:
        """The run of a session, or None once it ended."""
        return self._runs.get(session_id)

    def running(self) -> int:
        """How many sessions have not ended."""
        return len(self._runs)

    async def wait_running(self, session_id: str, seconds: float) -> None:
        """Wait until a session is running or has ended, at most so long."""
        run = self._runs.get(session_id)
        deadline = time.monotonic() + seconds
        pause = 0.004
        while run is not None and not run.ended.is_set() and time.monotonic() < deadline:
            progress = read_progress(self._layout.session(session_id))
            if progress is not None and progress.phase != "warming_up":
                # The end of an already ended journal is concluded a moment later.
                if progress.phase == "running":
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(run.ended.wait(), deadline - time.monotonic())
                return
            if run.reason and run.process is None:
                return
            await asyncio.sleep(pause)
            pause = min(0.05, pause * 1.2)

    async def stop(self, session_id: str) -> None:
        """See a session that the registry wants stopped to its end: ask, SIGTERM, SIGKILL, each with its budget."""
        run = self._runs.get(session_id)
        if run is None:
            return
        run.nudge.set()
        self.ring(session_id)
        ladder = (
            (self._config.stop_seconds, signal.SIGTERM),
            (self._config.terminate_seconds, signal.SIGKILL),
            (self._config.stop_seconds, None),
        )
        for seconds, number in ladder:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(run.ended.wait(), seconds)
            if run.ended.is_set():
                return
            if number is not None and run.process is not None:
                log.warning("session %s does not end: %s", session_id, number.name)
                run.process.send_signal(number)
        raise PaperError(
            "timeout", f"session {session_id} has not ended yet; it will", "ask again with paper_stop in a moment"
        )

    def ring(self, session_id: str) -> None:
        """Have a session look at the registry and its candles again."""
        ring(self._layout, session_id)

    def abandon(self, session_id: str) -> None:
        """Stop trying to start a session that has no process."""
        run = self._runs.pop(session_id, None)
        self._feed.leave(session_id)
        if run is not None and run.task is not None:
            run.task.cancel()

    def forget(self, session_id: str, last_words: str = "") -> None:
        """Remove the files of a session that has no process; what it logged goes into the daemon's log."""
        if last_words:
            log.error("session %s could not start; its log:\n%s", session_id, last_words)
        shutil.rmtree(self._layout.session(session_id).root, ignore_errors=True)

    async def close(self) -> None:
        """Let go of all sessions; they live on."""
        tasks = [run.task for run in self._runs.values() if run.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # One session

    def start(self, session_id: str) -> None:
        """Begin to supervise a session that the registry wants to run."""
        if session_id not in self._runs:
            self._supervise(session_id)

    def _supervise(self, session_id: str) -> None:
        policy = self._config.restart
        backoff = Backoff(policy.limit, policy.first_seconds, policy.longest_seconds, policy.settled_seconds)
        run = self._runs[session_id] = Run(session_id, backoff)
        if (record := self._registry.get(session_id)) is not None:
            self._feed.follow(record.spec)
        # Adoption needs no waiting: with a hundred living sessions, all are known when this returns.
        run.process = self._adopt(session_id)
        run.task = asyncio.create_task(self._keep(run), name=f"session {session_id}")

    async def _keep(self, run: Run) -> None:
        try:
            while not await self._concluded(run):
                if run.process is None:
                    run.process = self._adopt(run.session_id) or await self._launch(run)
                if run.process is not None:
                    run.reason, run.next_try = "", None
                    run.backoff.start(time.monotonic())
                    await run.process.died()
                    run.process.close()
                    run.process = None
                    if await self._concluded(run):
                        return
                    run.reason = self._cause_of_death(run.session_id)
                if not await self._wait_or_give_up(run):
                    return
        except asyncio.CancelledError:
            if run.process is not None:
                run.process.close()
            raise
        except Exception:
            log.exception("supervising session %s failed", run.session_id)
            raise

    async def _concluded(self, run: Run) -> bool:
        """End the session when its journal says that it ended."""
        outcome = read_outcome(self._layout.session(run.session_id))
        record = self._registry.get(run.session_id)
        if record is None:
            self._end(run)
            return True
        if outcome is None:
            if record.desired != "stopped" or run.process is not None or run.stop_attempts < _STOP_ATTEMPTS:
                return False
            log.error("session %s could not be ended as Jesse ends one: %s", run.session_id, run.reason)
        if run.process is not None:
            # It has written its end and is leaving.
            await run.process.died()
            run.process.close()
            run.process = None
        await self._conclude(record, outcome)
        self._end(run)
        return True

    def _end(self, run: Run) -> None:
        self._runs.pop(run.session_id, None)
        self._feed.leave(run.session_id)
        run.ended.set()

    async def _wait_or_give_up(self, run: Run) -> bool:
        record = self._registry.get(run.session_id)
        if record is not None and record.desired == "stopped":
            run.stop_attempts += 1
            await asyncio.sleep(min(1.0, run.backoff.first_seconds))
            return True
        wait = run.backoff.died(time.monotonic())
        if wait is None and self._curable(run.session_id):
            # A full disk is mended by an operator, not by giving up.
            wait = run.backoff.longest_seconds
        if wait is None:
            reason = f"died {run.backoff.deaths} times in a row: {run.reason}"
            log.error("session %s is given up: %s", run.session_id, reason)
            self._registry.fail(run.session_id, reason)
            self._end(run)
            return False
        log.warning("session %s died (%s); next try in %.1f s", run.session_id, run.reason, wait)
        run.next_try = time.time() + wait
        run.nudge.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(run.nudge.wait(), wait)
        return True

    def _adopt(self, session_id: str) -> Process | None:
        identity = lease.proven_holder(self._layout.session(session_id).lease)
        descriptor = watch(identity) if identity is not None else None
        if identity is None or descriptor is None:
            return None
        log.info("adopted session %s, pid %d", session_id, identity.pid)
        return Process(identity, descriptor)

    async def _launch(self, run: Run) -> Process | None:
        files = self._layout.session(run.session_id)
        files.obituary.unlink(missing_ok=True)
        limits = {}
        if self._config.limits.memory_mib:
            limits["RLIMIT_AS"] = self._config.limits.memory_mib * 2**20
        if self._config.limits.cpu_seconds:
            limits["RLIMIT_CPU"] = self._config.limits.cpu_seconds
        arguments = {"home": str(self._layout.home), "session_id": run.session_id}
        try:
            identity = await self._zygote.fork(arguments, files.log, limits)
        except ZygoteUnavailable as error:
            run.reason = str(error)
            return None
        descriptor = watch(identity)
        if descriptor is None:
            run.reason = self._cause_of_death(run.session_id)
            return None
        log.info("started session %s, pid %d", run.session_id, identity.pid)
        return Process(identity, descriptor)

    def _cause_of_death(self, session_id: str) -> str:
        with contextlib.suppress(OSError, IndexError):
            return self._layout.session(session_id).obituary.read_text().splitlines()[1]
        return "its process died"

    def _curable(self, session_id: str) -> bool:
        with contextlib.suppress(OSError, IndexError):
            return self._layout.session(session_id).obituary.read_text().splitlines()[0] == "storage_failed"
        return False

    def _clean_orphans(self) -> None:
        """Remove directories of sessions that never came into the registry: a start that was cut off."""
        known = {record.session_id for record in self._registry.all()}
        for folder in self._layout.sessions.iterdir():
            if folder.name not in known and self._adopt(folder.name) is None:
                log.info("removing %s: its start was cut off", folder)
                shutil.rmtree(folder, ignore_errors=True)


def ring(layout: Layout, session_id: str) -> None:
    """Ring a session's doorbell."""
    doorbell.ring(layout.session(session_id).doorbell)


def read_progress(files: SessionFiles) -> Progress | None:
    """How far a session's journal is, or None while it has none."""
    try:
        reader = JournalReader(files.journal)
    except PaperError:
        return None
    with contextlib.closing(reader):
        return reader.progress() if reader.ready() else None


def read_outcome(files: SessionFiles) -> Outcome | None:
    """How a session ended, or None while it has not."""
    try:
        reader = JournalReader(files.journal)
    except PaperError:
        return None
    with contextlib.closing(reader):
        return reader.outcome() if reader.ready() else None
