"""The strategy's turn, and its limits: what it raises, how long it takes over a candle, the CPU time it may use.

What is raised in a turn by the strategy's own code ends the session, with the blame where it belongs; what is raised
beside it ends only the process.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from jesse_paper.errors import PaperError
from jesse_paperd.engine.advice import with_advice
from jesse_paperd.engine.blame import is_the_strategys, last_line
from jesse_paperd.engine.jesse.core import store
from jesse_paperd.processes.lease import Lease

_EXHAUSTED = "the session has used up its CPU seconds (limits.cpu_seconds)"

log = logging.getLogger("session")


class StrategyFailed(Exception):
    """The strategy's own failure: it ends the session. `error` is what is told, `cause` what was raised."""

    def __init__(self, error: PaperError, cause: BaseException) -> None:
        super().__init__(error.message)
        self.error = error
        self.cause = cause


class CandleTimeout(BaseException):
    """A strategy took longer over a candle than it may. No `Exception`: strategies that catch those do not catch it."""


class Watchdog:
    """Watches over a strategy.

    Args:
        strategy: the folder of its code.
        candle_seconds: how long it may take over a candle; 0: as long as it likes.
        lease: where the last word is left when the process has to be ended; None without a daemon.
        exit_status: of a process that is ended because the strategy cannot be interrupted.
    """

    def __init__(self, strategy: Path, candle_seconds: float, lease: Lease | None, exit_status: int) -> None:
        self._strategy = strategy
        self._candle_seconds = candle_seconds
        self._lease = lease
        self._exit_status = exit_status
        self._busy: tuple[float, float] | None = None
        self._exhausted = False

    def start(self) -> None:
        """Install the signal handlers."""
        signal.signal(signal.SIGXCPU, self._on_cpu_limit)
        if self._candle_seconds > 0:
            signal.signal(signal.SIGALRM, self._on_alarm)
            interval = max(0.05, self._candle_seconds / 4)
            signal.setitimer(signal.ITIMER_REAL, interval, interval)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """The strategy's own code runs in here.

        Raises:
            StrategyFailed
        """
        self._begin()
        try:
            if self._exhausted:
                raise CandleTimeout(_EXHAUSTED)
            yield
        except PaperError as error:
            raise StrategyFailed(error, error) from error
        except BaseException as error:
            # A strategy may raise what is no `Exception` too: left alone, it would kill each process of the session.
            if not isinstance(error, CandleTimeout) and not is_the_strategys(error, self._strategy):
                raise
            raise StrategyFailed(PaperError("strategy_failed", with_advice(last_line(error), error)), error) from error
        finally:
            self._busy = None
            if self._lease is not None:
                self._lease.turn(begins=False)

    def _begin(self) -> None:
        """The strategy begins, or goes on with another candle: also for the daemon, which watches from outside."""
        self._busy = (time.monotonic(), store.app.time)
        if self._lease is not None:
            self._lease.turn(begins=True)

    def _on_cpu_limit(self, _signal: int, _frame: FrameType | None) -> None:
        """End the session at the strategy's next turn, or amid this one."""
        self._exhausted = True
        if self._busy is not None:
            raise CandleTimeout(_EXHAUSTED)

    def _on_alarm(self, _signal: int, _frame: FrameType | None) -> None:
        """Called at intervals: raise in the strategy's code when it has spent too long on one candle."""
        if self._busy is None:
            return
        since, candle = self._busy
        if candle != store.app.time:
            self._begin()
            return
        took = time.monotonic() - since
        told = f"the strategy took longer than {self._candle_seconds:g} seconds over a candle"
        if took > 2 * self._candle_seconds:
            # It has caught what was raised in it, and goes on: nothing in this process can end it.
            log.error("%s, and does not let itself be interrupted", told)
            if self._lease is not None:
                self._lease.leave_word("strategy_failed", told)
            os._exit(self._exit_status)
        if took > self._candle_seconds:
            raise CandleTimeout(told)
