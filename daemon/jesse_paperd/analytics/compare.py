"""Sessions side by side: each over its whole life, all over the time they have in common, and how alike they move."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

from jesse_paper.protocol import Metrics
from jesse_paperd.analytics.metrics import DAILY_FROM, metrics_of
from jesse_paperd.analytics.path import Floats
from jesse_paperd.analytics.ratios import MINIMUM
from jesse_paperd.analytics.track_record import Interval, Performance, TrackRecord


class Comparison(NamedTuple):
    """`whole` and `common` by session id; `common` is empty when no moment is shared.

    `correlation[a][b]` is Pearson's, of the simple returns over the common span at `returns_interval`; None when there
    are fewer than 10 of them or one of the two does not vary. `since` and `until` are the common span in ms.
    """

    whole: dict[str, Metrics]
    common: dict[str, Metrics]
    since: int | None
    until: int | None
    correlation: dict[str, dict[str, float | None]]
    returns_interval: Interval
    observations: int


def compare(sessions: Mapping[str, TrackRecord], returns_interval: Literal["auto", "1h", "1d"] = "auto") -> Comparison:
    """Compare sessions as of their last refresh."""
    spans = _common_spans(sessions)
    interval: Interval = "1h" if returns_interval == "auto" else returns_interval
    if returns_interval == "auto" and spans and all(span.ratios("1d")[0] >= DAILY_FROM for span in spans.values()):
        interval = "1d"
    returns = {name: _aligned_returns(span, interval) for name, span in spans.items()}
    shared = next(iter(spans.values())).path if spans else None
    return Comparison(
        whole={name: metrics_of(state, returns_interval) for name, state in sessions.items()},
        common={name: metrics_of(span, interval) for name, span in spans.items()},
        since=shared.started_at if shared else None,
        until=shared.last_at if shared else None,
        correlation={a: {b: _correlation(returns[a], returns[b]) for b in returns} for a in returns},
        returns_interval=interval,
        observations=min((len(each) for each in returns.values()), default=0),
    )


def _common_spans(sessions: Mapping[str, TrackRecord]) -> dict[str, Performance]:
    lives = [(state.path.started_at, state.path.last_at) for state in sessions.values()]
    starts = [start for start, _ in lives if start is not None]
    ends = [end for _, end in lives if end is not None]
    if len(starts) < len(lives) or not lives or max(starts) >= min(ends):
        return {}
    return {name: state.span(max(starts), min(ends)) for name, state in sessions.items()}


def _aligned_returns(span: Performance, interval: Interval) -> Floats:
    """One return an interval, NaN where equity was not positive before it, so that spans stay comparable."""
    equity = span.equity_at_ends(interval)
    before = np.where(equity[:-1] > 0, equity[:-1], np.nan)
    return np.asarray(equity[1:] / before - 1, dtype=np.float64)


def _correlation(a: Floats, b: Floats) -> float | None:
    both = np.isfinite(a) & np.isfinite(b)
    if np.count_nonzero(both) < MINIMUM:
        return None
    a, b = a[both], b[both]
    deviation = float(a.std() * b.std())
    if not deviation:
        return None
    return float(np.clip(((a - a.mean()) * (b - b.mean())).mean() / deviation, -1, 1))
