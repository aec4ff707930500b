"""How each stand-in exchange speaks: paths, JSON and weights as the real one's public documentation has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jesse_paperd.candles.store import Candle
from jesse_paperd.core.minutes import MINUTE
from tests.fakes.market import Market

#: A query for candles: the market, the first minute wanted (or None: the newest), and how many.
Rows = Callable[[Market, int | None, int], list[Any]]


class Question(NamedTuple):
    """A request, with what is needed to answer it."""

    path: str
    query: Mapping[str, str]
    markets: Mapping[str, Market]
    now: int
    #: Visible rows (first, upto) of a market, after faults.
    rows: Callable[[Market, int, int], list[Any]]


def _text(value: object) -> object:
    return value if value is None or isinstance(value, str) else format(value, ".8f")


class Binance:
    """Binance's spot market (`/api/v3`) or its USDⓈ-M futures (`/fapi/v1`, `/fapi/v2`)."""

    def __init__(self, futures: bool) -> None:
        self.futures = futures
        self.exchange = "Binance Perpetual Futures" if futures else "Binance Spot"
        self.weight_limit = 2400 if futures else 6000
        self.too_much = 418

    def pair(self, market: Market) -> str:
        return market.base + market.quote

    def weight(self, path: str, query: Mapping[str, str]) -> int:
        what = path.rpartition("/")[2]
        if what == "klines":
            asked = int(query.get("limit", 500))
            return 2 if not self.futures else 1 if asked < 100 else 2 if asked < 500 else 5 if asked <= 1000 else 10
        if what == "price":
            return (1 if self.futures else 2) if "symbol" in query else (2 if self.futures else 4)
        return {"exchangeInfo": 1 if self.futures else 20}.get(what, 1)

    def answer(self, question: Question) -> tuple[int, Any]:
        what = question.path.rpartition("/")[2]
        if question.path.startswith("/fapi/") != self.futures:
            return 404, {"code": -5000, "msg": "Path not found"}
        if what == "time":
            return 200, {"serverTime": question.now}
        if what == "exchangeInfo":
            return 200, {
                "timezone": "UTC",
                "serverTime": question.now,
                "rateLimits": [],
                "exchangeFilters": [],
                "symbols": [self._listing(market) for market in question.markets.values()],
            }
        if what == "klines":
            market = question.markets.get(question.query.get("symbol", ""))
            if market is None:
                return 400, {"code": -1121, "msg": "Invalid symbol."}
            limit = min(int(question.query.get("limit", 500)), 1500 if self.futures else 1000)
            if "startTime" in question.query:
                upto = min(question.now, int(question.query.get("endTime", question.now))) + 1
                rows = question.rows(market, int(question.query["startTime"]), upto)[:limit]
            else:
                rows = question.rows(market, question.now - (limit + 60) * MINUTE, question.now + 1)[-limit:]
            return 200, [self._row(row) for row in rows]
        if what == "price":
            return 200, [self._price(pair, market, question) for pair, market in question.markets.items()]
        return 404, {"code": -5000, "msg": "Path not found"}

    def _row(self, row: Candle) -> list[Any]:
        time, open_, high, low, close, volume = row
        return [
            time, *map(_text, (open_, high, low, close, volume)),
            time + MINUTE - 1, "0.0", 0 if volume == 0 else 7, "0.0", "0.0", "0",
        ]  # fmt: skip

    def _price(self, pair: str, market: Market, question: Question) -> dict[str, Any]:
        rows = question.rows(market, question.now - 60 * MINUTE, question.now + 1)
        entry = {"symbol": pair, "price": _text(rows[-1].close if rows else 1.0)}
        return entry | {"time": question.now} if self.futures else entry

    def _listing(self, market: Market) -> dict[str, Any]:
        common = {
            "symbol": self.pair(market),
            "status": "TRADING",
            "baseAsset": market.base,
            "quoteAsset": market.quote,
            "quotePrecision": 8,
            "baseAssetPrecision": 8,
            "orderTypes": ["LIMIT", "MARKET"],
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
                {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001"},
            ],
        }
        if not self.futures:
            return common | {
                "quoteAssetPrecision": 8,
                "isSpotTradingAllowed": True,
                "isMarginTradingAllowed": True,
                "permissions": [],
                "permissionSets": [["SPOT"]],
            }
        return common | {
            "pair": self.pair(market),
            "contractType": "PERPETUAL",
            "deliveryDate": 4133404800000,
            "onboardDate": 1569398400000,
            "marginAsset": market.quote,
            "pricePrecision": 2,
            "quantityPrecision": 3,
            "underlyingType": "COIN",
            "timeInForce": ["GTC", "IOC"],
        }


