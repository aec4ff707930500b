"""A session: one process that turns candles into a journal.

Life of a session process, the same for a first start, a restart and a recovery:

1. take the lease (there is never a second process for a session), open the journal;
2. load the strategy's snapshot, warm the engine up;
3. replay the candles that the journal says were consumed, comparing with what is written there;
4. follow the candles: step the engine, commit what it caused and how far it is in one transaction;
5. end: because the registry says so, because a replay's candles ended, or because the strategy failed.
   What fails beside the strategy (engine/blame.py) ends only the process: the session is started again.

It may die at any moment: what was not committed is stepped again. SIGTERM only ends the process, between two
commits; whether the session ends is a matter of the registry.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import signal
import sqlite3
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import msgspec

from jesse_paper.errors import PaperError
from jesse_paperd.candles.opening import open_candles
from jesse_paperd.candles.replayed import Candles
from jesse_paperd.core.layout import Layout, SessionFiles
from jesse_paperd.core.minutes import MINUTE
from jesse_paperd.engine.advice import with_advice
from jesse_paperd.engine.blame import failure_of, is_the_strategys, last_line, place_in
from jesse_paperd.engine.engine import Engine
from jesse_paperd.engine.jesse.core import store
from jesse_paperd.engine.output import Output
from jesse_paperd.engine.settings import engine_settings
from jesse_paperd.engine.strategy import load_strategy
from jesse_paperd.processes.doorbell import Doorbell
from jesse_paperd.processes.lease import Lease, LeaseHeld
from jesse_paperd.records.journal import Facts, Journal, JournalReader, Outcome, Progress
from jesse_paperd.records.registry import Intents, now_ms
from jesse_paperd.records.spec import SessionSpec, versions_here
from jesse_paperd.records.verification import Divergence
from jesse_paperd.session.continuation import Continuation
from jesse_paperd.session.replay_check import ReplayCheck
from jesse_paperd.strategies.snapshot import digest_of

#: Exit statuses: the session ended (or was told to leave), another process has the lease, something unforeseen.
ENDED, LEFT, LEASE_HELD, CRASHED = 0, 10, 11, 70

#: A block of candles should take about this long: the time until an intent or SIGTERM is noticed.
_BLOCK_SECONDS = 0.05
_MAX_BLOCK = 8192
#: How long an idle session sleeps at most; its doorbell wakes it earlier.
_IDLE_SECONDS = 1.0
_EXHAUSTED = "the session has used up its CPU seconds (limits.cpu_seconds)"

log = logging.getLogger("session")


class Wishes(Protocol):
    """What is asked of a session: `store.registry.Intents`, or what stands in its place without a daemon."""

    def wants_stop(self) -> bool: ...

    def leverages(self, after: int, /) -> list[tuple[int, int]]: ...


class CandleTimeout(BaseException):
    """A strategy took longer over a candle than it may. No `Exception`: strategies that catch those do not catch it."""


class _Left(Exception):
    """SIGTERM: leave between two commits."""


class Session:
    """One run of a session process.

    Args:
        lease: held by this process; None for a session without a daemon.
        output: what the strategy prints, for the journal.
        predecessor: how the session's last process ended, where that is known and was no good end.
    """

    def __init__(
        self,
        layout: Layout,
        files: SessionFiles,
        spec: SessionSpec,
        lease: Lease | None,
        output: Output,
        predecessor: str = "",
    ) -> None:
        self._files = files
        self._spec = spec
        self._lease = lease
        self._output = output
        self._predecessor = predecessor
        self._leaving = False
        self._candles: Candles = open_candles(layout, spec)
        self._engine: Engine
        self._journal: Journal
        self._stored: Progress | None = None
        self._replayed = False
        self._continuation: Continuation | None = None
        self._seen_intent = 0
        self._block = 1
        self._busy: tuple[float, float] | None = None
        self._exhausted = False

    def run(self, intents: Wishes | None, doorbell: Doorbell | None, on_progress: Any = None) -> Outcome:
        """Run to the end.

        Args:
            intents: what the registry asks of it; None for a session of its own, which nothing asks anything.
            doorbell: rung when there may be something new; None without a daemon.
            on_progress: called with (progress, total traded minutes or None) after each commit.

        Raises:
            _Left: on SIGTERM.
            PaperError, OSError, sqlite3.Error: when something other than the strategy failed; the session can be
                started again.
        """
        self._journal = Journal(self._files.journal)
        reader = JournalReader(self._files.journal)
        try:
            outcome = reader.outcome()
            if outcome is not None:
                return outcome
            self._stored = reader.progress()
            if self._stored is None:
                self._journal.commit(Facts(), Progress(leverage=self._spec.leverage))
            try:
                return self._run(reader, intents, doorbell, on_progress)
            except _StrategyFailed as failure:
                return self._fail(failure)
        finally:
            reader.close()
            self._journal.close()

    def leave(self) -> None:
        """Ask it to leave after the candles it is at."""
        self._leaving = True

    def on_cpu_limit(self) -> None:
        """Called by the kernel's signal: ends the session at the strategy's next turn, or amid it."""
        self._exhausted = True
        if self._busy is not None:
            raise CandleTimeout(_EXHAUSTED)

    def on_alarm(self, limit: float) -> None:
        """Called at intervals: raises in the strategy's code when it has been at one candle for too long."""
        if self._busy is None:
            return
        since, candle = self._busy
        if candle != store.app.time:
            self._busy = (time.monotonic(), store.app.time)
            return
        took = time.monotonic() - since
        told = f"the strategy took longer than {limit:g} seconds over a candle"
        if took > 2 * limit:
            # It has caught what was raised in it, and goes on: nothing in this process can end it.
            log.error("%s, and does not let itself be interrupted", told)
            if self._lease is not None:
                self._lease.leave_word("strategy_failed", told)
            os._exit(CRASHED)
        if took > limit:
            raise CandleTimeout(told)

    def _run(
        self, reader: JournalReader, intents: Wishes | None, doorbell: Doorbell | None, on_progress: Any
    ) -> Outcome:
        while (warmup := self._candles.warmup()) is None:
            if intents is not None and intents.wants_stop():
                return self._end_without_engine(Outcome(ended_at=now_ms(), reason="stopped"))
            self._idle(doorbell, _IDLE_SECONDS)
        self._engine = self._create_engine(warmup)
        if self._stored is not None and self._stored.last_candle is not None:
            self._replay(reader, self._stored)
        else:
            self._commit(events=[("started", {"pid": os.getpid()})])
        self._replayed = True
        return self._follow(intents, doorbell, on_progress)

    def _create_engine(self, warmup: dict[str, Any]) -> Engine:
        try:
            # As under Jesse, a strategy finds the project's files relative to where it runs.
            os.chdir(self._files.strategy)
        except OSError:
            raise self._snapshot_is_damaged() from None
        try:
            with self._strategys_turn():
                strategy = load_strategy(self._files.strategy, self._spec.strategy)
                return Engine(engine_settings(self._spec), strategy, warmup, self._candles.start())
        except _StrategyFailed:
            if digest_of(self._files.strategy) != self._spec.strategy_digest:
                raise self._snapshot_is_damaged() from None
            raise

    def _snapshot_is_damaged(self) -> PaperError:
        return PaperError(
            "storage_failed",
            "the snapshot of the strategy is damaged",
            f"restore {self._files.strategy} from a backup",
        )

    def _replay(self, reader: JournalReader, stored: Progress) -> None:
        """Step what was consumed before, comparing with the journal instead of writing."""
        assert stored.last_candle is not None
        check, continuation = ReplayCheck(reader), Continuation()

        def compare() -> list[Divergence]:
            facts = self._engine.take_facts()
            continuation.watch(facts)
            return check.compare(facts)

        events = [(at, kind, msgspec.json.decode(detail)) for _, at, kind, detail in reader.events()]
        stops = [(at - MINUTE, asked["to"], asked["seq"]) for at, kind, asked in events if kind == "leverage_asked"]
        divergences = []
        for last, leverage, seq in [*stops, (stored.last_candle, None, None)]:
            while rows := self._next_block(last):
                self._advance(rows)
                divergences += compare()
                self._beat()
                if self._leaving:
                    raise _Left
            if leverage is not None:
                self._engine.set_leverage(leverage)
                self._seen_intent = seq
        divergences += compare()
        divergences += check.finish(self._engine.progress)
        after = {"after": self._predecessor} if self._predecessor else {}
        happened: list[tuple[str, dict[str, object]]] = [("restarted", {"pid": os.getpid(), **after})]
        if divergences:
            log.warning("the replay differs from the journal: %s", divergences[0])
            happened.append(("diverged", {**msgspec.to_builtins(divergences[0]), **self._upgraded()}))
            if (catching_up := continuation.begin(reader, stored.last_candle + MINUTE)) is not None:
                self._journal.commit(catching_up, stored)
                self._continuation = continuation
        self._output.take()  # the journal has it from the first time
        self._commit(events=happened)

    def _upgraded(self) -> dict[str, object]:
        """What has another version than when the session was started: then that may be why a replay differs."""
        then, now = self._spec.versions, versions_here()
        return {} if then == now else {"versions": {"then": then, "now": now}}

    def _next_block(self, last: int) -> dict[str, Any] | None:
        rows = self._candles.upto(self._cursor, last, self._block)
        return rows if len(rows[self._spec.symbol]) else None

    @property
    def _cursor(self) -> int:
        return self._engine.progress.last_candle or 0

    def _follow(self, intents: Wishes | None, doorbell: Doorbell | None, on_progress: Any) -> Outcome:
        pace = _Pace(self._spec.speed)
        while True:
            self._obey(intents)
            if intents is not None and intents.wants_stop():
                return self._finish("stopped")
            rows = self._candles.read(self._cursor, self._block if pace.unlimited else 1)
            traded = rows[self._spec.symbol]
            if not len(traded):
                if self._candles.ended(self._cursor):
                    return self._finish("feed_ended")
                self._idle(doorbell, _IDLE_SECONDS)
                continue
            if (wait := pace.seconds_until(int(traded[0, 0]))) > 0:
                self._idle(doorbell, min(wait, _IDLE_SECONDS))
                continue
            if wait < 0:  # it is behind
                rows = self._candles.upto(self._cursor, pace.latest_due(int(traded[0, 0])), self._block)
            self._advance(rows)
            self._commit()
            self._beat()
            if on_progress is not None:
                on_progress(self._engine.progress, self._candles.total())

    def _advance(self, rows: dict[str, Any]) -> None:
        began = time.monotonic()
        with self._strategys_turn():
            self._engine.advance(rows)
        took = time.monotonic() - began
        if took < _BLOCK_SECONDS / 2:
            self._block = min(_MAX_BLOCK, self._block * 2)
        elif took > _BLOCK_SECONDS * 2:
            self._block = max(1, self._block // 2)

    @contextlib.contextmanager
    def _strategys_turn(self) -> Iterator[None]:
        """The strategy's own code runs in here: what it raises ends the session; what is raised beside it does not.

        Raises:
            _StrategyFailed
        """
        self._busy = (time.monotonic(), store.app.time)
        try:
            if self._exhausted:
                raise CandleTimeout(_EXHAUSTED)
            yield
        except PaperError as error:
            raise _StrategyFailed(error, error) from error
        except BaseException as error:
            # A strategy may raise what is no `Exception` too: left alone, it would kill each process of the session.
            if not isinstance(error, CandleTimeout) and not is_the_strategys(error, self._files.strategy):
                raise
            raise _StrategyFailed(PaperError("strategy_failed", with_advice(last_line(error), error)), error) from error
        finally:
            self._busy = None

    def _obey(self, intents: Wishes | None) -> None:
        if self._leaving:
            raise _Left
        if intents is None:
            return
        for seq, leverage in intents.leverages(self._seen_intent):
            if reason := self._spec.refusal_of_leverage(leverage):
                # The daemon refuses it; an earlier version of it did not.
                self._commit(events=[("leverage_refused", {"to": leverage, "seq": seq, "reason": reason})])
                self._seen_intent = seq
                continue
            # What it causes stands in one transaction with it, before the next candle: so a replay does the same.
            self._engine.set_leverage(leverage)
            self._commit(events=[("leverage_asked", {"to": leverage, "seq": seq})])
            self._seen_intent = seq

    def _commit(
        self,
        events: list[tuple[str, dict[str, object]]] | None = None,
        outcome: Outcome | None = None,
        errors: Sequence[str] = (),
    ) -> None:
        facts = self._engine.take_facts()
        if self._continuation is not None:
            facts = self._continuation.apply(facts)
        self._write(facts, self._engine.progress, events or [], outcome, errors)

    def _write(
        self,
        facts: Facts,
        progress: Progress,
        events: list[tuple[str, dict[str, object]]],
        outcome: Outcome | None,
        errors: Sequence[str] = (),
    ) -> None:
        """Commit facts, with what the strategy printed and what happened at the end of them."""
        begins = progress.started_at or self._candles.start() or 0
        at = begins if progress.last_candle is None else progress.last_candle + MINUTE
        facts.logs += [(at, level, line) for level, line in self._output.take(last=outcome is not None)]
        facts.logs += [(at, "error", error) for error in errors]
        if outcome is not None:
            progress = replace(progress, phase="ended")
            closed = {"closed_at_stop": outcome.closed_at_stop} if outcome.closed_at_stop else {}
            events = [*events, ("ended", {"reason": outcome.reason, **closed})]
        facts.events += [(at, kind, detail) for kind, detail in events]
        self._journal.commit(facts, progress, outcome)

    def _finish(self, reason: str) -> Outcome:
        with self._strategys_turn():
            closed = self._engine.finish()
        outcome = Outcome(ended_at=now_ms(), reason=reason, closed_at_stop=closed)
        self._commit(outcome=outcome)
        return outcome

    def _fail(self, failure: _StrategyFailed) -> Outcome:
        told = failure_of(failure.cause, self._files.strategy)
        told["error"] = failure.error.message
        place, hint = place_in(told), failure.error.hint
        message = failure.error.message + (f" ({place})" if place else "") + (f"; {hint}" if hint else "")
        tracebacks = [told["traceback"]] if "traceback" in told else []
        log.error("the session failed: %s", "\n".join([message, *tracebacks]))
        outcome = Outcome(ended_at=now_ms(), reason="failed", error=message, code=failure.error.code)
        events: list[tuple[str, dict[str, object]]] = [("failed", told)]
        if not self._replayed:
            return self._end_without_engine(outcome, events, tracebacks)
        self._commit(events, outcome, tracebacks)
        return outcome

    def _end_without_engine(
        self, outcome: Outcome, events: Sequence[tuple[str, dict[str, object]]] = (), errors: Sequence[str] = ()
    ) -> Outcome:
        """End with what the journal has: there is no engine, or it is not where the journal is."""
        progress = self._stored or Progress(leverage=self._spec.leverage)
        self._write(Facts(), progress, list(events), outcome, errors)
        return outcome

    def _idle(self, doorbell: Doorbell | None, seconds: float) -> None:
        self._beat()
        if self._leaving:
            raise _Left
        if doorbell is not None:
            doorbell.wait(seconds)
        else:
            time.sleep(seconds)

    def _beat(self) -> None:
        if self._lease is not None:
            self._lease.beat()


class _StrategyFailed(Exception):
    """The strategy's own failure: it ends the session. `error` is what is told, `cause` what was raised."""

    def __init__(self, error: PaperError, cause: BaseException) -> None:
        super().__init__(error.message)
        self.error = error
        self.cause = cause


class _Pace:
    """When a replayed candle is due: at once, or as in real time, so many times faster."""

    def __init__(self, speed: Any) -> None:
        self.unlimited = speed == "max"
        self._speed = 1.0 if self.unlimited else float(speed)
        self._origin: tuple[float, int] | None = None

    def seconds_until(self, candle: int) -> float:
        if self.unlimited:
            return 0.0
        now = time.monotonic()
        if self._origin is None:
            self._origin = (now, candle)
        began, first = self._origin
        return began + (candle - first) / 1000 / self._speed - now

    def latest_due(self, candle: int) -> int:
        """The time up to which candles are due by now, given one that is."""
        assert self._origin is not None
        began, first = self._origin
        return max(candle, first + int((time.monotonic() - began) * 1000 * self._speed))


def main(arguments: dict[str, Any]) -> int:
    """The session process, in a fork of the zygote.

    Args:
        arguments: `home`, `session_id`, and `predecessor`: how the session's last process ended, if that was no good
            end.
    """
    faulthandler.enable(2)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    layout = Layout(Path(arguments["home"]))
    files = layout.session(arguments["session_id"])
    os.chdir(files.root)
    try:
        lease = Lease(files.lease)
    except LeaseHeld as error:
        log.info("not needed: %s", error)
        return LEASE_HELD
    try:
        return _run(layout, files, lease, str(arguments.get("predecessor", "")))
    except _Left:
        log.info("left on SIGTERM")
        return LEFT
    except PaperError as error:
        log.error("%s: %s", error.code, error.message)
        lease.leave_word(error.code, error.message)
    except (OSError, sqlite3.Error) as error:
        log.exception("the disk or the system failed")
        lease.leave_word("storage_failed", last_line(error))
    except Exception as error:
        incident = uuid.uuid4().hex[:12]
        log.exception("incident %s", incident)
        lease.leave_word("internal", f"a defect of jesse-paper, not of the strategy: {last_line(error)} ({incident})")
    return CRASHED


def _run(layout: Layout, files: SessionFiles, lease: Lease, predecessor: str) -> int:
    intents = Intents(layout.registry, files.session_id)
    spec = intents.spec()
    output = Output()
    output.capture()
    session = Session(layout, files, spec, lease, output, predecessor)
    signal.signal(signal.SIGTERM, lambda *_: session.leave())
    signal.signal(signal.SIGXCPU, lambda *_: session.on_cpu_limit())
    _watch_over(session, spec.candle_seconds)
    with contextlib.closing(Doorbell(files.doorbell)) as doorbell:
        outcome = session.run(intents, doorbell)
    log.info("ended: %s %s", outcome.reason, outcome.error)
    return ENDED


def _watch_over(session: Session, limit: float) -> None:
    def on_alarm(_signal: int, _frame: FrameType | None) -> None:
        session.on_alarm(limit)

    if limit > 0:
        signal.signal(signal.SIGALRM, on_alarm)
        interval = max(0.05, limit / 4)
        signal.setitimer(signal.ITIMER_REAL, interval, interval)


if __name__ == "__main__":
    sys.exit(main({"home": sys.argv[1], "session_id": sys.argv[2]}))
