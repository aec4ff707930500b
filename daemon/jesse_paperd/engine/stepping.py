"""Which minutes anything can happen in, and stepping them in Jesse's order.

Nothing can happen in a minute that completes no candle of a traded timeframe and whose prices reach no order: such
quiet minutes are put into the store together. The others are stepped one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jesse_paperd.core.minutes import DAY, MINUTE, Rows
from jesse_paperd.engine.bars import Market
from jesse_paperd.engine.bookkeeping import Ledger
from jesse_paperd.engine.equity import EquityRuns, account_of
from jesse_paperd.engine.intake import CLOSE, checksum, count_gaps
from jesse_paperd.engine.jesse import core as jesse
from jesse_paperd.engine.routes import Route
from jesse_paperd.engine.settings import EngineSettings
from jesse_paperd.records.journal import Facts, Progress

_END_OF_TIME = 2**62


class Stepper:
    """Takes rows from the session's start on, and tells ledger, equity and progress what became of them.

    Args:
        strategies: that of each route.
        after_minute: called after each minute in which something may have happened.
    """

    def __init__(
        self,
        settings: EngineSettings,
        strategies: Sequence[Any],
        started_at: int,
        reads: jesse.BucketReads,
        ledger: Ledger,
        equity: EquityRuns,
        progress: Progress,
        after_minute: Callable[[], None],
    ) -> None:
        self._starting_balance = float(settings.starting_balance)
        self._started_at = started_at
        self._ledger = ledger
        self._equity = equity
        self._progress = progress
        self._after_minute = after_minute
        # Jesse takes markets, and routes, in the order of their symbols.
        self._markets = [Market(settings.exchange, symbol, reads) for symbol in sorted(settings.symbols)]
        markets = {market.symbol: market for market in self._markets}
        self._routes = [
            Route(strategy, markets[strategy.symbol], jesse.minutes_of(strategy.timeframe) * MINUTE)
            for strategy in sorted(strategies, key=lambda strategy: strategy.symbol)
        ]
        self._route_of = {route.market.symbol: route for route in self._routes}
        self._first = markets[settings.routes[0].symbol]
        # Jesse's schedule: the first sample after 1,440 candles and one more minute, then each day.
        self._next_balance = started_at + DAY + MINUTE
        self._currency = jesse.currency()
        self._positions = jesse.positions()
        self._account = account_of(self._positions, self._currency)
        #: The minutes in which a traded market has a candle, and the last price of each position at their closes.
        self._minutes: NDArray[np.int64] = np.empty(0, np.int64)
        self._prices: list[NDArray[np.float64]] = []
        self._valued = 0
        #: All minutes before this one were stepped as a whole.
        self._passed = 0
        self._facts = Facts()

    def step(self, rows: dict[str, Rows], facts: Facts) -> None:
        """Step whole minutes. Whatever a strategy raises, the minutes before are counted and valued."""
        self._facts = facts
        for market in self._markets:
            market.load(rows[market.symbol], self._started_at)
        for route in self._routes:
            route.begin_stretch()
        self._begin_valuing()
        if self._progress.first_candle is None and len(self._minutes):
            first = int(self._minutes[0])
            self._progress.first_candle = self._progress.started_at = first
            self._equity.add(first, self._starting_balance, 0.0, False)
        try:
            while True:
                time, touched = self._next_eventful()
                self._pass_quietly(time)
                if time is None:
                    break
                self._pass(time, touched)
        finally:
            passed = int(self._minutes.searchsorted(self._passed))
            self._value(passed)
            done = {market.symbol: market.rows[market.begins : market.passed] for market in self._markets}
            self._progress.checksum = checksum(done, self._progress.checksum)
            self._note_progress(passed)

    def _begin_valuing(self) -> None:
        traded = [route.market for route in self._routes]
        times = [market.times[market.begins :] for market in traded]
        self._minutes = times[0] if len(times) == 1 else np.unique(np.concatenate(times))
        self._valued = self._passed = 0
        self._prices = []
        for position in self._positions:
            market = self._route_of[position.symbol].market
            if len(traded) == 1:
                self._prices.append(market.rows[market.begins :, CLOSE])
            elif not len(market.times):
                self._prices.append(np.zeros(len(self._minutes)))
            else:
                latest = market.times.searchsorted(self._minutes, side="right") - 1
                self._prices.append(market.rows[np.maximum(latest, 0), CLOSE])

    def _next_eventful(self) -> tuple[int | None, list[Route]]:
        """Opening time of the next minute in which something can happen, and the routes of which it reaches an order.

        That is the next decision, or earlier a minute that reaches an order or at which the balance is due; None when
        there is none in this stretch.
        """
        decisions = [decision for route in self._routes if (decision := route.next_decision) is not None]
        time = min(decisions, default=None)
        due = self._next_balance - MINUTE
        if time is None or due < time:
            rows = ((market, max(market.row_at(due), market.next)) for market in self._markets)
            times = [int(market.times[row]) for market, row in rows if row < len(market.times)]
            time = min([*times, *([] if time is None else [time])], default=None)
        touched: list[Route] = []
        for route in self._routes:
            market = route.market
            row = route.next_touch(len(market.times) if time is None else market.row_at(time + MINUTE))
            if row is None:
                continue
            at = int(market.times[row])
            if time is None or at < time:
                time, touched = at, []
            if at == time:
                touched.append(route)
        return time, touched

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
            route = self._route_of.get(market.symbol)
            if route is not None:
                route.position.current_price = market.rows[end - 1, CLOSE]
                if route.is_stale:
                    jesse.update_active_orders(market.exchange, market.symbol)
                    route.is_stale = False
        if latest >= 0:
            jesse.store.app.time = float(latest + MINUTE)
        self._passed = _END_OF_TIME if time is None else time

    def _pass(self, time: int, touched: list[Route]) -> None:
        """Take one minute in which something may happen, in the order of Jesse's timestamp replay."""
        jesse.store.app.time = float(time + MINUTE)
        present = [m for m in self._markets if m.next < len(m.times) and m.times[m.next] == time]
        # All markets' candles are visible before any of them has effects.
        for market in present:
            market.show(market.next + 1)
        for market in present:
            route = self._route_of.get(market.symbol)
            if route is not None:
                row = market.next - 1
                # What fills for one route may change the orders of another, whose turn comes.
                if route in touched or (touched and route.levels() is not None):
                    before = market.rows[row - 1, CLOSE] if row else None
                    jesse.fill_orders(market.rows[row], market.exchange, market.symbol, before)
                else:
                    route.position.current_price = market.rows[row, CLOSE]
            market.release()
        for route in self._routes:
            if route.decides(time):
                route.strategy._execute()
        for market in present:
            if market.symbol in self._route_of:
                jesse.update_active_orders(market.exchange, market.symbol)
        stale = bool(jesse.store.orders.to_execute)
        for route in self._routes:
            route.is_stale = stale or (route.is_stale and route.market not in present)
        jesse.execute_market_orders()
        if time + MINUTE >= self._next_balance:
            jesse.save_balance()
            while self._next_balance <= time + MINUTE:
                self._next_balance += DAY
        for market in present:
            market.passed = market.next
        self._passed = time + MINUTE
        self._ledger.collect(self._facts)
        if (account := account_of(self._positions, self._currency)) != self._account:
            self._value(int(self._minutes.searchsorted(time)))
            self._account = account
        self._after_minute()

    def _value(self, end: int) -> None:
        """Sample the equity at the closes of the minutes before `end`: the account is as at the last call."""
        begin = self._valued
        if end > begin:
            prices = [each[begin:end] for each in self._prices]
            self._equity.extend(self._minutes[begin:end] + MINUTE, *self._account.at(prices), self._account.in_position)
            self._valued = end

    def _note_progress(self, passed: int) -> None:
        """Bring progress up to the minutes that were stepped as a whole."""
        for route in self._routes:
            market = route.market
            if market.passed <= market.begins:
                continue
            seen = market.times[0 if route.has_begun else market.begins : market.passed]
            count_gaps(market.symbol, seen, route.timeframe_ms, self._facts, self._progress)
            route.has_begun = True
            self._progress.closes[market.symbol] = float(market.rows[market.passed - 1, CLOSE])
        if not passed:
            return
        self._progress.candles += passed
        self._progress.last_candle = int(
            max(market.times[market.passed - 1] for market in self._markets if market.passed)
        )
        self._progress.last_close = self._progress.closes.get(self._first.symbol)
