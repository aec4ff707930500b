"""One exchange: its client, its clock, its candle store and the markets that are followed on it."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from functools import partial
from typing import Any

from jesse_paperd.market.clock import VenueClock
from jesse_paperd.market.config import ExchangeSettings
from jesse_paperd.market.exchanges import Exchange
from jesse_paperd.market.follower import Follower
from jesse_paperd.market.gate import Gate, SourceError, backoff
from jesse_paperd.market.jesse_database import JesseDatabase
from jesse_paperd.market.limits import Limits
from jesse_paperd.market.source import CcxtSource
from jesse_paperd.market.status import CandleClosed, Event, ExchangeState, FeedProblem
from jesse_paperd.store.candle_import import STRETCH
from jesse_paperd.store.candle_store import CandleStore
from jesse_paperd.wire.errors import PaperError

#: Share of the budget that a backlog leaves to live candles, at least; and last prices, which are a convenience.
BACKLOG_LEAVES = 0.2
PRICES_LEAVE = 0.5

log = logging.getLogger(__name__)


class Venue:
    """An exchange while at least one of its markets is followed."""

    def __init__(
        self,
        exchange: Exchange,
        settings: ExchangeSettings,
        limits: Limits,
        gate: Gate,
        store: CandleStore,
        local_clock: Callable[[], int],
        announce: Callable[[CandleClosed | FeedProblem], None],
        database: JesseDatabase | None = None,
    ) -> None:
        self.exchange = exchange
        self.limits = limits
        self.gate = gate
        self.store = store
        self.announce = announce
        self.clock = VenueClock(local_clock, asyncio.get_running_loop().time)
        self._settings = settings
        self._database = database
        self._source = CcxtSource(exchange, settings, self.clock)
        self._found: set[str] = set()
        self._followers: dict[str, tuple[Follower, asyncio.Task[None]]] = {}
        self._asking = asyncio.Lock()  # for what all markets need once: the time, the list of markets
        self._time_failures = 0
        self._time_not_before = 0.0
        self._chance = random.Random()
        self._prices = asyncio.create_task(self._follow_prices())

    @property
    def symbols(self) -> list[str]:
        """The markets that are followed."""
        return list(self._followers)

    async def follow(self, wanted: dict[str, int]) -> None:
        """Follow exactly these markets, each from its first wanted minute on."""
        for symbol, since in wanted.items():
            if symbol in self._followers:
                self._followers[symbol][0].want(since)
            else:
                follower = Follower(self, symbol, since)
                self._followers[symbol] = (follower, asyncio.create_task(follower.run()))
        for symbol in self._followers.keys() - wanted.keys():
            _, task = self._followers.pop(symbol)
            await _ended(task)

    async def close(self) -> None:
        """Stop following and close the connections and the store."""
        await self.follow({})
        await _ended(self._prices)
        await self._source.close()
        self.store.close()

    async def time(self) -> int:
        """The exchange's time now, measured again when that is due; a failure to measure is no failure to know."""
        if self._source.tells_time and self.clock.due():
            async with self._asking:
                loop_time = asyncio.get_running_loop().time()
                if self.clock.due() and loop_time >= self._time_not_before:
                    try:
                        await self.gate.request(self.limits.time, self._source.time)
                        self._time_failures = 0
                    except SourceError as error:
                        self._time_failures += 1
                        self._time_not_before = loop_time + backoff(self._time_failures, 60, self._chance)
                        log.warning("%s: its clock cannot be measured: it %s", self.exchange.name, error.message)
        return self.clock.now()

    async def find(self, symbol: str) -> None:
        """Make a pair known to the client: from the store, or from the exchange's list of markets.

        Raises:
            SourceError: `unknown` when the exchange does not have it; or the list could not be had.
        """
        if symbol in self._found:
            return
        async with self._asking:
            listing = self.store.listing(symbol)
            if listing is None:
                # One list serves all markets that wait for it.
                unknown = [other for other in self._followers if self.store.listing(other) is None]
                ask = partial(self._source.listings, symbol, unknown)
                for other, found in (await self.gate.request(self.limits.listing, ask)).items():
                    self.store.keep_listing(other, found, self.clock.now())
                listing = self.store.listing(symbol)
            assert listing is not None
            self._source.know(symbol, listing)
            self._found.add(symbol)

    async def candles(self, symbol: str, since: int | None, limit: int, live: bool) -> tuple[list[list[Any]], int]:
        """Rows of candles, and the exchange's time at which they were asked for. A backlog waits for what is `live`."""
        asked = 0

        async def ask() -> list[list[Any]]:
            nonlocal asked
            asked = self.clock.now()
            return await self._source.candles(symbol, since, limit)

        reserve = 0.0 if live else self._leaving(BACKLOG_LEAVES)
        rows = await self.gate.request(self.limits.weight_of(limit), ask, reserve)
        return rows, asked

    async def recall(self, symbol: str, first: int, upto: int) -> None:
        """Take what Jesse's own database has of a stretch, but for what is final; without one, nothing.

        It is a help, not a source to rely on: when it fails that is told, and the exchange is asked instead.
        """
        if self._database is None:
            return
        exchange = self.exchange.name
        try:
            candles = await asyncio.to_thread(self._database.read, exchange, symbol, first, upto, settled=True)
        except PaperError as error:
            self.announce(FeedProblem(message=f"{exchange} {symbol}: {error.message}; {exchange} is asked instead"))
            return
        added = 0
        for start in range(0, len(candles.rows), STRETCH):
            part = candles.rows[start : start + STRETCH]
            added += self.store.adopt(symbol, part, self.clock.now(), single=candles.single).added
            await asyncio.sleep(0)  # other markets' live candles go between
        if added:
            log.info("%s %s: %d candles of Jesse's database", exchange, symbol, added)
            self.announce(CandleClosed(exchange=exchange, symbol=symbol, upto=int(candles.rows[-1, 0]) + 60_000))

    def _leaving(self, share: float) -> float:
        """Weight to leave alone: a share of the budget, but at least what the next minute needs of all markets."""
        return max(share * self.gate.limit, len(self._followers) * self.limits.weight_of(1))

    def observe(self) -> list[Event]:
        """The state of the exchange and of each market now."""
        if self.clock.jumped():
            return []  # the local clock was set: nothing can be said before it is measured again
        markets: list[Event] = [follower.observe() for follower, _ in self._followers.values()]
        rest = self.gate.closed_for()
        return [
            ExchangeState(
                exchange=self.exchange.name,
                state=self.gate.condition,
                reason=self.gate.reason,
                retry_at=self.clock.local() + int(rest * 1000) if rest else None,
                clock_offset_ms=self.clock.offset,
                clock_uncertainty_ms=self.clock.uncertainty,
                markets=len(markets),
                requests=self.gate.requests,
                failures=self.gate.failures,
                weight_last_minute=self.gate.weight_last_minute(),
                weight_limit=self.gate.limit,
            ),
            *markets,
        ]

    async def _follow_prices(self) -> None:
        """Ask for the last prices now and then, when the budget has room."""
        pause, failures = self._settings.price_seconds, 0
        if not pause or not self._source.tells_prices:
            return
        while True:
            await asyncio.sleep(pause + (backoff(failures, 300, self._chance) if failures else 0))
            symbols = sorted(self._found & self._followers.keys())
            if not symbols or not self.gate.has_spare(self.limits.prices, self._leaving(PRICES_LEAVE)):
                continue
            try:
                prices = await self.gate.request(self.limits.prices, partial(self._source.prices, symbols))
                failures = 0
            except SourceError as error:
                failures += 1
                log.info("%s: no last prices: it %s", self.exchange.name, error.message)
                continue
            for symbol, (price, at) in prices.items():
                if symbol in self._followers:
                    self._followers[symbol][0].mark(price, at)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    # Not `await task`: whoever suppresses its cancellation would also suppress his own.
    await asyncio.wait({task})