class Bybit:
    """Bybit's v5 market data, of linear contracts or spot. A window without candles is answered empty."""

    def __init__(self, futures: bool) -> None:
        self.futures = futures
        self.exchange = "Bybit USDT Perpetual" if futures else "Bybit Spot"
        self.weight_limit = 600
        self.too_much = 403

    def pair(self, market: Market) -> str:
        return market.base + market.quote

    def weight(self, *_: object) -> int:
        return 1

    def answer(self, question: Question) -> tuple[int, Any]:
        query, what = question.query, question.path.removeprefix("/v5/market/")
        if what == "time":
            return 200, self._done(
                {"timeSecond": str(question.now // 1000), "timeNano": str(question.now * 10**6)}, question
            )
        if query.get("category") != ("linear" if self.futures else "spot"):
            return 200, {"retCode": 10001, "retMsg": "params error: category", "result": {}, "time": question.now}
        if what == "instruments-info":
            listing = [self._listing(market) for market in question.markets.values()]
            return 200, self._done({"category": query["category"], "list": listing, "nextPageCursor": ""}, question)
        if what == "tickers":
            tickers = [self._ticker(pair, market, question) for pair, market in question.markets.items()]
            return 200, self._done({"category": query["category"], "list": tickers}, question)
        if what == "kline":
            market = question.markets.get(query.get("symbol", ""))
            if market is None:
                return 200, {"retCode": 10001, "retMsg": "Not supported symbols", "result": {}, "time": question.now}
            limit = min(int(query.get("limit", 200)), 1000)
            # Of what lies between start and end, the newest rows.
            upto = min(int(query.get("end", question.now)), question.now) + 1
            rows = question.rows(market, int(query.get("start", upto - (limit + 60) * MINUTE)), upto)[-limit:]
            newest_first = [[str(row[0]), *map(_text, row[1:]), "0"] for row in reversed(rows)]
            return 200, self._done(
                {"category": query["category"], "symbol": query["symbol"], "list": newest_first}, question
            )
        return 404, {"retCode": 10000, "retMsg": "not found", "result": {}, "time": question.now}

    def _done(self, result: dict[str, Any], question: Question) -> dict[str, Any]:
        return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": question.now}

    def _ticker(self, pair: str, market: Market, question: Question) -> dict[str, Any]:
        rows = question.rows(market, question.now - 60 * MINUTE, question.now + 1)
        return {"symbol": pair, "lastPrice": _text(rows[-1].close if rows else 1.0)}

    def _listing(self, market: Market) -> dict[str, Any]:
        common = {
            "symbol": self.pair(market),
            "baseCoin": market.base,
            "quoteCoin": market.quote,
            "status": "Trading",
            "priceFilter": {"tickSize": "0.01", "minPrice": "0.01", "maxPrice": "1000000"},
        }
        if not self.futures:
            return common | {
                "lotSizeFilter": {"basePrecision": "0.00001", "quotePrecision": "0.01", "minOrderQty": "0.00001"},
            }
        return common | {
            "contractType": "LinearPerpetual",
            "launchTime": "1585526400000",
            "deliveryTime": "0",
            "settleCoin": market.quote,
            "lotSizeFilter": {"qtyStep": "0.001", "minOrderQty": "0.001", "maxOrderQty": "100"},
            "leverageFilter": {"minLeverage": "1", "maxLeverage": "100", "leverageStep": "0.01"},
        }


class Kraken:
    """Kraken's spot market: no rows for minutes without trades, and only the newest 720 rows whatever is asked."""

    exchange = "Kraken Pro Spot"
    weight_limit = 60
    too_much = 429

    def pair(self, market: Market) -> str:
        return market.base + market.quote

    def weight(self, *_: object) -> int:
        return 1

    def answer(self, question: Question) -> tuple[int, Any]:
        what = question.path.removeprefix("/0/public/")
        if what == "Time":
            return 200, {"error": [], "result": {"unixtime": question.now // 1000, "rfc1123": ""}}
        if what == "AssetPairs":
            return 200, {"error": [], "result": {pair: self._listing(m) for pair, m in question.markets.items()}}
        if what == "Ticker":
            result = {pair: self._ticker(market, question) for pair, market in question.markets.items()}
            return 200, {"error": [], "result": result}
        if what == "OHLC":
            market = question.markets.get(question.query.get("pair", ""))
            if market is None:
                return 200, {"error": ["EQuery:Unknown asset pair"]}
            newest = question.rows(market, question.now - 720 * MINUTE, question.now + 1)
            since = int(question.query.get("since", 0)) * 1000
            rows = [
                [_seconds(row[0]), *map(_text, row[1:5]), "0", _text(row[5]), 3] for row in newest if row[0] > since
            ]
            return 200, {"error": [], "result": {self.pair(market): rows, "last": question.now // 1000}}
        return 404, {"error": ["EGeneral:Unknown method"]}

    def _ticker(self, market: Market, question: Question) -> dict[str, Any]:
        rows = question.rows(market, question.now - 720 * MINUTE, question.now + 1)
        price = _text(rows[-1].close if rows else 1.0)
        numbers = {key: [price, "0", "0"] for key in "abcvplh"}
        return numbers | {"t": [1, 1], "o": price}

    def _listing(self, market: Market) -> dict[str, Any]:
        return {
            "altname": self.pair(market),
            "wsname": f"{market.base}/{market.quote}",
            "base": market.base,
            "quote": market.quote,
            "pair_decimals": 2,
            "lot_decimals": 8,
            "cost_decimals": 5,
            "leverage_buy": [],
            "leverage_sell": [],
            "fees": [[0, 0.4]],
            "fees_maker": [[0, 0.25]],
            "ordermin": "0.0001",
            "costmin": "0.5",
            "tick_size": "0.01",
            "status": "online",
        }


def _seconds(milliseconds: int) -> float | int:
    return milliseconds // 1000 if milliseconds % 1000 == 0 else milliseconds / 1000


Dialect = Binance | Bybit | Kraken

DIALECTS: dict[str, Callable[[], Dialect]] = {
    "Binance Spot": lambda: Binance(futures=False),
    "Binance Perpetual Futures": lambda: Binance(futures=True),
    "Bybit Spot": lambda: Bybit(futures=False),
    "Bybit USDT Perpetual": lambda: Bybit(futures=True),
    "Kraken Pro Spot": Kraken,
}
