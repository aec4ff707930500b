"""The sessions' lifecycle: what should run, does.

`reconcile` is the one way a session comes to be supervised (service/supervision.py): at the daemon's start it adopts
the living and starts the dead; a new session goes the same way. Crash-only: there is no other recovery.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import signal
import sqlite3
import time

from jesse_paper.errors import PaperError
from jesse_paper.protocol import Operation, Reply
from jesse_paperd.config import Config
from jesse_paperd.core.layout import Layout, SessionFiles
from jesse_paperd.core.sqlite import schema_version
from jesse_paperd.processes.launcher import ProcessLives, SessionLauncher
from jesse_paperd.records import journal
from jesse_paperd.records.journal import Journal, LeverageChange
from jesse_paperd.records.record import Record
from jesse_paperd.records.registry import Registry
from jesse_paperd.service.feed_process import FeedKeeper
from jesse_paperd.service.session_data import SessionData
from jesse_paperd.service.supervision import Conclude, Supervision
from jesse_paperd.service.workers import Workers

log = logging.getLogger(__name__)

#: How often it is looked which intents were taken.
_INTENTS_SECONDS = 30.0


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
        launcher: SessionLauncher,
        data: SessionData,
        workers: Workers,
        feed: FeedKeeper,
        conclude: Conclude,
    ) -> None:
        self._config = config
        self._layout = layout
        self._registry = registry
        self._launcher = launcher
        self._data = data
        self._workers = workers
        self._feed = feed
        self._conclude = conclude
        self._runs: dict[str, Supervision] = {}

    def reconcile(self) -> None:
        """Bring the running processes in line with the registry. Adopting and starting go on in the background."""
        self._tidy()
        began = time.monotonic()
        for record in self._registry.unended():
            self._supervise(record)
        adopted = sum(run.process is not None for run in self._runs.values())
        took = (time.monotonic() - began) * 1000
        log.info("%d sessions should run; %d live and were adopted in %.0f ms", len(self._runs), adopted, took)

    def run_of(self, session_id: str) -> Supervision | None:
        """The supervision of a session, or None once it ended."""
        return self._runs.get(session_id)

    def running(self) -> int:
        """How many sessions have not ended."""
        return len(self._runs)

    def start(self, session_id: str) -> None:
        """Begin to supervise a session that the registry wants to run."""
        record = self._registry.get(session_id)
        if record is not None and session_id not in self._runs:
            self._supervise(record)

    async def wait_running(self, session_id: str, seconds: float) -> None:
        """Wait until a session is running or has ended, at most so long.

        A live one is waited for only until it is warm, since its first candle may be a minute away, or until the feed
        says that its candles cannot be had now.
        """
        run = self._runs.get(session_id)
        record = self._registry.get(session_id)
        live = record.spec if record is not None and record.spec.live_from is not None else None
        deadline = time.monotonic() + seconds
        pause = 0.004
        while run is not None and not run.ended.is_set() and time.monotonic() < deadline:
            progress = self._data.progress(session_id)
            if progress is not None and progress.phase != "warming_up":
                # The end of an already ended journal is concluded a moment later.
                if progress.phase == "running":
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(run.ended.wait(), deadline - time.monotonic())
                return
            if run.reason and run.process is None:
                return
            if live is not None and (self._data.is_warm(session_id) or self._feed.trouble_of(live)):
                return
            await asyncio.sleep(pause)
            pause = min(0.05, pause * 1.2)

    async def stop(self, session_id: str) -> None:
        """Stop a session that the registry wants stopped: ask, then SIGTERM, then SIGKILL, each with a time limit.

        Only a process that shows no sign of life is signalled. One that does is replaying what it must know before it
        can end: killing it would only make it begin anew.

        Raises:
            PaperError: `storage_failed` or `timeout`; it will end when it can.
        """
        run = self._runs.get(session_id)
        if run is None:
            return
        run.nudge()
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
            if run.waits_for_storage:
                raise PaperError("storage_failed", f"session {session_id} ends when this is fixed: {run.reason}")
            if number is not None and run.process is not None and run.is_silent:
                log.warning("session %s does not end: %s", session_id, number.name)
                run.process.send_signal(number)
        raise PaperError(
            "timeout", f"session {session_id} has not ended yet; it will", "ask again with paper_stop in a moment"
        )

    def ring(self, session_id: str) -> None:
        """Have a session look at the registry and its candles again."""
        self._launcher.wake(session_id)

    async def keep_intents(self) -> None:
        """Record in the registry the time from which each intent counts, for those that sessions have taken."""
        try:
            for session_id in self._registry.with_untaken_intents():
                if changes := await self._workers.read(self._data.leverage_changes, session_id):
                    await self._workers.write(self._registry.note_taken, changes)
        except (PaperError, sqlite3.Error):
            log.exception("it could not be kept from when on intents count")

    async def keep_intents_for_ever(self) -> None:
        """Call `keep_intents` at intervals, since a session takes an intent when it can. Does not return."""
        while True:
            await self.keep_intents()
            await asyncio.sleep(_INTENTS_SECONDS)

    def abandon(self, session_id: str) -> None:
        """Stop trying to start a session that has no process, and release whoever waits for its end."""
        run = self._runs.get(session_id)
        if run is not None:
            run.cancel()
            run.ended.set()
            self._forget(session_id)

    async def remove(self, session_id: str, request: tuple[str, Operation, Reply] | None = None) -> None:
        """Remove an ended session: its files, and what the registry has of it. What is cut off is undone or finished.

        Args:
            request: the request that asked for it, and its reply: a retry is answered with that.

        Raises:
            PaperError: `conflict` while it has a process, `storage_failed`; then nothing is removed.
        """
        await self._workers.write(self._remove, session_id, request)
        await self._workers.load(shutil.rmtree, self._layout.removed(session_id), True)

    def _remove(self, session_id: str, request: tuple[str, Operation, Reply] | None) -> None:
        files, removed = self._layout.session(session_id), self._layout.removed(session_id)
        try:
            shutil.rmtree(removed, ignore_errors=True)
            if files.root.exists():
                with self._launcher.vacant(session_id):
                    files.root.rename(removed)
            try:
                self._registry.remove(session_id, request)
            except PaperError:
                removed.rename(files.root)
                raise
        except ProcessLives as error:
            raise PaperError("conflict", f"session {session_id} still has a process: {error}") from None
        except OSError as error:
            raise PaperError("storage_failed", f"{files.root} cannot be removed: {error}") from error

    async def insert(
        self, files: SessionFiles, record: Record, changes: list[LeverageChange], request: tuple[str, Operation]
    ) -> None:
        """Add a session whose files lie elsewhere in the home. No session of its id may exist. The inverse of `remove`.

        Raises:
            PaperError: `storage_failed`; then nothing is taken in.
        """
        await self._workers.write(self._insert, files, record, changes, request)

    def _insert(
        self, files: SessionFiles, record: Record, changes: list[LeverageChange], request: tuple[str, Operation]
    ) -> None:
        root, removed = self._layout.session(record.session_id).root, self._layout.removed(record.session_id)
        try:
            shutil.rmtree(removed, ignore_errors=True)
            files.root.rename(removed)
            try:
                self._registry.restore(record, changes, *request)
            except PaperError:
                shutil.rmtree(removed, ignore_errors=True)
                raise
            removed.rename(root)
            self._registry.write_copy(record.session_id)
        except OSError as error:
            raise PaperError("storage_failed", f"{root} cannot be made: {error}") from error

    async def close(self) -> None:
        """Let go of all sessions; they live on."""
        await asyncio.gather(*(run.cancel() for run in self._runs.values()), return_exceptions=True)

    def _supervise(self, record: Record) -> None:
        session_id = record.session_id
        self._feed.follow(record.spec)
        self._runs[session_id] = Supervision(
            self._layout.session(session_id),
            self._config,
            self._registry,
            self._launcher,
            self._data,
            self._workers,
            self._conclude,
            lambda: self._forget(session_id),
        )

    def _forget(self, session_id: str) -> None:
        self._runs.pop(session_id, None)
        self._feed.leave(session_id)

    def _tidy(self) -> None:
        """Finish what an earlier daemon left half-done: removals, starts, archives, migrations of ended journals."""
        records = {record.session_id: record for record in self._registry.all()}
        for folder in self._layout.archives.glob(".*"):
            shutil.rmtree(folder, ignore_errors=True)
        for folder in self._layout.sessions.iterdir():
            removed = self._layout.removed_session(folder)
            if removed in records:
                folder.rename(self._layout.session(removed).root)
            elif removed is not None or (folder.name not in records and not (folder / "journal.sqlite").exists()):
                log.info("removing %s", folder)
                shutil.rmtree(folder, ignore_errors=True)
            elif folder.name not in records:
                log.warning("%s is of no session in the registry: it is left alone", folder)
        for record in records.values():
            files = self._layout.session(record.session_id)
            over = record.ended_at is not None or record.failure is not None
            if over and 0 < schema_version(files.journal) < journal.VERSION:
                with contextlib.suppress(ProcessLives, PaperError), self._launcher.vacant(record.session_id):
                    Journal(files.journal).close()
