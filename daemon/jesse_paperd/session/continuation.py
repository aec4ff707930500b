"""Writing on in a journal that a replay did not repeat: what is written stays, what follows comes after it.

A strategy that is not deterministic (the wall clock, the network, unseeded chance) has another past after a replay. The
session goes on from where the engine now is; its further orders and trades are numbered after those of the journal,
so that they replace none, and its equity goes on after the last sample.
"""

from __future__ import annotations

import msgspec

from jesse_paperd.core.minutes import MINUTE
from jesse_paperd.engine.bookkeeping import trade_id
from jesse_paperd.records.journal import EquityRun, Facts, JournalReader, OrderRow, PositionRow, TradeRow


class Continuation:
    """Watches a replay, and afterwards renumbers the engine's facts to follow the journal's."""

    def __init__(self) -> None:
        self._last_order = 0
        self._trades = 0
        self._working: dict[str, OrderRow] = {}
        self._of_open_trade: dict[str, OrderRow] = {}
        self._growing: EquityRun | None = None
        self._positions: list[PositionRow] = []
        self._order_shift = self._trade_shift = self._cursor = 0

    def watch(self, facts: Facts) -> None:
        """Note the facts of the replay."""
        for order in facts.orders:
            self._last_order = max(self._last_order, order.seq)
            if order.status == "ACTIVE":
                self._working[order.order_id] = order
            else:
                self._working.pop(order.order_id, None)
            if order.trade_id is not None:
                self._of_open_trade[order.order_id] = order
        if facts.trades:
            self._trades += len(facts.trades)
            self._of_open_trade = {
                name: order for name, order in self._of_open_trade.items() if _number(order.trade_id) > self._trades
            }
        self._growing = facts.equity[-1] if facts.equity else self._growing
        self._positions = self._positions if facts.positions is None else facts.positions

    def begin(self, reader: JournalReader, cursor: int) -> Facts | None:
        """The facts that bring the journal to the engine's state; None when the engine can simply go on writing.

        Args:
            cursor: the close of the last consumed candle, in milliseconds.
        """
        last = reader.last_order()
        last_order, trades = last.seq if last is not None else 0, reader.trade_count()
        working = reader.working_orders()
        runs = reader.equity(since=self._growing.first_at if self._growing is not None else 0)
        if (last_order, trades, {order.order_id for order in working}) == (
            self._last_order,
            self._trades,
            set(self._working),
        ) and len(runs) == (self._growing is not None):
            return None
        self._order_shift, self._trade_shift, self._cursor = last_order, trades - self._trades, cursor
        withdrawn = [msgspec.structs.replace(order, status="CANCELED", canceled_at=cursor) for order in working]
        theirs = [*self._of_open_trade.values(), *self._working.values()]
        return Facts(orders=[*withdrawn, *map(self._order, theirs)], positions=self._positions)

    def apply(self, facts: Facts) -> Facts:
        """The facts, renumbered to follow those of the journal."""
        facts.orders = [self._order(order) for order in facts.orders]
        facts.trades = [self._trade(trade) for trade in facts.trades]
        facts.equity = [after for run in facts.equity if (after := self._after_cursor(run)) is not None]
        return facts

    def _order(self, order: OrderRow) -> OrderRow:
        seq = order.seq + self._order_shift
        trade = order.trade_id and trade_id(_number(order.trade_id) + self._trade_shift)
        return msgspec.structs.replace(order, order_id=_order_id(seq), seq=seq, trade_id=trade)

    def _trade(self, trade: TradeRow) -> TradeRow:
        n = trade.n + self._trade_shift
        orders = [_order_id(_number(name) + self._order_shift) for name in msgspec.json.decode(trade.order_ids)]
        return msgspec.structs.replace(trade, n=n, trade_id=trade_id(n), order_ids=msgspec.json.encode(orders).decode())

    def _after_cursor(self, run: EquityRun) -> EquityRun | None:
        """The part of a run after the cursor, if any; up to the cursor the journal's own samples stand."""
        if run.first_at > self._cursor:
            return run
        known = self._growing.samples if self._growing is not None and run.first_at == self._growing.first_at else 0
        if run.last_at <= self._cursor:
            return None
        return msgspec.structs.replace(run, first_at=self._cursor + MINUTE, samples=run.samples - known)


def _order_id(seq: int) -> str:
    return f"o{seq:06d}"


def _number(name: str | None) -> int:
    """The number in an order's or a trade's id."""
    return int(name[1:]) if name else 0
