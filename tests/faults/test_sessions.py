"""Sessions that freeze, hang, eat memory or take their own life: found out, reported, and no harm to others."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from tests.support.breaking import PACED, children, facts_of, frozen, short_candles, start_trading, zygote_of
from tests.support.daemon import Daemon, Project, eventually, running_daemon, strategy_source

CONFIG = """
stalled_seconds = 2
stop_seconds = 2
[limits]
sessions = 3
candle_seconds = 3
memory_mib = 8000
[restart]
limit = 2
first_seconds = 0.05
longest_seconds = 0.1
"""

_AT_TWENTY = """\
    def before(self):
        if self.index == 20:
            {action}
"""


def at_twenty(name: str, action: str) -> str:
    """A strategy that does something at its twentieth candle."""
    return strategy_source(name, top="import os, signal, sys", extra=_AT_TWENTY.format(action=action))


STRATEGIES = {
    "LoopsForEver": "while True: pass",
    "EatsMemory": "self.eaten = bytearray(100 * 2**30)",
    "CallsExit": "os._exit(0)",
    "AsksToExit": "sys.exit('enough')",
    "KillsItself": "os.kill(os.getpid(), signal.SIGKILL)",
    "LeavesAChild": "os.fork() or signal.pause(); os.kill(os.getpid(), signal.SIGKILL)",
}
_UNSTOPPABLE = """\
    def before(self):
        while self.index == 20:
            try:
                while True:
                    pass
            except BaseException:
                pass
"""


_CHANCE = """\
import os
from jesse.strategies import Strategy

class TakesChances(Strategy):
    @property
    def heads(self):
        return os.urandom(1)[0] < 64

    def should_long(self):
        return self.heads

    def go_long(self):
        self.buy = 0.01, self.price * 0.9999

    def on_open_position(self, order):
        self.stop_loss = self.position.qty, self.price * 0.99

    def should_cancel_entry(self):
        return self.heads

    def update_position(self):
        if self.heads:
            self.liquidate()
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    project = Project(tmp_path_factory.mktemp("project"))
    project.add_example("DayTrader")
    for name, action in STRATEGIES.items():
        project.add(name, at_twenty(name, action))
    project.add("Unstoppable", strategy_source("Unstoppable", extra=_UNSTOPPABLE))
    project.add("LoopsAtImport", strategy_source("LoopsAtImport", top="while True: pass"))
    project.add("BurnsCpu", strategy_source("BurnsCpu", extra="    def before(self):\n        sum(range(10**6))\n"))
    project.add("TakesChances", _CHANCE)
    project.add("Prints", strategy_source("Prints", extra="    def before(self):\n        print('x' * 2_000_000)\n"))
    with running_daemon(project.root, CONFIG) as running:
        yield running


def failed(daemon: Daemon, strategy: str) -> wire.Status:
    """The state of a session of this strategy once it has failed."""
    daemon.start_session(
        session_id=strategy, strategy=strategy, timeframe="1m", feed=f"replay:{short_candles()}", speed="max"
    )
    status = daemon.ended(strategy)
    assert status.status == "failed"
    eventually("its process has left", lambda: strategy not in daemon.session_pids())
    return status


def test_a_strategy_that_is_not_deterministic_keeps_its_history_through_every_restart(daemon: Daemon) -> None:
    daemon.start_session(
        session_id="chance",
        strategy="TakesChances",
        timeframe="5m",
        feed=f"replay:{short_candles()}",
        speed=60 * 300.0,
    )
    journal = daemon.layout.session("chance").journal
    kept: dict[str, list[Any]] = {"trades": [], "equity": []}
    for kill in range(2):
        wanted = len(kept["trades"]) + 5
        eventually("it trades on", lambda n=wanted: daemon.status("chance").metrics.total_trades > n)
        with frozen(daemon.session_pids()["chance"]):
            facts = facts_of(journal)
            os.kill(daemon.session_pids()["chance"], signal.SIGKILL)
        assert facts["trades"][: len(kept["trades"])] == kept["trades"]
        assert facts["equity"][: len(kept["equity"])] == kept["equity"]
        kept = {"trades": facts["trades"], "equity": facts["equity"][:-1]}  # the last run may go on
        eventually("it was started again", lambda n=kill: daemon.status("chance").health.restarts > n)
    assert daemon.status("chance").health.state == "diverged"
    daemon.stop_session("chance")
    facts = facts_of(journal)
    assert facts["trades"][: len(kept["trades"])] == kept["trades"]
    assert [trade[0] for trade in facts["trades"]] == list(range(1, len(facts["trades"]) + 1))
    orders = {order[0]: order for order in facts["orders"]}
    assert {order[12] for order in orders.values()} == {"EXECUTED", "CANCELED"}
    for trade in facts["trades"]:
        assert {orders[order_id][2] for order_id in json.loads(trade[-1])} == {trade[1]}
    samples = [(first, last, count) for first, last, count, *_ in facts["equity"]]
    assert all(last < following for (_, last, _), (following, _, _) in itertools.pairwise(samples))
    assert sum(count for _, _, count in samples) == daemon.status("chance").health.candles + 1


