"""The feed as the daemon has it: a process with subscriptions on its stdin and events on its stdout."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from jesse_paperd.candles.store import Candle, CandleReader
from jesse_paperd.core.layout import Layout
from jesse_paperd.core.minutes import MINUTE
from jesse_paperd.feed.messages import (
    CandleClosed,
    Event,
    ExchangeState,
    FeedProblem,
    FeedReady,
    MarketState,
    Subscription,
    SubscriptionList,
    decode_event,
    encode,
)
from tests.fakes.market import random_market

ROOT = Path(__file__).resolve().parents[2]
SPOT, BTC = "Binance Spot", "BTC-USDT"
SPEED = 60  # a candle a second
E = TypeVar("E", bound=Event)


@contextmanager
def stand_in(*arguments: str) -> Iterator[dict[str, object]]:
    """A stand-in exchange in a process of its own; gives what it says of itself."""
    command = [sys.executable, "-m", "tests.fakes.exchange_server", "--exchange", SPOT, "--symbol", BTC, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.kill()


class FeedProcess:
    """A feed; every wait is for a line that it writes."""

    def __init__(self, home: Path, *arguments: str, module: str = "jesse_paperd.feed.main") -> None:
        command = [sys.executable, "-m", module, "--home", str(home), *arguments]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def say(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def follow(self, *subscriptions: Subscription) -> None:
        self.say(encode(SubscriptionList(list(subscriptions))))

    def hear(self, kind: type[E], wanted: Callable[[E], object] = lambda _: True) -> E:
        """The next event of a kind that is as wanted."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event = decode_event(line)
            if isinstance(event, kind) and wanted(event):
                return event
        assert self.process.stderr is not None
        raise AssertionError(f"the feed ended with {self.process.wait()}: {self.process.stderr.read().decode()}")

    def end(self) -> int:
        """Close its input and give its exit status."""
        self.process.communicate()
        return self.process.returncode

    def __enter__(self) -> FeedProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def rows(home: Path, since: int) -> list[Candle]:
    stored = CandleReader(Layout(home).candle_store(SPOT)).read(BTC, since - 1, 10_000).tolist()
    return [Candle(int(t), o, h, low, c, v) for t, o, c, h, low, v in stored]


def test_a_feed_warms_up_says_what_it_does_and_ends_with_its_input(short_home: Path) -> None:
    with stand_in("--seed", "3") as exchange:
        (short_home / "config.toml").write_text(str(exchange["config"]))
        now = int(str(exchange["now"])) // MINUTE * MINUTE
        with FeedProcess(short_home) as feed:
            assert feed.hear(FeedReady).pid == feed.process.pid
            feed.say(b'{"markets": [{"exchange": 1}]}')
            assert "not a subscription list" in feed.hear(FeedProblem).message
            feed.say(b"\xff\xfe nonsense")
            assert "not a subscription list" in feed.hear(FeedProblem).message
            feed.follow(Subscription("Binanse Spot", BTC, now), Subscription("binance spot", BTC, now - 1500 * MINUTE))
            assert "Binanse" in feed.hear(FeedProblem).message
            feed.hear(CandleClosed, lambda event: event.upto >= now)
            assert feed.hear(ExchangeState, lambda event: event.clock_offset_ms is not None).state == "up"
            state = feed.hear(MarketState, lambda event: event.state == "live")
            assert (state.exchange, state.symbol, state.progress) == (SPOT, BTC, 1.0)
            assert rows(short_home, now - 1500 * MINUTE)[:1500] == random_market(BTC, 3).finals(
                now - 1500 * MINUTE, now
            )
            assert feed.end() == 0


def test_live_candles_ring_one_by_one_as_they_close(short_home: Path) -> None:
    """An hour of the exchange in a minute of ours, on the feed's own code."""
    with stand_in("--seed", "4", "--speed", str(SPEED)) as exchange:
        (short_home / "config.toml").write_text(str(exchange["config"]))
        start = int(str(exchange["now"]))
        since = start // MINUTE * MINUTE - 10 * MINUTE
        with FeedProcess(
            short_home, "--speed", str(SPEED), "--start", str(start), module="tests.fakes.fast_feed"
        ) as feed:
            feed.follow(Subscription(SPOT, BTC, since))
            first = feed.hear(CandleClosed).upto
            rung = [feed.hear(CandleClosed).upto for _ in range(5)]
            assert rung == sorted(set(rung))
            assert rung[0] > first
            assert feed.end() == 0
        stored = rows(short_home, since)
        assert stored == random_market(BTC, 4).finals(since, stored[-1].timestamp + MINUTE)
        assert stored[-1].timestamp + MINUTE >= rung[-1]


def test_a_feed_writes_nothing_while_another_holds_the_stores(short_home: Path) -> None:
    layout = Layout(short_home)
    layout.prepare()
    with (short_home / "candles" / "feed.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with FeedProcess(short_home) as feed:
            feed.follow(Subscription(SPOT, BTC, 0))
            said, _ = feed.process.communicate()
            assert (feed.process.returncode, said) == (0, b"")
    assert not layout.candle_store(SPOT).exists()


def test_a_configuration_that_is_not_valid_is_refused_and_a_signal_ends_it(short_home: Path) -> None:
    file = short_home / "other.toml"
    file.write_text('[exchanges."Binance Spot"]\napiKey = "secret"')
    with FeedProcess(short_home, "--config", str(file)) as feed:
        _, complaint = feed.process.communicate()
        assert feed.process.returncode == 2
        assert "apiKey" in complaint.decode()
        assert "secret" not in complaint.decode()
        assert "Traceback" not in complaint.decode()
    with FeedProcess(short_home) as feed:
        feed.hear(FeedReady)
        feed.process.terminate()
        assert feed.process.wait() == 0
