"""A session: candles in, a journal out.

The same for a first start, a restart and a recovery:

1. load the strategy's snapshot, warm the engine up;
2. replay the candles that the journal says were consumed, comparing with what is written there;
3. follow the candles: step the engine, commit what it caused and how far it is in one transaction;
4. end: because the registry says so, because a replay's candles ended, or because the strategy failed.

It may be cut off at any moment: what was not committed is stepped again.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import msgspec

from jesse_paper.errors import PaperError
from jesse_paperd.candles.replayed import Candles
from jesse_paperd.core.layout import SessionFiles
from jesse_paperd.core.minutes import MINUTE
from jesse_paperd.engine.blame import failure_of, place_in, route_in
from jesse_paperd.engine.engine import Engine
from jesse_paperd.engine.output import Output
from jesse_paperd.engine.settings import engine_settings
from jesse_paperd.engine.strategy import load_strategies
from jesse_paperd.processes.doorbell import Doorbell
from jesse_paperd.processes.lease import Lease
from jesse_paperd.records.journal import Facts, Journal, JournalReader, Outcome, Progress
from jesse_paperd.records.record import now_ms
from jesse_paperd.records.registry import Intents
from jesse_paperd.records.spec import SessionSpec, versions_here
from jesse_paperd.records.verification import Divergence
from jesse_paperd.session.continuation import Continuation
from jesse_paperd.session.pace import Pace
from jesse_paperd.session.replay import Block, step_again
from jesse_paperd.session.replay_check import ReplayCheck
from jesse_paperd.session.watchdog import StrategyFailed, Watchdog
from jesse_paperd.strategies.snapshot import digest_of

#: A block of candles should take about this long: the time until an intent or SIGTERM is noticed.
_BLOCK_SECONDS = 0.05
_MAX_BLOCK = 8192
#: How long an idle session sleeps at most; its doorbell wakes it earlier.
_IDLE_SECONDS = 1.0
_END_OF_TIME = 2**62

log = logging.getLogger("session")

Events = list[tuple[str, dict[str, object]]]


class Left(Exception):
    """It was asked to leave, and did so between two commits."""


class OnProgress(Protocol):
    """Told after each commit: how far the session is, and its traded minutes in all where that is known."""

    def __call__(self, progress: Progress, total: int | None, /) -> None: ...


class Surroundings(NamedTuple):
    """What a session has around it. Each is None where there is no daemon.

    Attributes:
        intents: what is asked of it.
        lease: held by this process; it shows the signs of life.
        doorbell: rung when there may be something new.
        predecessor: how the session's last process ended, where that is known and it did not end well.
        on_progress: told after each commit.
    """

    intents: Intents | None = None
    lease: Lease | None = None
    doorbell: Doorbell | None = None
    predecessor: str = ""
    on_progress: OnProgress | None = None


class Session:
    """One run of a session, to its end or until it leaves.

    Args:
        output: what the strategy prints, for the journal.
    """

    def __init__(
        self,
        files: SessionFiles,
        spec: SessionSpec,
        candles: Candles,
        output: Output,
        watchdog: Watchdog,
        around: Surroundings,
    ) -> None:
        self._files = files
        self._spec = spec
        self._candles = candles
        self._output = output
        self._watchdog = watchdog
        self._around = around
        self._leaving = False
        self._engine: Engine
        self._journal: Journal
        self._stored: Progress | None = None
        self._replayed = False
        self._continuation: Continuation | None = None
        self._seen_intent = 0
        self._stop_at = around.intents.stop_at() if around.intents is not None else None
        self._block = 1

    def run(self) -> Outcome:
        """Run to the end.

        Raises:
            Left: after `leave`.
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
                return self._run(reader)
            except StrategyFailed as failure:
                return self._fail(failure)
        finally:
            reader.close()
            self._journal.close()

    def leave(self) -> None:
        """Ask it to leave after the candles it is at. Whether the session ends is a matter of its intents."""
        self._leaving = True

    def _run(self, reader: JournalReader) -> Outcome:
        while (warmup := self._candles.warmup()) is None:
            if self._should_stop():
                return self._end_without_engine(Outcome(ended_at=now_ms(), reason="stopped"))
            self._idle(_IDLE_SECONDS)
        self._engine = self._create_engine(warmup)
        if self._stored is not None and self._stored.last_candle is not None:
            self._replay(reader, self._stored, self._stored.last_candle + MINUTE)
        else:
            self._commit(events=[("started", {"pid": os.getpid()})])
        self._replayed = True
        return self._follow()

    # Beginning

    def _create_engine(self, warmup: Block) -> Engine:
        try:
            # As under Jesse, a strategy finds the project's files relative to where it runs.
            os.chdir(self._files.strategy)
        except OSError:
            raise self._snapshot_is_damaged() from None
        try:
            with self._watchdog.turn():
                names = [route.strategy for route in self._spec.routes]
                strategies = load_strategies(self._files.strategy, names)
                return Engine(engine_settings(self._spec), strategies, warmup, self._candles.start())
        except StrategyFailed:
            if digest_of(self._files.strategy) != self._spec.strategy_digest:
                raise self._snapshot_is_damaged() from None
            raise

    def _snapshot_is_damaged(self) -> PaperError:
        return PaperError(
            "storage_failed",
            "the snapshot of the strategy is damaged",
            f"restore {self._files.strategy} from a backup",
        )

    # Replaying

    def _replay(self, reader: JournalReader, stored: Progress, end: int) -> None:
        """Step what was consumed before, comparing with the journal instead of writing."""
        check, continuation = ReplayCheck(reader), Continuation()
        divergences: list[Divergence] = []

        def note(facts: Facts) -> None:
            continuation.watch(facts)
            divergences.extend(check.compare(facts))

        changes = reader.leverage_changes()
        step_again(self._engine, changes, end, self._consumed_before, self._advance, note)
        self._seen_intent = max((change.seq for change in changes), default=0)
        divergences += check.finish(self._engine.progress)
        after = {"after": self._around.predecessor} if self._around.predecessor else {}
        happened: Events = [("restarted", {"pid": os.getpid(), **after})]
        if divergences:
            log.warning("the replay differs from the journal: %s", divergences[0])
            happened.append(("diverged", {**msgspec.to_builtins(divergences[0]), **self._upgraded()}))
            if (catching_up := continuation.begin(reader, end)) is not None:
                self._journal.commit(catching_up, stored)
                self._continuation = continuation
        self._output.take()  # the journal has it from the first time
        self._commit(events=happened)

    def _consumed_before(self, end: int) -> Iterator[Block]:
        """The candles behind the engine's cursor that open before a time."""
        while rows := self._candles.upto(self._cursor, end - MINUTE, self._block):
            yield rows
            self._beat()
            if self._leaving:
                raise Left

    def _upgraded(self) -> dict[str, object]:
        """Versions that changed since the session was started, which may be why a replay differs."""
        then, now = self._spec.versions, versions_here()
        return {} if then == now else {"versions": {"then": then, "now": now}}

    # Following

    def _follow(self) -> Outcome:
        pace = Pace(self._spec.speed)
        while True:
            if self._leaving:
                raise Left
            before = self._change_leverage()
            if self._should_stop() or (self._stop_at is not None and self._now >= self._stop_at):
                return self._finish("stopped")
            if self._stop_at is not None:
                before = min(before, self._stop_at)
            limit = self._block if pace.unlimited else 1
            rows = self._candles.read(self._cursor, limit)
            if before < _END_OF_TIME:
                rows = self._candles.upto(self._cursor, before - MINUTE, limit)
            if not rows:
                if self._candles.ended(self._cursor):
                    return self._finish("feed_ended")
                self._idle(_IDLE_SECONDS)
                continue
            first = min(int(part[0, 0]) for part in rows.values() if len(part))
            if (wait := pace.seconds_until(first)) > 0:
                self._idle(min(wait, _IDLE_SECONDS))
                continue
            if wait < 0:  # it is behind
                last = min(before - MINUTE, pace.latest_due(first))
                rows = self._candles.upto(self._cursor, last, self._block)
            self._advance(rows)
            self._commit()
            self._beat()
            if self._around.on_progress is not None:
                self._around.on_progress(self._engine.progress, self._candles.total())

    def _change_leverage(self) -> int:
        """Take the leverages that were asked for. Returns the market time from which the next one counts.

        An intent counts from the candle at which it was first taken. One that was never taken counts from now on; one
        that was, by a process whose journal is lost, from the same candle as then.
        """
        intents = self._around.intents
        for intent in intents.leverages(self._seen_intent) if intents is not None else ():
            if intent.at is not None and intent.at > self._now:
                return intent.at
            if reason := self._spec.refusal_of_leverage(intent.leverage):
                # The daemon refuses it; an earlier version of it did not.
                told = {"to": intent.leverage, "seq": intent.seq, "reason": reason}
                self._commit(events=[("leverage_refused", told)])
            else:
                # What it causes stands in one transaction with it, before the next candle: so a replay does the same.
                self._engine.set_leverage(intent.leverage)
                self._commit(events=[("leverage_asked", {"to": intent.leverage, "seq": intent.seq})])
            self._seen_intent = intent.seq
        return _END_OF_TIME

    def _should_stop(self) -> bool:
        return self._around.intents is not None and self._around.intents.wants_stop()

    def _advance(self, rows: Block) -> None:
        began = time.monotonic()
        with self._watchdog.turn():
            self._engine.advance(rows)
        took = time.monotonic() - began
        if took < _BLOCK_SECONDS / 2:
            self._block = min(_MAX_BLOCK, self._block * 2)
        elif took > _BLOCK_SECONDS * 2:
            self._block = max(1, self._block // 2)

    def _idle(self, seconds: float) -> None:
        self._beat()
        if self._leaving:
            raise Left
        if self._around.doorbell is not None:
            self._around.doorbell.wait(seconds)
        else:
            time.sleep(seconds)

    def _beat(self) -> None:
        if self._around.lease is not None:
            self._around.lease.beat()

    @property
    def _cursor(self) -> int:
        return self._engine.progress.last_candle or 0

    @property
    def _now(self) -> int:
        """Market time: the close of the last consumed candle, or the session's start."""
        return self._market_time(self._engine.progress)

    def _market_time(self, progress: Progress) -> int:
        begins = progress.started_at or self._candles.start() or 0
        return begins if progress.last_candle is None else progress.last_candle + MINUTE

    # Writing

    def _commit(self, events: Events | None = None, outcome: Outcome | None = None, errors: Sequence[str] = ()) -> None:
        facts = self._engine.take_facts()
        if self._continuation is not None:
            facts = self._continuation.apply(facts)
        self._write(facts, self._engine.progress, events or [], outcome, errors)

    def _write(
        self, facts: Facts, progress: Progress, events: Events, outcome: Outcome | None, errors: Sequence[str] = ()
    ) -> None:
        """Commit facts, with what the strategy printed and what happened at the end of them."""
        at = self._market_time(progress)
        facts.logs += [(at, level, line) for level, line in self._output.take(last=outcome is not None)]
        facts.logs += [(at, "error", error) for error in errors]
        if outcome is not None:
            progress = replace(progress, phase="ended")
            closed = {"closed_at_stop": outcome.closed_at_stop} if outcome.closed_at_stop else {}
            events = [*events, ("ended", {"reason": outcome.reason, **closed})]
        facts.events += [(at, kind, detail) for kind, detail in events]
        self._journal.commit(facts, progress, outcome)

    # Ending

    def _finish(self, reason: str) -> Outcome:
        with self._watchdog.turn():
            closed = self._engine.finish()
        outcome = Outcome(ended_at=now_ms(), reason=reason, closed_at_stop=closed)
        self._commit(outcome=outcome)
        return outcome

    def _fail(self, failure: StrategyFailed) -> Outcome:
        told = failure_of(failure.cause, self._files.strategy)
        told["error"] = failure.error.message
        place, hint = place_in(told), failure.error.hint
        whose = ""
        if self._spec.further_routes and (symbol := route_in(failure.cause)):
            told["symbol"] = symbol
            whose = f"route {symbol}, {self._spec.strategy_on(symbol)}: "
        message = whose + failure.error.message + (f" ({place})" if place else "") + (f"; {hint}" if hint else "")
        tracebacks = [told["traceback"]] if "traceback" in told else []
        log.error("the session failed: %s", "\n".join([message, *tracebacks]))
        outcome = Outcome(ended_at=now_ms(), reason="failed", error=message, code=failure.error.code)
        events: Events = [("failed", told)]
        if not self._replayed:
            return self._end_without_engine(outcome, events, tracebacks)
        self._commit(events, outcome, tracebacks)
        return outcome

    def _end_without_engine(self, outcome: Outcome, events: Sequence[Any] = (), errors: Sequence[str] = ()) -> Outcome:
        """End with what the journal has: there is no engine, or it is not where the journal is."""
        progress = self._stored or Progress(leverage=self._spec.leverage)
        self._write(Facts(), progress, list(events), outcome, errors)
        return outcome
