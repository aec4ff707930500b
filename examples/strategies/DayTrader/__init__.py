"""Buys dips and sells rallies within the day, with resting orders, and is out by the end of it.

When the price has left its Bollinger band while the day's trend still holds, an entry rests a little beyond the
price; unfilled, it is withdrawn after some candles. Stop and target rest in the market from the fill on. Nothing is
opened in the last hours of the UTC day, and what is open then is closed. Shorts only where the market has them.
"""

import jesse.indicators as ta
from jesse import utils
from jesse.strategies import Strategy, cached

MINUTES_A_DAY = 24 * 60


class DayTrader(Strategy):
    def hyperparameters(self):
        return [
            {"name": "period", "type": int, "min": 10, "max": 60, "default": 20},
            {"name": "width", "type": float, "min": 1, "max": 3, "default": 1.6},
            {"name": "risk", "type": float, "min": 0.001, "max": 0.05, "default": 0.0075},
            {"name": "last_entry", "type": int, "min": 60, "max": 1380, "default": 1260},
            {"name": "close_at", "type": int, "min": 120, "max": 1440, "default": 1410},
        ]

    def before(self):
        self.vars["minute"] = int(self.time // 60_000) % MINUTES_A_DAY

    @property
    @cached
    def bands(self):
        return ta.bollinger_bands(
            self.candles, period=self.hp["period"], devup=self.hp["width"], devdn=self.hp["width"]
        )

    @property
    @cached
    def trend(self):
        return ta.ema(self.candles, 96) - ta.ema(self.candles, 192)

    @property
    def noise(self):
        return ta.atr(self.candles, 14)

    def should_long(self):
        return self.close < self.bands.lowerband and self.trend > -self.noise

    def should_short(self):
        return self.is_futures_trading and self.close > self.bands.upperband and self.trend < self.noise

    def filters(self):
        return [self.is_early_enough, self.pays_its_fees]

    def is_early_enough(self):
        return self.vars["minute"] < self.hp["last_entry"]

    def pays_its_fees(self):
        return self.noise * 1.5 > self.price * self.fee_rate

    def go_long(self):
        entry = self.price - 0.1 * self.noise
        self.buy = self.size(entry, entry - 2 * self.noise), entry
        self.vars["patience"] = 4

    def go_short(self):
        entry = self.price + 0.1 * self.noise
        self.sell = self.size(entry, entry + 2 * self.noise), entry
        self.vars["patience"] = 4

    def size(self, entry, stop):
        risked = utils.risk_to_qty(self.available_margin, self.hp["risk"] * 100, entry, stop, fee_rate=self.fee_rate)
        affordable = utils.size_to_qty(self.available_margin * 0.95, entry, fee_rate=self.fee_rate)
        return min(risked, affordable)

    def should_cancel_entry(self):
        self.vars["patience"] -= 1
        return self.vars["patience"] <= 0

    def on_open_position(self, order):
        direction = 1 if self.is_long else -1
        entry, noise = self.position.entry_price, self.noise
        self.stop_loss = self.position.qty, entry - direction * 2 * noise
        self.take_profit = [
            (self.position.qty / 2, entry + direction * 1.5 * noise),
            (self.position.qty / 2, entry + direction * 3 * noise),
        ]

    def on_reduced_position(self, order):
        self.stop_loss = self.position.qty, self.position.entry_price

    def update_position(self):
        if self.vars["minute"] >= self.hp["close_at"]:
            # As the take-profit, it replaces what rests on the book: a spot market would refuse to sell twice.
            self.take_profit = self.position.qty, self.price

    def on_close_position(self, order, closed_trade):
        self.log(f"{closed_trade.type} closed with {closed_trade.pnl:.2f} after {closed_trade.holding_period:.0f} s")
