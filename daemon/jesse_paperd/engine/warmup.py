"""When there are candles enough to start: Jesse's rule for its timestamp replay, on candles that still come in.

A route needs `warmup_candles` completed buckets before the first decision. Where the candles given in advance fall
short (a thin market has buckets without any trade), the first minutes that come in are used up as warm-up: trading
starts at the boundary at which the last route has enough (`_timestamp_replay_common_start` decides the same).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from jesse_paperd.core.minutes import MINUTE, Rows
from jesse_paperd.engine.intake import TIME, empty
from jesse_paperd.engine.jesse.core import candles, generate_completed_candles, larger_timeframes, minutes_of


class Deficit:
    """How many completed buckets a route still lacks, and when it will have them."""

    def __init__(self, symbol: str, timeframe_ms: int, missing: int) -> None:
        self.symbol = symbol
        self._timeframe_ms = timeframe_ms
        self._missing = missing
        self._last = -1
        self.ends_at: int | None = None

    def see(self, rows: Rows) -> None:
        """Count the buckets of rows that come in."""
        if self.ends_at is not None or not len(rows):
            return
        buckets = np.unique(rows[:, TIME].astype(np.int64) // self._timeframe_ms)
        buckets = buckets[buckets > self._last]
        if not len(buckets):
            return
        self._last = int(buckets[-1])
        if len(buckets) >= self._missing:
            self.ends_at = (int(buckets[self._missing - 1]) + 1) * self._timeframe_ms
        self._missing -= len(buckets)


class Warmup:
    """Collects rows until trading can start, then puts them into Jesse's store."""

    def __init__(
        self,
        exchange: str,
        routes: tuple[tuple[str, str], ...],
        required: int,
        rows: Mapping[str, Rows],
        start: int | None,
    ) -> None:
        self._exchange = exchange
        self._routes = routes
        self._required = required
        self._start = start
        symbols = sorted({symbol for symbol, _ in routes})
        self._given: dict[str, Rows] = {symbol: rows.get(symbol, empty()) for symbol in symbols}
        self._stream: dict[str, Rows] = {symbol: empty() for symbol in symbols}
        self._deficits: list[Deficit] | None = None
        self._first = 0

    def take(self, rows: Mapping[str, Rows]) -> int | None:
        """Take minutes; return the time at which trading starts once it is known and reached."""
        for symbol, new in rows.items():
            # Once every market has a row from the start on, none has an earlier one to come.
            if self._start is not None and self._deficits is None:
                early = int(np.searchsorted(new[:, TIME], self._start))
                self._given[symbol] = np.concatenate((self._given[symbol], new[:early]))
                new = new[early:]
            self._stream[symbol] = np.concatenate((self._stream[symbol], new))
            for deficit in self._deficits or ():
                if deficit.symbol == symbol:
                    deficit.see(new)
        if self._deficits is None:
            if not all(len(stream) for stream in self._stream.values()):
                return None
            self._inject()
        ends = [deficit.ends_at for deficit in self._deficits or ()]
        known = [end for end in ends if end is not None]
        if len(known) < len(ends):
            return None
        start = max([self._first, *known])
        return start if any(stream[-1, TIME] >= start for stream in self._stream.values()) else None

    def finish(self, start: int) -> dict[str, Rows]:
        """Make what came before `start` visible to Jesse; return the rows from there on."""
        rest = {}
        for symbol, stream in self._stream.items():
            count = int(np.searchsorted(stream[:, TIME], start))
            minutes = candles(self._exchange, symbol, "1m")
            if count:
                minutes.append_multiple(stream[:count])
            rest[symbol] = stream[count:]
            if len(minutes):
                self._release(symbol, minutes[:], start)
        self._given, self._stream = {}, {}
        return rest

    def _inject(self) -> None:
        """Put the rows given in advance into the store, and find what they lack."""
        self._first = max(int(stream[0, TIME]) for stream in self._stream.values())
        for symbol, given in self._given.items():
            visible = given[given[:, TIME] + MINUTE <= self._first]
            if len(visible):
                candles(self._exchange, symbol, "1m").append_multiple(visible)
                self._release(symbol, visible, self._first)
        self._given = {}
        self._deficits = []
        for symbol, timeframe in self._routes:
            missing = self._required - len(candles(self._exchange, symbol, timeframe))
            if self._required and missing > 0:
                deficit = Deficit(symbol, minutes_of(timeframe) * MINUTE, missing)
                deficit.see(self._stream[symbol])
                self._deficits.append(deficit)

    def _release(self, symbol: str, minutes: Rows, available_at: int) -> None:
        for timeframe in larger_timeframes():
            completed = generate_completed_candles(timeframe, minutes, available_at)
            bucket = candles(self._exchange, symbol, timeframe)
            bucket.flush()
            if len(completed):
                bucket.append_multiple(completed)
