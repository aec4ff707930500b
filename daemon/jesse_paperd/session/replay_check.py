"""Comparing a replay with what the journal says: history is never rewritten, a divergence is reported.

A replay need not commit where the first run did, so rows are compared once they are final: trades as they come,
orders when they are filled or cancelled, runs of equity when the next begins, and the rest at the cursor.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from jesse_paperd.records.journal import EquityRun, Facts, JournalReader, OrderRow, Progress
from jesse_paperd.records.verification import Divergence

_PAGE = 4096


class ReplayCheck:
    """Takes the facts of a replay up to the journal's cursor, in their order."""

    def __init__(self, reader: JournalReader) -> None:
        self._reader = reader
        self._trades = 0
        self._found: set[str] = set()
        self._working: dict[str, OrderRow] = {}
        #: Filled orders of open trades, whose number is known once they close.
        self._unnumbered: dict[str, OrderRow] = {}
        self._growing: EquityRun | None = None
        self._runs = _runs_of(reader)
        self._balances: Iterator[tuple[int, float]] = iter(reader.daily_balance())

    def compare(self, facts: Facts) -> list[Divergence]:
        """Compare what is final in these facts; return the first divergence of each kind not yet reported."""
        found = [self._compare_orders(facts), self._compare_trades(facts), self._compare_equity(facts)]
        found.append(self._compare_balances(facts))
        return self._report(found)

    def finish(self, progress: Progress) -> list[Divergence]:
        """At the journal's cursor: compare what was still growing, and the counts."""
        found: list[Divergence | None] = []
        working = list(self._working.values())
        journaled = {row.order_id: row for row in self._reader.working_orders()}
        for order in working:
            found.append(_difference("orders", order.order_id, journaled.pop(order.order_id, None), order))
        found += [_difference("orders", order_id, row, None) for order_id, row in journaled.items()]
        found += [_difference("orders", id, self._reader.order(id), row) for id, row in self._unnumbered.items()]
        if self._growing is not None:
            found.append(self._next_run(self._growing))
            self._growing = None
        if (run := next(self._runs, None)) is not None:
            found.append(Divergence("equity", f"first_at {run[0]}", run, None))
        if self._trades != (count := self._reader.trade_count()):
            found.append(Divergence("trades", "count", count, self._trades))
        stored = self._reader.progress()
        if stored is not None:
            for name in ("first_candle", "last_candle", "last_close", "candles", "checksum", "gaps", "leverage"):
                before, after = getattr(stored, name), getattr(progress, name)
                if before != after:
                    found.append(Divergence("progress", name, before, after))
        return self._report(found)

    def _report(self, found: list[Divergence | None]) -> list[Divergence]:
        new = []
        for divergence in found:
            if divergence is not None and divergence.what not in self._found:
                self._found.add(divergence.what)
                new.append(divergence)
        return new

    def _compare_orders(self, facts: Facts) -> Divergence | None:
        first = None
        for order in facts.orders:
            if order.status == "ACTIVE":
                self._working[order.order_id] = order
                continue
            self._working.pop(order.order_id, None)
            if order.status == "EXECUTED" and order.trade_id is None:
                self._unnumbered[order.order_id] = order
                continue
            self._unnumbered.pop(order.order_id, None)
            journaled = self._reader.order(order.order_id)
            first = first or _difference("orders", order.order_id, journaled, order)
        return first

    def _compare_trades(self, facts: Facts) -> Divergence | None:
        if not facts.trades:
            return None
        journaled = {row.n: row for row in self._reader.trades(self._trades, len(facts.trades))}
        self._trades += len(facts.trades)
        found = (_difference("trades", trade.trade_id, journaled.get(trade.n), trade) for trade in facts.trades)
        return next(filter(None, found), None)

    def _compare_equity(self, facts: Facts) -> Divergence | None:
        if not facts.equity:
            return None
        first = None
        if self._growing is not None and facts.equity[0].first_at != self._growing.first_at:
            first = self._next_run(self._growing)
        for run in facts.equity[:-1]:
            first = first or self._next_run(run)
        self._growing = facts.equity[-1]
        return first

    def _next_run(self, run: EquityRun) -> Divergence | None:
        row = next(self._runs, None)
        journaled = None if row is None else msgspec.convert(row, EquityRun, strict=False)
        return _difference("equity", f"first_at {run.first_at}", journaled, run)

    def _compare_balances(self, facts: Facts) -> Divergence | None:
        first = None
        for balance in facts.daily_balance:
            journaled = next(self._balances, None)
            if journaled != balance:
                first = first or Divergence("daily_balance", f"at {balance[0]}", journaled, balance)
        return first


def _runs_of(reader: JournalReader) -> Iterator[tuple[Any, ...]]:
    """The journal's runs, a page at a time: a session of months has hundreds of thousands."""
    since = 0
    while page := reader.equity(since, limit=_PAGE):
        yield from page
        since = page[-1][0] + 1


def _difference(
    what: str, where: str, journaled: msgspec.Struct | None, replayed: msgspec.Struct | None
) -> Divergence | None:
    """The first field in which two rows differ."""
    if journaled == replayed:
        return None
    if journaled is None or replayed is None:
        return Divergence(what, where, msgspec.to_builtins(journaled), msgspec.to_builtins(replayed))
    for name in replayed.__struct_fields__:
        before, after = getattr(journaled, name), getattr(replayed, name)
        if before != after:
            return Divergence(what, f"{where}, {name}", before, after)
    return None
