"""The equity curve at any resolution.

A point stands at the session's start, at the end of each bucket (UTC-aligned, weeks from Monday) and at the last
sample, which marks the unfinished bucket. Its drawdown is from the highest 1m sample so far, whatever the resolution.
"""

from __future__ import annotations

from typing import NamedTuple, get_args

import numpy as np

from jesse_paper.protocol import EquityPoint, Resolution
from jesse_paper.rfc3339 import to_text
from jesse_paperd.analytics.path import Floats, Times
from jesse_paperd.analytics.track_record import TrackRecord
from jesse_paperd.core.minutes import DAY, HOUR, MINUTE

_UNITS = {"m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
RESOLUTIONS: dict[str, int] = {name: int(name[:-1]) * _UNITS[name[-1]] for name in get_args(Resolution)}
"""Bucket lengths in ms."""

_MONDAY = 4 * DAY  # 1970-01-05


class EquityCurve(NamedTuple):
    """Points, oldest first; times in ms, drawdown a positive fraction of the peak.

    `total_points` counts what was asked for, `truncated` tells that only the newest are here, and `partial` that the
    last point stands in an unfinished bucket.
    """

    at: Times
    equity: Floats
    drawdown: Floats
    unrealized_pnl: Floats
    partial: bool
    total_points: int

    @property
    def truncated(self) -> bool:
        return len(self.at) < self.total_points

    def points(self) -> list[EquityPoint]:
        """As the wire has them."""
        last = len(self.at) - 1 if self.partial else -1
        columns = (self.at.tolist(), self.equity.tolist(), self.drawdown.tolist(), self.unrealized_pnl.tolist())
        return [
            EquityPoint(timestamp=to_text(at), equity=equity, drawdown=drawdown, unrealized_pnl=pnl, partial=i == last)
            for i, (at, equity, drawdown, pnl) in enumerate(zip(*columns, strict=True))
        ]


def equity_curve(
    state: TrackRecord,
    resolution: Resolution = "1h",
    since: int | None = None,
    until: int | None = None,
    max_points: int | None = None,
) -> EquityCurve:
    """The curve as of the state's last refresh, points with `since` ≤ time ≤ `until` (ms), the newest
    `max_points` (at least 1) of them.

    Costs the points that are returned; below one hour also the samples between them.
    """
    path = state.path
    if path.started_at is None or path.last_at is None:
        return _no_points(0)

    length, origin = RESOLUTIONS[resolution], _MONDAY if resolution == "1w" else 0
    since = path.started_at if since is None else max(since, path.started_at)
    until = path.last_at if until is None else min(until, path.last_at)
    first_end = max((path.started_at - origin) // length + 1, -((origin - since) // length))
    ends = range(origin + first_end * length, until + 1, length)
    start = [path.started_at] if since <= path.started_at <= until else []
    unfinished = path.last_at > path.started_at and (path.last_at - origin) % length != 0
    partial = unfinished and since <= path.last_at <= until
    last = [path.last_at] if partial else []

    total = len(start) + len(ends) + len(last)
    kept = total if max_points is None else min(max_points, total)
    at = np.array([*start, *ends[max(0, len(ends) - kept) :], *last], dtype=np.int64)[-kept:]
    if not len(at):
        return _no_points(total)

    times, steps = _hourly_steps(state) if length >= HOUR else _steps_from(state, int(at[0]))
    equity, unrealized_pnl, peak = steps[:, np.searchsorted(times, at, side="right") - 1]
    return EquityCurve(at, equity, (peak - equity) / peak, unrealized_pnl, partial, total)


def finest_resolution(state: TrackRecord, max_points: int) -> Resolution:
    """The finest resolution at which the whole curve has at most so many points, or else the coarsest."""
    life = (state.path.last_at or 0) - (state.path.started_at or 0)
    names: tuple[Resolution, ...] = get_args(Resolution)
    return next((name for name in names if life // RESOLUTIONS[name] + 2 <= max_points), names[-1])


def _no_points(total: int) -> EquityCurve:
    none = np.empty(0)
    return EquityCurve(np.empty(0, np.int64), none, none, none, False, total)


def _hourly_steps(state: TrackRecord) -> tuple[Times, Floats]:
    """The path at its start, at whole hours and at its last sample: rows of equity, unrealized profit and peak."""
    path, hours = state.path, state.path.hours()
    start = [[path.starting_balance], [0.0], [path.starting_balance]]
    last = [[path.equity], [path.unrealized_pnl], [path.peak]]
    times = np.concatenate(([path.started_at or 0], hours.at, [path.last_at or 0]))
    return times, np.concatenate((start, (hours.equity, hours.unrealized_pnl, hours.peak), last), axis=1)


def _steps_from(state: TrackRecord, since: int) -> tuple[Times, Floats]:
    """Every step of the path from the last whole hour at or before `since` on, in the same form."""
    times, steps = _hourly_steps(state)
    seed = int(np.searchsorted(times, since, side="right")) - 1
    runs = state.runs(after=int(times[seed]))
    if not runs:
        return times[seed : seed + 1], steps[:, seed : seed + 1]
    first_at, _, _, equity, unrealized_pnl, _ = np.array(runs).T
    equity = np.concatenate(([steps[0, seed]], equity))
    unrealized_pnl = np.concatenate(([steps[1, seed]], unrealized_pnl))
    peak = np.maximum.accumulate(np.concatenate(([steps[2, seed]], equity[1:])))
    return np.concatenate(([times[seed]], first_at.astype(np.int64))), np.stack((equity, unrealized_pnl, peak))
