"""One market: ask, judge, store, wait for the next close. Backfill and live are the same loop.

What is to be done is read off the store: the minutes since `since` that are not final. The newest stretch of them goes
first, since running sessions wait for it; holes before it (a new session with a longer warm-up) are filled meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from datetime import UTC, datetime
from typing import NamedTuple

from jesse_paperd.core.minutes import MINUTE
from jesse_paperd.feed.failures import RequestFailed, backoff
from jesse_paperd.feed.finality import EQUAL_AFTER, Finality, Reply, examine
from jesse_paperd.feed.messages import CandleClosed, MarketCondition, MarketState
from jesse_paperd.feed.venue import Venue

#: A minute's candle is asked for this long after it closed, by the exchange's clock.
SETTLE = 1_000
#: A candle is overdue this long after it closed.
STALE_AFTER = 15_000
#: How long an exchange that has no newer row though it should is left alone.
LONGEST_PAUSE = 30_000
LONGEST_BACKOFF = 30.0
#: What Jesse's database has is taken up to here before now: what is newer it may not have whole yet.
RECALL_BEFORE = 60 * MINUTE
#: A pair that the exchange does not have may be listed later.
UNKNOWN_AGAIN = 3_600.0
#: So few missing minutes at the end are the live case, not a backlog.
FEW = 5 * MINUTE
#: A sleep is cut into pieces, since clocks are set and machines sleep meanwhile.
LONGEST_SLEEP = 10.0

log = logging.getLogger(__name__)


class _Stretch(NamedTuple):
    """Minutes to ask for: from `first` below `upto`; the newest ones, or a hole before what is there."""

    first: int
    upto: int
    newest: bool


class Follower:
    """The subscription to one market, however many sessions use it.

    Two loops share the work, so that a hole that waits for budget holds up no live candle. Where something is kept
    for each of them, the key is `newest`.
    """

    def __init__(self, venue: Venue, symbol: str, since: int) -> None:
        self._venue = venue
        self.symbol = symbol
        self.since = since
        self._began: int | None = None  # the minute that was forming when it began, by the exchange's clock
        flat, history = venue.exchange.quiet_minutes == "flat", venue.exchange.history
        self._finality = {newest: Finality(flat, history) for newest in (True, False)}
        self._wake = {newest: asyncio.Event() for newest in (True, False)}
        self._trouble = {True: "", False: ""}
        self._chance = random.Random()
        self._recalling = asyncio.Lock()
        self._recalled_from: int | None = None
        self._fruitless = 0  # replies in a row without the candle that should be there
        self._caught_up = False
        self._answered_at: int | None = None
        self._asking_since = venue.clock.now()
        self._waits_for = ""
        self._refused_row = ""
        self._refused = False
        self._condition: MarketCondition = "starting"
        self._behind_since: int | None = None
        self._last_price: float | None = None
        self._last_price_at: int | None = None
        self._rejected_rows = 0
        self._stale_times = 0
        self._gap_minutes, self._revisions = venue.store.counts(symbol)

    def want(self, since: int) -> None:
        """Change the first minute that is wanted."""
        if since != self.since:
            self.since = since
            for wake in self._wake.values():
                wake.set()

    def mark(self, price: float, at: int) -> None:
        """Take a last traded price, unless a newer one is known."""
        if self._last_price_at is None or at >= self._last_price_at:
            self._last_price, self._last_price_at = price, at

    async def run(self) -> None:
        """Follow the market until cancelled; no failure ends it."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._pursue(newest=True))
            loops.create_task(self._pursue(newest=False))

    async def _pursue(self, newest: bool) -> None:
        failures = 0
        while True:
            try:
                await self._venue.find(self.symbol)
                self._refused = False
                due = await self._step(newest, await self._venue.time())
                failures, self._trouble[newest] = 0, ""
            except RequestFailed as error:
                failures += 1
                self._refused = error.kind == "unknown"
                self._trouble[newest] = f"{self._venue.exchange.name} {error.message}"
                wait = UNKNOWN_AGAIN if self._refused else backoff(failures, LONGEST_BACKOFF, self._chance)
                due = self._venue.clock.now() + int(wait * 1000)
            except Exception as error:
                failures += 1
                self._trouble[newest] = f"the feed failed: {type(error).__name__}: {error}"
                log.warning("%s %s", self._venue.exchange.name, self.symbol, exc_info=True)
                due = self._venue.clock.now() + int(backoff(failures, LONGEST_BACKOFF, self._chance) * 1000)
            await self._sleep_until(due, self._wake[newest])

    async def _step(self, newest: bool, now: int) -> int:
        """Ask for what is missing, if anything is; returns when to go on."""
        forming = now // MINUTE * MINUTE
        # A daemon whose clock is ahead may ask from a minute on that has not come: then it gets what comes from now on.
        self._began = forming if self._began is None else min(self._began, forming)
        if not (newest and self._caught_up):  # live candles do not wait for the past
            await self._recall(forming - RECALL_BEFORE)
        stretches = [_Stretch(a, b, b == forming) for a, b in self._missing(forming)]
        wanted = [stretch for stretch in stretches if stretch.newest == newest]
        if wanted:
            return await self._ask_for(wanted[0])
        if newest:
            self._caught_up = True
        return forming + MINUTE + SETTLE

    async def _recall(self, upto: int) -> None:
        """Ask Jesse's database for what is missing, once for each first minute that is wanted."""
        async with self._recalling:
            since = self._since()
            if self._recalled_from is not None and self._recalled_from <= since:
                return
            if missing := self._venue.store.missing(self.symbol, since, upto):
                await self._venue.recall(self.symbol, missing[0][0], missing[-1][1])
            self._recalled_from = since

    def _since(self) -> int:
        return self.since if self._began is None else min(self.since, self._began)

    def _missing(self, forming: int) -> list[tuple[int, int]]:
        return self._venue.store.missing(self.symbol, self._since(), forming)

    async def _ask_for(self, stretch: _Stretch) -> int:
        """Ask once, judge, store; returns when to ask for this kind of stretch again."""
        venue, store, symbol = self._venue, self._venue.store, self.symbol
        first, upto, newest = stretch
        # One minute more on either side: the one before shows revisions, the one after proves the last one.
        since, limit = first - MINUTE, min(venue.limits.page, (upto - first) // MINUTE + 3)
        live = newest and upto - first <= FEW
        rows, asked = await venue.candles(symbol, since, limit, live)
        self._answered_at = asked
        reply = examine(rows, venue.clock.now())

        proven = 0
        window = since + limit * MINUTE
        beyond = [candle for candle in reply.candles if candle.timestamp >= first]
        if not beyond and not reply.refused and (window <= upto or not newest):
            # Nothing in a stretch that is long over. A later candle tells a quiet market from a silent exchange.
            later, _ = await venue.candles(symbol, None, 2, live)
            proven = min(window, max((c.timestamp for c in examine(later, venue.clock.now()).candles), default=0))
        known_before = not store.missing(symbol, first - MINUTE, first)
        # While the clock is not measured, nobody knows whether the newest row's minute is over.
        over = upto if venue.clock.offset is not None or not reply.candles else min(upto, reply.candles[-1].timestamp)
        verdict = self._finality[newest].judge(first, over, reply, asked, proven, known_before)
        if verdict.upto > first:
            store.commit(symbol, first, verdict.upto, verdict.candles, verdict.gaps, asked)
            venue.announce(CandleClosed(exchange=venue.exchange.name, symbol=symbol, upto=verdict.upto))
        self._note(stretch, reply, asked)
        refused = next(iter(reply.refused.values()), "")
        if newest:
            self._refused_row = f"a usable row: {refused}" if refused else ""
            self._waits_for = self._refused_row or verdict.waits_for
            self._fruitless = 0 if verdict.upto > first else self._fruitless + 1
            # Where quiet minutes have no row, the newest one may lack its row for long: nothing more to fetch will do.
            self._caught_up = self._caught_up or verdict.upto in (first, upto)

        if verdict.again_at is not None:
            return verdict.again_at
        if verdict.upto > first:
            return upto + MINUTE + SETTLE if newest and verdict.upto >= upto else asked
        if newest and not refused and venue.exchange.quiet_minutes != "flat":
            return upto + MINUTE + SETTLE  # most likely nobody traded
        return asked + min(EQUAL_AFTER * max(1, self._fruitless), LONGEST_PAUSE)

    def _note(self, stretch: _Stretch, reply: Reply, asked: int) -> None:
        """Record what else a reply contains besides new candles: the last price, revisions, refused rows."""
        self._rejected_rows += reply.refused_rows
        if reply.candles and reply.candles[-1].timestamp >= asked - 2 * MINUTE:
            self.mark(reply.candles[-1].close, min(asked, reply.candles[-1].timestamp + MINUTE))
        known = [c for c in reply.candles if not stretch.first <= c.timestamp < stretch.upto]
        revised = self._venue.store.recheck(self.symbol, known, asked)
        if revised:
            log.warning("%s changed %d final candle(s) of %s", self._venue.exchange.name, revised, self.symbol)
        self._gap_minutes, self._revisions = self._venue.store.counts(self.symbol)

    async def _sleep_until(self, due: int, wake: asyncio.Event) -> None:
        """Sleep until `due` by the exchange's clock, no longer than it seems now; or until the subscription changes."""
        loop = asyncio.get_running_loop()
        latest = loop.time() + (due - self._venue.clock.now()) / 1000
        while (left := min((due - self._venue.clock.now()) / 1000, latest - loop.time())) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), min(left, LONGEST_SLEEP))
                break
        wake.clear()

    def observe(self) -> MarketState:
        """The market's state now; also counts how often it became stale."""
        venue = self._venue
        now = venue.clock.now()
        forming = now // MINUTE * MINUTE
        missing = self._missing(forming)
        expected = missing[-1][0] if missing and missing[-1][1] == forming else forming
        condition, reason = self._judge(now, expected)
        if condition in ("stale", "quiet"):
            if self._behind_since is None:
                self._behind_since = venue.clock.local()
            self._stale_times += condition == "stale" and self._condition != "stale"
        else:
            self._behind_since = None
        self._condition = condition
        wanted = max(1, forming - self._since())
        return MarketState(
            exchange=venue.exchange.name,
            symbol=self.symbol,
            state=condition,
            reason=reason,
            since=self._since(),
            upto=expected,
            behind_since=self._behind_since,
            progress=round(1 - sum(b - a for a, b in missing) / wanted, 4),
            last_price=self._last_price,
            last_price_at=self._last_price_at,
            gap_minutes=self._gap_minutes,
            revisions=self._revisions,
            rejected_rows=self._rejected_rows,
            stale_times=self._stale_times,
        )

    def _judge(self, now: int, expected: int) -> tuple[MarketCondition, str]:
        if self._refused:
            return "refused", self._trouble[True]
        gate = self._venue.gate
        trouble = self._trouble[True] if gate.condition == "up" else f"{self._venue.exchange.name} {gate.reason}"
        silent_for = now - (self._answered_at or self._asking_since)
        if not self._caught_up:
            if trouble and silent_for > STALE_AFTER:
                return "stale", trouble
            return ("starting" if self._answered_at is None else "warming_up"), ""
        if now - expected <= MINUTE + STALE_AFTER:
            return "live", ""
        quiet = self._venue.exchange.quiet_minutes != "flat" and silent_for <= MINUTE + STALE_AFTER
        if quiet and not trouble and not self._refused_row:
            return "quiet", ""
        awaited = f"{datetime.fromtimestamp(expected / 1000, UTC):%H:%M}"
        return "stale", trouble or f"the candle of {awaited} UTC waits for {self._waits_for or 'its publication'}"
