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
        rows = np.empty((self.minutes, 6))
        price = 1000.0
        for minute in range(self.minutes):
            open_ = price * (1 + random.normal(0, 0.004)) if random.random() < self.jump else price
            close = open_ * (1 + random.normal(0, self.volatility))
            spread = self.volatility * (8 if random.random() < self.wick else 0.6)
            high = max(open_, close) * (1 + abs(random.normal(0, spread)))
            low = min(open_, close) * (1 - abs(random.normal(0, spread)))
            volume = round(random.exponential(10), 4)
            if random.random() < self.flat:
                open_ = close = high = low = price
                volume = 0.0
            prices = np.maximum(np.round(np.array([open_, close, high, low]) / self.tick) * self.tick, self.tick)
            rows[minute] = [self.start + minute * MINUTE, *prices, volume]
            price = float(np.clip(prices[1], 200, 5000))
        keep = random.random(self.minutes) >= self.missing
        for _ in range(self.outages):
            begin = int(random.integers(self.minutes))
            keep[begin : begin + int(random.integers(1, 180))] = False
        keep[0] = True
        return rows[keep]
