"""Journals for the analytics tests, written by the journal's own writer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from hypothesis import strategies as st

from jesse_paperd.analytics.track_record import TrackRecord
from jesse_paperd.records.journal import EquityRun, Facts, Journal, JournalReader, Progress, TradeRow

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
THURSDAY = 1_767_225_600_000  # 2026-01-01T00:00:00Z
BALANCE = 10_000.0


class Sample(NamedTuple):
    """A 1m sample; the first of a journal stands at the session's start and has the starting balance."""

    at: int
    equity: float
    unrealized_pnl: float = 0.0
    in_position: bool = False


def run_length_coded(samples: Iterable[Sample], last: EquityRun | None = None) -> list[EquityRun]:
    """Samples as runs; `last` is the run that the journal ends with, which the first samples may continue."""
    runs = [last] if last else []
    for at, equity, unrealized_pnl, in_position in samples:
        run = runs[-1] if runs else None
        if run and (run.equity, run.unrealized_pnl, run.in_position) == (equity, unrealized_pnl, in_position):
            runs[-1] = EquityRun(run.first_at, at, run.samples + 1, equity, unrealized_pnl, in_position)
        else:
            runs.append(EquityRun(at, at, 1, equity, unrealized_pnl, in_position))
    return runs


def trade(n: int, pnl: float, fee: float = 1.0, side: str = "long", at: int = THURSDAY) -> TradeRow:
    """A closed trade of one unit with this net result."""
    move = (pnl + fee) * (1 if side == "long" else -1)
    low, high = sorted((1000.0, 1000.0 + move))
    return TradeRow(
        n, f"t{n:03d}", "BTC-USDT", side, 1000.0, 1000.0 + move, 1.0, fee, pnl, pnl / 1000.0, 1.0,
        at + 2 * n * MINUTE, at + (2 * n + 1) * MINUTE, "strategy", low - 1.0, high + 1.0, f'["o{n}a","o{n}b"]',
    )  # fmt: skip


class SampleJournal:
    """A journal that grows as a session's does: each commit replaces the last run by what became of it."""

    def __init__(self, path: Path, starting_balance: float = BALANCE) -> None:
        self.path = path
        self.starting_balance = starting_balance
        self._journal = Journal(path)
        self._last: EquityRun | None = None

    def commit(self, samples: Sequence[Sample] = (), trades: Sequence[TradeRow] = ()) -> SampleJournal:
        runs = run_length_coded(samples, self._last)
        self._last = runs[-1] if runs else None
        self._journal.commit(Facts(equity=runs, trades=list(trades)), Progress())
        return self

    def commit_runs(self, runs: Sequence[EquityRun]) -> SampleJournal:
        self._journal.commit(Facts(equity=list(runs)), Progress())
        return self

    def state(self) -> TrackRecord:
        """A state that has just read all of it."""
        state = TrackRecord(JournalReader(self.path), self.starting_balance)
        state.refresh()
        return state


def daily(equities: Iterable[float], start: int = THURSDAY) -> list[Sample]:
    """One sample a day, the first at the start."""
    return [Sample(start + i * DAY, equity) for i, equity in enumerate(equities)]


def hourly(equities: Iterable[float], start: int = THURSDAY) -> list[Sample]:
    """One sample an hour, the first at the start."""
    return [Sample(start + i * HOUR, equity) for i, equity in enumerate(equities)]


# ── Generated journals: whole cents, so that scaling money is exact enough to keep equal values equal ───────────────

cents = st.one_of(
    st.sampled_from([9_000.0, 9_999.99, BALANCE, 10_000.01, 11_000.0]),  # peaks that are reached again
    st.integers(min_value=1, max_value=4_000_000).map(lambda n: n / 100),
)


@st.composite
def sample_lists(draw: st.DrawFn, values: st.SearchStrategy[float] = cents) -> list[Sample]:
    """Minutes from any start on, with flat stretches, repeats and gaps of minutes to days."""
    at = THURSDAY + draw(st.integers(0, 3 * 1440)) * MINUTE
    samples = [Sample(at, BALANCE)]
    stretch = st.tuples(
        st.sampled_from([1, 1, 1, 2, 7, 60, 61, 1440, 5000]),  # minutes since the sample before
        st.sampled_from([1, 1, 2, 59, 130]),  # minutes that it lasts
        values,
        st.sampled_from([0.0, 12.5, -3.25]),
        st.booleans(),
    )
    for gap, minutes, equity, unrealized_pnl, in_position in draw(st.lists(stretch, max_size=25)):
        at += gap * MINUTE
        samples += [Sample(at + i * MINUTE, equity, unrealized_pnl, in_position) for i in range(minutes)]
        at = samples[-1].at
    return samples


results = st.integers(min_value=-50_000, max_value=50_000).map(lambda n: n / 100)
trade_lists = st.lists(results, max_size=30).map(lambda pnls: [trade(n, pnl) for n, pnl in enumerate(pnls, start=1)])
