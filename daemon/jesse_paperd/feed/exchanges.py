"""Every exchange that Jesse 3.5.3 knows for backtests or live trading, by Jesse's name, and its market in ccxt.

Names, kinds and default fees are Jesse's (its `jesse/info.py`; a test compares them); the ccxt ids were found by
matching each of Jesse's own candle drivers to the ccxt class that speaks to the same endpoint. Standard library only:
the daemon and the sessions look names up here without loading ccxt.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from jesse_paper.errors import PaperError


@dataclass(frozen=True)
class Exchange:
    """An exchange as Jesse names it.

    Attributes:
        name: Jesse's name of it.
        market: `spot` (no leverage, no shorts) or `futures` (linear perpetuals).
        fee: Jesse's default fee of each fill, as a fraction of its value.
        ccxt: the class of ccxt that serves its candles, or empty: then it can only be replayed from a file.
        settlement: what futures settle in; empty when it is the pair's own quote currency.
        quote: what ccxt calls the quote currency of every pair, where Jesse calls it otherwise (USD for USDC).
        testnet: a sandbox of the exchange, whose prices are not the market's.
        quiet_minutes: what the exchange gives for a minute without a trade: a `flat` row of zero volume, or none
            (`absent`); `unknown` is treated as `absent`.
        history: how many of the newest minutes it serves at all, or 0 when it serves all.
        futures: of a spot exchange, the same company's exchange for leverage, or empty.
    """

    name: str
    market: Literal["spot", "futures"]
    fee: float
    ccxt: str = ""
    settlement: str = ""
    quote: str = ""
    testnet: bool = False
    quiet_minutes: Literal["flat", "absent", "unknown"] = "unknown"
    history: int = 0
    futures: str = ""

    @property
    def live(self) -> bool:
        """Whether its candles can be followed live."""
        return bool(self.ccxt)

    def ccxt_symbol(self, symbol: str) -> str:
        """ccxt's unified symbol of a Jesse pair: `BTC-USDT` is `BTC/USDT` on spot, `BTC/USDT:USDT` as a perpetual."""
        base, _, quote = symbol.partition("-")
        quote = self.quote or quote
        return f"{base}/{quote}" if self.market == "spot" else f"{base}/{quote}:{self.settlement or quote}"


