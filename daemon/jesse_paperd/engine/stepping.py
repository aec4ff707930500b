"""Which minutes anything can happen in, and stepping them in Jesse's order.

Nothing can happen in a minute that completes no candle of the traded timeframe and whose prices reach no order: such
quiet minutes are put into the store together. The others are stepped one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jesse_paperd.core.minutes import DAY, MINUTE, Rows
from jesse_paperd.engine.bars import Market
from jesse_paperd.engine.bookkeeping import Ledger
from jesse_paperd.engine.equity import EquityRuns, account_of
from jesse_paperd.engine.intake import CLOSE, checksum, count_gaps
from jesse_paperd.engine.jesse import core as jesse
from jesse_paperd.engine.settings import EngineSettings
from jesse_paperd.records.journal import Facts, Progress


class Stepper:
    """Takes rows from the session's start on, and tells ledger, equity and progress what became of them.

    Args:
        after_minute: called after each minute in which something may have happened.
    """

    def __init__(
        self,
        settings: EngineSettings,
        strategy: Any,
        started_at: int,
        reads: jesse.BucketReads,
        ledger: Ledger,
        equity: EquityRuns,
        progress: Progress,
        after_minute: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._strategy = strategy
        self._position = strategy.position
        self._started_at = started_at
        self._ledger = ledger
        self._equity = equity
        self._progress = progress
        self._after_minute = after_minute
        self._timeframe_ms = jesse.minutes_of(settings.timeframe) * MINUTE
        self._markets = [Market(settings.exchange, symbol, reads) for symbol in sorted(settings.symbols)]
        self._traded = next(market for market in self._markets if market.symbol == settings.symbol)
        # Jesse's schedule: the first sample after 1,440 candles and one more minute, then each day.
        self._next_balance = started_at + DAY + MINUTE
        self._currency = jesse.currency()
        self._account = account_of(strategy, self._currency)
        self._valued = 0
        self._filled_at_close = False
        self._facts = Facts()

    def step(self, rows: dict[str, Rows], facts: Facts) -> None:
        """Step whole minutes. Whatever the strategy raises, the minutes before are counted and valued."""
        self._facts = facts
        for market in self._markets:
            market.load(rows[market.symbol], self._started_at)
        traded = self._traded
        self._valued = traded.begins
        if self._progress.first_candle is None and len(traded.times) > traded.begins:
            first = int(traded.times[traded.begins])
            self._progress.first_candle = self._progress.started_at = first
            self._equity.add(first, float(self._settings.starting_balance), 0.0, False)
        decisions = traded.times[traded.decides(self._timeframe_ms)].tolist()
        lowest, highest = traded.reach()
        try:
            decided = 0
            while True:
                decision = decisions[decided] if decided < len(decisions) else None
                time, touched = self._next_eventful(decision, lowest, highest)
                self._pass_quietly(time)
                if time is None:
                    break
                decided += time == decision
                self._pass(time, touched, decides=time == decision)
        finally:
            self._value(traded.passed)
            done = {market.symbol: market.rows[market.begins : market.passed] for market in self._markets}
            self._progress.checksum = checksum(done, self._progress.checksum)
            self._note_progress()

    def _next_eventful(self, decision: int | None, lowest: Any, highest: Any) -> tuple[int | None, bool]:
        """Opening time of the next minute in which something can happen, and whether its prices reach an order.

        That is the next decision, or earlier a minute that reaches an order or at which the balance is due; None when
        there is none in this stretch.
        """
        traded, time = self._traded, decision
        due = self._next_balance - MINUTE
        if time is None or due < time:
            rows = ((market, max(market.row_at(due), market.next)) for market in self._markets)
            times = [int(market.times[row]) for market, row in rows if row < len(market.times)]
            time = min([*times, *([] if time is None else [time])], default=None)
        levels = self._levels()
        if levels is not None:
            end = len(traded.times) if time is None else traded.row_at(time + MINUTE)
            if traded.next < end:
                price = float(traded.rows[max(traded.next - 1, 0), CLOSE])
                row = first_touched(lowest, highest, traded.next, end, price, levels)
                if row < end:
                    return int(traded.times[row]), True
        return time, False

    def _levels(self) -> list[float] | None:
        """The prices at which an order fills or the position is liquidated; None when there is none."""
        working = jesse.store.orders.get_active_orders(self._settings.exchange, self._settings.symbol)
        levels = [float(order.price) for order in working if jesse.is_working(order)]
        if self._position.mode == "isolated" and self._position.is_open:
            levels.append(float(self._position.liquidation_price))
        return levels or None

    def _pass_quietly(self, time: int | None) -> None:
        """Skip the minutes before `time` (all that are left for None), in which nothing happens."""
        latest = -1
        for market in self._markets:
            end = len(market.times) if time is None else market.row_at(time)
            if end <= market.next:
                continue
            latest = max(latest, int(market.times[end - 1]))
            market.show(end)
            market.release()
            market.passed = end
            if market is self._traded:
                self._position.current_price = market.rows[end - 1, CLOSE]
                if self._filled_at_close:
                    jesse.update_active_orders(market.exchange, market.symbol)
                    self._filled_at_close = False
        if latest >= 0:
            jesse.store.app.time = float(latest + MINUTE)

    def _pass(self, time: int, touched: bool, decides: bool) -> None:
        """Take one minute in which something may happen, in the order of Jesse's timestamp replay."""
        traded = self._traded
        jesse.store.app.time = float(time + MINUTE)
        present = [m for m in self._markets if m.next < len(m.times) and m.times[m.next] == time]
        # All markets' candles are visible before any of them has effects.
        for market in present:
            market.show(market.next + 1)
        for market in present:
            if market is traded:
                row = market.next - 1
                if touched:
                    before = market.rows[row - 1, CLOSE] if row else None
                    jesse.fill_orders(market.rows[row], market.exchange, market.symbol, before)
                else:
                    self._position.current_price = market.rows[row, CLOSE]
            market.release()
        if decides:
            self._strategy._execute()
        if traded in present:
            jesse.update_active_orders(traded.exchange, traded.symbol)
        # Whether Jesse's list of active orders is stale until it is brought up to date in the next minute.
        self._filled_at_close = bool(jesse.store.orders.to_execute)
        jesse.execute_market_orders()
        if time + MINUTE >= self._next_balance:
            jesse.save_balance()
            while self._next_balance <= time + MINUTE:
                self._next_balance += DAY
        for market in present:
            market.passed = market.next
        self._ledger.collect(self._facts)
        if (account := account_of(self._strategy, self._currency)) != self._account:
            self._value(traded.next - (traded in present))
            self._account = account
        self._after_minute()

    def _value(self, end: int) -> None:
        """Sample the equity at the closes up to row `end`: the account has been the same since the last call."""
        begin, traded = self._valued, self._traded
        if end > begin:
            times = traded.times[begin:end] + MINUTE
            self._equity.extend(times, *self._account.at(traded.rows[begin:end, CLOSE]), self._account.in_position)
            self._valued = end

    def _note_progress(self) -> None:
        """Bring progress up to the minutes that were stepped as a whole."""
        traded = self._traded
        if traded.passed <= traded.begins:
            return
        seen = traded.times[: traded.passed]
        if self._progress.candles == 0:
            seen = seen[traded.begins :]
        count_gaps(self._settings.symbol, seen, self._timeframe_ms, self._facts, self._progress)
        self._progress.candles += traded.passed - traded.begins
        self._progress.last_candle = int(
            max(market.times[market.passed - 1] for market in self._markets if market.passed)
        )
        self._progress.last_close = float(traded.rows[traded.passed - 1, CLOSE])


def first_touched(
    lowest: NDArray[np.float64], highest: NDArray[np.float64], begin: int, end: int, price: float, levels: list[float]
) -> int:
    """The first row in [begin, end) whose prices reach one of the levels, or `end`.

    Args:
        price: the last price before `begin`: a level above it is reached from below, one below from above.
        levels: prices of working orders, and of the liquidation.
    """
    above = min((level for level in levels if level >= price), default=np.inf)
    below = max((level for level in levels if level <= price), default=-np.inf)
    touched = (highest[begin:end] >= above) | (lowest[begin:end] <= below)
    first = int(touched.argmax())
    return begin + first if touched[first] else end
