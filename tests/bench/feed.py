"""What following markets costs, and how soon after its close a candle is stored and is in the journals.

The first table runs the feed in virtual time: CPU per market and minute, requests, memory. The second runs it in a
process of its own at real speed, against a stand-in in another: from the close, by the exchange's clock, to the event
that rings the sessions. The third has a whole daemon with sessions: from the close to the commit of what the candle
caused, which is the time at which the journal was last written (to the kernel's tick, 4 ms or less).
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from jesse_paper import protocol as wire
from jesse_paperd.core.minutes import MINUTE
from jesse_paperd.feed.messages import CandleClosed, Subscription, SubscriptionList, decode_event, encode
from jesse_paperd.records.journal import JournalReader
from tests.fakes.market import random_market
from tests.support.daemon import Daemon, eventually, running_daemon
from tests.support.feed import BEGIN, World, in_virtual_time

EXCHANGE = "Binance Perpetual Futures"
MINUTES = 10
#: Sessions and markets of the third table.
SESSIONS = ((1, 1), (200, 20))


def virtual(markets: int, prices: bool) -> dict[str, float]:
    """CPU and requests of following this many markets for some minutes."""

    async def story(world: World) -> dict[str, float]:
        symbols = [f"C{number}-USDT" for number in range(markets)]
        known = [random_market(symbol, 1) for symbol in symbols]
        server = await world.exchange(EXCHANGE, known, price_seconds=10 if prices else 0)
        await world.follow(*((EXCHANGE, symbol, BEGIN // MINUTE * MINUTE - 240 * MINUTE) for symbol in symbols))
        began = time.process_time()
        await world.minutes(3)
        warm = time.process_time() - began
        began, asked = time.process_time(), len(server.asked)
        await world.minutes(MINUTES)
        spent = time.process_time() - began
        return {
            "warm": warm,
            "per market and minute": spent / MINUTES / markets,
            "of a core": spent / MINUTES / 60,
            "requests": (len(server.asked) - asked) / MINUTES,
            "weight": server.weight_in_any_minute(),
        }

    with tempfile.TemporaryDirectory() as home:
        return in_virtual_time(Path(home), story)


def real(markets: int, minutes: int) -> list[float]:
    """Milliseconds from each close to its event, at real speed."""
    symbols = [f"C{number}-USDT" for number in range(markets)]
    with tempfile.TemporaryDirectory() as home, stand_in(symbols) as config:
        (Path(home) / "config.toml").write_text(config)
        command = [sys.executable, "-m", "jesse_paperd.feed.main", "--home", home]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as feed:
            assert feed.stdin is not None
            assert feed.stdout is not None
            now = time.time_ns() // 1_000_000 // MINUTE * MINUTE
            feed.stdin.write(
                encode(SubscriptionList([Subscription(EXCHANGE, symbol, now - 10 * MINUTE) for symbol in symbols]))
                + b"\n"
            )
            feed.stdin.flush()
            delays: list[float] = []
            first = now + 2 * MINUTE
            for line in feed.stdout:
                event = decode_event(line)
                if isinstance(event, CandleClosed) and event.upto >= first:
                    delays.append(time.time_ns() / 1e6 - event.upto)
                    if len(delays) == markets * minutes:
                        break
            memory = int(Path(f"/proc/{feed.pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024
            print(f"  resident memory of the feed with {markets} markets: {memory:.0f} MB")
            feed.stdin.close()
            feed.wait()
    return delays


def journaled(sessions: int, markets: int, minutes: int) -> None:
    """Print how many milliseconds after each close a candle's consequences were committed, and what was asked."""
    symbols = [f"C{number}-USDT" for number in range(markets)]
    # A live session runs from its first candle on; its start does not wait for that here.
    with stand_in(symbols) as config, running_daemon(config=f"start_seconds = 0.01\n{config}") as daemon:
        ids = [f"s{number}" for number in range(sessions)]
        began = time.time()
        for number, session_id in enumerate(ids):
            daemon.start_session(
                session_id=session_id, symbol=symbols[number % markets], exchange=EXCHANGE, timeframe="1m", feed="live"
            )
        eventually("all are warm", lambda: all(row.status == "running" and row.health == "ok" for row in rows(daemon)))
        print(f"  {sessions:>4} sessions on {markets} markets: all trade after {time.time() - began:.0f} s")
        delays: list[float] = []
        close = time.time_ns() // 1_000_000 // MINUTE * MINUTE + MINUTE
        late = 0
        asked = daemon.call(wire.PaperHealth()).exchanges[0].requests
        for _ in range(minutes):
            time.sleep(max(0.0, close / 1000 + 30 - time.time()))
            for session_id in ids:
                journal = daemon.layout.session(session_id).journal
                with contextlib.closing(JournalReader(journal)) as reader:
                    progress = reader.progress()
                if progress is None or progress.last_candle != close - MINUTE:
                    late += 1
                else:
                    delays.append(journal.with_name(f"{journal.name}-wal").stat().st_mtime_ns / 1e6 - close)
            close += MINUTE
        (exchange,) = daemon.call(wire.PaperHealth()).exchanges
        delays.sort()
        print(
            f"       close to journal: median {statistics.median(delays):.0f} ms,"
            f" 99th percentile {delays[min(len(delays) - 1, int(len(delays) * 0.99))]:.0f} ms, most {delays[-1]:.0f} ms"
            f" ({len(delays)} candles; {late} not within 30 s)\n"
            f"       {exchange.markets} subscriptions, {(exchange.requests - asked) / minutes:.1f} requests a minute,"
            f" weight {exchange.weight_last_minute:.0f} of {exchange.weight_limit:.0f} that the feed allows itself"
        )


