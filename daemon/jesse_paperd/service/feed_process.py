"""The daemon's side of the feed process: tells it what to follow, hears what it has, starts it again when it dies.

It runs while a live session does. What it says of markets is kept here for `paper_status` and `paper_health`; when it
has new candles of a market, that market's sessions are rung.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import msgspec

from jesse_paperd.config import RestartPolicy
from jesse_paperd.feed.messages import (
    CandleClosed,
    ExchangeState,
    FeedProblem,
    FeedReady,
    MarketState,
    Subscription,
    SubscriptionList,
    decode_event,
    encode,
)
from jesse_paperd.records.record import now_ms
from jesse_paperd.records.spec import SessionSpec

log = logging.getLogger(__name__)

Market = tuple[str, str]

#: A feed says every few seconds that it is there (feed/main.py); at first it imports for a while.
_SILENT_SECONDS = 20.0
_FIRST_WORD_SECONDS = 120.0


class FeedKeeper:
    """Owns the feed process.

    Args:
        home: the daemon's home directory.
        config_file: the daemon's configuration file, whose `exchanges` section is the feed's.
        policy: the waits between restarts; the feed is never given up.
        ring: rings the doorbell of a session.
    """

    PROGRAM: ClassVar[tuple[str, ...]] = (sys.executable, "-P", "-m", "jesse_paperd.feed.main")

    def __init__(self, home: Path, config_file: Path, policy: RestartPolicy, ring: Callable[[str], None]) -> None:
        self._arguments = ("--home", str(home), "--config", str(config_file))
        self._policy = policy
        self._ring = ring
        self._followers: dict[str, SessionSpec] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self.markets: dict[Market, MarketState] = {}
        self.exchanges: dict[str, ExchangeState] = {}
        self.down_since: int | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    def follow(self, spec: SessionSpec) -> None:
        """Have a live session's markets followed; a replay needs none."""
        if spec.live_from is None or spec.session_id in self._followers:
            return
        self._followers[spec.session_id] = spec
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._keep(), name="feed")
        self._tell()

    def leave(self, session_id: str) -> None:
        """An ended session needs its markets no more; after the last one the feed ends."""
        if self._followers.pop(session_id, None) is not None:
            self._tell()

    def states_of(self, spec: SessionSpec) -> list[MarketState]:
        """What is known of a live session's markets."""
        return [s for symbol in spec.symbols if (s := self.markets.get((spec.market, symbol))) is not None]

    def trouble_of(self, spec: SessionSpec) -> str:
        """Why a live session's candles cannot be had now, in words; empty where nothing is known to be wrong."""
        for market in self.states_of(spec):
            if market.state in ("stale", "refused"):
                return market.reason
        exchange = self.exchanges.get(spec.market)
        if exchange is not None and exchange.state != "up":
            return f"{spec.market} {exchange.reason}"
        return ""

    def sessions_on(self, exchange: str, symbol: str) -> int:
        """How many sessions follow a market."""
        return sum(spec.market == exchange and symbol in spec.symbols for spec in self._followers.values())

    async def close(self) -> None:
        """Let the feed end."""
        self._followers.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _subscriptions(self) -> SubscriptionList:
        return SubscriptionList(
            [
                Subscription(spec.market, symbol, spec.live_since)
                for spec in self._followers.values()
                for symbol in spec.symbols
            ]
        )

    def _tell(self) -> None:
        """Send the whole subscription list; a feed that is not there gets it when it comes up."""
        process = self._process
        if process is not None and process.stdin is not None and process.returncode is None:
            subscriptions = self._subscriptions()
            with contextlib.suppress(ConnectionError):
                process.stdin.write(encode(subscriptions) + b"\n")
                if not subscriptions.markets:
                    process.stdin.close()

    async def _keep(self) -> None:
        wait = self._policy.first_seconds
        while self._followers:
            began = asyncio.get_running_loop().time()
            try:
                await self._run()
            except Exception:
                # No process to be had, or a line beyond all bounds: live sessions must not wait for ever for it.
                log.exception("the feed could not be kept")
            if not self._followers:
                break
            self.down_since = self.down_since or now_ms()
            if asyncio.get_running_loop().time() - began > self._policy.settled_seconds:
                wait = self._policy.first_seconds
            log.warning("the feed died; it is started again in %.1f s", wait)
            await asyncio.sleep(wait)
            wait = min(self._policy.longest_seconds, wait * 2)
        self.down_since = None  # nobody misses it any more

    async def _run(self) -> None:
        """One life of the process."""
        self._process = process = await asyncio.create_subprocess_exec(
            *self.PROGRAM,
            *self._arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=os.environ,
            start_new_session=True,
            limit=2**20,
        )
        log.info("started the feed, pid %d", process.pid)
        self._tell()
        assert process.stdout is not None
        try:
            patience = _FIRST_WORD_SECONDS
            while line := await asyncio.wait_for(process.stdout.readline(), patience):
                self._hear(line)
                patience = _SILENT_SECONDS
            await process.wait()
        except TimeoutError:
            log.error("the feed, pid %d, has said nothing for %.0f seconds and is ended", process.pid, patience)
            process.kill()
            await process.wait()
        finally:
            if process.stdin is not None:
                process.stdin.close()
            if process.returncode is None:
                # It leaves at the end of its input; it must not outlive the daemon by more than that.
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.shield(asyncio.wait_for(process.wait(), 5))
            self._process = None
            self.markets.clear()
            self.exchanges.clear()

    def _hear(self, line: bytes) -> None:
        try:
            event = decode_event(line)
        except msgspec.MsgspecError as error:
            log.error("the feed said %r: %s", line[:200], error)
            return
        if isinstance(event, CandleClosed):
            for session_id, spec in self._followers.items():
                if spec.market == event.exchange and event.symbol in spec.symbols:
                    self._ring(session_id)
        elif isinstance(event, MarketState):
            self.markets[event.exchange, event.symbol] = event
        elif isinstance(event, ExchangeState):
            self.exchanges[event.exchange] = event
        elif isinstance(event, FeedReady):
            self.down_since = None
        elif isinstance(event, FeedProblem):
            log.warning("the feed: %s", event.message)
