"""One exchange through ccxt's REST client: candles, its time, last prices, and its ways to fail.

Only public endpoints are called and no key is ever set. ccxt's own rate limiter is off: the gate (gate.py) knows the
weights and honours Retry-After. The list of markets is asked for only when a pair is not known yet.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
import ccxt.async_support as ccxt
import msgspec

from jesse_paperd.core.minutes import MINUTE
from jesse_paperd.feed.clock import VenueClock
from jesse_paperd.feed.exchanges import Exchange
from jesse_paperd.feed.failures import Failure, RequestFailed
from jesse_paperd.feed.settings import ExchangeSettings

T = TypeVar("T")

#: ccxt's name for "only this kind of market" differs: asking for all kinds costs several requests.
_KINDS = {"binance": "spot", "binanceus": "spot", "binanceusdm": "linear", "hyperliquid": "swap"}
_KINDS_BY_MARKET = {"bybit": ("spot", "linear"), "gate": ("spot", "swap")}
#: ccxt sets their end from the limit, or they know no end.
_BOUND_THEMSELVES = {"kraken", "krakenfutures", "kucoin", "kucoinfutures"}


@dataclass
class _Response:
    """What ccxt does not pass on of a response: kept per task, since requests overlap."""

    sent: int
    status: int = 0
    retry_after: float | None = None


_response: ContextVar[_Response] = ContextVar("response")


class CcxtSource:
    """The client of one exchange."""

    def __init__(self, exchange: Exchange, settings: ExchangeSettings, clock: VenueClock) -> None:
        self.exchange = exchange
        self._clock = clock
        self._markets: dict[str, Any] = {}  # by ccxt's symbol
        self._client = _client(exchange, settings, clock)

    @property
    def tells_time(self) -> bool:
        """Whether it has a request for its time; otherwise the clock is read off the dates of its responses."""
        return bool(self._client.has.get("fetchTime"))

    @property
    def tells_prices(self) -> bool:
        """Whether it has a request for the last prices of many pairs."""
        return bool(self._client.has.get("fetchLastPrices") or self._client.has.get("fetchTickers"))

    def know(self, symbol: str, listing: str) -> None:
        """Take a pair's description as `listings` returned it, so that it need not be asked for."""
        self._markets[self.exchange.ccxt_symbol(symbol)] = msgspec.json.decode(listing)
        self._client.set_markets(list(self._markets.values()))

    async def listings(self, symbol: str, others: Iterable[str]) -> dict[str, str]:
        """ccxt's description of a pair, as JSON, and of those others that the exchange has.

        Raises:
            RequestFailed: `unknown`, with the nearest pairs, when it does not have the first.
        """
        markets = await self._ask(self._client.fetch_markets)
        listed = {market["symbol"]: market for market in markets if isinstance(market, dict)}
        wanted = self.exchange.ccxt_symbol(symbol)
        if wanted not in listed:
            # ':' marks perpetuals and '-' a date of delivery: only the kind that is traded here is worth suggesting.
            alike = [name for name in listed if (":" in name) == (":" in wanted) and "-" not in name]
            near = [name.split(":")[0].replace("/", "-") for name in difflib.get_close_matches(wanted, alike, 3, 0.5)]
            raise RequestFailed(
                "unknown", f"has no pair {symbol}" + (f"; the nearest: {', '.join(near)}" if near else "")
            )
        found = {name: listed.get(self.exchange.ccxt_symbol(name)) for name in (symbol, *others)}
        return {name: msgspec.json.encode(market, enc_hook=str).decode() for name, market in found.items() if market}

    async def candles(self, symbol: str, since: int | None, limit: int) -> list[list[Any]]:
        """Rows of 1m candles, as the exchange has them: the `limit` minutes from `since` on; None: the newest ones."""
        # Asked for a start and a number alone, some exchanges give the newest rows instead of the first ones.
        bounded = self.exchange.ccxt not in _BOUND_THEMSELVES
        until = {"until": since + limit * MINUTE - 1} if since is not None and bounded else {}
        rows = await self._ask(
            lambda: self._client.fetch_ohlcv(self.exchange.ccxt_symbol(symbol), "1m", since, limit, until)
        )
        if not isinstance(rows, list):
            raise RequestFailed("malformed", "the reply is not a list of candles")
        return rows

    async def time(self) -> None:
        """Measure the exchange's clock."""
        sent = self._clock.local()
        theirs = await self._ask(self._client.fetch_time)
        if not isinstance(theirs, int) or theirs <= 0:
            raise RequestFailed("malformed", "the reply holds no time")
        self._clock.learn(sent, self._clock.local(), theirs)

    async def prices(self, symbols: list[str]) -> dict[str, tuple[float, int]]:
        """The last traded price of each pair and the time at which it was so; pairs without one are left out."""
        ours = {self.exchange.ccxt_symbol(symbol): symbol for symbol in symbols}
        if self._client.has.get("fetchLastPrices"):
            answer = await self._ask(lambda: self._client.fetch_last_prices(list(ours)))
            key = "price"
        else:
            answer = await self._ask(lambda: self._client.fetch_tickers(list(ours)))
            key = "last"
        now = self._clock.now()
        prices = {}
        for unified, symbol in ours.items():
            entry = answer.get(unified) if isinstance(answer, dict) else None
            if not isinstance(entry, dict):
                continue
            price = entry.get(key)
            if isinstance(price, int | float) and 0 < price < float("inf"):
                prices[symbol] = (float(price), min(int(entry.get("timestamp") or now), now))
        return prices

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _ask(self, ask: Callable[[], Awaitable[T]]) -> T:
        response = _Response(self._clock.local())
        _response.set(response)
        try:
            return await ask()
        except asyncio.CancelledError:
            raise
        except RequestFailed:
            raise
        except Exception as error:
            # ccxt's own errors, aiohttp's, and on a reply that makes no sense nearly any other.
            raise RequestFailed(
                _kind(error, response.status), _words(error, response.status), response.retry_after
            ) from error