def rows(daemon: Daemon) -> list[wire.SessionRow]:
    return daemon.call(wire.PaperListSessions(active_only=False, limit=1000)).sessions  # type: ignore[no-any-return]


@contextlib.contextmanager
def stand_in(symbols: list[str]) -> Iterator[str]:
    """A stand-in exchange in a process of its own; the configuration that points the feed at it."""
    command = [sys.executable, "-m", "tests.fakes.exchange_server", "--exchange", EXCHANGE]
    for symbol in symbols:
        command += ["--symbol", symbol]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["config"]
        finally:
            process.kill()


def main() -> None:
    print("The feed in virtual time (the stand-in exchange and the event loop are in these numbers, too):\n")
    print(" markets  prices  CPU ms/market/min  % of a core  requests/min  most weight/min")
    for markets, prices in ((1, False), (20, False), (300, False), (300, True)):
        row = virtual(markets, prices)
        print(
            f"{markets:>8} {'yes' if prices else 'no':>7} {row['per market and minute'] * 1000:>18.2f}"
            f" {row['of a core'] * 100:>12.2f} {row['requests']:>13.1f} {row['weight']:>16.0f}"
        )
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(f"({usage.ru_utime + usage.ru_stime:.0f} s of CPU for this table)")
    minutes = int(os.environ.get("BENCH_MINUTES", "3"))
    print(f"\nFrom a candle's close to the event that it is stored, at real speed, {minutes} minutes:\n")
    for markets in (1, 200):
        delays = sorted(real(markets, minutes))
        print(
            f"  {markets:>4} market(s): median {statistics.median(delays):.0f} ms,"
            f" 99th percentile {delays[min(len(delays) - 1, int(len(delays) * 0.99))]:.0f} ms"
            " (1000 ms of it are waited on purpose)"
        )
    print(f"\nFrom a candle's close to its consequences in the journal, at real speed, {minutes} minutes:\n")
    for sessions, markets in SESSIONS:
        journaled(sessions, markets, minutes)


if __name__ == "__main__":
    main()
