"""What really happened on a market: the truth that a stand-in exchange serves and that tests compare with."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Callable
from pathlib import Path

from jesse_paperd.candles.store import Candle
from jesse_paperd.core.minutes import MINUTE


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
    name = zlib.crc32(f"{seed} {symbol}".encode())
    level = 10 ** (1 + 4 * _unit(name, 0, 0))

    def price(minute: int) -> float:
        return level * (1 + 0.03 * math.sin(minute / MINUTE / 90) + 0.0016 * (_unit(name, minute, 1) - 0.5))

    def candle_of(minute: int) -> Candle | None:
        if any(first <= minute < upto for first, upto in gaps):
            return None
        # The open is near the last close, not equal to it, as on real exchanges.
        open_, close = round(price(minute) * (1 + 0.0002 * _unit(name, minute, 2)), 2), round(price(minute + MINUTE), 2)
        if _unit(name, minute, 3) < quiet:
            return Candle(minute, open_, open_, open_, open_, 0.0) if flat else None
        high = round(max(open_, close) * (1 + 0.0005 * _unit(name, minute, 4)), 2)
        low = round(min(open_, close) * (1 - 0.0005 * _unit(name, minute, 5)), 2)
        return Candle(minute, open_, high, low, close, round(0.5 + 20 * _unit(name, minute, 6), 5))

    return Market(symbol, candle_of, listed_at)


def _unit(name: int, minute: int, salt: int) -> float:
    """A number from 0 below 1 that looks random and is always the same for the same arguments."""
    x = (minute // MINUTE * 0x9E3779B1 + salt * 0x85EBCA6B + name * 0xC2B2AE35 + 0x27D4EB2F) & 0xFFFFFFFF
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = ((x ^ (x >> shift)) * factor) & 0xFFFFFFFF
    return (x ^ (x >> 16)) / 2**32


def recorded_market(symbol: str, path: Path, starts_at: int | None = None) -> Market:
    """A market that repeats a file of real candles, moved in time so that its first row is at `starts_at`."""
    with gzip.open(path, "rt") as file:
        next(file)
        rows = [Candle(int(float(t)), *map(float, values)) for t, *values in (line.split(",") for line in file)]
    shift = (starts_at - rows[0].timestamp) if starts_at is not None else 0
    by_minute = {row.timestamp + shift: Candle(row.timestamp + shift, *row[1:]) for row in rows}
    return Market(symbol, by_minute.get)