def test_a_frozen_session_shows_as_stalled_and_recovers(daemon: Daemon) -> None:
    start_trading(daemon, "frozen", speed=60 * 300.0)
    with frozen(daemon.session_pids()["frozen"]):
        health = eventually("it is stalled", lambda: (h := daemon.status("frozen").health).state == "stalled" and h)
        assert "frozen (SIGSTOP)" in health.reasons[0]
    health = eventually("it is well again", lambda: (h := daemon.status("frozen").health).state == "ok" and h)
    assert health.restarts == 0
    daemon.stop_session("frozen")


def test_a_frozen_session_that_should_stop_is_killed_and_stopped_as_any_other(daemon: Daemon) -> None:
    start_trading(daemon, "frozen_stop", speed=60 * 300.0)
    # A timeout: on a busy machine it is still replaying.
    with frozen(daemon.session_pids()["frozen_stop"]), contextlib.suppress(PaperError):
        daemon.stop_session("frozen_stop")
    status = daemon.ended("frozen_stop")
    assert (status.status, status.stop_reason) == ("stopped", "stopped")


def test_a_strategy_that_loops_for_ever_is_ended_at_its_time_limit(daemon: Daemon) -> None:
    assert "took longer than 3 seconds over a candle" in failed(daemon, "LoopsForEver").error


def test_a_strategy_that_loops_for_ever_and_swallows_the_interruption_is_ended_too(daemon: Daemon) -> None:
    assert "took longer than 3 seconds over a candle" in failed(daemon, "Unstoppable").error


def test_a_strategy_that_loops_at_import_is_no_session(daemon: Daemon) -> None:
    with pytest.raises(PaperError, match="took longer than 3 seconds"):
        daemon.start_session(session_id="LoopsAtImport", strategy="LoopsAtImport")
    assert not daemon.layout.session("LoopsAtImport").root.exists()


def test_a_strategy_that_eats_memory_fails_alone(daemon: Daemon) -> None:
    assert "MemoryError" in failed(daemon, "EatsMemory").error


def test_a_strategy_that_asks_to_exit_has_failed(daemon: Daemon) -> None:
    assert "SystemExit: enough" in failed(daemon, "AsksToExit").error


@pytest.mark.parametrize("strategy", ["CallsExit", "KillsItself"])
def test_a_strategy_that_ends_its_process_is_tried_again_and_then_given_up(daemon: Daemon, strategy: str) -> None:
    status = failed(daemon, strategy)
    end = {
        "CallsExit": "its process ended with exit status 0",
        "KillsItself": "its process was killed by signal 9 (SIGKILL): perhaps by the kernel, for want of memory",
    }[strategy]
    assert status.error == f"died 3 times in a row: {end}"
    assert [process.reason for process in status.process_ends] == [end] * 3
    assert status.health.candles > 0
    stopped = daemon.stop_session(strategy)
    assert stopped.status in ("stopped", "failed")


def test_a_child_that_a_strategy_leaves_behind_holds_no_lease(daemon: Daemon) -> None:
    status = failed(daemon, "LeavesAChild")
    assert "died 3 times in a row: its process was killed by signal 9" in status.error
    left = [pid for pid, command in children(1).items() if "zygote_main" in command and pid != zygote_of(daemon)]
    for pid in left:
        if daemon.home in Path(f"/proc/{pid}/cwd").readlink().parents:
            os.kill(pid, signal.SIGKILL)


def test_a_session_that_uses_up_its_cpu_seconds_fails(daemon: Daemon) -> None:
    daemon.start_session(
        session_id="cpu", strategy="BurnsCpu", timeframe="1m", feed=f"replay:{short_candles()}", speed=60 * 20.0
    )
    resource.prlimit(daemon.session_pids()["cpu"], resource.RLIMIT_CPU, (1, 6))
    status = daemon.ended("cpu")
    assert status.status == "failed"
    assert "used up its CPU seconds" in status.error


def test_a_session_that_prints_without_end_fills_no_disk(daemon: Daemon) -> None:
    daemon.start_session(
        session_id="prints", strategy="Prints", timeframe="15m", feed=f"replay:{short_candles()}", speed="max"
    )
    assert daemon.ended("prints").status == "stopped"
    folder = daemon.layout.session("prints").root
    sizes = {path.name: path.stat().st_size for path in folder.glob("log*")}
    assert set(sizes) == {"log", "log.1"}
    assert sum(sizes.values()) < 20 * 2**20


def test_sessions_beyond_the_limit_are_refused(daemon: Daemon) -> None:
    for name in ("first", "second", "third"):
        start_trading(daemon, name, speed=PACED / 100)
    with pytest.raises(PaperError, match="3 sessions run, which is the limit") as caught:
        start_trading(daemon, "fourth", speed=PACED / 100)
    assert caught.value.code == "too_many_sessions"
    assert not daemon.layout.session("fourth").root.exists()
    daemon.stop_session("first")
    start_trading(daemon, "fourth", speed=PACED / 100)
