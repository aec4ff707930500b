"""Ratios of a series of simple returns: the textbook formulas, and when they have no value.

`sharpe`, `sortino` and `volatility` are annualised by √P, P the intervals in a year of round-the-clock trading. A
ratio without a value is the reason for that, a string.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from jesse_paper.protocol import Undefined
from jesse_paperd.analytics.path import Floats

MINIMUM = 10
"""Fewer returns than this say nothing: `insufficient_samples`."""

TAIL = 0.05
"""The share of worst returns that `var` and `expected_shortfall` look at."""

ROUNDING = 1e-12
"""A deviation this far below the mean is the rounding error of returns that are all equal."""


class Ratios(NamedTuple):
    """Each a number, or the reason why there is none."""

    sharpe: float | Undefined
    sortino: float | Undefined
    volatility: float | Undefined
    var: float | Undefined
    expected_shortfall: float | Undefined


def returns_of(equity: Floats) -> Floats:
    """Simple returns of successive values; one that starts at zero equity or below does not exist and is left out."""
    before, after = equity[:-1], equity[1:]
    solvent = before > 0
    if not solvent.all():
        before, after = before[solvent], after[solvent]
    return np.asarray(after / before - 1, dtype=np.float64)


def ratios_of(returns: Floats, annualization: int) -> Ratios:
    """The ratios of `returns`, risk-free rate 0.

    Sharpe (1994): mean / sample deviation. Sortino and Price (1994), target 0: mean / root mean square of the
    negative returns over *all* n. Value at risk is historical: the 5th percentile, linearly interpolated, as a
    positive loss. Expected shortfall: the mean loss of the ⌊0.05 (n − 1)⌋ + 1 worst returns, those that percentile
    stands on.
    """
    n = len(returns)
    if n < MINIMUM:
        return Ratios(*(["insufficient_samples"] * 5))  # type: ignore[arg-type]
    root = math.sqrt(annualization)
    mean = float(returns.mean())
    deviation = float(returns.std(ddof=1))
    if deviation <= ROUNDING * abs(mean):
        deviation = 0.0
    losses: Floats = np.minimum(returns, 0.0)
    downside = math.sqrt(float((losses * losses).sum()) / n)

    position = TAIL * (n - 1)
    at = int(position)
    worst = np.sort(np.partition(returns, at + 1)[: at + 2])
    percentile = float(worst[at] + (worst[at + 1] - worst[at]) * (position - at))
    return Ratios(
        sharpe=mean / deviation * root if deviation else "zero_variance",
        sortino=mean / downside * root if downside else "no_downside",
        volatility=deviation * root,
        var=0.0 - percentile,
        expected_shortfall=0.0 - float(worst[: at + 1].mean()),
    )
