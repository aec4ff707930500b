"""One traded symbol in the stretch that is being stepped: when its strategy decides, which prices reach its orders."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jesse_paperd.engine.bars import Market
from jesse_paperd.engine.intake import CLOSE
from jesse_paperd.engine.jesse import core as jesse

_NONE = np.empty(0)


class Route:
    """A strategy with the market that it trades.

    Args:
        timeframe_ms: length of the candles at whose close it decides.
    """

    def __init__(self, strategy: Any, market: Market, timeframe_ms: int) -> None:
        self.strategy = strategy
        self.position = strategy.position
        self.market = market
        self.timeframe_ms = timeframe_ms
        #: Whether Jesse's list of its active orders is stale until the market's next minute.
        self.is_stale = False
        #: Whether a minute of it was stepped before.
        self.has_begun = False
        self._decisions: list[int] = []
        self._decided = 0
        self._lowest: NDArray[np.float64] = _NONE
        self._highest: NDArray[np.float64] = _NONE
        self._looked: tuple[list[float], int, int | None] = ([], 0, None)

    def begin_stretch(self) -> None:
        """Look at the rows that its market has loaded."""
        self._decisions = self.market.times[self.market.decides(self.timeframe_ms)].tolist()
        self._decided = 0
        self._lowest, self._highest = self.market.reach()
        self._looked = ([], 0, None)

    @property
    def next_decision(self) -> int | None:
        """Opening time of the next minute at whose close it decides; None when there is none in this stretch."""
        return self._decisions[self._decided] if self._decided < len(self._decisions) else None

    def decides(self, time: int) -> bool:
        """Whether it decides at the close of this minute; asked once of each."""
        if self.next_decision != time:
            return False
        self._decided += 1
        return True

    def levels(self) -> list[float] | None:
        """The prices at which an order fills or the position is liquidated; None when there is none."""
        working = jesse.store.orders.get_active_orders(self.market.exchange, self.market.symbol)
        levels = [float(order.price) for order in working if jesse.is_working(order)]
        if self.position.mode == "isolated" and self.position.is_open:
            levels.append(float(self.position.liquidation_price))
        return levels or None

    def next_touch(self, end: int) -> int | None:
        """The first of the coming rows before `end` whose prices reach an order or the liquidation."""
        levels = self.levels()
        begin = self.market.next
        if levels is None or begin >= end:
            return None
        known, looked_to, found = self._looked
        if levels == known:
            if found is not None and found >= begin:
                return found if found < end else None
            begin = max(begin, looked_to)
            if begin >= end:
                return None
        # Prices that reached no level on the way left each level on the side on which it was.
        price = float(self.market.rows[max(begin - 1, 0), CLOSE])
        row = first_touched(self._lowest, self._highest, begin, end, price, levels)
        self._looked = (levels, min(row + 1, end), row if row < end else None)
        return row if row < end else None


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
