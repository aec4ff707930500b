"""The equity path: runs of 1m samples, folded into what every later question needs.

Equity as a function of time is a step function: its value at a moment is that of the last sample at or before it, so
minutes that the market did not have carry the value before them. The fold keeps the path's extremes and its values
at whole hours (UTC); days, weeks and every other coarser bucket are a selection of those.

The last run is held apart, since the journal may still grow or replace it; all earlier ones are final. What the fold
keeps therefore never depends on how often it was asked.
"""

from __future__ import annotations

from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jesse_paperd.core.minutes import HOUR

Run = tuple[int, int, int, float, float, int]
"""A row of the journal's `equity`: first_at, last_at, samples, equity, unrealized_pnl, in_position."""

Floats = NDArray[np.float64]
Times = NDArray[np.int64]


class HourEnds(NamedTuple):
    """The path at consecutive whole hours after the session's start.

    `at` in ms; equity and unrealized profit in the quote currency; `peak` is the highest sample up to then.
    """

    at: Times
    equity: Floats
    unrealized_pnl: Floats
    peak: Floats


class EquityPath:
    """The fold. `add` takes runs as the journal gives them; the attributes and properties tell the path so far."""

    def __init__(self, starting_balance: float) -> None:
        self.starting_balance = starting_balance
        self.started_at: int | None = None
        self.open: Run | None = None  # the last run, which may yet change
        self.hours_revision = (0, 0, 0.0)  # changes whenever the equity of `hours()` does
        self._samples = 0
        self._in_position = 0
        self._peak = starting_balance
        self._peak_until = 0  # when the path was last at its peak
        self._under_water = False
        self._max_drawdown = 0.0
        self._longest_under_water = 0
        self._next_hour = 0  # index of the first whole hour not in _hours
        self._hours = np.empty((256, 3))  # equity, unrealized_pnl, peak at the hours of the final runs
        self._hours_filled = 0

    def add(self, runs: list[Run]) -> None:
        """Fold runs in order. The first replaces the open run: it has the same `first_at`, if there is one."""
        if not runs:
            return
        if self.started_at is None:
            self.started_at = self._peak_until = runs[0][0]
            self._next_hour = self.started_at // HOUR + 1
        if len(runs) > 1:
            self._settle(runs)
        self.open = runs[-1]
        pending = self.open[1] // HOUR + 1 - self._next_hour
        self.hours_revision = (self._hours_filled, pending, self.open[3] if pending else 0.0)

    def carry_to(self, at: int) -> None:
        """Let the last sample's value last until `at`."""
        if self.open is not None:
            first_at, last_at, samples, equity, unrealized_pnl, in_position = self.open
            self.add([(first_at, max(last_at, at), samples, equity, unrealized_pnl, in_position)])

    def _settle(self, runs: list[Run]) -> None:
        """Fold all runs but the last: a later one exists, so they are final."""
        table = np.fromiter(chain.from_iterable(runs), np.float64, 6 * len(runs)).reshape(-1, 6)
        first_at, last_at, samples, equity, unrealized_pnl, in_position = table[:-1].T
        self._samples += int(samples.sum())
        self._in_position += int(samples[in_position != 0].sum())

        peaks = np.maximum.accumulate(np.concatenate(([self._peak], equity)))
        before, peak = peaks[:-1], peaks[1:]
        self._max_drawdown = max(self._max_drawdown, float(((peak - equity) / peak).max()))

        # A drawdown lasts from the last sample at the peak to the first one back there, with lower runs in between.
        tops = np.flatnonzero(equity >= before)
        if tops.size:
            previous = np.concatenate(([-2 if self._under_water else -1], tops[:-1]))
            left = np.concatenate(([self._peak_until], last_at[tops[:-1]]))
            lasted = (first_at[tops] - left)[tops - previous > 1]
            self._longest_under_water = max(self._longest_under_water, int(lasted.max(initial=0)))
            self._peak_until = int(last_at[tops[-1]])
        self._under_water = bool(equity[-1] < peak[-1])
        self._peak = float(peak[-1])

        # A whole hour belongs to the last run that began at or before it.
        passed = table[1:, 0].astype(np.int64)
        next_hours = np.maximum(-(-passed // HOUR), self._next_hour)
        counts = np.diff(next_hours, prepend=self._next_hour)
        self._next_hour = int(next_hours[-1])
        self._append_hours(np.repeat(np.column_stack((equity, unrealized_pnl, peak)), counts, axis=0))

    def _append_hours(self, rows: Floats) -> None:
        needed = self._hours_filled + len(rows)
        if needed > len(self._hours):
            grown = np.empty((max(needed, 2 * len(self._hours)), 3))
            grown[: self._hours_filled] = self._hours[: self._hours_filled]
            self._hours = grown
        self._hours[self._hours_filled : needed] = rows
        self._hours_filled = needed

    # ── The path so far, the open run included ─────────────────────────────────────────────────────────────────

    @property
    def last_at(self) -> int | None:
        """Time of the last sample."""
        return self.open[1] if self.open else None

    @property
    def equity(self) -> float:
        return self.open[3] if self.open else self.starting_balance

    @property
    def unrealized_pnl(self) -> float:
        return self.open[4] if self.open else 0.0

    @property
    def samples(self) -> int:
        return self._samples + (self.open[2] if self.open else 0)

    @property
    def samples_in_position(self) -> int:
        return self._in_position + (self.open[2] if self.open and self.open[5] else 0)

    @property
    def peak(self) -> float:
        """The highest sample, the starting balance included."""
        return max(self._peak, self.equity)

    @property
    def drawdown(self) -> float:
        """How far the last sample is below the peak, as a fraction of the peak."""
        return (self.peak - self.equity) / self.peak

    @property
    def max_drawdown(self) -> float:
        return max(self._max_drawdown, self.drawdown)

    @property
    def longest_under_water(self) -> int:
        """Milliseconds of the longest time from a peak until equity was back there, or until now."""
        if self.open is None:
            return 0
        first_at, last_at, _, equity, _, _ = self.open
        lasted = 0
        if equity < self._peak:
            lasted = last_at - self._peak_until
        elif self._under_water:
            lasted = first_at - self._peak_until
        return max(self._longest_under_water, lasted)

    def hours(self) -> HourEnds:
        """The path at every whole hour after the start and not after the last sample."""
        if self.open is None or self.started_at is None:
            return HourEnds(np.empty(0, np.int64), *np.empty((3, 0)))
        rows = self._hours[: self._hours_filled]
        pending = self.hours_revision[1]
        if pending:
            rows = np.concatenate((rows, np.tile((self.equity, self.unrealized_pnl, self.peak), (pending, 1))))
        at = (self.started_at // HOUR + 1 + np.arange(len(rows), dtype=np.int64)) * HOUR
        return HourEnds(at, *rows.T)
