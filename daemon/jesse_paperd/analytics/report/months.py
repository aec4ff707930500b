"""Returns of calendar months (UTC)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jesse_paperd.analytics.track_record import Performance


class MonthReturn(NamedTuple):
    """The simple return of equity in a month; `whole` unless the session ran for a part of it only."""

    year: int
    month: int
    value: float | None
    whole: bool


def monthly_returns(standing: Performance) -> list[MonthReturn]:
    """One entry for each month that the session saw, oldest first; no value where equity began it at zero or below."""
    path = standing.path
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
