"""One market's minutes on their way into Jesse's store, and the larger candles that they complete.

Larger candles are released as Jesse's timestamp replay releases them: each by the minute that completes it, or, when
its last minutes are missing, by the next minute there is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jesse_paperd.core.minutes import MINUTE, Rows
from jesse_paperd.engine.intake import CLOSE, HIGH, LOW, OPEN, TIME
from jesse_paperd.engine.jesse.core import BucketReads, add_candle, aggregate, candles, larger_timeframes, minutes_of


class Release(NamedTuple):
    """A larger candle that becomes complete: by which row, of which timeframe, and its last row."""

    due: int
    timeframe: str
    last: int
    opens_at: int


class Market:
    """The rows of one symbol in the stretch that is being stepped.

    `next` is the first row that Jesse's store does not have yet, `passed` the first of a minute that is not over.
    """

    def __init__(self, exchange: str, symbol: str, reads: BucketReads) -> None:
        self.exchange = exchange
        self.symbol = symbol
        self._reads = reads
        self._timeframes = [(timeframe, minutes_of(timeframe) * MINUTE) for timeframe in larger_timeframes()]
        self._minutes = candles(exchange, symbol, "1m")
        self._larger = {timeframe: candles(exchange, symbol, timeframe) for timeframe in larger_timeframes()}
        self.rows: Rows = np.empty((0, 6))
        self.times: NDArray[np.int64] = np.empty(0, np.int64)
        self.begins = self.next = self.passed = self._offset = self._next_release = 0
        self._releases: list[Release] = []

    def load(self, rows: Rows, started_at: int) -> None:
        """Begin a stretch. Row 0 is then the last minute that the store has, if it has any."""
        self.begins = 1 if len(self._minutes) else 0
        self.rows = np.concatenate((self._minutes[-1][None], rows)) if self.begins else rows
        self.times = self.rows[:, TIME].astype(np.int64)
        self.next = self.passed = self.begins
        self._offset = len(self._minutes) - self.begins
        self._releases = self._plan(started_at) if len(rows) else []
        self._next_release = 0

    def _plan(self, started_at: int) -> list[Release]:
        times = self.times
        plan: list[Release] = []
        for timeframe, length in self._timeframes:
            buckets = times // length * length
            completes = times + MINUTE == buckets + length
            for row in (np.flatnonzero(completes[self.begins :]) + self.begins).tolist():
                plan.append(Release(row, timeframe, row, int(buckets[row])))
            # What ended by the session's start was released with the warm-up.
            left = (buckets[1:] != buckets[:-1]) & ~completes[:-1] & (buckets[:-1] + length > started_at)
            for row in np.flatnonzero(left).tolist():
                plan.append(Release(row + 1, timeframe, row, int(buckets[row])))
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
        return int(self.times.searchsorted(time))

    def decides(self, timeframe_ms: int) -> list[int]:
        """The rows at whose close the candle of a timeframe completes."""
        rows = np.flatnonzero((self.times[self.begins :] + MINUTE) % timeframe_ms == 0) + self.begins
        return rows.tolist()  # type: ignore[no-any-return]

    def show(self, end: int) -> None:
        """Make the minutes up to row `end` visible in Jesse's store, without what they complete."""
        if end > self.next:
            self._minutes.append_multiple(self.rows[self.next : end])
            self.next = end

    def release(self) -> None:
        """Release the larger candles that the visible minutes complete, each once."""
        while self._next_release < len(self._releases) and self._releases[self._next_release].due < self.next:
            release = self._releases[self._next_release]
            self._next_release += 1
            minutes = self._minutes.array
            end = self._offset + release.last + 1
            begin = self.row_at(release.opens_at) + self._offset
            if begin == self._offset:  # it may begin before this stretch
                begin = int(minutes[:end, TIME].searchsorted(release.opens_at))
            completed = aggregate(release.timeframe, minutes[begin:end])
            completed[TIME] = release.opens_at
            self._store(completed, release)

    def _store(self, completed: Rows, release: Release) -> None:
        """Put a larger candle where Jesse's `add_candle` would."""
        larger = self._larger[release.timeframe]
        array, index = larger.snapshot()
        last = array[index, TIME] if index >= 0 else -1.0
        if release.opens_at > last:
            larger.append(completed)
        elif release.opens_at == last:
            array[index] = completed
        else:  # after a gap a read may have stored a later candle already
            add_candle(
                completed, self.exchange, self.symbol, release.timeframe, with_execution=False, with_generation=False
            )
            return
        if release.last == self.next - 1:
            self._reads.completed((self.exchange, self.symbol, release.timeframe), self._minutes, larger)
