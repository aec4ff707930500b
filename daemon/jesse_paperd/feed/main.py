"""The feed process: follows exchanges for all sessions, told by the daemon what to follow.

    python -m jesse_paperd.feed.main --home HOME [--config FILE]

Subscriptions come in on stdin, events go out on stdout (messages.py); the log goes to stderr. End of input ends it, so
a feed never outlives its daemon. It holds a lock while it writes candle stores: a second feed waits for the first to
leave.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from jesse_paper.errors import PaperError
from jesse_paperd.candles.jesse_database import JesseDatabase, database_of
from jesse_paperd.candles.store import CandleStore
from jesse_paperd.config import read_document
from jesse_paperd.core.layout import Layout
from jesse_paperd.core.minutes import MINUTE
from jesse_paperd.feed.exchanges import resolve
from jesse_paperd.feed.gate import Gate
from jesse_paperd.feed.limits import LIMITS
from jesse_paperd.feed.messages import (
    Event,
    ExchangeState,
    FeedAlive,
    FeedProblem,
    FeedReady,
    MarketState,
    SubscriptionList,
    decode_subscriptions,
    encode,
)
from jesse_paperd.feed.settings import ExchangeSettings, settings_of
from jesse_paperd.feed.subscriptions import Subscriptions
from jesse_paperd.feed.venue import Venue

#: Seconds between looks at the state of all markets.
TICK = 1.0
#: How often the feed says that it is there.
ALIVE_SECONDS = 5.0
#: Unread output that is tolerated; beyond it, states wait until the daemon reads again.
OUTPUT_LIMIT = 1 << 20

log = logging.getLogger(__name__)


def local_milliseconds() -> int:
    """The local clock, in milliseconds UTC."""
    return time.time_ns() // 1_000_000


class Feed:
    """All exchanges that are followed."""

    def __init__(
        self,
        layout: Layout,
        settings: dict[str, ExchangeSettings],
        emit: Callable[[Event], None],
        local_clock: Callable[[], int] = local_milliseconds,
        database: JesseDatabase | None = None,
    ) -> None:
        self._layout = layout
        self._settings = settings
        self._emit = emit
        self._local_clock = local_clock
        self._database = database
        self._exchanges: dict[str, Subscriptions] = {}
        self._gates: dict[tuple[str, bool, str], Gate] = {}
        self._told: dict[tuple[str, str], Event] = {}

    async def follow(self, subscriptions: SubscriptionList) -> None:
        """Follow exactly these markets. What cannot be followed is reported and left out."""
        by_exchange: dict[str, dict[str, int]] = {}
        for each in subscriptions.markets:
            try:
                exchange = resolve(each.exchange)
                if not exchange.live:
                    raise PaperError("feed_unavailable", f"{exchange.name} has no live candles")
            except PaperError as error:
                self._emit(FeedProblem(message=f"{each.symbol}: {error.message}"))
                continue
            since = max(0, each.since) // MINUTE * MINUTE
            markets = by_exchange.setdefault(exchange.name, {})
            markets[each.symbol] = min(since, markets.get(each.symbol, since))
        for name in self._exchanges.keys() - by_exchange.keys():
            # It leaves the table only when it is closed: `close` finishes what a cancellation interrupts here.
            await self._exchanges[name].close()
            del self._exchanges[name]
        for name, markets in by_exchange.items():
            try:
                exchange_subscriptions = self._exchanges.get(name) or self._open(name)
            except PaperError as error:
                self._emit(FeedProblem(message=f"{name}: {error.message}"))
                continue
            await exchange_subscriptions.follow(markets)
        self._told = {key: event for key, event in self._told.items() if key[1] in by_exchange.get(key[0], {"": 0})}

    def _open(self, name: str) -> Subscriptions:
        exchange = resolve(name)
        settings = self._settings.get(name, ExchangeSettings())
        limits = LIMITS[exchange.ccxt]
        host = (exchange.ccxt, exchange.testnet, str(settings.urls))
        if host not in self._gates:
            budget = settings.weight_per_minute or limits.budget
            self._gates[host] = Gate(budget, asyncio.get_running_loop().time)
        store = CandleStore(self._layout.candle_store(name))
        gate, database = self._gates[host], self._database
        venue = Venue(exchange, settings, limits, gate, store, self._local_clock, self._emit, database)
        self._exchanges[name] = Subscriptions(venue, settings.price_seconds)
        return self._exchanges[name]

    def report(self) -> None:
        """Emit the states that changed since they were last told."""
        for subscriptions in self._exchanges.values():
            for event in subscriptions.observe():
                assert isinstance(event, MarketState | ExchangeState)
                key = (event.exchange, event.symbol if isinstance(event, MarketState) else "")
                if self._told.get(key) != event:
                    self._told[key] = event
                    self._emit(event)

    async def close(self) -> None:
        """Stop following everything."""
        for subscriptions in self._exchanges.values():
            await subscriptions.close()
        self._exchanges.clear()


async def serve(
    layout: Layout,
    settings: dict[str, ExchangeSettings],
    database: JesseDatabase | None,
    local_clock: Callable[[], int] = local_milliseconds,
) -> None:
    """Follow what stdin says until it ends, or until SIGTERM."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    output, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, sys.stdout)

    def emit(event: Event) -> None:
        # A daemon that does not read for a while must not stop the candles: a candle's event is only a doorbell.
        if output.get_write_buffer_size() < OUTPUT_LIMIT and not output.is_closing():
            output.write(encode(event) + b"\n")

    async def report() -> None:
        alive_at = 0.0
        while True:
            await asyncio.sleep(TICK)
            if loop.time() - alive_at >= ALIVE_SECONDS:
                alive_at = loop.time()
                emit(FeedAlive())
            if output.get_write_buffer_size() < OUTPUT_LIMIT // 2:
                feed.report()

    feed = Feed(layout, settings, emit, local_clock, database)
    lock = os.open(layout.home / "candles" / "feed.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    inbox: asyncio.Queue[bytes] = asyncio.Queue()
    tasks = [asyncio.create_task(work) for work in (_hear(lines, inbox), _obey(feed, lock, inbox, emit), report())]
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, tasks[0].cancel)
    try:
        # None but the first ends without a defect: at the end of input, or when a signal cancels it.
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        await feed.close()
        output.close()
        os.close(lock)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome


async def _hear(lines: asyncio.StreamReader, inbox: asyncio.Queue[bytes]) -> None:
    while line := await lines.readline():
        inbox.put_nowait(line)


async def _obey(feed: Feed, lock: int, inbox: asyncio.Queue[bytes], emit: Callable[[Event], None]) -> None:
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:  # the feed of a daemon that just died is still leaving
            await asyncio.sleep(0.2)
    emit(FeedReady(pid=os.getpid()))
    while True:
        line = await inbox.get()
        try:
            await feed.follow(decode_subscriptions(line))
        except msgspec.MsgspecError as error:
            emit(FeedProblem(message=f"not a subscription list: {error}: {line[:200].decode(errors='replace')!r}"))


def prepare(arguments: list[str]) -> tuple[Layout, dict[str, ExchangeSettings], JesseDatabase | None]:
    """Read the command line and the configuration, and start logging.

    Raises:
        PaperError: the configuration is not valid, or the home directory cannot be used.
    """
    parser = argparse.ArgumentParser(prog="python -m jesse_paperd.feed.main", description="Follows exchanges.")
    parser.add_argument("--home", type=Path, required=True, help="the daemon's home directory")
    parser.add_argument("--config", type=Path, help="its configuration file; default: HOME/config.toml")
    given = parser.parse_args(arguments)
    form = "%(asctime)s %(levelname)s %(message)s"
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=form, datefmt="%Y-%m-%dT%H:%M:%S")
    logging.getLogger("ccxt").setLevel(logging.WARNING)
    layout = Layout(given.home.absolute())
    file = given.config or layout.home / "config.toml"
    document = read_document(file)
    settings = settings_of(document.get("exchanges", {}), str(file))
    database = database_of(document.get("jesse_database"), str(file))
    layout.prepare()
    return layout, settings, database


def main() -> int:
    """Run the feed; returns the exit status."""
    try:
        prepared = prepare(sys.argv[1:])
    except PaperError as error:
        log.error("%s%s", error.message, f" ({error.hint})" if error.hint else "")
        return error.kind.exit_status
    asyncio.run(serve(*prepared))
    return 0


if __name__ == "__main__":
    sys.exit(main())
