"""Names of exchanges: what they mean, and the errors that help."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jesse_paper.errors import PaperError
from jesse_paperd.feed.exchanges import EXCHANGES, resolve


@pytest.mark.parametrize(("leverage", "name"), [(1, "Binance Spot"), (2, "Binance Perpetual Futures")])
def test_binance_means_spot_without_leverage_and_the_perpetuals_with_it(leverage: float, name: str) -> None:
    assert resolve("Binance", leverage).name == name
    assert resolve(" bINANCE ", leverage).name == name


def test_every_name_resolves_to_itself_in_any_letter_case() -> None:
    for name in EXCHANGES:
        assert resolve(name.upper()).name == name


@pytest.mark.parametrize(
    ("wrong", "suggested"),
    [
        ("Binanse Spot", "Binance Spot"),
        ("bybit", "Bybit Spot"),
        ("Kraken", "Kraken Pro Spot"),
        ("Binance Futures", "Binance Perpetual Futures"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_ones(wrong: str, suggested: str) -> None:
    with pytest.raises(PaperError) as refused:
        resolve(wrong)
    assert refused.value.code == "invalid_argument"
    assert repr(wrong) in refused.value.message
    assert suggested in refused.value.hint


@pytest.mark.parametrize("nonsense", ["", "   ", "NYSE", "x" * 1000, "Binance\0Spot"])
def test_any_text_gets_a_helpful_refusal(nonsense: str) -> None:
    with pytest.raises(PaperError) as refused:
        resolve(nonsense)
    assert refused.value.hint.count("'") == 6, "three names"


@pytest.mark.parametrize(
    ("spot", "futures"), [("Bybit Spot", "Bybit USDT Perpetual"), ("Coinbase Spot", "Binance Perpetual Futures")]
)
def test_leverage_on_a_spot_exchange_is_refused_with_the_futures_exchange(spot: str, futures: str) -> None:
    with pytest.raises(PaperError) as refused:
        resolve(spot, 3)
    assert refused.value.message.startswith("leverage: 3 ")
    assert futures in refused.value.hint
    assert EXCHANGES[futures].market == "futures"


@pytest.mark.parametrize(
    ("name", "symbol", "unified"),
    [
        ("Binance Spot", "BTC-USDT", "BTC/USDT"),
        ("Binance Perpetual Futures", "BTC-USDT", "BTC/USDT:USDT"),
        ("Binance Perpetual Futures", "BTC-USDC", "BTC/USDC:USDC"),
        ("Bybit USDC Perpetual", "ETH-USDC", "ETH/USDC:USDC"),
        ("Hyperliquid Perpetual", "BTC-USD", "BTC/USDC:USDC"),
        ("Kraken Pro Futures", "BTC-USD", "BTC/USD:USD"),
    ],
)
def test_a_jesse_pair_has_a_ccxt_symbol(name: str, symbol: str, unified: str) -> None:
    assert EXCHANGES[name].ccxt_symbol(symbol) == unified


def test_the_table_says_what_jesse_says(tmp_path: Path) -> None:
    """Jesse is asked in a process of its own: importing it leaves a folder behind."""
    ask = "import json; from jesse.info import exchange_info; print(json.dumps(exchange_info))"
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    answer = subprocess.run(
        [sys.executable, "-c", ask], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    known = {
        name: info
        for name, info in json.loads(answer.stdout.splitlines()[-1]).items()
        if info["modes"]["backtesting"] or info["modes"]["live_trading"]
    }
    assert {name: (info["type"], info["fee"]) for name, info in known.items()} == {
        exchange.name: (exchange.market, exchange.fee) for exchange in EXCHANGES.values()
    }
    for name, info in known.items():
        settlement = info.get("settlement_currency")
        assert settlement in (None, EXCHANGES[name].settlement), name
        assert not info["modes"]["live_trading"] or EXCHANGES[name].live, f"{name} is live in Jesse: it needs ccxt"


def test_names_and_messages_are_known_without_loading_ccxt() -> None:
    ask = "import sys, jesse_paperd.feed.exchanges, jesse_paperd.feed.messages; print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert {"ccxt", "aiohttp", "numpy", "jesse"}.isdisjoint(answer.stdout.split())
