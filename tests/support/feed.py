"""The real feed against stand-in exchanges, in virtual time: an hour of market takes about a second."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from jesse_paperd.candles.store import Candle, CandleReader
from jesse_paperd.core.layout import Layout
from jesse_paperd.core.minutes import MINUTE
from jesse_paperd.feed.main import TICK, Feed
from jesse_paperd.feed.messages import CandleClosed, Event, ExchangeState, MarketState, Subscription, SubscriptionList
from jesse_paperd.feed.settings import ExchangeSettings
from tests.fakes.dialects import DIALECTS
from tests.fakes.event_loops import VirtualTimeLoop
from tests.fakes.exchange_server import ExchangeServer
from tests.fakes.market import Market

T = TypeVar("T")

#: The exchange's clock when a test begins: 20 s into a minute.
BEGIN = 1_735_700_400_000 + 20_000


class World:
    """Stand-in exchanges and a feed that follows them."""

    def __init__(self, home: Path, clock_error: int = 0) -> None:
        """`clock_error`: milliseconds by which the local clock is ahead of the exchanges'."""
        self.layout = Layout(home)
        self.layout.prepare()
        self.events: list[Event] = []
        self.servers: dict[str, ExchangeServer] = {}
        self.settings: dict[str, ExchangeSettings] = {}
        self.clock_error = clock_error
        self.asleep = 0  # milliseconds that the machine slept: the world went on, its monotonic clock did not
        self.feed = self._new_feed()

    def now(self) -> int:
        """The exchanges' clock."""
        return BEGIN + self.asleep + round(asyncio.get_running_loop().time() * 1000)

    def local(self) -> int:
        """The clock of the machine that the feed runs on."""
        return self.now() + self.clock_error

    async def exchange(self, name: str, markets: list[Market], seed: int = 0, **settings: object) -> ExchangeServer:
        """Open a stand-in exchange and point the feed at it."""
        server = ExchangeServer(DIALECTS[name](), markets, self.now, seed)
        await server.start()
        self.servers[name] = server
        self.settings[name] = ExchangeSettings(**{"urls": server.url, **settings})
        return server

    async def follow(self, *subscriptions: tuple[str, str, int]) -> None:
        await self.feed.follow(SubscriptionList([Subscription(*subscription) for subscription in subscriptions]))

    async def minutes(self, minutes: float) -> None:
        """Let market time pass; the feed reports as it does in its own process."""
        until = self.now() + minutes * MINUTE
        while self.now() < until:
            await asyncio.sleep(TICK)
            self.feed.report()

    async def until(self, what: Callable[[], object], minutes: float = 60) -> None:
        """Let market time pass until something is so."""
        limit = self.now() + minutes * MINUTE
        while not what():
            assert self.now() < limit, f"not within {minutes} minutes of market time"
            await self.minutes(1 / 60)

    async def restart_feed(self) -> None:
        """Another feed on the same home."""
        await self.feed.close()
        self.feed = self._new_feed()

    async def close(self) -> None:
        await self.feed.close()
        for server in self.servers.values():
            await server.stop()

    def stored(self, exchange: str, symbol: str, since: int) -> tuple[list[Candle], int]:
        """What a session reads from `since` on, following its cursor, and the frontier it reached."""
        reader = CandleReader(self.layout.candle_store(exchange))
        candles: list[Candle] = []
        cursor = since - 1
        while len(rows := reader.read(symbol, cursor, 500)):
            candles += [Candle(int(t), o, h, low, c, v) for t, o, c, h, low, v in rows.tolist()]
            cursor = candles[-1].timestamp
        frontier = reader.frontier(symbol, since)
        reader.close()
        return candles, frontier or since

    def states(self, symbol: str) -> list[MarketState]:
        return [event for event in self.events if isinstance(event, MarketState) and event.symbol == symbol]

    def venues(self, exchange: str) -> list[ExchangeState]:
        return [event for event in self.events if isinstance(event, ExchangeState) and event.exchange == exchange]

    def closed(self, symbol: str) -> list[CandleClosed]:
        return [event for event in self.events if isinstance(event, CandleClosed) and event.symbol == symbol]

    def _new_feed(self) -> Feed:
        return Feed(self.layout, self.settings, self.events.append, self.local)


def in_virtual_time(home: Path, story: Callable[[World], Awaitable[T]], clock_error: int = 0) -> T:
    """Run a story of a world from its beginning to its end."""

    async def told() -> T:
        world = World(home, clock_error)
        try:
            return await story(world)
        finally:
            await world.close()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(told())
