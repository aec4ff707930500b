"""Does everything that a Jesse strategy can do, as a seeded generator decides, and notes whatever it sees.

Two runs that show it the same candles, prices, orders and balances make the same decisions; `notes` tells where they
first did not.
"""

import random
import zlib

import numpy as np
from jesse.strategies import Strategy, cached


class Gambler(Strategy):
    notes = []  # (time, hook, what it saw)

    def hyperparameters(self):
        return [
            {"name": "seed", "type": int, "min": 0, "max": 10**6, "default": 1},
            {"name": "eager", "type": float, "min": 0, "max": 1, "default": 0.3},
            {"name": "frames", "type": str, "default": ""},
        ]

    def note(self, hook, with_candles=True):
        seen = zlib.crc32(np.ascontiguousarray(self.candles).tobytes()) if with_candles else 0
        for frame in filter(None, self.hp["frames"].split(",")):
            symbol, timeframe = frame.split(":")
            rows = self.get_candles(self.exchange, symbol, timeframe)
            seen = zlib.crc32(np.ascontiguousarray(rows).tobytes(), seen)
        type(self).notes.append(
            (
                float(self.time),
                hook,
                seen,
                float(self.price),
                float(self.balance),
                float(self.available_margin),
                float(self.position.qty),
                float(self.position.pnl),
                float(self.portfolio_value),
                [(o.side, o.type, float(o.qty), float(o.price), o.status) for o in self.orders[-8:]],
                len(self.orders),
                len(self.entry_orders),
                len(self.exit_orders),
                self.index,
                self.trades_count,
                self.increased_count,
                self.reduced_count,
            )
        )

    @property
    def dice(self):
        if "dice" not in self.vars:
            self.vars["dice"] = random.Random(self.hp["seed"])
        return self.vars["dice"]

    @property
    @cached
    def range(self):
        rows = self.candles[-14:]
        return max(float(np.mean(rows[:, 3] - rows[:, 4])), self.price * 0.0005)

    def before(self):
        self.note("before", with_candles=self.dice.random() < 0.5)

    def after(self):
        self.note("after", with_candles=self.dice.random() < 0.2)
        self.shared_vars["calls"] = self.shared_vars.get("calls", 0) + 1

    def update_chart(self):
        type(self).notes.append((float(self.time), "chart", self.index))
        self.add_line_to_candle_chart("price", float(self.price))

    def should_short(self):
        # Jesse asks this one first.
        self.vars["side"] = self.dice.random()
        return self.is_futures_trading and self.vars["side"] > 1 - self.hp["eager"]

    def should_long(self):
        return self.vars["side"] < self.hp["eager"]

    def entries(self, direction):
        budget = self.available_margin * self.leverage * self.dice.choice([0.02, 0.08, 0.25])
        count = self.dice.choice([1, 1, 2, 3])
        orders = []
        for _ in range(count):
            offset = self.dice.choice([0, 0, 0.3, 1, -0.3, -1]) * self.range
            price = self.price + offset
            orders.append((budget / count / max(price, self.price), price))
        if self.is_futures_trading and self.dice.random() < 0.4:
            qty = sum(order[0] for order in orders)
            self.stop_loss = qty, self.price - direction * self.range * self.dice.choice([0.2, 1, 3])
            self.take_profit = qty, self.price + direction * self.range * self.dice.choice([0.2, 1, 3])
        return orders if count > 1 or self.dice.random() < 0.5 else orders[0]

    def go_long(self):
        self.buy = self.entries(1)

    def go_short(self):
        self.sell = self.entries(-1)

    def filters(self):
        return [self.mostly]

    def mostly(self):
        return self.dice.random() < 0.95

    def should_cancel_entry(self):
        self.note("should_cancel_entry")
        return self.dice.random() < 0.4

    def exits(self):
        direction = 1 if self.is_long else -1
        qty = abs(self.position.qty)
        move = self.dice.random()
        if move < 0.5:
            self.stop_loss = qty, self.price - direction * self.range * self.dice.choice([0.1, 0.8, 2, 5])
        if move > 0.3:
            # On spot, the parts of a holding may sum up to more than it by a rounding.
            parts = 1 if self.is_spot_trading else self.dice.choice([1, 2, 3])
            self.take_profit = [
                (qty / parts, self.price + direction * self.range * (n + self.dice.choice([0.1, 0.5, 1])))
                for n in range(1, parts + 1)
            ]
        if 0.45 < move < 0.5:
            self.liquidate()

    def on_open_position(self, order):
        self.note("open")
        if self.dice.random() < 0.8:
            self.exits()

    def on_increased_position(self, order):
        self.note("increased")
        if self.dice.random() < 0.5:
            self.exits()

    def on_reduced_position(self, order):
        self.note("reduced")
        if self.dice.random() < 0.5 and self.stop_loss is not None:
            self.stop_loss = abs(self.position.qty), self.average_stop_loss

    def on_close_position(self, order, closed_trade):
        self.note("close")
        type(self).notes.append((closed_trade.qty, closed_trade.pnl, closed_trade.fee, len(self.trades)))

    def on_cancel(self):
        self.note("cancel")

    def update_position(self):
        self.note("update")
        roll = self.dice.random()
        if roll < 0.05:
            self.liquidate()
        elif roll < 0.3:
            self.exits()
        elif roll < 0.4:
            add = abs(self.position.qty) * 0.1
            if add * self.price < self.available_margin * self.leverage * 0.5:
                offset = self.dice.choice([0, 0.5, -0.5]) * self.range
                if self.is_long:
                    self.buy = add, self.price + offset
                else:
                    self.sell = add, self.price + offset

    def before_terminate(self):
        self.note("before_terminate")

    def terminate(self):
        self.note("terminate")
