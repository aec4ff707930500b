"""Returns of calendar months (UTC)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jesse_paperd.analytics.track_record import Performance

MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class MonthReturn(NamedTuple):
    """The simple return of equity in a month; `whole` unless the session ran for a part of it only."""

    year: int
    month: int
    value: float | None
    whole: bool


def monthly_returns(performance: Performance) -> list[MonthReturn]:
    """One entry for each month that the session saw, oldest first; no value where equity began it at zero or below."""
    path = performance.path
    if path.started_at is None or path.last_at is None or path.last_at == path.started_at:
        return []
    first, last = (np.datetime64(at, "ms").astype("datetime64[M]") for at in (path.started_at, path.last_at - 1))
    ends = np.arange(first + 1, last + 2).astype("datetime64[ms]").astype(np.int64)
    hours = path.hours()
    known = ends[ends <= path.last_at]
    equity = [path.starting_balance, *hours.equity[np.searchsorted(hours.at, known)].tolist()]
    if len(known) < len(ends):
        equity.append(path.equity)
    found = []
    for i, end in enumerate(ends.tolist()):
        month = first + i
        began = int(month.astype("datetime64[ms]").astype(np.int64))
        value = equity[i + 1] / equity[i] - 1 if equity[i] > 0 else None
        year, number = divmod(int(month.astype(int)), 12)
        found.append(MonthReturn(1970 + year, number + 1, value, path.started_at <= began and end <= path.last_at))
    return found


class Cell(NamedTuple):
    """A month in the table; `weight` says how strong its colour is, from 8 to 42 per cent."""

    value: float | None
    whole: bool
    weight: int


class Year(NamedTuple):
    """A row of the table: twelve months, None where the session did not run, and the year's own return."""

    year: int
    months: list[Cell | None]
    value: float


def years_of(performance: Performance) -> list[Year]:
    """A row a year, a column a month."""
    found = {(entry.year, entry.month): entry for entry in monthly_returns(performance)}
    largest = max((abs(entry.value) for entry in found.values() if entry.value is not None), default=0) or 1
    years = []
    for year in sorted({year for year, _ in found}):
        cells: list[Cell | None] = []
        growth = 1.0
        for month in range(1, 13):
            entry = found.get((year, month))
            if entry is None:
                cells.append(None)
                continue
            value = entry.value
            growth *= 1 + (value or 0.0)
            weight = 8 + round(34 * abs(value or 0.0) / largest)
            cells.append(Cell(value, entry.whole, weight))
        years.append(Year(year, cells, growth - 1))
    return years
