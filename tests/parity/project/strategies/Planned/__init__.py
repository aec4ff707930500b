"""Trades by a plan: {index: [side, qty, entry, stop, take]}, None for the current price or for no order; "close" ends.

With `waits_for` it enters only once that symbol's route has shared that it holds a position.
"""

import json

from jesse.strategies import Strategy


class Planned(Strategy):
    notes = []

    def hyperparameters(self):
        return [
            {"name": "plan", "type": str, "default": "{}"},
            {"name": "waits_for", "type": str, "default": ""},
        ]

    def before(self):
        held = sorted((symbol, float(p.qty), float(p.pnl)) for symbol, p in self.all_positions.items())
        prices = [float(route.strategy.price) for route in self.routes]
        type(self).notes.append((float(self.time), self.symbol, prices, held, float(self.available_margin)))
        self.step = json.loads(self.hp["plan"]).get(str(self.index))

    @property
    def may(self):
        return not self.hp["waits_for"] or self.shared_vars.get(self.hp["waits_for"], False)

    def should_long(self):
        return self.may and bool(self.step) and self.step[0] == "buy"

    def should_short(self):
        return self.may and bool(self.step) and self.step[0] == "sell"

    def go_long(self):
        self.buy = self.enter()

    def go_short(self):
        self.sell = self.enter()

    def enter(self):
        _, qty, entry, stop, take = self.step
        if stop is not None:
            self.stop_loss = qty, stop
        if take is not None:
            self.take_profit = qty, take
        return qty, entry if entry is not None else self.price

    def on_open_position(self, order):
        self.shared_vars[self.symbol] = True
        self.note("open", order)

    def on_close_position(self, order, closed_trade):
        self.shared_vars[self.symbol] = False
        self.note("close", order)

    def on_route_open_position(self, strategy):
        type(self).notes.append((float(self.time), self.symbol, "sees", strategy.symbol, float(self.available_margin)))

    def note(self, hook, order):
        type(self).notes.append((float(self.time), self.symbol, hook, float(order.price), float(self.balance)))

    def should_cancel_entry(self):
        return False

    def update_position(self):
        if self.step == "close":
            self.liquidate()
