"""Who is worked on when: urgent requests have capacity of their own, waits need none, and all others have a bound.

A client that asks for much waits for itself. `ping`, `health`, lists, `status` and `stop` never queue behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError

#: What an operator and a monitor must always be able to ask.
URGENT: frozenset[type[wire.Operation]] = frozenset(
    {wire.Ping, wire.PaperHealth, wire.PaperListSessions, wire.PaperStatus, wire.PaperStop}
)
#: What mostly waits, and works little meanwhile.
WAITING: frozenset[type[wire.Operation]] = frozenset({wire.PaperWait, wire.PaperVerify, wire.PaperStart})

_AT_ONCE = 256
_QUEUED = 1_000
_WAITS = 5_000


class Lanes:
    """Capacity, by the kind of request."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._queued = 0
        self._waiting = 0

    @contextlib.asynccontextmanager
    async def of(self, operation: type[wire.Operation]) -> AsyncIterator[None]:
        """Hold the capacity that a request needs.

        Raises:
            PaperError: `busy` when there are more requests of its kind than the daemon holds.
        """
        if operation in URGENT:
            yield
        elif operation in WAITING:
            if self._waiting >= _WAITS:
                raise _busy(f"{self._waiting:,} requests wait for sessions")
            self._waiting += 1
            try:
                yield
            finally:
                self._waiting -= 1
        else:
            if self._queued >= _QUEUED:
                raise _busy(f"{self._queued:,} requests are under way")
            self._queued += 1
            try:
                async with self._slots:
                    yield
            finally:
                self._queued -= 1


def _busy(why: str) -> PaperError:
    return PaperError("busy", f"{why}, as many as the daemon takes; nothing was done", "try again in a moment")
