"""Metrics of a year at 1m: the first answer and the next after a new candle, beside libraries that start over.

The libraries get their returns ready-made: they read no journal and know of no trades.
"""

from __future__ import annotations

import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jesse_paperd.analytics.equity import equity_curve
from jesse_paperd.analytics.metrics import metrics_of
from jesse_paperd.analytics.track_record import TrackRecord
from jesse_paperd.records.journal import JournalReader
from tests.support.journals import BALANCE, MINUTE, THURSDAY, Sample, SampleJournal, trade

MINUTES, TRADES, NEXT, SEED = 525_600, 10_000, 101, 20260219


def seconds(work: Callable[[], object], times: int) -> float:
    """Median time of one call."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def main() -> None:
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    path = BALANCE * np.exp(np.concatenate(([0.0], np.cumsum(rng.normal(0, 3e-4, MINUTES + NEXT)))))
    samples = [Sample(THURSDAY + i * MINUTE, equity, 1.0, True) for i, equity in enumerate(path.tolist())]
    trades = [trade(n, pnl) for n, pnl in enumerate(rng.normal(2, 30, TRADES).tolist(), start=1)]
    with tempfile.TemporaryDirectory() as folder:
        journal = SampleJournal(Path(folder) / "journal.sqlite").commit(samples[: MINUTES + 1], trades)
        state = TrackRecord(JournalReader(journal.path), BALANCE)
        measure(journal, state, path[: MINUTES + 1], samples[MINUTES + 1 :])


def measure(journal: SampleJournal, state: TrackRecord, path: np.ndarray, later: list[Sample]) -> None:
    def answer() -> None:
        state.refresh()
        metrics_of(state)

    first = seconds(answer, 1)
    took = []
    for sample in later:
        journal.commit([sample])
        took.append(seconds(answer, 1))
    following = statistics.median(took)

    rows = [("metrics: first answer", first), (f"metrics: the next, after each of {NEXT} new candles", following)]
    for resolution in ("1m", "1h", "1d"):
        curve = seconds(lambda resolution=resolution: equity_curve(state, resolution, max_points=200).points(), 21)
        rows.append((f"equity: newest 200 points at {resolution}", curve))
    rows += libraries(path)
    title = f"a year: {MINUTES:,} samples, {TRADES:,} trades"
    print(f"{title:<58}{'ms':>10}{'× next':>10}")
    for name, took_by_it in rows:
        print(f"{name:<58}{took_by_it * 1000:>10.2f}{took_by_it / following:>10.1f}")


def libraries(path: np.ndarray) -> list[tuple[str, float]]:
    """The same numbers by others, from the same equity: all 1m returns, and the daily ones behind our ratios."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of deprecations within the libraries
        import empyrical
        import pandas
        import quantstats

        index = pandas.date_range("2026-01-01", periods=MINUTES + 1, freq="min")
        minutes = pandas.Series(path, index=index)
        rows = []
        for name, equity in (("1m", minutes), ("1d", minutes.resample("D").first())):
            returns = equity.pct_change().iloc[1:]

            def ratios(returns: pandas.Series = returns) -> None:
                for ratio in (empyrical.sharpe_ratio, empyrical.sortino_ratio, empyrical.annual_volatility):
                    ratio(returns, annualization=365)
                empyrical.calmar_ratio(returns, annualization=365)
                empyrical.max_drawdown(returns)
                empyrical.value_at_risk(returns)
                empyrical.conditional_value_at_risk(returns)

            def report(returns: pandas.Series = returns) -> None:
                quantstats.reports.metrics(returns, display=False, mode="basic", periods_per_year=365)

            rows.append((f"empyrical, our ratios of {len(returns):,} {name} returns", seconds(ratios, 5)))
            rows.append((f"quantstats.reports.metrics of {len(returns):,} {name} returns", seconds(report, 3)))
        return rows


if __name__ == "__main__":
    main()
