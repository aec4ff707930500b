"""What is known of one session: its journal, read up to now.

`TrackRecord` owns the reading: only rows that are new since the last `refresh`, all from one moment of the journal.
It is for one thread at a time. Dropping it costs time alone; a fresh one gives the same answers.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from jesse_paperd.analytics.path import EquityPath, Floats, Run
from jesse_paperd.analytics.ratios import Ratios, ratios_of, returns_of
from jesse_paperd.analytics.tally import TradeTally
from jesse_paperd.core.minutes import HOUR, MINUTE
from jesse_paperd.records.journal import JournalReader, TradeRow

Interval = Literal["1h", "1d"]

PERIODS: dict[Interval, int] = {"1h": 8760, "1d": 365}
"""Intervals in a year of round-the-clock trading."""

_CHUNK = 20_000  # rows read at a time, so that a year of minutes takes little memory


class Performance:
    """What a session, or a span of its life, adds up to: its equity path, its trades, and the ratios of its returns."""

    def __init__(self, starting_balance: float) -> None:
        self.path = EquityPath(starting_balance)
        self.trades = TradeTally()
        self.by_symbol: dict[str, TradeTally] = {}
        self._ratios: dict[Interval, tuple[tuple[int, int, float], int, Ratios]] = {}

    @property
    def starting_balance(self) -> float:
        return self.path.starting_balance

    def add_trade(self, trade: TradeRow) -> None:
        """Fold the next closed trade."""
        self.trades.add(trade)
        self.by_symbol.setdefault(trade.symbol, TradeTally()).add(trade)

    def equity_at_ends(self, interval: Interval) -> Floats:
        """The starting balance, then equity at the end of each complete interval (UTC-aligned)."""
        hours = self.path.hours()
        ends = hours.equity
        if interval == "1d":
            first = int(hours.at[0]) // HOUR if len(hours.at) else 0
            ends = ends[-first % 24 :: 24]
        return np.concatenate(([self.starting_balance], ends))

    def ratios(self, interval: Interval) -> tuple[int, Ratios]:
        """How many returns there are, and their ratios; computed anew only when an interval was completed."""
        revision = self.path.hours_revision
        known = self._ratios.get(interval)
        if known is None or known[0] != revision:
            returns = returns_of(self.equity_at_ends(interval))
            known = self._ratios[interval] = (revision, len(returns), ratios_of(returns, PERIODS[interval]))
        return known[1], known[2]


class TrackRecord(Performance):
    """A session's track record, as far as its journal was read.

    Args:
        reader: the session's journal, this state's own to read.
        starting_balance: the money it started with, which its journal's first sample repeats.
    """

    def __init__(self, reader: JournalReader, starting_balance: float) -> None:
        super().__init__(starting_balance)
        self._reader = reader

    def refresh(self) -> None:
        """Read what the journal gained.

        Raises:
            sqlite3.Error: it cannot be read.
        """
        with self._reader.snapshot():
            unread = True
            while unread:
                since = self.path.open[0] if self.path.open else 0
                runs: list[Run] = self._reader.equity(since, limit=_CHUNK)
                if since and (not runs or runs[0][0] != since):
                    # A row that was there is gone: a power cut took the journal's end. Read what is left.
                    super().__init__(self.starting_balance)
                    continue
                self.path.add(runs)
                unread = len(runs) == _CHUNK
            for trade in self._reader.trades(after=self.trades.last):
                self.add_trade(trade)
            self._reader.check_samples(self.path.samples)

    def runs(self, after: int) -> list[Run]:
        """Runs that begin after `after`, in ms, as of the last refresh. This reads the journal."""
        last = self.path.open
        if last is None or last[0] <= after:
            return []
        runs: list[Run] = self._reader.equity(after + 1, before=last[0])
        return [*runs, last]

    def closed_trades(self) -> list[TradeRow]:
        """The trades closed as of the last refresh, in the order of closing. This reads the journal."""
        return self._reader.trades(limit=self.trades.count)

    def span(self, since: int, until: int) -> Performance:
        """The track record of a part of the session's life alone, as of the last refresh, times in ms.

        It starts with what equity was at `since` and holds the trades that were closed after that. This reads the
        journal, except for the whole life.
        """
        if (since, until) == (self.path.started_at, self.path.last_at):
            return self
        first = self._reader.equity_at(since)
        if first is None or until < since:
            raise ValueError(f"the session has no sample at {since}, or it is after {until}")
        span = Performance(first[3])
        runs = [first, *(run for run in self.runs(after=since) if run[0] <= until)]
        span.path.add([_clipped(run, since, until) for run in runs])
        span.path.carry_to(until)
        for trade in self.closed_trades():
            if since < trade.exit_at <= until:
                span.add_trade(trade)
        return span


def _clipped(run: Run, since: int, until: int) -> Run:
    """The part of a run within a span; its samples are counted as if no minute were missing."""
    first_at, last_at, samples, equity, unrealized_pnl, in_position = run
    begin, end = max(first_at, since), min(last_at, until)
    if (begin, end) != (first_at, last_at):
        samples = max(0, min(samples, (end - begin) // MINUTE + 1))
    return begin, max(begin, end), samples, equity, unrealized_pnl, in_position