_TABLE = (
    Exchange("Binance Spot", "spot", 0.001, "binance", quiet_minutes="flat", futures="Binance Perpetual Futures"),
    Exchange("Binance US Spot", "spot", 0.001, "binanceus", quiet_minutes="flat"),
    Exchange("Binance Perpetual Futures", "futures", 0.0004, "binanceusdm", quiet_minutes="flat"),
    Exchange("Binance Perpetual Futures Testnet", "futures", 0.0004, "binanceusdm", testnet=True, quiet_minutes="flat"),
    Exchange("Bybit Spot", "spot", 0.001, "bybit", quiet_minutes="flat", futures="Bybit USDT Perpetual"),
    Exchange(
        "Bybit Spot Testnet",
        "spot",
        0.001,
        "bybit",
        testnet=True,
        quiet_minutes="flat",
        futures="Bybit USDT Perpetual Testnet",
    ),
    Exchange("Bybit USDT Perpetual", "futures", 0.00055, "bybit", "USDT", quiet_minutes="flat"),
    Exchange("Bybit USDT Perpetual Testnet", "futures", 0.00055, "bybit", "USDT", testnet=True, quiet_minutes="flat"),
    Exchange("Bybit USDC Perpetual", "futures", 0.00055, "bybit", "USDC", quiet_minutes="flat"),
    Exchange("Bybit USDC Perpetual Testnet", "futures", 0.00055, "bybit", "USDC", testnet=True, quiet_minutes="flat"),
    Exchange("Coinbase Spot", "spot", 0.0003, "coinbase"),
    Exchange("Bitfinex Spot", "spot", 0.002, "bitfinex", quiet_minutes="absent"),
    Exchange("KuCoin Spot", "spot", 0.001, "kucoin", futures="KuCoin USDT Perpetual"),
    Exchange("KuCoin USDT Perpetual", "futures", 0.0006, "kucoinfutures", "USDT"),
    Exchange("Gate Spot", "spot", 0.0005, "gate", futures="Gate USDT Perpetual"),
    Exchange("Gate USDT Perpetual", "futures", 0.0005, "gate", "USDT"),
    Exchange(
        "Kraken Pro Spot", "spot", 0.0026, "kraken", quiet_minutes="absent", history=720, futures="Kraken Pro Futures"
    ),
    Exchange("Kraken Pro Futures", "futures", 0.0005, "krakenfutures", "USD"),
    Exchange("Kraken Pro Futures Testnet", "futures", 0.0005, "krakenfutures", "USD", testnet=True),
    Exchange("Apex Omni Perpetual", "futures", 0.0005, "apex", "USDT"),
    Exchange("Hyperliquid Perpetual", "futures", 0.0001, "hyperliquid", "USDC", quote="USDC", history=5000),
    Exchange(
        "Hyperliquid Perpetual Testnet",
        "futures",
        0.0001,
        "hyperliquid",
        "USDC",
        quote="USDC",
        testnet=True,
        history=5000,
    ),
    Exchange("Lighter Perpetual", "futures", 0.0, "lighter", "USDC", quote="USDC"),
    Exchange("Lighter Perpetual Testnet", "futures", 0.0, "lighter", "USDC", quote="USDC", testnet=True),
    # Data of the user's own, or of a provider with a key: Jesse backtests them, nobody serves them live.
    Exchange("Custom Data", "futures", 0.0004),
    Exchange("Massive Stocks", "spot", 0.0),
    Exchange("Massive Currencies", "spot", 0.0),
    Exchange("Massive Indices", "spot", 0.0),
    Exchange("Massive Futures", "spot", 0.0),
)

EXCHANGES: dict[str, Exchange] = {exchange.name: exchange for exchange in _TABLE}

# A short name means the first exchange without leverage, the second with it.
ALIASES: dict[str, tuple[str, str]] = {"Binance": ("Binance Spot", "Binance Perpetual Futures")}

_BY_FOLDED = {name.casefold(): name for name in (*EXCHANGES, *ALIASES)}


def resolve(exchange: str, leverage: float = 1) -> Exchange:
    """The exchange that a name means at this leverage; letter case does not matter.

    Raises:
        PaperError: `invalid_argument` for an unknown name (the hint has the nearest ones), or leverage above 1 on a
            spot exchange (the hint names the futures exchange).
    """
    name = _BY_FOLDED.get(exchange.strip().casefold())
    if name is None:
        raise PaperError(
            "invalid_argument",
            f"exchange: Jesse knows no exchange {exchange!r}",
            f"the nearest are: {_nearest(exchange)}",
        )
    if name in ALIASES:
        name = ALIASES[name][leverage > 1]
    found = EXCHANGES[name]
    if found.market == "spot" and leverage > 1:
        instead = f"{found.futures!r}" if found.futures else "a futures exchange such as 'Binance Perpetual Futures'"
        raise PaperError(
            "invalid_argument",
            f"leverage: {leverage:g} is not possible on {name}, a spot exchange",
            f"use leverage 1, or {instead}",
        )
    return found


def _nearest(wanted: str) -> str:
    """Up to three names: those that begin with the same word first, then those spelled alike."""
    folded = wanted.strip().casefold()
    first_word = folded.split(" ")[0]
    same_word = [spelled for spelled in _BY_FOLDED if first_word and spelled.split(" ")[0] == first_word]
    ranked = [
        *get_close_matches(folded, same_word, 3, cutoff=0.0),
        *get_close_matches(folded, _BY_FOLDED, 3, cutoff=0.4),
        *_BY_FOLDED,
    ]
    return ", ".join(f"'{_BY_FOLDED[spelled]}'" for spelled in list(dict.fromkeys(ranked))[:3])
