"""One exchange as the followers of its pairs share it: its client, its clock, its budget, its candle store."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from functools import partial
from typing import Any

from jesse_paper.errors import PaperError
from jesse_paperd.candles.importing import STRETCH
from jesse_paperd.candles.jesse_database import JesseDatabase
from jesse_paperd.candles.store import CandleStore
from jesse_paperd.core.minutes import MINUTE
from jesse_paperd.feed.clock import VenueClock
from jesse_paperd.feed.exchange import CcxtSource
from jesse_paperd.feed.exchanges import Exchange
from jesse_paperd.feed.failures import RequestFailed, backoff
from jesse_paperd.feed.gate import Gate
from jesse_paperd.feed.limits import Limits
from jesse_paperd.feed.messages import CandleClosed, FeedProblem
from jesse_paperd.feed.settings import ExchangeSettings

#: Share of the budget that a backlog leaves to live candles, at least.
BACKLOG_LEAVES = 0.2

log = logging.getLogger(__name__)


class Venue:
    """An exchange while at least one of its pairs is followed."""

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
        #: The pairs that are followed, and those of them that the client knows.
        self.pairs: frozenset[str] = frozenset()
        self.found: set[str] = set()
        self._database = database
        self._source = CcxtSource(exchange, settings, self.clock)
        self._asking = asyncio.Lock()  # for what all pairs need once: the time, the list of pairs
        self._time_failures = 0
        self._time_not_before = 0.0
        self._chance = random.Random()

    @property
    def tells_prices(self) -> bool:
        """Whether the exchange can be asked for last traded prices."""
        return self._source.tells_prices

    async def close(self) -> None:
        """Close the connections and the store."""
        await self._source.close()
        self.store.close()

    async def time(self) -> int:
        """The exchange's time now, measured again when that is due; if that fails, by the last measurement."""
        if self._source.tells_time and self.clock.due():
            async with self._asking:
                loop_time = asyncio.get_running_loop().time()
                if self.clock.due() and loop_time >= self._time_not_before:
                    try:
                        await self.gate.request(self.limits.time, self._source.time)
                        self._time_failures = 0
                    except RequestFailed as error:
                        self._time_failures += 1
                        self._time_not_before = loop_time + backoff(self._time_failures, 60, self._chance)
                        log.warning("%s: its clock cannot be measured: it %s", self.exchange.name, error.message)
        return self.clock.now()

    async def find(self, symbol: str) -> None:
        """Make a pair known to the client: from the store, or from the exchange's list of markets.

        Raises:
            RequestFailed: `unknown` when the exchange does not have it; or the list could not be had.
        """
        if symbol in self.found:
            return
        async with self._asking:
            listing = self.store.listing(symbol)
            if listing is None:
                # One list serves all pairs that wait for it.
                unknown = [other for other in self.pairs if self.store.listing(other) is None]
                ask = partial(self._source.listings, symbol, unknown)
                for other, found in (await self.gate.request(self.limits.listing, ask)).items():
                    self.store.keep_listing(other, found, self.clock.now())
                listing = self.store.listing(symbol)
            assert listing is not None
            self._source.know(symbol, listing)
            self.found.add(symbol)

    async def candles(self, symbol: str, since: int | None, limit: int, live: bool) -> tuple[list[list[Any]], int]:
        """Rows of candles, and the exchange's time at which they were asked for. A backlog waits for what is `live`."""
        asked = 0

        async def ask() -> list[list[Any]]:
            nonlocal asked
            asked = self.clock.now()
            return await self._source.candles(symbol, since, limit)

        reserve = 0.0 if live else self.leaving(BACKLOG_LEAVES)
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
            await asyncio.sleep(0)  # other pairs' live candles go between
        if added:
            log.info("%s %s: %d candles of Jesse's database", exchange, symbol, added)
            self.announce(CandleClosed(exchange=exchange, symbol=symbol, upto=int(candles.rows[-1, 0]) + MINUTE))

    def leaving(self, share: float) -> float:
        """Weight to leave alone: a share of the budget, but at least what the next minute needs of all pairs."""
        return max(share * self.gate.limit, len(self.pairs) * self.limits.weight_of(1))

    async def prices(self, symbols: list[str]) -> dict[str, tuple[float, int]]:
        """The last traded price of each pair that has one, and when it was traded."""
        return await self.gate.request(self.limits.prices, partial(self._source.prices, symbols))
