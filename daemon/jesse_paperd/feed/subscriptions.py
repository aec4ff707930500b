"""The pairs of one exchange that are followed: which, since when, how they are, and their last prices."""

from __future__ import annotations

import asyncio
import logging
import random

from jesse_paperd.feed.failures import RequestFailed, backoff
from jesse_paperd.feed.follower import Follower
from jesse_paperd.feed.messages import Event, ExchangeState
from jesse_paperd.feed.venue import Venue

#: Share of the budget that asking for last prices leaves alone, at least: they are a convenience.
PRICES_LEAVE = 0.5

log = logging.getLogger(__name__)


class Subscriptions:
    """The subscriptions at one exchange.

    Args:
        price_seconds: how often the last traded prices are asked for; 0: never.
    """

    def __init__(self, venue: Venue, price_seconds: float) -> None:
        self.venue = venue
        self._price_seconds = price_seconds
        self._followers: dict[str, tuple[Follower, asyncio.Task[None]]] = {}
        self._chance = random.Random()
        self._prices = asyncio.create_task(self._follow_prices())

    async def follow(self, wanted: dict[str, int]) -> None:
        """Follow exactly these pairs, each from its first wanted minute on."""
        self.venue.pairs = frozenset(wanted)
        for symbol, since in wanted.items():
            if symbol in self._followers:
                self._followers[symbol][0].want(since)
            else:
                follower = Follower(self.venue, symbol, since)
                self._followers[symbol] = (follower, asyncio.create_task(follower.run()))
        for symbol in self._followers.keys() - wanted.keys():
            _, task = self._followers.pop(symbol)
            await _ended(task)

    async def close(self) -> None:
        """Stop following and close the exchange's connections and store."""
        await self.follow({})
        await _ended(self._prices)
        await self.venue.close()

    def observe(self) -> list[Event]:
        """The state of the exchange and of each pair now."""
        venue = self.venue
        if venue.clock.jumped():
            return []  # the local clock was set: nothing can be said before it is measured again
        pairs: list[Event] = [follower.observe() for follower, _ in self._followers.values()]
        rest = venue.gate.closed_for()
        return [
            ExchangeState(
                exchange=venue.exchange.name,
                state=venue.gate.condition,
                reason=venue.gate.reason,
                retry_at=venue.clock.local() + int(rest * 1000) if rest else None,
                clock_offset_ms=venue.clock.offset,
                clock_uncertainty_ms=venue.clock.uncertainty,
                markets=len(pairs),
                requests=venue.gate.requests,
                failures=venue.gate.failures,
                weight_last_minute=venue.gate.weight_last_minute(),
                weight_limit=venue.gate.limit,
            ),
            *pairs,
        ]

    async def _follow_prices(self) -> None:
        """Ask for the last prices now and then, when the budget has room."""
        venue, failures = self.venue, 0
        if not self._price_seconds or not venue.tells_prices:
            return
        while True:
            await asyncio.sleep(self._price_seconds + (backoff(failures, 300, self._chance) if failures else 0))
            symbols = sorted(venue.found & self._followers.keys())
            if not symbols or not venue.gate.has_spare(venue.limits.prices, venue.leaving(PRICES_LEAVE)):
                continue
            try:
                prices = await venue.prices(symbols)
                failures = 0
            except RequestFailed as error:
                failures += 1
                log.info("%s: no last prices: it %s", venue.exchange.name, error.message)
                continue
            for symbol, (price, at) in prices.items():
                if symbol in self._followers:
                    self._followers[symbol][0].mark(price, at)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    # Not `await task`: whoever suppresses its cancellation would also suppress his own.
    await asyncio.wait({task})
