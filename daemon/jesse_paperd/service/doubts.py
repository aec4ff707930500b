"""What is allowed at a start and yet probably not meant: another venue than the name says, candles of another pair."""

from __future__ import annotations

import contextlib
import re
from itertools import pairwise

from jesse_paper.errors import PaperError
from jesse_paper.protocol import PaperStart
from jesse_paperd.candles.replayed import ReplayedCandles
from jesse_paperd.candles.store import CandleReader
from jesse_paperd.core.layout import Layout
from jesse_paperd.core.minutes import MINUTE, Rows
from jesse_paperd.feed.exchanges import Exchange
from jesse_paperd.records.spec import SessionSpec
from jesse_paperd.service.replay_candles import names_no_file, replay_files

_QUOTES = "USDT|USDC|FDUSD|BUSD|TUSD|USD|EUR|GBP|BTC|ETH"
_JOINED = re.compile(rf"([A-Z0-9]{{2,10}}?)({_QUOTES})")
#: Prices that differ by more than this factor from the last known one are of another pair, or of another year.
_FACTOR = 5.0
_CLOSE = 2


def doubts_about(body: PaperStart, exchange: Exchange, symbols: tuple[str, ...]) -> list[str]:
    """Doubts about the arguments alone. `symbols`: those whose candles are read, the traded one first."""
    doubts = []
    if body.leverage > 1 and body.exchange.strip().lower() != exchange.name.lower():
        doubts.append(f"{body.exchange!r} at leverage {body.leverage:g} is {exchange.name}, another market than spot")
    if body.feed.startswith("replay:") and not names_no_file(body.feed):
        for symbol, file in replay_files(body.feed, symbols).items():
            named = _pairs_in(file.name)
            if named and symbol not in named:
                doubts.append(f"{file.name} looks like candles of {named[-1]}, and is taken for {symbol}")
    return doubts


def _pairs_in(name: str) -> list[str]:
    """The pairs that a file's name may mean: BTC-USDT, btc_usdt, BTCUSDT; the likeliest last."""
    words = re.findall(r"[A-Z0-9]+", name.upper())
    apart = [f"{base}-{quote}" for base, quote in pairwise(words) if quote in _QUOTES.split("|")]
    joined = [f"{found[1]}-{found[2]}" for word in words if (found := _JOINED.fullmatch(word))]
    return apart + joined


def doubts_about_prices(layout: Layout, spec: SessionSpec, candles: ReplayedCandles) -> list[str]:
    """Doubts about a replay's prices, where the candle store knows the pair's."""
    store = layout.candle_store(spec.market)
    if not store.exists():
        return []
    with contextlib.suppress(PaperError), contextlib.closing(CandleReader(store)) as reader:
        first = candles.read(0, 1)
        doubts = (_doubt_about_price(reader, symbol, first.get(symbol)) for symbol in spec.traded)
        return [doubt for doubt in doubts if doubt]
    return []


def _doubt_about_price(reader: CandleReader, symbol: str, rows: Rows | None) -> str:
    extent = reader.extent(symbol)
    known = reader.range(symbol, extent.last, extent.last + MINUTE)
    if not len(known) or rows is None or not len(rows):
        return ""
    last, price = float(known[0, _CLOSE]), float(rows[0, _CLOSE])
    plausible = last / _FACTOR < price < last * _FACTOR
    return "" if plausible else f"the replay's price of {symbol} is {price:g}, and the last known one is {last:g}"
