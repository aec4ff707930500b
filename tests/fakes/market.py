"""What really happened on a market: the truth that a stand-in exchange serves and that tests compare with."""

from __future__ import annotations

import gzip
import math
import random
from collections.abc import Callable
from pathlib import Path

from jesse_paperd.store.candle_store import MINUTE, Candle


class Market:
    """One pair on a stand-in exchange."""

    def __init__(self, symbol: str, candle_of: Callable[[int], Candle | None], listed_at: int = 0) -> None:
        """Take Jesse's symbol, and the final candle of each minute (None: the market had none)."""
        self.symbol = symbol
        self.base, self.quote = symbol.split("-")
        self.listed_at = listed_at
        self._candle_of = candle_of
        self._known: dict[int, Candle | None] = {}

    def final(self, minute: int) -> Candle | None:
        """The candle as it is once the minute is over."""
        if minute not in self._known:
            self._known[minute] = self._candle_of(minute) if minute >= self.listed_at else None
        return self._known[minute]

    def finals(self, first: int, upto: int) -> list[Candle]:
        """The candles from `first` below `upto`."""
        return [c for minute in range(first, upto, MINUTE) if (c := self.final(minute)) is not None]

    def seen_at(self, minute: int, now: int) -> Candle | None:
        """The candle as the exchange shows it at a time: unfinished while its minute lasts."""
        final = self.final(minute)
        if final is None or minute > now:
            return None
        done = (now - minute) / MINUTE
        if done >= 1:
            return final
        close = round(final.open + (final.close - final.open) * done, 2)
        high = round(max(final.open, close, final.open + (final.high - final.open) * done), 2)
        low = round(min(final.open, close, final.open - (final.open - final.low) * done), 2)
        return Candle(minute, final.open, high, low, close, round(final.volume * done, 5))

    def rows(self, first: int, upto: int, now: int) -> list[Candle]:
        """The rows from `first` below `upto` as seen at a time, oldest first."""
        upto = min(upto, now + 1)
        first = max(first, self.listed_at)
        return [c for m in range(-(-first // MINUTE) * MINUTE, upto, MINUTE) if (c := self.seen_at(m, now)) is not None]


def random_market(
    symbol: str,
    seed: int,
    quiet: float = 0.0,
    flat: bool = True,
    gaps: tuple[tuple[int, int], ...] = (),
    listed_at: int = 0,
) -> Market:
    """A market of which any minute can be computed: waves that a moving average crosses, and noise.

    Args:
        quiet: share of minutes without a trade.
        flat: whether such a minute has a flat row of no volume, or none.
        gaps: stretches (first, upto) that the exchange does not have.
    """
    level = 10 ** random.Random(f"{seed} {symbol}").uniform(1, 5)

    def price(minute: int) -> float:
        noise = random.Random(f"{seed} {symbol} {minute}").gauss(0, 0.0008)
        return level * (1 + 0.03 * math.sin(minute / MINUTE / 90) + noise)

    def candle_of(minute: int) -> Candle | None:
        if any(first <= minute < upto for first, upto in gaps):
            return None
        chance = random.Random(f"{seed} {symbol} {minute} candle")
        # The open is near the last close, not equal to it, as on real exchanges.
        open_, close = round(price(minute) * (1 + chance.gauss(0, 0.0001)), 2), round(price(minute + MINUTE), 2)
        if chance.random() < quiet:
            return Candle(minute, open_, open_, open_, open_, 0.0) if flat else None
        high = round(max(open_, close) * (1 + abs(chance.gauss(0, 0.0003))), 2)
        low = round(min(open_, close) * (1 - abs(chance.gauss(0, 0.0003))), 2)
        return Candle(minute, open_, high, low, close, round(chance.expovariate(0.1), 5))

    return Market(symbol, candle_of, listed_at)


def recorded_market(symbol: str, path: Path, starts_at: int | None = None) -> Market:
    """A market that repeats a file of real candles, moved in time so that its first row is at `starts_at`."""
    with gzip.open(path, "rt") as file:
        next(file)
        rows = [Candle(int(float(t)), *map(float, values)) for t, *values in (line.split(",") for line in file)]
    shift = (starts_at - rows[0].timestamp) if starts_at is not None else 0
    by_minute = {row.timestamp + shift: Candle(row.timestamp + shift, *row[1:]) for row in rows}
    return Market(symbol, by_minute.get)
