"""The histogram of trade results, drawn to scale, with a bin's edge at zero."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jesse_paperd.analytics.path import Floats
from jesse_paperd.records.journal import TradeRow

_WIDTH, _HEIGHT = 720, 200


class Bar(NamedTuple):
    """One bin: how many trades came to `low` and more, below `high`; and its rectangle in pixels."""

    low: float
    high: float
    trades: int
    x: float
    y: float
    width: float
    height: float


class Tick(NamedTuple):
    """A number below the bars."""

    x: float
    value: float
    anchor: str


class Histogram(NamedTuple):
    """The picture; `tallest` is the count of the tallest bar."""

    width: int
    height: int
    tallest: int
    bars: list[Bar]
    ticks: list[Tick]


def histogram_of(trades: Sequence[TradeRow]) -> Histogram | None:
    """The histogram of the trades' net results; None without trades."""
    if not trades:
        return None
    edges, counts = bins_of(np.array([trade.pnl for trade in trades]))
    tallest, step = max(counts), _WIDTH / len(counts)
    bars = []
    for i, count in enumerate(counts):
        height = _HEIGHT * count / tallest
        bars.append(Bar(edges[i], edges[i + 1], count, i * step + 1, _HEIGHT - height, step - 2, height))
    ticks = []
    for i in sorted({0, len(counts), *(i for i, edge in enumerate(edges) if edge == 0)}):
        anchor = "start" if i == 0 else "end" if i == len(counts) else "middle"
        ticks.append(Tick(i * step, edges[i], anchor))
    return Histogram(_WIDTH, _HEIGHT, tallest, bars, ticks)


def bins_of(values: Floats) -> tuple[list[float], list[int]]:
    """Edges and counts of bins of one round width, an edge at zero. A value on an edge belongs to the bin above."""
    spread = max(float(values.max()), 0.0) - min(float(values.min()), 0.0) or 1.0
    wanted = spread / min(40, max(8, math.isqrt(len(values)) * 2))
    power = 10.0 ** math.floor(math.log10(wanted))
    width = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= wanted * (1 - 1e-9))
    bins = np.floor(values / width).astype(np.int64)
    low, high = min(int(bins.min()), 0), max(int(bins.max()) + 1, 0)
    counts = np.bincount(bins - low, minlength=high - low)
    return [i * width for i in range(low, high + 1)], counts.tolist()
