"""One method an operation. What changes something runs on the event loop, what only reads in worker threads.

There are two kinds of them: readers, for questions that must be answered at once, and loaders, for what may take long.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

import jesse_paperd
from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError, code_of
from jesse_paper.rfc3339 import to_text
from jesse_paper.validation import did_you_mean
from jesse_paperd.config import Config
from jesse_paperd.core.layout import Layout
from jesse_paperd.core.minutes import DAY
from jesse_paperd.processes.zygote import Zygote
from jesse_paperd.records.registry import Record, Registry, now_ms
from jesse_paperd.records.spec import TIMEFRAME_MINUTES
from jesse_paperd.service import archives
from jesse_paperd.service.answers import Answers, ProcessView, stopped_from
from jesse_paperd.service.daemon_health import daemon_health
from jesse_paperd.service.feed_process import FeedKeeper
from jesse_paperd.service.maintenance import Retention, bytes_in, disk_use, sweep_candle_files
from jesse_paperd.service.manager import SessionManager
from jesse_paperd.service.preparation import new_session_id, prepare
from jesse_paperd.service.serial import Lines, Requests
from jesse_paperd.service.start_hints import failed_before
from jesse_paperd.service.supervision import read_outcome, read_progress
from jesse_paperd.service.verification import Verifier
from jesse_paperd.service.waiting import Standings, Waits
from jesse_paperd.strategies.outline import outline
from jesse_paperd.strategies.project import available

Result = TypeVar("Result")
log = logging.getLogger(__name__)

#: How long paper_verify waits before it says that it goes on: shorter than any client's patience.
_VERIFY_SECONDS = 40.0
#: A failed session is listed with the active ones for so long.
_FAILED_LATELY_MS = DAY
#: How long an update waits for a session to use its new leverage: a flat one does at once.
_LEVERAGE_SECONDS = 1.0


class Handlers:
    """Answers requests."""

    def __init__(
        self,
        config: Config,
        layout: Layout,
        registry: Registry,
        manager: SessionManager,
        zygote: Zygote,
        feed: FeedKeeper,
        answers: Answers,
        readers: ThreadPoolExecutor,
        loaders: ThreadPoolExecutor,
    ) -> None:
        self._config = config
        self._layout = layout
        self._registry = registry
        self._manager = manager
        self._zygote = zygote
        self._feed = feed
        self._answers = answers
        self._readers = readers
        self._loaders = loaders
        self._verifier = Verifier(layout, zygote, config.limits)
        self._requests = Requests(registry)
        self._lines = Lines()
        self._waits = Waits(self._standings, lambda ids: self._rows([self._record(session_id) for session_id in ids]))
        #: Sessions that will run, once what must be done before is done; and those whose candles may come meanwhile.
        self._coming = 0
        self._arriving = 0
        self._started_at = now_ms()
        self._handlers: dict[type[wire.Operation], Callable[[Any, str], Awaitable[wire.Answer]]] = {
            wire.Ping: self.ping,
            wire.PaperStart: self.paper_start,
            wire.PaperStop: self.paper_stop,
            wire.PaperStatus: self.paper_status,
            wire.PaperGetTrades: self.paper_get_trades,
            wire.PaperGetEquity: self.paper_get_equity,
            wire.PaperGetMetrics: self.paper_get_metrics,
            wire.PaperListSessions: self.paper_list_sessions,
            wire.PaperUpdateSession: self.paper_update_session,
            wire.PaperWait: self.paper_wait,
            wire.PaperGetOrders: self.paper_get_orders,
            wire.PaperGetLogs: self.paper_get_logs,
            wire.PaperGetEvents: self.paper_get_events,
            wire.PaperListStrategies: self.paper_list_strategies,
            wire.PaperRestart: self.paper_restart,
            wire.PaperVerify: self.paper_verify,
            wire.PaperCompareSessions: self.paper_compare_sessions,
            wire.PaperChart: self.paper_chart,
            wire.PaperReport: self.paper_report,
            wire.PaperHealth: self.paper_health,
            wire.PaperDeleteSession: self.paper_delete_session,
            wire.PaperArchiveSession: self.paper_archive_session,
            wire.PaperRestoreSession: self.paper_restore_session,
            wire.PaperDiskUse: self.paper_disk_use,
        }

    async def handle(self, body: wire.Operation, request_id: str) -> wire.Answer:
        """Answer one request.

        Args:
            request_id: the envelope's id; the same id of a changing request gets the first answer again.

        Raises:
            PaperError: why it was not done.
        """
        handler = self._handlers[type(body)]
        if not isinstance(body, wire.Mutation):
            return await handler(body, request_id)
        return await self._requests.once(request_id, body, lambda: handler(body, request_id))

    async def close(self) -> None:
        """End what is under way: the next daemon goes on with what was asked, and verifications are asked for again."""
        await self._requests.close()
        await self._verifier.close()

    async def ping(self, _body: wire.Ping, _request_id: str) -> wire.Pong:
        return wire.Pong(
            version=jesse_paperd.__version__,
            pid=os.getpid(),
            started_at=to_text(self._started_at),
            home=self._config.home,
            project=self._config.project,
            engine=self._zygote.state,
            sessions=self._manager.running(),
            jesse_version=self._zygote.version,
        )

    async def paper_start(
        self, body: wire.PaperStart, request_id: str, request: wire.Operation | None = None
    ) -> wire.Started:
        """Start a session. `request` is what was really asked, where that is not `body` itself."""
        retried = self._registry.session_of(request_id)
        session_id = body.session_id or retried or new_session_id()
        while True:
            async with self._lines.of(session_id):
                record = self._registry.get(session_id)
                existed = record is not None
                if record is None:
                    record = await self._add(session_id, body, request_id, request or body)
                elif retried is None:
                    self._check_same(record, body)
            # Out of the line, so that a stop need not wait for a live session's exchange.
            await self._manager.wait_running(session_id, self._config.start_seconds)
            async with self._lines.of(session_id):
                now = self._registry.get(session_id)
                is_ours = now is not None and now.created_at == record.created_at
                if now is not None and is_ours:
                    if not existed or retried is not None:
                        self._refuse_what_never_ran(session_id)
                    return await self._started(now, existed and retried is None)
            if not existed or retried is not None:
                raise PaperError("session_not_found", f"session {session_id!r} was deleted while it was being started")
            # Whoever started it was refused, or it is deleted: then this is the first.

    async def _started(self, record: Record, already_existed: bool) -> wire.Started:
        started = await self._read(self._answers.started, record, self._view(record.session_id), already_existed)
        if already_existed and started.status == "failed":
            raise failed_before(record, read_outcome(self._layout.session(record.session_id)))
        return started

    async def _add(self, session_id: str, body: wire.PaperStart, request_id: str, request: wire.Operation) -> Record:
        """Make a session and have it run."""
        with self._place(), self._arrival():
            spec = await self._load(prepare, self._config, self._layout, body, session_id)
            try:
                self._registry.add(spec, _arguments(body), body.notes, request_id, request)
            except BaseException:
                shutil.rmtree(self._layout.session(session_id).root, ignore_errors=True)
                raise
            self._manager.start(session_id)
        return self._record(session_id)

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        """Hold a place among the sessions that may run at once, until this one runs or it is clear that it will not.

        Raises:
            PaperError: `too_many_sessions`.
        """
        taken = self._manager.running() + self._coming
        if taken >= self._config.limits.sessions:
            raise PaperError(
                "too_many_sessions",
                f"{taken} sessions run, which is the limit",
                "stop one with paper_stop, or raise limits.sessions in the daemon's configuration",
            )
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1

    @contextlib.contextmanager
    def _arrival(self) -> Iterator[None]:
        """Meanwhile there may be candles of a session that has no record yet: nothing sweeps them away."""
        self._arriving += 1
        try:
            yield
        except BaseException:
            self._arriving -= 1
            self._sweep()
            raise
        self._arriving -= 1

    def _sweep(self) -> None:
        """Delete candles that no session needs."""
        if not self._arriving:
            sweep_candle_files(self._layout, self._registry.all())

    def _refuse_what_never_ran(self, session_id: str) -> None:
        """A session that could not even begin is no session: say why and leave nothing."""
        files = self._layout.session(session_id)
        outcome, progress = read_outcome(files), read_progress(files)
        run = self._manager.run_of(session_id)
        if outcome is not None and outcome.reason == "failed" and (progress is None or progress.started_at is None):
            error = PaperError(
                code_of(outcome.code or "strategy_failed"),
                f"strategy {self._record(session_id).spec.strategy} could not be started: {outcome.error}",
                ("correct the strategy" if outcome.code == "strategy_failed" else "correct the arguments")
                + " and start it again; nothing was left running",
            )
        elif run is not None and run.process is None and self._zygote.state == "unavailable":
            self._manager.abandon(session_id)
            remedy = self._zygote.problem.hint if self._zygote.problem else ""
            error = PaperError("engine_unavailable", run.reason, remedy or "pip install 'jesse-paper[engine]'")
        else:
            return
        log_tail = files.log.read_text(errors="replace")[-20_000:] if files.log.exists() else ""
        log.error("session %s could not start; its log:\n%s", session_id, log_tail)
        self._manager.remove(session_id)
        self._answers.forget(session_id)
        raise error

    def _check_same(self, record: Record, body: wire.PaperStart) -> None:
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

    async def paper_stop(self, body: wire.PaperStop, request_id: str) -> wire.Stopped:
        session_id = body.session_id
        while True:
            async with self._lines.of(session_id):
                record = self._record(session_id)
                if record.final is not None:
                    return stopped_from(record)
                if self._manager.run_of(session_id) is None:
                    # Given up on: it ends here, with what its journal has.
                    outcome = read_outcome(self._layout.session(session_id))
                    final = await self._read(self._answers.final, record, outcome, "failed")
                    self._registry.end(session_id, now_ms(), msgspec.json.encode(final).decode())
                    return final
                self._registry.want_stopped(session_id, request_id, body)
            await self._manager.stop(session_id)

    async def paper_status(self, body: wire.PaperStatus, _request_id: str) -> wire.Status:
        record = self._record(body.session_id)
        pending = self._registry.latest_leverage(body.session_id) if record.ended_at is None else None
        return await self._read(self._answers.status, record, self._full_view(body.session_id), pending)

    async def paper_get_trades(self, body: wire.PaperGetTrades, _request_id: str) -> wire.Trades:
        return await self._read(self._answers.trades, self._record(body.session_id), body)

    async def paper_get_equity(self, body: wire.PaperGetEquity, _request_id: str) -> wire.Equity:
        return await self._read(self._answers.equity, self._record(body.session_id), body)

    async def paper_get_metrics(self, body: wire.PaperGetMetrics, _request_id: str) -> wire.MetricsOf:
        return await self._read(self._answers.metrics, self._record(body.session_id), body)

    async def paper_list_sessions(self, body: wire.PaperListSessions, _request_id: str) -> wire.Sessions:
        records = [r for r in self._registry.all() if not body.active_only or self._is_of_interest(r)]
        if body.status is not None:
            rows = [row for row in await self._rows(records) if row.status in body.status]
            total, rows = len(rows), rows[body.offset : body.offset + body.limit]
        else:
            total, rows = len(records), await self._rows(records[body.offset : body.offset + body.limit])
        following = body.offset + len(rows)
        more = following < total
        hint = f"{body.offset + 1} to {following} of {total}: offset={following} gives the next ones" if more else ""
        return wire.Sessions(
            sessions=rows, total=total, offset=body.offset, next_offset=following if more else None, hint=hint
        )

    def _is_of_interest(self, record: Record) -> bool:
        """Whether a session is active, or failed so lately that somebody should know."""
        if self._manager.run_of(record.session_id) is not None:
            return True
        failed_at = record.ended_at
        if record.failure is not None:
            ends = self._registry.process_ends(record.session_id)
            failed_at = ends[-1].at if ends else now_ms()
        elif record.final is None or stopped_from(record).status != "failed":
            return False
        return failed_at is not None and now_ms() - failed_at < _FAILED_LATELY_MS

    async def _rows(self, records: list[Record]) -> list[wire.SessionRow]:
        def rows(listed: list[tuple[Record, ProcessView]]) -> list[wire.SessionRow]:
            return [self._answers.row(record, view) for record, view in listed]

        # What was given up is told with the time of its last process's end.
        views = [self._full_view(r.session_id) if r.failure is not None else self._view(r.session_id) for r in records]
        return await self._read(rows, list(zip(records, views, strict=True)))

    async def paper_update_session(self, body: wire.PaperUpdateSession, request_id: str) -> wire.Updated:
        record = self._record(body.session_id)
        updates, spec = body.updates, record.spec
        updated: list[str] = []
        pending: dict[str, str] = {}
        refused: dict[str, str] = {}
        leverage: int | None = None
        if updates.notes is None and updates.leverage is None:
            raise PaperError("invalid_argument", "updates: names nothing to change; it may have leverage and notes")
        if updates.leverage is not None:
            if record.ended_at is not None or record.failure is not None or record.desired == "stopped":
                refused["leverage"] = "the session has ended"
            elif reason := spec.refusal_of_leverage(int(updates.leverage)):
                refused["leverage"] = reason
            else:
                leverage = int(updates.leverage)
                pending["leverage"] = "from the next moment the session has no position and no entry order"
        if updates.notes is not None:
            updated.append("notes")
        reply = _updated(body.session_id, updated, pending, refused)
        self._registry.update(body.session_id, updates.notes, leverage, request_id, body, reply)
        self._manager.ring(body.session_id)
        if leverage is not None and await self._has_leverage(body.session_id, leverage):
            return _updated(body.session_id, ["leverage", *updated], {}, refused)
        return reply

    async def _has_leverage(self, session_id: str, leverage: int) -> bool:
        """Whether a session uses a leverage, waiting a moment for it."""
        deadline = time.monotonic() + _LEVERAGE_SECONDS
        while time.monotonic() < deadline:
            progress = await self._read(read_progress, self._layout.session(session_id))
            if progress is not None and progress.leverage == leverage:
                return True
            await asyncio.sleep(0.02)
        return False

    async def paper_wait(self, body: wire.PaperWait, _request_id: str) -> wire.Waited:
        return await self._waits.wait(body)

    def end_waits(self) -> None:
        """Answer those who wait: the daemon is about to end."""
        self._waits.end()

    async def _standings(self, session_ids: list[str], min_trades: int | None, until: int | None) -> Standings:
        asked = [(self._record(session_id), self._view(session_id)) for session_id in session_ids]

        def look() -> Standings:
            return [
                (record.session_id, *self._answers.standing(record, view, min_trades, until)) for record, view in asked
            ]

        return await self._read(look)

    async def paper_get_orders(self, body: wire.PaperGetOrders, _request_id: str) -> wire.Orders:
        return await self._read(self._answers.orders, self._record(body.session_id), body)

    async def paper_get_logs(self, body: wire.PaperGetLogs, _request_id: str) -> wire.Logs:
        return await self._read(
            self._answers.logs, self._record(body.session_id), self._full_view(body.session_id), body
        )

    async def paper_get_events(self, body: wire.PaperGetEvents, _request_id: str) -> wire.Events:
        return await self._read(
            self._answers.events, self._record(body.session_id), self._full_view(body.session_id), body
        )

    async def paper_list_strategies(self, _body: wire.PaperListStrategies, _request_id: str) -> wire.Strategies:
        project = Path(self._config.project)

        def outlines() -> list[wire.Strategy]:
            return [outline(project, name) for name in available(project)]

        strategies = await self._load(outlines)
        hint = "" if strategies else "set JESSE_PAPER_PROJECT to a Jesse project: a folder with strategies/<Name>/"
        return wire.Strategies(
            project=self._config.project, strategies=strategies, timeframes=list(TIMEFRAME_MINUTES), hint=hint
        )

    async def paper_restart(self, body: wire.PaperRestart, request_id: str) -> wire.Started:
        if body.mode == "new":
            return await self._start_again(body, request_id)
        session_id = body.session_id
        async with self._lines.of(session_id):
            record = self._record(session_id)
            if self._registry.session_of(request_id) is None:
                self._check_continuable(record)
                with self._place():
                    self._registry.revive(session_id, request_id, body)
                    self._manager.start(session_id)
        await self._manager.wait_running(session_id, self._config.start_seconds)
        started = await self._read(self._answers.started, self._record(session_id), self._view(session_id), True)
        went_on = "the session goes on from where it was given up"
        return msgspec.structs.replace(started, hint="; ".join(filter(None, (went_on, started.hint))))

    def _check_continuable(self, record: Record) -> None:
        """Refuse to go on with a session that was not given up.

        Raises:
            PaperError: `conflict` where it runs, `session_ended` where it has ended.
        """
        if self._manager.run_of(record.session_id) is not None:
            doing = "being stopped" if record.desired == "stopped" else "running already"
            raise PaperError(
                "conflict",
                f"session {record.session_id!r} is {doing}: there is nothing to continue",
                "paper_status shows how it does",
            )
        if record.ended_at is not None or read_outcome(self._layout.session(record.session_id)) is not None:
            raise PaperError(
                "session_ended",
                f"session {record.session_id!r} has ended, and an ended session is not continued",
                "mode 'new' starts another session with the same settings",
            )

    async def _start_again(self, body: wire.PaperRestart, request_id: str) -> wire.Started:
        """Another session with the settings of one that has ended, or beside one that runs, if that was said."""
        record = self._record(body.session_id)
        named = body.new_session_id or self._registry.session_of(request_id)
        if named == record.session_id:
            raise PaperError(
                "invalid_argument",
                f"new_session_id: {named!r} is the session itself",
                "name another one, or leave it out to have one made of it",
            )
        if named is None and self._manager.run_of(record.session_id) is not None:
            raise PaperError(
                "conflict",
                f"session {record.session_id!r} has not ended",
                "stop it first with paper_stop; or give new_session_id to have a second one beside it",
            )
        again = msgspec.structs.replace(
            msgspec.json.decode(record.arguments, type=wire.PaperStart),
            session_id=named or self._next_id(record.session_id),
            notes=record.notes,
        )
        try:
            started = await self.paper_start(again, request_id, body)
        except PaperError as error:
            if error.code not in ("invalid_argument", "candles_invalid", "strategy_not_found", "strategy_failed"):
                raise
            raise PaperError(
                error.code,
                f"session {record.session_id!r} cannot be started again with its settings: {error.message}",
                error.hint,
            ) from error
        new = self._registry.get(started.session_id)
        changed = new is not None and new.spec.strategy_digest != record.spec.strategy_digest
        told = f"another session than {record.session_id}, with its settings" + (
            "; the strategy's code has changed since" if changed else ""
        )
        return msgspec.structs.replace(
            started, strategy_changed=changed, hint="; ".join(filter(None, (told, started.hint)))
        )

    def _next_id(self, session_id: str) -> str:
        """An id for a session like this one: `sma`, `sma-2`, `sma-3`."""
        stem, dash, number = session_id.rpartition("-")
        if not (dash and number.isdecimal() and self._registry.get(stem) is not None):
            stem = session_id
        candidates = (f"{stem[: 63 - len(str(n))]}-{n}" for n in itertools.count(2))
        return next(candidate for candidate in candidates if not self._is_taken(candidate))

    def _is_taken(self, session_id: str) -> bool:
        # Whoever starts one is in its line from the moment that it has the id.
        is_known = self._lines.is_busy(session_id) or self._registry.get(session_id) is not None
        return is_known or self._layout.session(session_id).root.exists()

    async def paper_verify(self, body: wire.PaperVerify, _request_id: str) -> wire.Verified:
        self._record(body.session_id)
        return await self._verifier.verify(body.session_id, _VERIFY_SECONDS)

    async def paper_compare_sessions(self, body: wire.PaperCompareSessions, _request_id: str) -> wire.Compared:
        records = [self._record(session_id) for session_id in dict.fromkeys(body.session_ids)]
        return await self._read(self._answers.compared, records, body)

    async def paper_chart(self, body: wire.PaperChart, _request_id: str) -> wire.Chart:
        return await self._read(self._answers.chart, self._record(body.session_id), body)

    async def paper_report(self, body: wire.PaperReport, _request_id: str) -> wire.Report:
        record = self._record(body.session_id)
        return await self._read(self._answers.report, record, self._view(body.session_id))

    async def paper_health(self, _body: wire.PaperHealth, _request_id: str) -> wire.DaemonHealth:
        rows = await self._rows(self._registry.all())
        states = [row.status for row in rows]
        return await self._read(daemon_health, self._layout, self._zygote, self._feed, self._started_at, states)

    async def paper_delete_session(self, body: wire.PaperDeleteSession, request_id: str) -> wire.Deleted:
        async with self._lines.of(body.session_id):
            return await self._delete(body.session_id, (request_id, body))

    async def _delete(self, session_id: str, request: tuple[str, wire.Operation] | None) -> wire.Deleted:
        """Delete a session, from within its line.

        Raises:
            PaperError: `conflict` while it runs or is being stopped.
        """
        self._check_has_no_process(self._record(session_id))
        await self._verifier.cancel(session_id)
        freed = await self._load(bytes_in, self._layout.session(session_id).root)
        # Its supervision may have started a process meanwhile. From here on nothing else happens in between.
        self._check_has_no_process(self._record(session_id))
        deleted = wire.Deleted(session_id=session_id, freed_mb=freed / 1_000_000)
        is_supervised = self._manager.run_of(session_id) is not None
        self._manager.abandon(session_id)
        try:
            self._manager.remove(session_id, (*request, deleted) if request is not None else None)
        except PaperError:
            if is_supervised:
                self._manager.start(session_id)
            raise
        self._answers.forget(session_id)
        self._sweep()
        return deleted

    def _check_has_no_process(self, record: Record) -> None:
        run = self._manager.run_of(record.session_id)
        if run is None or (record.desired == "stopped" and run.process is None):
            return
        if record.desired == "stopped":
            told, hint = "is being stopped", "delete it once paper_stop has answered"
        else:
            told, hint = "has not ended", "stop it first with paper_stop, or archive it"
        raise PaperError("conflict", f"session {record.session_id!r} {told}", hint)

    async def retain(self) -> None:
        """Delete what `retention_days` says, looking every hour. Does not return."""
        retention = Retention(self._config.retention_days)
        while True:
            try:
                ended = {r.session_id: r.ended_at for r in self._registry.all() if r.ended_at is not None}
                for session_id in retention.due(ended, now_ms(), time.monotonic()):
                    async with self._lines.of(session_id):
                        record = self._registry.get(session_id)
                        if record is None or record.ended_at != ended[session_id]:
                            continue  # it was deleted meanwhile, or goes on
                        await self._delete(session_id, None)
                    log.info("deleted session %s: it ended %g days ago", session_id, self._config.retention_days)
            except Exception:
                log.exception("what has expired could not be deleted")
            await asyncio.sleep(3600)

    async def paper_archive_session(self, body: wire.PaperArchiveSession, _request_id: str) -> wire.Archived:
        async with self._lines.of(body.session_id):
            folder = await self._load(archives.gather, self._layout, self._record(body.session_id))
        return await self._load(archives.pack, self._layout, body.session_id, folder)

    async def paper_restore_session(self, body: wire.PaperRestoreSession, request_id: str) -> wire.Restored:
        session_id = self._registry.session_of(request_id)
        if session_id is None:
            with self._arrival():
                unpacked = await self._load(archives.unpack, self._layout, Path(body.path))
                session_id = unpacked.record.session_id
                with unpacked.folder:
                    async with self._lines.of(session_id):
                        self._bring_back(unpacked, request_id, body)
        record = self._record(session_id)
        row = await self._read(self._answers.row, record, self._view(session_id))
        goes_on = "it had not ended when it was archived, and goes on from there" if record.ended_at is None else ""
        return wire.Restored(session_id=session_id, status=row.status, hint="" if record.failure else goes_on)

    def _bring_back(self, unpacked: archives.Unpacked, request_id: str, body: wire.PaperRestoreSession) -> None:
        """Put what was unpacked in its place, whole: cut off at any moment, it is there or it is not.

        Raises:
            PaperError: `conflict`, `too_many_sessions`, `storage_failed`.
        """
        record = unpacked.record
        session_id = record.session_id
        if self._registry.get(session_id) is not None or self._layout.session(session_id).root.exists():
            raise PaperError(
                "conflict",
                f"there is a session {session_id!r} already: the archive's is not brought back over it",
                "delete that one first with paper_delete_session, if the archive's is the one to keep",
            )
        runs = record.ended_at is None and record.failure is None
        with self._place() if runs else contextlib.nullcontext():
            self._manager.insert(unpacked.files, record, (request_id, body))
            if runs:
                self._manager.start(session_id)

    async def paper_disk_use(self, _body: wire.PaperDiskUse, _request_id: str) -> wire.DiskUse:
        rows = await self._rows(self._registry.all())
        return await self._read(disk_use, self._layout, {row.session_id: row.status for row in rows})

    def _record(self, session_id: str) -> Record:
        record = self._registry.get(session_id)
        if record is None:
            known = [r.session_id for r in self._registry.all()]
            meant = did_you_mean(session_id, known).strip()
            newest = f"the newest are: {', '.join(known[:10])}" if known else "there are none: paper_start starts one"
            hint = " ".join(filter(None, (meant, newest)))
            raise PaperError("session_not_found", f"no session has the id {session_id!r}", hint)
        return record

    def _view(self, session_id: str) -> ProcessView:
        run = self._manager.run_of(session_id)
        if run is None:
            return ProcessView()
        pid = run.process.identity.pid if run.process is not None else None
        next_try = run.next_try if run.next_try is not None and run.next_try > time.time() else None
        record = self._registry.get(session_id)
        markets = self._feed.states_of(record.spec) if record is not None else []
        trouble = self._feed.trouble_of(record.spec) if record is not None and record.spec.live_from is not None else ""
        return ProcessView(pid, run.reason, next_try, tuple(markets), trouble, self._feed.down_since)

    def _full_view(self, session_id: str) -> ProcessView:
        """The same, with how earlier processes of the session ended."""
        return replace(self._view(session_id), ends=tuple(self._registry.process_ends(session_id)))

    async def _read(self, question: Callable[..., Result], *arguments: Any) -> Result:
        """Ask what is in the home: journals and the registry, which are there and quick to read."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, question, *arguments)

    async def _load(self, question: Callable[..., Result], *arguments: Any) -> Result:
        """Do what may take as long as it likes, such as reading what a user names: no other question waits for it."""
        return await asyncio.get_running_loop().run_in_executor(self._loaders, question, *arguments)


def _updated(session_id: str, updated: list[str], pending: dict[str, str], refused: dict[str, str]) -> wire.Updated:
    done = bool(updated or pending)
    status = "refused" if not done else "partly_updated" if refused else "updated"
    return wire.Updated(session_id=session_id, status=status, updated_fields=updated, pending=pending, refused=refused)


def _arguments(body: wire.PaperStart) -> str:
    return msgspec.json.encode(msgspec.structs.replace(body, session_id=None), order="sorted").decode()


def _shown(value: object) -> str:
    """An argument as its sender wrote it."""
    return msgspec.json.encode(value).decode()
