"""What the `feed` of a replay names, and how its candles come into the home, where nothing changes them any more.

    replay:FILE                      the traded symbol's candle file
    replay:SYMBOL=FILE,SYMBOL=FILE   one for each symbol
    replay:store[:FROM..TO]          what the candle store has of the session's exchange
    replay:postgres[:FROM..TO]       what Jesse's own database has of it

FROM and TO are dates or times (RFC 3339, UTC); TO is not included, and either may be missing. A session that recovers
replays the copy in the home: it needs neither the file nor the database again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from jesse_paper.errors import PaperError
from jesse_paper.rfc3339 import to_ms, to_text
from jesse_paperd.candles.jesse_database import EXAMPLE, database_of
from jesse_paperd.candles.replayed import keep_candle_file, keep_candles
from jesse_paperd.candles.store import CandleReader
from jesse_paperd.config import Config
from jesse_paperd.core.layout import Layout
from jesse_paperd.core.minutes import MINUTE, Rows

STORE, POSTGRES = "store", "postgres"
_END_OF_TIME = 2**53


def names_no_file(feed: str) -> bool:
    """Whether a feed is replayed from the candle store or from Jesse's database."""
    kind, _, rest = feed.partition(":")
    return kind == "replay" and rest.partition(":")[0] in (STORE, POSTGRES)


def keep_replay(config: Config, layout: Layout, market: str, feed: str, symbols: tuple[str, ...]) -> dict[str, str]:
    """Bring a replay's candles into the home; the digest of each symbol's, or nothing for the live feed.

    Args:
        config: its home has the candle store, which need not be the home of `layout`.
        market: Jesse's name of the exchange.

    Raises:
        PaperError: `invalid_argument` when `feed` is not a feed, `candles_invalid` when there are no such candles,
            `feed_unavailable` when the database cannot be reached.
    """
    if not names_no_file(feed):
        return {symbol: keep_candle_file(layout, path) for symbol, path in replay_files(feed, symbols).items()}
    source, _, span = feed.removeprefix("replay:").partition(":")
    since, upto = _span(feed, span)
    read = _from_postgres(config, market) if source == POSTGRES else _from_store(config, market)
    return {symbol: keep_candles(layout, read(symbol, since, upto)) for symbol in symbols}


def _from_store(config: Config, market: str) -> Callable[[str, int, int], Rows]:
    path = Layout(Path(config.home)).candle_store(market)

    def read(symbol: str, since: int, upto: int) -> Rows:
        with contextlib.closing(CandleReader(path)) as reader:
            rows = reader.stretch(market, symbol, since, upto)
            missing = reader.missing(symbol, int(rows[0, 0]), int(rows[-1, 0]) + MINUTE)
        if missing:
            count = sum(b - a for a, b in missing) // MINUTE
            first, end = missing[0]
            raise PaperError(
                "candles_invalid",
                f"the candle store does not know {count:,} minutes of {market} {symbol} in that stretch, "
                f"the first from {to_text(first)} to {to_text(end)}",
                "import them, or choose a stretch without such a hole: replay:store:FROM..TO; where the exchange had "
                "no candles there, import with --complete says so",
            )
        return rows

    return read


def _from_postgres(config: Config, market: str) -> Callable[[str, int, int], Rows]:
    database = database_of(config.jesse_database, "the configuration")
    if database is None:
        raise PaperError(
            "invalid_argument", "feed: replay:postgres needs to know Jesse's database", f"set {EXAMPLE} in config.toml"
        )

    def read(symbol: str, since: int, upto: int) -> Rows:
        rows = database.read(market, symbol, since, upto).rows
        if not len(rows):
            raise database.none_of(market, symbol)
        return rows

    return read


def _span(feed: str, span: str) -> tuple[int, int]:
    if not span:
        return 0, _END_OF_TIME
    first, dots, end = span.partition("..")
    try:
        if not dots:
            raise ValueError(f"{span!r} is not FROM..TO")
        since, upto = (to_ms(first) if first else 0), (to_ms(end) if end else _END_OF_TIME)
        if since >= upto:
            raise ValueError(f"{first} is not before {end}")
    except ValueError as error:
        source = feed.split(":")[1]
        raise PaperError(
            "invalid_argument", f"feed: {error}", f"write replay:{source}:2024-12-01..2025-01-01, the end not included"
        ) from error
    return since, upto


def replay_files(feed: str, symbols: tuple[str, ...]) -> dict[str, Path]:
    """The candle file of each symbol by a `feed` argument; empty for the live feed.

    `replay:FILE` is the traded symbol's; `replay:SYMBOL=FILE,SYMBOL=FILE` names each.

    Raises:
        PaperError: `invalid_argument` when it is neither, or lacks a symbol.
    """
    if feed == "live":
        return {}
    kind, _, rest = feed.partition(":")
    if kind != "replay" or not rest:
        raise PaperError(
            "invalid_argument",
            f"feed: {feed!r} is neither 'live' nor 'replay:/path/to/candles.csv.gz'",
            "further replays are 'replay:store' and 'replay:postgres', both with or without ':2024-12-01..2025-01-01'",
        )
    first = rest.split(",")[0]
    if first.partition("=")[0] in symbols and "=" in first:
        named = dict(part.partition("=")[::2] for part in rest.split(","))
    else:
        named = {symbols[0]: rest}
    missing = [symbol for symbol in symbols if not named.get(symbol)]
    unknown = [symbol for symbol in named if symbol not in symbols]
    if missing or unknown:
        example = ",".join(f"{symbol}=/path/to/{symbol}.csv.gz" for symbol in symbols)
        problem = (
            f"no candle file for {', '.join(missing)}"
            if missing
            else f"{', '.join(unknown)} is not a symbol of the session"
        )
        raise PaperError("invalid_argument", f"feed: {problem}", f"name a file for each symbol: replay:{example}")
    paths = {}
    for symbol, name in named.items():
        path = Path(name).expanduser()
        if not path.is_absolute():
            raise PaperError(
                "invalid_argument",
                f"feed: {name!r} is a relative path, and the daemon's working directory is not yours",
                f"write the absolute path, such as {path.absolute()}" if path.exists() else "write the absolute path",
            )
        paths[symbol] = path
    return paths
