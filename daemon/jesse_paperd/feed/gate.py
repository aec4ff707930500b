"""How requests are let through to an exchange: within its budget, a few at a time, and not while it is in trouble."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from jesse_paperd.feed.failures import RequestFailed, backoff
from jesse_paperd.feed.messages import ExchangeCondition

T = TypeVar("T")

#: Requests in flight at once: a silent exchange must not collect hundreds of open connections.
IN_FLIGHT = 8
#: Failures in a row after which the exchange is left alone for a while.
PATIENCE = 3
#: Seconds of rest after a refusal that does not say how long.
LIMITED_FOR = 60.0
BANNED_FOR = 900.0
LONGEST_REST = 60.0


class Gate:
    """The way to one exchange, shared by all its markets.

    A token bucket holds at most a minute's budget and fills at that rate. Failures in a row close the gate for a
    growing time, a refusal for as long as the exchange says; then a few requests try again.
    """

    def __init__(self, weight_per_minute: float, clock: Callable[[], float]) -> None:
        """A gate with a budget, by a monotonic clock in seconds."""
        self.limit = weight_per_minute
        self._clock = clock
        self._tokens = weight_per_minute
        self._filled_at = clock()
        self._turns = {False: asyncio.Lock(), True: asyncio.Lock()}  # by whether it leaves a reserve
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._chance = random.Random()
        self._spent: deque[tuple[float, float]] = deque()
        self._failures = 0  # in a row, of requests let through since the gate last closed
        self._rests = 0  # how often it closed since the last success
        self._closed_until = 0.0
        self.condition: ExchangeCondition = "up"
        self.reason = ""
        self.requests = 0
        self.failures = 0

    async def request(self, weight: float, ask: Callable[[], Awaitable[T]], reserve: float = 0.0) -> T:
        """Ask as soon as the gate lets it through.

        Args:
            weight: what the request costs.
            reserve: weight to leave for more urgent requests.

        Raises:
            RequestFailed: the request was let through and failed.
        """
        while True:
            await self._admitted(weight, reserve)
            async with self._slots:
                if self.closed_for() > 0:  # closed while this one waited for a slot
                    self._tokens += weight
                    continue
                self._spent.append((self._clock(), weight))
                self.requests += 1
                rests = self._rests
                try:
                    answer = await ask()
                except RequestFailed as error:
                    self._note(error, rests)
                    raise
                if rests == self._rests:
                    self._failures = self._rests = 0
                    self.condition, self.reason = "up", ""
                return answer

    def closed_for(self) -> float:
        """Seconds until requests are let through again."""
        return max(0.0, self._closed_until - self._clock())

    def has_spare(self, weight: float, reserve: float) -> bool:
        """Whether a request could go at once and leave this much for others."""
        return self.closed_for() == 0 and self._level() >= weight + reserve

    def weight_last_minute(self) -> float:
        """What the requests of the last 60 s weighed."""
        while self._spent and self._spent[0][0] <= self._clock() - 60:
            self._spent.popleft()
        return sum(weight for _, weight in self._spent)

    async def _admitted(self, weight: float, reserve: float) -> None:
        """Wait until the gate is open and the budget allows it, and take the weight from the budget."""
        # A request heavier than what the reserve leaves goes when the bucket is full.
        needed = min(weight + reserve, self.limit)
        async with self._turns[reserve > 0]:  # in order of asking, and only the first watches the clock
            while (wait := max(self.closed_for(), (needed - self._level()) * 60 / self.limit)) > 0:
                await asyncio.sleep(max(wait, 0.001))
            self._tokens -= weight

    def _level(self) -> float:
        now = self._clock()
        self._tokens = min(self.limit, self._tokens + (now - self._filled_at) * self.limit / 60)
        self._filled_at = now
        return self._tokens

    def _note(self, error: RequestFailed, rests: int) -> None:
        self.failures += 1
        if rests != self._rests or error.kind in ("malformed", "unknown", "rejected"):
            return  # the gate has closed since, or the exchange is there and the matter is the market's own
        if error.kind in ("limited", "banned"):
            told = error.retry_after or (LIMITED_FOR if error.kind == "limited" else BANNED_FOR)
            self._rest(max(told, backoff(self._rests + 1, LONGEST_REST, self._chance)), error)
            return
        self._failures += 1
        if self._failures >= (PATIENCE if self._rests == 0 else 1):
            self._rest(backoff(self._rests + 1, LONGEST_REST, self._chance), error)

    def _rest(self, seconds: float, error: RequestFailed) -> None:
        self._rests += 1
        self._failures = 0
        self._closed_until = self._clock() + seconds
        self.condition = "limited" if error.kind == "limited" else "banned" if error.kind == "banned" else "down"
        self.reason = error.message
