"""What requests weigh at each exchange, and how much an address may ask for.

The numbers are the exchanges' own where they publish a weight, otherwise the slower of what ccxt and Jesse's candle
drivers allow themselves. Exchanges of one company that count requests together share a ccxt class, and so a budget.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Of an exchange's limit, what the feed lets accumulate, and also what it lets flow in each minute: in no 60 s can it
#: spend more than twice this share.
SHARE = 0.45


@dataclass(frozen=True)
class Limits:
    """The weights of one ccxt class.

    Attributes:
        per_minute: weight that an address may use in a minute.
        page: most candles in one request.
        candles: weight of a request for candles, by how many are asked for: (fewer than, weight), ascending; what
            asks for more weighs as the last.
        listing, time, prices: weight of the list of markets, the exchange's time, all last prices.
    """

    per_minute: float
    page: int
    candles: tuple[tuple[int, float], ...] = ((1, 1.0),)
    listing: float = 1.0
    time: float = 1.0
    prices: float = 1.0

    @property
    def budget(self) -> float:
        """Weight per minute that the feed allows itself."""
        return self.per_minute * SHARE

    def weight_of(self, candles: int) -> float:
        """Weight of asking for this many candles."""
        return next((weight for below, weight in self.candles if candles < below), self.candles[-1][1])


LIMITS = {
    "binance": Limits(6000, 1000, ((1, 2),), listing=20, prices=4),
    "binanceus": Limits(1200, 1000, ((1, 2),), listing=20, prices=4),
    "binanceusdm": Limits(2400, 499, ((100, 1), (500, 2), (1001, 5)), prices=2),
    "bybit": Limits(600, 1000),
    "coinbase": Limits(90, 300),
    "bitfinex": Limits(30, 1440),
    "kucoin": Limits(300, 1500),
    "kucoinfutures": Limits(300, 200),
    "gate": Limits(600, 1000),
    "kraken": Limits(60, 720),
    "krakenfutures": Limits(100, 2000),
    "apex": Limits(600, 200),
    "hyperliquid": Limits(1200, 500, ((61, 21), (501, 29)), listing=20, time=20, prices=20),
    "lighter": Limits(60, 500),
}
