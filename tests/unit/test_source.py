"""The clients of all exchanges: what they are set to before they ask anything."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest

from jesse_paperd.feed.clock import VenueClock
from jesse_paperd.feed.exchange import CcxtSource
from jesse_paperd.feed.exchanges import EXCHANGES
from jesse_paperd.feed.limits import LIMITS
from jesse_paperd.feed.settings import ExchangeSettings

LIVE = [exchange.name for exchange in EXCHANGES.values() if exchange.live]
ELSEWHERE = "http://127.0.0.1:9"


def client(name: str, settings: ExchangeSettings | None = None) -> Any:
    clock = VenueClock(lambda: 1_000_000_000_000, lambda: 0.0)
    clock.learn(1_000_000_000_000, 1_000_000_000_000, 1_735_689_600_123)
    return CcxtSource(EXCHANGES[name], settings or ExchangeSettings(), clock)._client


def texts(urls: Any) -> Iterator[str]:
    if isinstance(urls, dict):
        for value in urls.values():
            yield from texts(value)
    else:
        yield urls


@pytest.mark.parametrize("name", LIVE)
def test_a_client_asks_only_public_data_by_the_exchanges_clock(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("APIKEY", "API_KEY", "SECRET", f"{EXCHANGES[name].ccxt.upper()}_APIKEY"):
        monkeypatch.setenv(variable, "not-to-be-read")
    found = client(name)
    assert not any(
        getattr(found, key) for key in ("apiKey", "secret", "password", "uid", "privateKey", "walletAddress")
    )
    assert found.has["fetchOHLCV"]
    assert "1m" in found.timeframes
    assert not found.enableRateLimit, "the gate knows the weights"
    assert (found.milliseconds(), found.seconds()) == (1_735_689_600_123, 1_735_689_600)
    assert EXCHANGES[name].ccxt in LIMITS
    assert found.isSandboxModeEnabled == EXCHANGES[name].testnet


@pytest.mark.parametrize("name", LIVE)
def test_one_setting_moves_every_address_and_keeps_the_paths(name: str) -> None:
    before = {re.sub(r"^https?://[^/]+", "", url) for url in texts(client(name).urls["api"])}
    moved = list(texts(client(name, ExchangeSettings(urls=ELSEWHERE)).urls["api"]))
    assert all(url.startswith(ELSEWHERE) for url in moved)
    assert {url.removeprefix(ELSEWHERE) for url in moved} == before


def test_a_table_of_addresses_changes_only_those_also_on_a_testnet() -> None:
    settings = ExchangeSettings(urls={"fapiPublic": f"{ELSEWHERE}/fapi/v1"})
    addresses = client("Binance Perpetual Futures Testnet", settings).urls["api"]
    assert addresses["fapiPublic"] == f"{ELSEWHERE}/fapi/v1"
    assert "testnet" in addresses["fapiPublicV2"]


@pytest.mark.parametrize(
    ("proxy", "attribute"),
    [("http://127.0.0.1:3128", "aiohttp_proxy"), ("socks5://127.0.0.1:1080", "socksProxy")],
)
def test_a_proxy_is_set_by_its_kind(proxy: str, attribute: str) -> None:
    assert getattr(client("Binance Spot", ExchangeSettings(proxy=proxy)), attribute) == proxy


def test_each_exchange_lists_only_the_kind_of_market_it_trades() -> None:
    wanted = {"Binance Spot": "spot", "Binance Perpetual Futures": "linear", "Bybit Spot": "spot"}
    wanted |= {"Bybit USDC Perpetual": "linear", "Gate USDT Perpetual": "swap", "Hyperliquid Perpetual": "swap"}
    for name, kind in wanted.items():
        assert client(name).options["fetchMarkets"]["types"] == [kind], name


def test_no_client_opens_a_connection_before_it_is_asked() -> None:
    async def made() -> list[Any]:
        return [client(name).session for name in LIVE]

    assert asyncio.run(made()) == [None] * len(LIVE)