def _client(exchange: Exchange, settings: ExchangeSettings, clock: VenueClock) -> Any:
    base = getattr(ccxt, exchange.ccxt)

    class Client(base):  # type: ignore[misc, valid-type]
        """ccxt's client, set to the exchange's time; it keeps the response headers that ccxt drops."""

        @staticmethod
        def milliseconds() -> int:
            # Several exchanges are asked for candles "until now": a wrong local clock must not shift that.
            return clock.now()

        @staticmethod
        def seconds() -> int:
            return clock.now() // 1000

        def on_rest_response(self, code: int, reason: str, url: str, method: str, headers: Any, *rest: Any) -> Any:
            response = _response.get()
            response.status = code
            by_name = {name.lower(): value for name, value in headers.items()}
            response.retry_after = _seconds(by_name.get("retry-after", ""))
            if not self.has.get("fetchTime") and "date" in by_name:
                with contextlib.suppress(ValueError, OverflowError):
                    theirs = int(parsedate_to_datetime(by_name["date"]).timestamp() * 1000)
                    clock.learn(response.sent, clock.local(), theirs, resolution=1000)
            return super().on_rest_response(code, reason, url, method, headers, *rest)

        def parse_json(self, text: str) -> Any:
            parsed = super().parse_json(text)
            if parsed is None and _response.get().status < 400:
                # Half a reply would otherwise pass for an empty one.
                raise ccxt.BadResponse("the reply is not whole JSON")
            return parsed

    Client.__name__ = base.__name__
    client = Client({"enableRateLimit": False, "timeout": int(settings.timeout_seconds * 1000)})
    # Currencies take requests of their own, some of them with a key, and no candle needs them.
    client.has["fetchCurrencies"] = False
    kind = _KINDS.get(exchange.ccxt)
    if exchange.ccxt in _KINDS_BY_MARKET:
        kind = _KINDS_BY_MARKET[exchange.ccxt][exchange.market == "futures"]
    if kind:
        client.options["fetchMarkets"] = {"types": [kind]}
    if exchange.testnet:
        client.set_sandbox_mode(True)
    # After the sandbox, which would set the addresses back.
    if isinstance(settings.urls, dict):
        client.urls["api"] = client.deep_extend(client.urls["api"], settings.urls)
    elif settings.urls:
        client.urls["api"] = _moved(client.urls["api"], settings.urls)
    if settings.proxy:
        if settings.proxy.startswith("socks"):
            client.socksProxy = settings.proxy
        else:
            client.aiohttp_proxy = settings.proxy
    return client


def _moved(urls: Any, host: str) -> Any:
    """The addresses with another scheme and host, their paths kept."""
    if isinstance(urls, dict):
        return {key: _moved(value, host) for key, value in urls.items()}
    return host.rstrip("/") + urlsplit(urls).path


def _seconds(retry_after: str) -> float | None:
    with contextlib.suppress(ValueError):
        return max(0.0, min(float(retry_after), 86_400.0))
    return None


def _kind(error: Exception, status: int) -> Failure:
    if status in (418, 403, 451):
        return "banned"
    if status == 429 or isinstance(error, ccxt.RateLimitExceeded | ccxt.DDoSProtection):
        return "limited"
    if isinstance(error, ccxt.BadSymbol):
        return "unknown"
    if isinstance(error, ccxt.RequestTimeout | TimeoutError) and not status:
        return "timeout"
    if status >= 500 or isinstance(error, ccxt.OnMaintenance):
        return "unavailable"
    if isinstance(error, aiohttp.ClientError | OSError) or isinstance(error.__cause__, aiohttp.ClientError | OSError):
        return "unreachable"
    if isinstance(error, ccxt.ExchangeError | ccxt.NetworkError):
        return "rejected"
    return "malformed"


def _words(error: Exception, status: int) -> str:
    kind = _kind(error, status)
    cause = error.__cause__ if isinstance(error.__cause__, aiohttp.ClientError | OSError) else None
    detail = " ".join(str(cause or error).split())[:200]
    says = {
        "banned": f"refuses this address (HTTP {status})",
        "limited": "told us to ask less" + (f" (HTTP {status})" if status else ""),
        "timeout": "did not answer in time",
        "unavailable": f"is not available (HTTP {status})",
        "unreachable": f"cannot be reached: {detail or type(cause or error).__name__}",
        "malformed": f"answered nonsense: {detail or type(error).__name__}",
    }
    return says.get(kind, f"answered with an error: {detail}")
