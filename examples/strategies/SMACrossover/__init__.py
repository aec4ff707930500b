"""Follows the trend while a fast moving average is on the right side of a slow one.

Entry at market on the crossing; the stop is a multiple of the average true range away, and so decides the size: a
stopped trade costs `risk` of the balance. The stop follows the price, half of the position is taken off at
`reward` times the risk, and the opposite crossing closes the rest. Shorts only where the market has them.
"""

import jesse.indicators as ta
from jesse import utils
from jesse.strategies import Strategy, cached


class SMACrossover(Strategy):
    def hyperparameters(self):
        return [
            {"name": "fast", "type": int, "min": 3, "max": 50, "default": 8},
            {"name": "slow", "type": int, "min": 10, "max": 200, "default": 21},
            {"name": "risk", "type": float, "min": 0.001, "max": 0.05, "default": 0.01},
            {"name": "stop_atr", "type": float, "min": 0.5, "max": 6, "default": 2.5},
            {"name": "reward", "type": float, "min": 0.5, "max": 10, "default": 2},
        ]

    @property
    @cached
    def fast(self):
        return ta.sma(self.candles, self.hp["fast"], sequential=True)

    @property
    @cached
    def slow(self):
        return ta.sma(self.candles, self.hp["slow"], sequential=True)

    @property
    def stop_distance(self):
        return ta.atr(self.candles, 14) * self.hp["stop_atr"]

    def should_long(self):
        return self.fast[-2] <= self.slow[-2] and self.fast[-1] > self.slow[-1]

    def should_short(self):
        return self.is_futures_trading and self.fast[-2] >= self.slow[-2] and self.fast[-1] < self.slow[-1]

    def go_long(self):
        self.buy = self.size(self.price - self.stop_distance), self.price

    def go_short(self):
        self.sell = self.size(self.price + self.stop_distance), self.price

    def size(self, stop):
        risked = utils.risk_to_qty(
            self.available_margin, self.hp["risk"] * 100, self.price, stop, fee_rate=self.fee_rate
        )
        affordable = utils.size_to_qty(self.available_margin * 0.95, self.price, fee_rate=self.fee_rate)
        return min(risked, affordable)

    def on_open_position(self, order):
        distance = self.stop_distance
        direction = 1 if self.is_long else -1
        entry = self.position.entry_price
        self.vars["stop_distance"] = distance
        self.stop_loss = self.position.qty, entry - direction * distance
        self.take_profit = self.position.qty / 2, entry + direction * distance * self.hp["reward"]

    def on_reduced_position(self, order):
        # The target was met: what remains cannot lose any more.
        self.stop_loss = self.position.qty, self.position.entry_price

    def update_position(self):
        crossed_back = self.fast[-1] < self.slow[-1] if self.is_long else self.fast[-1] > self.slow[-1]
        if crossed_back:
            # As the take-profit, it replaces the half that rests on the book: on a spot market, the two together
            # would sell more than there is.
            self.take_profit = self.position.qty, self.price
            return
        stop = self.average_stop_loss
        if self.is_long:
            stop = max(stop, self.price - self.vars["stop_distance"])
        else:
            stop = min(stop, self.price + self.vars["stop_distance"])
        self.stop_loss = self.position.qty, stop

    def watch_list(self):
        return [("fast", self.fast[-1]), ("slow", self.slow[-1])]
