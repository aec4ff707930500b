"""One market's minutes on their way into Jesse's store, and which of them anything can happen in.

Nothing can happen in a minute that completes no candle of the traded timeframe and touches no order: such quiet
minutes are put into the store together. The others are stepped one by one through Jesse.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jesse_paperd.trading.intake import CLOSE, HIGH, LOW, MINUTE, OPEN, TIME, Rows
from jesse_paperd.trading.jesse_core import add_candle, candles, generate_candle, larger_timeframes, minutes_of

Release = tuple[int, str, int]
"""(row that completes it or comes after it, timeframe, a row of the bucket)."""


class Market:
    """The rows of one symbol in the stretch that is being stepped, and how far it is."""

    def __init__(self, exchange: str, symbol: str) -> None:
        self.key = f"{exchange}-{symbol}"
        self.exchange = exchange
        self.symbol = symbol
        self._timeframes = [(timeframe, minutes_of(timeframe) * MINUTE) for timeframe in larger_timeframes()]
        self._minutes = candles(exchange, symbol, "1m")
        self.rows: Rows = np.empty((0, 6))
        self.times: NDArray[np.int64] = np.empty(0, np.int64)
        self.begins = self.next = self._next_release = 0
        self._releases: list[Release] = []

    def load(self, rows: Rows, started_at: int) -> None:
        """Begin a stretch. Row 0 is then the last minute that the store has, if it has any."""
        self.begins = 1 if len(self._minutes) else 0
        self.rows = np.concatenate((self._minutes[-1][None], rows)) if self.begins else rows
        self.times = self.rows[:, TIME].astype(np.int64)
        self.next = self.begins
        self._releases = self._plan(started_at) if len(rows) else []
        self._next_release = 0

    def _plan(self, started_at: int) -> list[Release]:
        """Which row releases which buckets: the own one when it completes it, and one left behind incomplete."""
        times = self.times
        plan: list[Release] = []
        for timeframe, length in self._timeframes:
            completes = (times + MINUTE) % length == 0
            own = np.flatnonzero(completes[self.begins :]) + self.begins
            plan.extend((row, timeframe, row) for row in own.tolist())
            buckets = times // length
            # What ended by the session's start was released with the warm-up.
            left = (buckets[1:] != buckets[:-1]) & ~completes[:-1] & ((buckets[:-1] + 1) * length > started_at)
            plan.extend((row + 1, timeframe, row) for row in np.flatnonzero(left).tolist())
        plan.sort()
        return plan

    def reach(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lowest and highest price of each minute, the jump from the previous close to its open included."""
        previous = np.concatenate((self.rows[:1, OPEN], self.rows[:-1, CLOSE]))
        lowest = np.minimum(np.minimum(self.rows[:, LOW], self.rows[:, OPEN]), previous)
        highest = np.maximum(np.maximum(self.rows[:, HIGH], self.rows[:, OPEN]), previous)
        return lowest, highest

    def row_at(self, time: int) -> int:
        """The first row that is not earlier than a time."""
        return int(np.searchsorted(self.times, time))

    def pass_quietly(self, end: int) -> tuple[int, int]:
        """Put the minutes up to row `end` into the store and release what they complete; return their rows."""
        begin = self.next
        if end > begin:
            self._minutes.append_multiple(self.rows[begin:end])
            self.next = end
            for row, timeframe, member in self.releases_before(end):
                self._release(timeframe, member, row)
        return begin, end

    def releases_before(self, end: int) -> list[Release]:
        """The releases due by rows before `end`, each handed out once."""
        first = last = self._next_release
        while last < len(self._releases) and self._releases[last][0] < end:
            last += 1
        self._next_release = last
        return self._releases[first:last]

    def _release(self, timeframe: str, member: int, row: int) -> None:
        length = minutes_of(timeframe) * MINUTE
        bucket = int(self.times[member]) // length * length
        stored = self._minutes[:]
        begin = int(np.searchsorted(stored[:, TIME], bucket))
        end = int(np.searchsorted(stored[:, TIME], min(bucket + length, int(self.times[row]) + MINUTE)))
        completed = generate_candle(timeframe, stored[begin:end])
        add_candle(completed, self.exchange, self.symbol, timeframe, with_execution=False, with_generation=False)

    def as_jesse_has_it(self) -> dict[str, Any]:
        return {"exchange": self.exchange, "symbol": self.symbol, "candles": self.rows}


def first_touched(
    lowest: NDArray[np.float64], highest: NDArray[np.float64], begin: int, end: int, price: float, levels: list[float]
) -> int:
    """The first row in [begin, end) whose prices reach one of the levels, or `end`.

    Args:
        price: the last price before `begin`: a level above it is reached from below, one below from above.
        levels: prices of working orders, and of the liquidation.
    """
    above = min((level for level in levels if level >= price), default=np.inf)
    below = max((level for level in levels if level <= price), default=-np.inf)
    touched = (highest[begin:end] >= above) | (lowest[begin:end] <= below)
    first = int(touched.argmax())
    return begin + first if touched.size and touched[first] else end
