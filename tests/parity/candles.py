"""Candles for parity tests: the example files, and made-up markets with everything that makes fills hard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
EXAMPLES = Path(__file__).parents[2] / "examples"
SPOT = EXAMPLES / "candles" / "binance-BTC-USDT-1m-2024-12.csv.gz"
PERPETUAL = EXAMPLES / "candles" / "binance-perp-BTC-USDT-1m-2025-05.csv.gz"
ETHER = EXAMPLES / "candles" / "binance-perp-ETH-USDT-1m-2025-05.csv.gz"
MINUTE, DAY = 60_000, 86_400_000
#: A UTC midnight from which Jesse's row counting follows the clock for every timeframe up to three days.
MIDNIGHT = 19_677 * DAY


def read(path: Path) -> Rows:
    """Rows of a candle file in Jesse's column order."""
    rows = np.loadtxt(path, delimiter=",", skiprows=1)
    return np.ascontiguousarray(rows[:, [0, 1, 4, 2, 3, 5]])


def split(rows: Rows, minutes: int) -> tuple[Rows, Rows]:
    """The first minutes by the clock, and the rest."""
    cut = int(np.searchsorted(rows[:, 0], rows[0, 0] + minutes * MINUTE))
    return rows[:cut], rows[cut:]


def ramp(top: int = 150) -> Rows:
    """A price that climbs from 1 to the top and falls back, one a minute: the market of Jesse's own tests."""
    closes = np.concatenate((np.arange(1, top + 1), np.arange(top - 1, 0, -1))).astype(float)
    opens = np.concatenate(([1.0], closes[:-1]))
    times = MIDNIGHT + MINUTE * np.arange(len(closes))
    return np.column_stack(
        (times, opens, closes, np.maximum(opens, closes), np.minimum(opens, closes), np.full(len(closes), 10.0))
    )


@dataclass(frozen=True)
class Generated:
    """A market made from a seed. Probabilities are per minute; `start` is the first opening time."""

    seed: int
    minutes: int
    start: int = MIDNIGHT
    volatility: float = 0.001
    jump: float = 0.02  # the open leaves the previous close
    wick: float = 0.05  # a long wick
    flat: float = 0.05  # all four prices equal, no volume
    tick: float = 0.5  # prices are multiples of it, so that levels are met exactly
    missing: float = 0.0  # the minute is absent
    outages: int = 0  # stretches of up to three hours that are absent

    def rows(self) -> Rows:
        random = np.random.default_rng(self.seed)
        count = self.minutes
        jumps, wicks, flats = random.random((3, count)) < np.array([[self.jump], [self.wick], [self.flat]])
        spreads = np.where(wicks, 8.0, 0.6) * self.volatility
        opening = np.where(jumps, random.normal(0, 0.004, count), 0.0).tolist()
        change = random.normal(0, self.volatility, count).tolist()
        above, below = (np.abs(random.normal(0, 1, (2, count))) * spreads).tolist()
        prices, price = [], 1000.0
        for minute, is_flat in enumerate(flats.tolist()):
            open_ = price * (1 + opening[minute])
            close = open_ * (1 + change[minute])
            high, low = max(open_, close) * (1 + above[minute]), min(open_, close) * (1 - below[minute])
            row = (price,) * 4 if is_flat else (open_, close, high, low)
            row = tuple(max(round(value / self.tick) * self.tick, self.tick) for value in row)
            prices.append(row)
            price = min(max(row[1], 200.0), 5000.0)
        volume = np.where(flats, 0.0, np.round(random.exponential(10, count), 4))
        rows = np.column_stack((self.start + MINUTE * np.arange(count), np.array(prices), volume))
        keep = random.random(count) >= self.missing
        for _ in range(self.outages):
            begin = int(random.integers(count))
            keep[begin : begin + int(random.integers(1, 180))] = False
        keep[0] = True
        return rows[keep]
