"""Jesse's orders, closed trades, position and log lines, as rows of the journal.

Ids are this module's own, in the order of submission and of closing: Jesse's are random, and a replay must give the
same ones. An order leaves the process once its last state is in a row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from jesse_paperd.core.minutes import MINUTE
from jesse_paperd.core.text import storable
from jesse_paperd.engine.jesse.core import candles, is_working, order_statuses, order_types, store
from jesse_paperd.records.journal import Facts, OrderRow, PositionRow, TradeRow

#: Cancelled orders that Jesse keeps for `self.orders` while a position is open; a trailing stop makes one a candle.
KEPT_ORDERS = 1_000


#: Of a line that a strategy logs, so many characters are kept; and of one minute of the market, so many lines.
LONGEST_LINE = 2_000
LINES_A_MINUTE = 100


class LogTap(list[Any]):
    """Replaces one of Jesse's log lists; passes each line on instead of keeping it.

    What is too much is counted and dropped, by the market's clock: so a replay drops the same.
    """

    def __init__(self, lines: list[tuple[int, str, str]], level: str) -> None:
        super().__init__()
        self._lines = lines
        self._level = level
        self._minute = self._passed = self._dropped = 0

    def append(self, line: dict[str, Any]) -> None:
        at = int(line["timestamp"])
        if at // MINUTE != self._minute:
            self.tell_of_dropped()
            self._minute, self._passed = at // MINUTE, 0
        if self._passed >= LINES_A_MINUTE:
            self._dropped += 1
            return
        self._passed += 1
        message = storable(line["message"], LONGEST_LINE)
        # Jesse logs an error as info first, then as error: one line of the higher level.
        if self._level == "error" and self._lines and self._lines[-1][2] == message:
            self._lines.pop()
        self._lines.append((at, self._level, message))

    def tell_of_dropped(self) -> None:
        """Say how many lines of the minute before were too many."""
        if self._dropped:
            told = f"{self._dropped:,} lines were dropped here: more than {LINES_A_MINUTE} of one minute"
            self._lines.append((self._minute * MINUTE, self._level, told))
            self._dropped = 0

    def pass_to(self, lines: list[tuple[int, str, str]]) -> None:
        """Hand on to another list from now on."""
        self._lines = lines


class Ledger:
    """Watches Jesse's stores and records the orders, trades and positions that result."""

    def __init__(self, exchange: str, positions: Mapping[str, Any]) -> None:
        """Begin to watch. `positions` are those of each traded symbol."""
        self._exchange = exchange
        self._positions = positions
        self._orders = 0
        self._trades = 0
        self._open: dict[str, tuple[Any, bool]] = {}
        #: Filled orders of trades that are open: of several, nobody knows which one closes next and gets which number.
        self._unnumbered: dict[str, list[Any]] = {}
        self._held = self._holdings()
        self._add_order = store.orders.add_order
        store.orders.add_order = self._submitted

    def _submitted(self, order: Any) -> None:
        self._add_order(order)
        self._orders += 1
        order.paper_id = f"o{self._orders:06d}"
        order.paper_seq = self._orders
        # Only the order that Jesse makes up for a liquidation does not go through its order service.
        order.paper_liquidation = order.created_at is None
        order.paper_created_at = int(store.app.time)
        self._open[order.paper_id] = (order, False)

    def collect(self, facts: Facts, stopping: bool = False) -> None:
        """Add to `facts` what changed since the last call, after a whole minute or the session's end."""
        trades = store.closed_trades.trades
        closed = trades[self._trades :]
        numbers = {trade.id: self._trades + n for n, trade in enumerate(closed, start=1)}
        if self._open:
            self._collect_orders(facts, numbers)
        for trade in closed:
            facts.orders += [self._order_row(order, numbers) for order in self._unnumbered.pop(trade.id, ())]
            self._trades += 1
            facts.trades.append(self._trade_row(trade, self._trades, stopping))
        held = self._holdings()
        if held != self._held:
            self._held = held
            facts.positions = self._open_positions()
        for symbol, position in self._positions.items():
            kept = store.orders.storage[f"{self._exchange}-{symbol}"]
            if len(kept) > 2 * KEPT_ORDERS and position.is_open:
                _forget_cancelled(kept)

    def _holdings(self) -> list[tuple[Any, ...]]:
        return [(p.qty, p.entry_price, p.leverage, p.opened_at) for p in self._positions.values()]

    @property
    def trades(self) -> int:
        """Closed trades so far."""
        return self._trades

    def _collect_orders(self, facts: Facts, numbers: dict[str, int]) -> None:
        for paper_id, (order, known) in list(self._open.items()):
            final = not is_working(order)
            # While an order works nothing of it changes: Jesse replaces orders, and gives them their role at once.
            if final or not known:
                row = self._order_row(order, numbers)
                facts.orders.append(row)
                if row.status == order_statuses.EXECUTED and row.trade_id is None:
                    self._unnumbered.setdefault(order.trade_id, []).append(order)
                self._open[paper_id] = (order, True)
            if final:
                del self._open[paper_id]

    def _order_row(self, order: Any, numbers: dict[str, int]) -> OrderRow:
        trade = None
        if order.is_executed:
            number = numbers.get(order.trade_id)
            if number is None and len(self._positions) == 1:
                number = self._trades + len(numbers) + 1  # the only open trade is the next to close
            trade = trade_id(number) if number is not None else None
        return OrderRow(
            order_id=order.paper_id,
            seq=order.paper_seq,
            trade_id=trade,
            symbol=order.symbol,
            side=order.side,
            type=order.type,
            role=order.submitted_via or "",
            reduce_only=bool(order.reduce_only),
            qty=float(order.qty),
            filled_qty=float(order.filled_qty or 0.0) if order.is_executed else 0.0,
            price=_number(order.price),
            fee=_number(order.fee),
            status=order.status,
            created_at=order.paper_created_at,
            executed_at=_time(order.executed_at),
            canceled_at=_time(order.canceled_at),
        )

    def _trade_row(self, trade: Any, number: int, stopping: bool) -> TradeRow:
        entry, exit_ = _number(trade.entry_price) or 0.0, _number(trade.exit_price) or 0.0
        lowest, highest = self._range(trade)
        return TradeRow(
            n=number,
            trade_id=trade_id(number),
            symbol=trade.symbol,
            side=trade.type,
            entry_price=entry,
            exit_price=exit_,
            qty=float(trade.qty),
            fee=float(trade.fee),
            pnl=_number(trade.pnl) or 0.0,
            pnl_pct=(_number(trade.pnl_percentage) or 0.0) / 100 if entry else 0.0,
            leverage=float(trade.leverage),
            entry_at=int(trade.opened_at),
            exit_at=int(trade.closed_at),
            exit_reason=_exit_reason(trade.orders[-1], stopping),
            lowest=lowest,
            highest=highest,
            order_ids=msgspec.json.encode([order.paper_id for order in trade.orders]).decode(),
        )

    def _range(self, trade: Any) -> tuple[float, float]:
        """Lowest and highest price while the trade was open: its fills and the whole minutes between them.

        Of the minutes in which it opened and closed only the fills count, since the order of prices within a minute
        is not known; a market order fills at the close, so the minute before an exit by one counts as a whole.
        """
        rows = candles(self._exchange, trade.symbol, "1m")[:]
        closing = trade.orders[-1]
        at_close = closing.type == order_types.MARKET and not closing.paper_liquidation
        first = int(np.searchsorted(rows[:, 0], trade.opened_at))
        last = int(np.searchsorted(rows[:, 0], trade.closed_at - (0 if at_close else MINUTE)))
        prices = [float(order.price) for order in trade.orders]
        if last <= first:
            return min(prices), max(prices)
        return (
            min(float(rows[first:last, 4].min()), *prices),
            max(float(rows[first:last, 3].max()), *prices),
        )

    def _open_positions(self) -> list[PositionRow]:
        return [
            PositionRow(
                symbol=symbol,
                side=position.type,
                qty=float(position.qty),
                entry_price=float(position.entry_price),
                leverage=float(position.leverage),
                liquidation_price=_number(position.liquidation_price),
                opened_at=int(position.opened_at),
            )
            for symbol, position in self._positions.items()
            if position.is_open
        ]


def trade_id(number: int) -> str:
    """A trade's id by its number in the order of closing: t001."""
    return f"t{number:03d}"


def _exit_reason(order: Any, stopping: bool) -> str:
    if order.paper_liquidation:
        return "liquidation"
    # A market order is a decision, even where Jesse files it under stop_loss, as for `self.liquidate()`.
    if order.type == order_types.MARKET:
        return "session_stop" if stopping else "strategy"
    if order.is_stop_loss:
        return "stop_loss"
    if order.is_take_profit:
        return "take_profit"
    return "strategy"


def _forget_cancelled(orders: list[Any]) -> None:
    """Drop all but the latest cancelled orders. The list object stays the same, since others hold it."""
    cancelled = [order for order in orders if order.status == order_statuses.CANCELED]
    forgotten = set(map(id, cancelled[:-KEPT_ORDERS]))
    orders[:] = [order for order in orders if id(order) not in forgotten]


def _number(value: Any) -> float | None:
    """A plain float, or None for what has no value (Jesse uses None and NaN)."""
    return None if value is None or not math.isfinite(value) else float(value)


def _time(value: Any) -> int | None:
    return None if value is None else int(value)
