"""A strategy stays within its limits, and leaves nothing behind: also one that does its best not to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jesse_paper import protocol as wire
from tests.support.breaking import frozen, short_candles
from tests.support.daemon import Daemon, Project, eventually, strategy_source

CONFIG = """
[limits]
candle_seconds = 1
[restart]
limit = 1
first_seconds = 0.05
longest_seconds = 0.1
"""

_ONCE = """\
    def before(self):
        if self.index == 20:
            {action}
"""
_SHIELDED = "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM}); exec('while True: pass')"
_LEAVES = "os.fork() or signal.pause(); os.kill(os.getpid(), signal.SIGKILL)"
_GETS_AWAY = (
    "subprocess.run([sys.executable, '-c', 'import os, time; os.fork() and os._exit(0); os.setsid(); time.sleep(600)'"
    "]); os.kill(os.getpid(), signal.SIGKILL)"
)
_HAS_A_LOUD_CHILD = "subprocess.run(['sh', '-c', 'yes loud | head -c 40000000; echo the last']); print('afterwards')"
_HOARDS_FILES = "self.files = [open(os.devnull) for _ in range(10_000)]"
_TELLS = "self.log(' '.join(os.environ) + ' ' + open('/proc/self/environ').read().replace(chr(0), ' '))"
_FLOODS = "[self.log('x' * 5_000) for _ in range(10_000)]"


STRATEGIES = {
    "Shielded": _SHIELDED,
    "Leaves": _LEAVES,
    "GetsAway": _GETS_AWAY,
    "HasALoudChild": _HAS_A_LOUD_CHILD,
    "HoardsFiles": _HOARDS_FILES,
    "Tells": _TELLS,
    "Floods": _FLOODS,
}


def once(name: str, action: str) -> str:
    """A strategy that does something at its twentieth candle."""
    return strategy_source(name, top="import os, signal, subprocess, sys", extra=_ONCE.format(action=action))


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    project = Project(tmp_path_factory.mktemp("project"))
    for name, action in STRATEGIES.items():
        project.add(name, once(name, action))
    project.add("Idle", strategy_source("Idle"))
    daemon = Daemon(project.root, CONFIG)
    daemon.environment |= {"JESSE_PAPER_SECRET_KEY": "secret-of-the-daemon", "AWS_SECRET_ACCESS_KEY": "of-somebody"}
    try:
        yield daemon.start().ready()
    finally:
        daemon.close()


def start(daemon: Daemon, strategy: str, speed: float | str = "max") -> None:
    daemon.start_session(
        session_id=strategy, strategy=strategy, timeframe="15m", feed=f"replay:{short_candles()}", speed=speed
    )


def test_a_strategy_that_no_signal_reaches_is_ended_from_outside_with_its_place(daemon: Daemon) -> None:
    start(daemon, "Shielded")
    status = daemon.ended("Shielded")
    assert status.status == "failed"
    assert "took longer than 3 seconds over a candle and could not be interrupted" in status.error
    assert "in before" in status.error


def test_a_session_that_is_frozen_for_longer_than_a_candle_may_take_goes_on(daemon: Daemon) -> None:
    start(daemon, "Idle", speed=60 * 60.0)
    before = daemon.status("Idle").health.candles
    with frozen(daemon.session_pids()["Idle"]):
        stalled = eventually("it shows", lambda: (h := daemon.status("Idle").health).state == "stalled" and h)
        assert stalled.restarts == 0
    eventually("it goes on", lambda: daemon.status("Idle").health.candles > before)
    assert daemon.status("Idle").health.restarts == 0
    daemon.stop_session("Idle")


@pytest.mark.parametrize("strategy", ["Leaves", "GetsAway"])
def test_what_a_strategy_leaves_running_is_ended_with_it(daemon: Daemon, strategy: str) -> None:
    start(daemon, strategy)
    assert daemon.ended(strategy).status == "failed"
    folder = daemon.layout.session(strategy).root

    def left() -> list[str]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                inside = folder in (process / "cwd").readlink().parents
                alive = (process / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
            except OSError:
                continue
            if inside and alive:
                found.append(process.name)
        return found

    eventually("nothing of it is left", lambda: not left())


def test_what_a_strategys_children_print_takes_a_bounded_file_and_is_there(daemon: Daemon) -> None:
    start(daemon, "HasALoudChild")
    assert daemon.ended("HasALoudChild").status == "stopped"
    log = daemon.layout.session("HasALoudChild").log
    eventually("all of it was read", lambda: "the last" in log.read_text())
    assert "afterwards" in log.read_text()
    assert sum(path.stat().st_size for path in log.parent.glob(f"{log.name}*")) < 15_000_000


def test_a_strategy_that_opens_files_without_end_fails_alone_with_its_line(daemon: Daemon) -> None:
    start(daemon, "HoardsFiles")
    status = daemon.ended("HoardsFiles")
    assert status.status == "failed"
    assert "Too many open files" in status.error


def test_a_session_may_have_half_of_the_machines_memory_and_so_many_files(daemon: Daemon) -> None:
    daemon.start_session(
        session_id="limited", strategy="Idle", timeframe="15m", feed=f"replay:{short_candles()}", speed=60.0
    )
    limits = Path(f"/proc/{daemon.session_pids()['limited']}/limits").read_text().splitlines()
    told = {line[:26].strip(): line[26:].split()[:2] for line in limits}
    half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**21 * 2**20
    assert told["Max data size"] == [str(half)] * 2
    assert told["Max open files"] == ["4096"] * 2
    daemon.stop_session("limited")


def test_a_strategy_sees_no_secret_of_the_daemons_environment(daemon: Daemon) -> None:
    start(daemon, "Tells")
    daemon.ended("Tells")
    lines = daemon.call(wire.PaperGetLogs(session_id="Tells", after=0, limit=1000)).lines
    told = next(line.message for line in lines if "PATH" in line.message)
    assert "HOME" in told
    for secret in ("JESSE_PAPER_SECRET_KEY", "secret-of-the-daemon", "AWS_SECRET_ACCESS_KEY", "of-somebody"):
        assert secret not in told


def test_a_flood_of_log_lines_is_cut_counted_and_the_same_in_a_replay(daemon: Daemon) -> None:
    start(daemon, "Floods")
    daemon.ended("Floods")
    lines = daemon.call(wire.PaperGetLogs(session_id="Floods", after=0, limit=1000)).lines
    flood = [line for line in lines if line.message.startswith("xxx")]
    assert len(flood) == 100
    assert max(len(line.message) for line in flood) < 2_100
    assert any("9,900 lines were dropped here" in line.message for line in lines)
    assert daemon.call(wire.PaperVerify(session_id="Floods")).equal


def test_ps_shows_which_session_a_process_is(daemon: Daemon) -> None:
    daemon.start_session(
        session_id="titled", strategy="Idle", timeframe="15m", feed=f"replay:{short_candles()}", speed=60.0
    )
    title = Path(f"/proc/{daemon.session_pids()['titled']}/cmdline").read_bytes()
    assert title.rstrip(b"\0") == b"jesse-paper session titled"
    daemon.stop_session("titled")
