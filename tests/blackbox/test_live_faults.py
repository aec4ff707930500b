"""Live sessions while their exchange misbehaves: a real daemon, started by its CLI, on a fast clock.

What the feed makes of each fault is shown in virtual time by tests/faults/test_feed.py; here it is what a user sees.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jesse_paper import protocol as wire
from jesse_paper.rfc3339 import to_ms
from jesse_paperd.candles.store import CandleReader
from jesse_paperd.core.minutes import MINUTE
from jesse_paperd.records.journal import JournalReader
from tests.blackbox.test_feed_process import BTC, ROOT, SPEED, SPOT, stand_in
from tests.fakes.faults import LAGGING, ROWS
from tests.fakes.market import random_market
from tests.support.daemon import EXAMPLES, PATIENCE, Daemon, Project, eventually, running_daemon, strategy_source

SEED = 21
_EXITS = """\
    def update_position(self):
        if self.index % 3 == 2:
            self.liquidate()
"""

#: Nothing can become final while one of these lasts.
BLOCKING: dict[str, dict[str, Any]] = {
    "drop": {"kind": "drop"},
    "cut": {"kind": "cut"},
    "silence": {"kind": "silence"},
    "5xx": {"kind": "status", "status": 503},
    "429": {"kind": "status", "status": 429, "retry_after": "45"},
    "429 without a time": {"kind": "status", "status": 429},
    "418": {"kind": "status", "status": 418, "retry_after": "120"},
    "truncated": {"kind": "truncate"},
    "html": {"kind": "html"},
}
HARMFUL: dict[str, dict[str, Any]] = {
    "slow": {"kind": "slow", "seconds": 8},
    LAGGING: {"kind": LAGGING, "seconds": 50, "chance": 0.7},
    **{kind: {"kind": kind, "chance": 0.7} for kind in ROWS},
}
SHORT = ("silence", "429", "conflicting")


class Exchange:
    """The stand-in, as tests command it."""

    def __init__(self, told: dict[str, object]) -> None:
        self.config = str(told["config"])
        self._url = str(told["url"])

    def misbehave(self, *faults: dict[str, Any]) -> None:
        request = urllib.request.Request(f"{self._url}/-/faults", json.dumps(faults).encode(), method="POST")
        urllib.request.urlopen(request).read()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, Exchange]]:
    """A daemon and its exchange; both live sixty times as fast as the clock, from now on."""
    project = Project(tmp_path_factory.mktemp("project"))
    project.add_example("SMACrossover")
    project.add("Often", strategy_source("Often", should_long="return self.index % 3 == 0", extra=_EXITS))
    start = time.time_ns() // 1_000_000
    fast = f"'-m', 'tests.fakes.fast_feed', '--speed', '{SPEED}', '--start', '{start}'"
    with stand_in("--seed", str(SEED), "--speed", str(SPEED), "--start", str(start)) as told:
        exchange = Exchange(told)
        daemon = Daemon(project.root, f"start_seconds = 1\n{exchange.config}")
        daemon.program = (
            "import sys; from jesse_paperd.service.feed_process import FeedKeeper; "
            f"FeedKeeper.PROGRAM = (sys.executable, {fast}); from jesse_paperd.app import main; main()"
        )
        daemon.environment["PYTHONPATH"] = str(ROOT)
        try:
            yield daemon.start().ready(), exchange
        finally:
            daemon.close()


def cli(daemon: Daemon, *arguments: str) -> str:
    command = [sys.executable, "-c", "from jesse_paperd.cli import main; main()", *arguments]
    done = subprocess.run(command, env=daemon.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def consumed(daemon: Daemon, session_id: str) -> int:
    return daemon.status(session_id).health.candles


def market(daemon: Daemon) -> wire.FeedMarket:
    (found,) = daemon.call(wire.PaperHealth()).markets
    return found  # type: ignore[no-any-return]


def survive(world: tuple[Daemon, Exchange], names: list[str]) -> None:
    """Start two sessions, let each fault happen, and compare what they consumed with what the exchange had."""
    daemon, exchange = world
    ids = {f"sma-{names[0][:3]}": "SMACrossover", f"often-{names[0][:3]}": "Often"}
    for session_id, strategy in ids.items():
        options = ("--timeframe", "1m", "--exchange", SPOT, "--warmup", "60", "--session-id", session_id)
        cli(daemon, "start", strategy, BTC, *options)
    sma, often = ids
    eventually("it trades", lambda: consumed(daemon, sma) >= 5 and daemon.trades(often))
    stale_times = market(daemon).stale_times
    for name in names:
        before = consumed(daemon, sma)
        exchange.misbehave(BLOCKING.get(name) or HARMFUL[name])
        if name in BLOCKING:
            for session_id in ids:
                status = eventually(
                    f"{session_id} is stale under {name}",
                    lambda s=session_id: (told := daemon.status(s)).health.state == "stale" and told,
                )
                assert any(SPOT in reason for reason in status.health.reasons)
            health = daemon.call(wire.PaperHealth())
            assert health.state == "degraded"
            assert market(daemon).behind_since is not None
            assert "▲ stale" in cli(daemon, "feeds")
        else:
            eventually(f"it goes on under {name}", lambda b=before: consumed(daemon, sma) >= b + 5)
        exchange.misbehave()
        recovered = consumed(daemon, sma)
        eventually(
            f"it recovers from {name}",
            lambda r=recovered: consumed(daemon, sma) >= r + 5 and daemon.status(sma).health.state == "ok",
        )
    assert market(daemon).stale_times >= stale_times + sum(name in BLOCKING for name in names)
    for session_id in ids:
        daemon.stop_session(session_id)
        check(daemon, session_id)
    assert daemon.trades(often)


def check(daemon: Daemon, session_id: str) -> None:
    """It consumed the exchange's final candles, each once, in order; and its journal is Jesse's on those."""
    with contextlib.closing(JournalReader(daemon.layout.session(session_id).journal)) as journal:
        progress = journal.progress()
    assert progress is not None
    assert progress.first_candle is not None
    assert progress.last_candle is not None
    finals = random_market(BTC, SEED).finals(progress.first_candle, progress.last_candle + MINUTE)
    assert progress.candles == len(finals)
    with contextlib.closing(CandleReader(daemon.layout.candle_store(SPOT))) as store:
        rows = store.range(BTC, progress.first_candle, progress.last_candle + MINUTE).tolist()
    assert rows == [[c.timestamp, c.open, c.close, c.high, c.low, c.volume] for c in finals]
    verified = daemon.call(wire.PaperVerify(session_id=session_id))
    assert verified.equal, verified


def test_sessions_started_by_the_cli_survive_faults_and_their_ledgers_are_of_the_exchanges_candles(
    world: tuple[Daemon, Exchange],
) -> None:
    survive(world, list(SHORT))


@pytest.mark.slow
def test_sessions_survive_each_fault(world: tuple[Daemon, Exchange]) -> None:
    survive(world, [name for name in (*BLOCKING, *HARMFUL) if name not in SHORT])


@pytest.mark.slow
def test_a_session_survives_a_random_mixture_of_faults(world: tuple[Daemon, Exchange]) -> None:
    daemon, exchange = world
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    # Which version is the first to be final depends, with revisions, on when the other faults let it be.
    kinds = [fault for name, fault in (BLOCKING | HARMFUL).items() if name != "revised"]
    cli(
        daemon,
        "start",
        "Often",
        BTC,
        "--timeframe",
        "1m",
        "--exchange",
        SPOT,
        "--warmup",
        "60",
        "--session-id",
        "mixed",
    )
    eventually("it trades", lambda: daemon.trades("mixed"))
    for _ in range(15):
        before = consumed(daemon, "mixed")
        for _ in range(chance.randint(1, 4)):
            chosen = chance.sample(kinds, chance.randint(1, 4))
            exchange.misbehave(*({**fault, "chance": chance.choice([0.1, 0.3, 0.7])} for fault in chosen))
            eventually(
                "a candle, or it is told that there is none",
                lambda b=before: consumed(daemon, "mixed") > b or daemon.status("mixed").health.state == "stale",
            )
        exchange.misbehave()
        eventually("it goes on", lambda b=before: consumed(daemon, "mixed") >= b + 5)
    daemon.stop_session("mixed")
    check(daemon, "mixed")


def test_how_far_a_warm_up_is_can_be_seen(world: tuple[Daemon, Exchange]) -> None:
    daemon, exchange = world
    exchange.misbehave({"kind": "slow", "seconds": 20})
    body = wire.PaperStart(
        strategy="SMACrossover", symbol=BTC, timeframe="1m", exchange=SPOT, session_id="warming", warmup_candles=15_000
    )
    daemon.call(body, timeout=90)
    health = eventually(
        "it is on its way", lambda: (h := daemon.status("warming").health).progress and h.progress < 1 and h
    )
    assert health.state == "warming_up"
    exchange.misbehave()
    eventually("it trades", lambda: consumed(daemon, "warming") > 0)
    assert daemon.status("warming").health.progress is None
    daemon.stop_session("warming")


def test_between_candles_the_last_price_marks_the_open_position_with_its_time(world: tuple[Daemon, Exchange]) -> None:
    daemon, _ = world
    daemon.call(
        wire.PaperStart(
            strategy="Often", symbol=BTC, timeframe="1m", exchange=SPOT, session_id="marked", warmup_candles=60
        )
    )

    def marked() -> wire.Status | None:
        status: wire.Status = daemon.status("marked")
        return status if any(to_ms(p.price_time) % MINUTE for p in status.positions if p.price_time) else None

    status = eventually("a price between two candles", marked)
    (position,) = status.positions
    assert position.price_time is not None
    assert status.health.last_candle is not None
    assert to_ms(position.price_time) > to_ms(status.health.last_candle) + MINUTE
    gain = (position.current_price - position.entry_price) * position.size
    assert position.unrealized_pnl == pytest.approx(gain)
    assert status.unrealized_pnl == pytest.approx(gain)
    daemon.stop_session("marked")
    check(daemon, "marked")


@pytest.mark.slow
def test_a_live_start_answers_once_it_is_warm_and_does_not_wait_for_a_candle(short_home: Path) -> None:
    """At real speed, by an exchange whose minute has just begun: the next candle is most of a minute away."""
    start = time.time_ns() // 1_000_000 // MINUTE * MINUTE + 2_000
    with stand_in("--seed", str(SEED), "--start", str(start)) as told:
        patient = f"start_seconds = {PATIENCE}\n{told['config']}"
        with running_daemon(config=patient) as daemon:
            body = wire.PaperStart(strategy="SMACrossover", symbol=BTC, timeframe="1m", exchange=SPOT, session_id="a")
            started = daemon.call(body, timeout=PATIENCE)
            # On a machine so busy that the minute has ended meanwhile, it may run already.
            assert (started.status == "starting" and "next candle" in started.hint) or consumed(daemon, "a") >= 1
            daemon.stop_session("a")


def test_run_paper_follows_the_exchange_without_a_daemon_until_ctrl_c(short_home: Path) -> None:
    start = time.time_ns() // 1_000_000
    with stand_in("--seed", str(SEED), "--speed", str(SPEED), "--start", str(start)) as told:
        (short_home / "config.toml").write_text(str(told["config"]))
        fast = ("-m", "tests.fakes.fast_feed", "--speed", str(SPEED), "--start", str(start))
        program = (
            "import sys; from jesse_paperd.service.feed_process import FeedKeeper; "
            f"FeedKeeper.PROGRAM = (sys.executable, *{fast}); from jesse_paperd.local.run_paper import main; main()"
        )
        arguments = {"strategy": "DayTrader", "symbol": BTC, "exchange": SPOT, "timeframe": "1m", "warmup_candles": 60}
        task = {"arguments": arguments, "project": str(EXAMPLES), "resolution": "1m", "json": True}
        with subprocess.Popen(
            [sys.executable, "-c", program, json.dumps(task)],
            env={**os.environ, "JESSE_PAPER_HOME": str(short_home), "TMPDIR": str(short_home), "PYTHONPATH": str(ROOT)},
            cwd=short_home,
            stdout=subprocess.PIPE,
        ) as process:
            journal = eventually(
                "it has a journal", lambda: next(short_home.glob("*/sessions/run-paper/journal.sqlite"), None)
            )
            with contextlib.closing(JournalReader(journal)) as reader:
                eventually("it trades", lambda: (p := reader.progress()) and p.candles >= 5)
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate()
    assert process.returncode == 0
    result = json.loads(output)
    assert result["session"]["feed"] == "live"
    assert len(result["equity_curve"]) >= 5
