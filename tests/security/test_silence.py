"""Nothing says that all is well when it is not: a frozen feed, a loop that stands still, text that acts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jesse_paper import protocol as wire
from jesse_paperd.processes.stall import STALLED
from jesse_paperd.service.maintenance import sweep_leftovers
from tests.blackbox.test_feed_process import BTC, ROOT, SPOT, stand_in
from tests.support.breaking import children, short_candles
from tests.support.daemon import Daemon, Project, eventually, running_daemon, strategy_source

_STANDS_STILL = """
import asyncio, time
from jesse_paperd.processes.stall import StallWatch

def waits_for_ever():
    time.sleep(3600)

async def main():
    StallWatch(told_after=1.0, ended_after=3.0)
    await asyncio.sleep(0.5)
    waits_for_ever()

asyncio.run(main())
"""


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon whose exchange is a stand-in, and which waits for a silent feed a few seconds only."""
    project = Project(tmp_path)
    project.add("Idle", strategy_source("Idle"))
    with stand_in("--seed", "5") as exchange:
        daemon = Daemon(project.root, str(exchange["config"]))
        daemon.program = (
            "from jesse_paperd.service import feed_process; feed_process._SILENT_SECONDS = 8.0; "
            "from jesse_paperd.app import main; main()"
        )
        daemon.environment["PYTHONPATH"] = str(ROOT)
        try:
            yield daemon.start().ready()
        finally:
            daemon.close()


def test_a_frozen_feed_is_ended_told_and_replaced(live: Daemon) -> None:
    live.call(wire.PaperStart(strategy="Idle", symbol=BTC, timeframe="1m", exchange=SPOT, warmup_candles=5))

    def feed() -> int | None:
        assert live.process is not None
        return next((pid for pid, command in children(live.process.pid).items() if "feed.main" in command), None)

    first = eventually("the feed runs", feed)
    eventually("it is heard", lambda: live.call(wire.PaperHealth()).markets)
    os.kill(first, signal.SIGSTOP)
    eventually("it is replaced", lambda: feed() not in (None, first))
    assert "has said nothing for 8 seconds" in live.output()
    eventually("the market is followed again", lambda: live.call(wire.PaperHealth()).markets)


def test_a_loop_that_stands_still_is_told_with_its_stack_and_ends_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", _STANDS_STILL], capture_output=True, text=True, check=False)
    assert done.returncode == STALLED
    assert "the event loop has stood still" in done.stderr
    assert "in waits_for_ever" in done.stderr


_NOISY = "\x1b[2J\x1b]0;owned\x07\u202eevil"


def test_no_text_of_a_strategy_or_a_note_acts_on_a_terminal(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.add("Noisy", strategy_source("Noisy", extra=f"    def before(self):\n        self.log({_NOISY!r})\n"))
    program = Path(sys.executable).with_name("jesse-paper")
    with running_daemon(project.root) as daemon:
        feed = f"replay:{short_candles()}"
        daemon.start_session(session_id="noisy", strategy="Noisy", timeframe="15m", feed=feed, notes=_NOISY)
        daemon.ended("noisy")
        for command in (["status", "noisy"], ["logs", "noisy"], ["ls", "--all"], ["events", "noisy"]):
            shown = subprocess.run([program, *command], env=daemon.environment, capture_output=True, check=True).stdout
            assert b"\x1b]" not in shown, command
            assert b"\x1b[2J" not in shown, command
            assert "\u202e".encode() not in shown, command
        logs = subprocess.run([program, "logs", "noisy"], env=daemon.environment, capture_output=True, check=True)
        assert b"\\x1b[2J" in logs.stdout


def test_what_interrupted_work_has_left_is_swept_once_it_is_old() -> None:
    daemon = Daemon()
    daemon.layout.prepare()
    old, young = daemon.layout.candle_files / "a.part", daemon.layout.candle_files / "b.part"
    for file in (old, young):
        file.write_bytes(b"x" * 1000)
    os.utime(old, (0, 0))
    assert sweep_leftovers(daemon.layout) == 1000
    assert (old.exists(), young.exists()) == (False, True)
    daemon.close()
