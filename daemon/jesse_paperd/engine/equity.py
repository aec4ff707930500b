"""Equity at each 1m close, run-length coded: a sample is what Jesse's daily balance would be at that minute.

The formulas repeat Jesse's operations in Jesse's order, on one price or on an array of them, so that the last digit
is the same: `save_daily_portfolio_balance`, `Position.pnl`, `Strategy.portfolio_value`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from itertools import chain, repeat
from operator import add
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jesse_paper.errors import PaperError
from jesse_paper.rfc3339 import to_text
from jesse_paperd.engine.jesse.core import is_working, store
from jesse_paperd.records.journal import EquityRun

Prices = Any
"""A price, or an array of them; what comes out has the same shape."""


class Holding(NamedTuple):
    """A position: its signed quantity, and what it was entered at."""

    qty: float
    entry_price: float | None

    def at(self, price: Prices) -> tuple[Prices, Prices]:
        """Value and unrealised profit at a price."""
        value = abs(price * self.qty)
        if self.entry_price is None or self.qty == 0:
            return value, 0 * price
        difference = value - abs(self.entry_price * self.qty)
        return value, -difference if self.qty < 0 else difference


class Account(NamedTuple):
    """What the worth of the account at any prices depends on. `holdings` are in the order in which Jesse adds them."""

    holdings: tuple[Holding, ...]
    wallet: float
    in_flight: float  # value of the entry orders that work on a spot market, which the wallet lacks
    is_spot: bool

    @property
    def in_position(self) -> bool:
        return any(holding.qty != 0 for holding in self.holdings)

    def at(self, prices: Sequence[Prices]) -> tuple[Prices, Prices]:
        """Equity and unrealised profit at the price of each holding.

        Equity is the wallet plus the unrealised profits; on spot, the quote balance plus entry orders in flight plus
        holdings.
        """
        values, profits = zip(*(h.at(price) for h, price in zip(self.holdings, prices, strict=True)), strict=True)
        profit = reduce(add, profits)
        if not self.is_spot:
            return reduce(add, profits, self.wallet), profit
        return self.in_flight + reduce(add, values) + self.wallet, profit


def account_of(positions: Sequence[Any], currency: str) -> Account:
    """The account, now, by the positions of all routes. `currency` is the key of the wallet that Jesse samples."""
    exchange = positions[0].exchange
    in_flight = 0.0
    if is_spot := exchange.type == "spot":
        # Jesse's own sample has those of one route alone, so that others' orders would look like losses.
        for order in chain.from_iterable(position.strategy.entry_orders for position in positions):
            if is_working(order):
                in_flight += float(order.value)
    return Account(
        holdings=tuple(
            Holding(float(p.qty), None if p.entry_price is None else float(p.entry_price)) for p in positions
        ),
        wallet=float(exchange.assets[currency]),
        in_flight=in_flight,
        is_spot=is_spot,
    )


class EquityRuns:
    """Samples coded as runs of equal ones; the run that is still growing is handed out again, with the same start."""

    def __init__(self) -> None:
        self._done: list[EquityRun] = []
        self._first = self._last = self._before_last = 0
        self._samples = 0
        self._values: tuple[float, float, bool] = (0.0, 0.0, False)
        self._changed = False

    def add(self, at: int, equity: float, unrealized: float, in_position: bool) -> None:
        """Add one sample.

        Raises:
            PaperError: `strategy_failed` when the account's worth is not a finite number.
        """
        if not math.isfinite(equity):
            raise _not_finite(at, equity)
        values = (equity, unrealized, in_position)
        if self._samples and values == self._values:
            self._samples += 1
        else:
            self._finish_run()
            self._first, self._samples, self._values = at, 1, values
        self._before_last, self._last, self._changed = self._last, at, True

    def extend(
        self, times: NDArray[np.int64], equity: NDArray[np.float64], unrealized: NDArray[np.float64], in_position: bool
    ) -> None:
        """Add samples of a stretch, all of them in a position or none.

        Raises:
            PaperError: `strategy_failed` when the account's worth is not a finite number.
        """
        if not (finite := np.isfinite(equity)).all():
            first_bad = int(finite.argmin())
            raise _not_finite(int(times[first_bad]), float(equity[first_bad]))
        starts = np.flatnonzero((equity[1:] != equity[:-1]) | (unrealized[1:] != unrealized[:-1])) + 1
        starts = np.concatenate(([0], starts))
        value, profit, first = equity[starts].tolist(), unrealized[starts].tolist(), times[starts].tolist()
        last, samples = first, [1] * len(first)
        if len(first) < len(times):
            ends = np.concatenate((starts[1:], [len(times)]))
            last, samples = times[ends - 1].tolist(), (ends - starts).tolist()
        self.add(first[0], value[0], profit[0], in_position)
        self._samples += samples[0] - 1
        self._last = last[0]
        if len(first) > 1:
            self._finish_run()
            self._done.extend(
                map(EquityRun, first[1:-1], last[1:-1], samples[1:-1], value[1:-1], profit[1:-1], repeat(in_position))
            )
            self._first, self._last, self._samples = first[-1], last[-1], samples[-1]
            self._values = (value[-1], profit[-1], in_position)
        if len(times) > 1:
            self._before_last = int(times[-2])

    def revise_last(self, equity: float, unrealized: float, in_position: bool) -> None:
        """Replace the last sample: a session that ends closes its position at the last price, at the same moment."""
        at = self._last
        self._samples -= 1
        if self._samples:
            self._last = self._before_last
        self.add(at, equity, unrealized, in_position)

    def take(self) -> list[EquityRun]:
        """The runs that were added or grew since the last call."""
        runs, self._done = self._done, []
        if self._changed:
            runs.append(self._run())
            self._changed = False
        return runs

    def _run(self) -> EquityRun:
        return EquityRun(self._first, self._last, self._samples, *self._values)

    def _finish_run(self) -> None:
        if self._samples:
            self._done.append(self._run())


def _not_finite(at: int, equity: float) -> PaperError:
    return PaperError(
        "strategy_failed",
        f"the account's worth is {equity} at {to_text(at)}, which is not a number that an account can have",
        "its orders are larger than a floating-point number holds: look at how it computes their size",
    )


def daily_balances(after: int) -> list[tuple[int, float]]:
    """Jesse's balance samples from index `after` on, as (time, balance)."""
    state = store.app
    return [
        (int(at), float(balance))
        for at, balance in zip(state.daily_balance_timestamps[after:], state.daily_balance[after:], strict=True)
    ]
