"""Disk use, archives, deleting and retention."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paperd.candles.replayed import keep_candle_file
from jesse_paperd.service.maintenance import Retention
from tests.support.breaking import PACED, facts_of, short_candles, start_trading
from tests.support.daemon import Daemon, eventually, running_daemon


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with running_daemon() as running:
        yield running


def jesse_paper(daemon: Daemon, *arguments: str) -> str:
    command = [Path(sys.executable).parent / "jesse-paper", *arguments]
    return subprocess.run(command, env=daemon.environment, check=True, capture_output=True, text=True).stdout


def ended(daemon: Daemon, session_id: str) -> None:
    start_trading(daemon, session_id, speed="max")
    daemon.ended(session_id)
    eventually("its process has left", lambda: session_id not in daemon.session_pids())


def failure(daemon: Daemon, body: wire.Operation) -> PaperError:
    with pytest.raises(PaperError) as caught:
        daemon.call(body)
    return caught.value


def test_the_archive_of_an_ended_session_holds_everything_about_it(daemon: Daemon, tmp_path: Path) -> None:
    ended(daemon, "packed")
    archived = json.loads(jesse_paper(daemon, "archive", "packed", "--json"))
    assert Path(archived["path"]).stat().st_mode & 0o077 == 0
    with tarfile.open(archived["path"]) as tar:
        tar.extractall(tmp_path, filter="data")
    folder = tmp_path / "packed"
    assert facts_of(folder / "journal.sqlite") == facts_of(daemon.layout.session("packed").journal)
    assert json.loads((folder / "session.json").read_text())["spec"]["strategy"] == "DayTrader"
    assert (folder / "strategy" / "strategies" / "DayTrader" / "__init__.py").exists()
    assert (folder / "log").exists()
    assert [path.suffix for path in (folder / "candles").iterdir()] == [".npy"]


def test_the_archive_of_a_running_session_is_of_one_moment(daemon: Daemon, tmp_path: Path) -> None:
    start_trading(daemon, "running", speed=PACED)
    eventually("it has traded", lambda: daemon.status("running").metrics.total_trades)
    archived = daemon.call(wire.PaperArchiveSession(session_id="running"))
    daemon.ended("running")
    with tarfile.open(archived.path) as tar:
        tar.extractall(tmp_path, filter="data")
    then, now = (facts_of(path) for path in (
        tmp_path / "running" / "journal.sqlite", daemon.layout.session("running").journal
    ))  # fmt: skip
    assert then["trades"]
    assert now["trades"][: len(then["trades"])] == then["trades"]
    assert then["equity"][:-1] == now["equity"][: len(then["equity"]) - 1]
    assert then["equity"][-1][1] == then["progress"][0][3] + 60_000


def test_a_running_session_is_not_deleted(daemon: Daemon) -> None:
    start_trading(daemon, "busy", speed=PACED / 50)
    error = failure(daemon, wire.PaperDeleteSession(session_id="busy"))
    assert (error.code, "has not ended" in error.message) == ("conflict", True)
    assert daemon.status("busy").status == "running"
    daemon.stop_session("busy")


def test_a_deleted_session_is_gone_and_a_retry_is_told_so_once_more(daemon: Daemon) -> None:
    ended(daemon, "gone")
    body = wire.PaperDeleteSession(session_id="gone")
    deleted = daemon.call(body, request_id="delete it")
    assert deleted.freed_mb > 0
    assert daemon.call(body, request_id="delete it") == deleted
    assert failure(daemon, wire.PaperDeleteSession(session_id="gone")).code == "session_not_found"
    assert failure(daemon, wire.PaperStatus(session_id="gone")).code == "session_not_found"
    assert not [path for path in daemon.layout.sessions.iterdir() if "gone" in path.name]
    daemon.restart()
    assert failure(daemon, wire.PaperStatus(session_id="gone")).code == "session_not_found"
    # The id is free again, and nothing is left of the first bearer.
    daemon.ready()
    start_trading(daemon, "gone", speed=PACED / 50)
    assert daemon.status("gone").metrics.total_trades < 3
    daemon.stop_session("gone")


def test_candle_files_go_with_the_last_session_that_needs_them(daemon: Daemon, tmp_path: Path) -> None:
    candles = tmp_path / "own.csv"
    candles.write_text(short_candles().read_text() + "\n")
    kept = daemon.layout.candle_file(keep_candle_file(daemon.layout, candles))
    for session_id in ("one", "two"):
        start_trading(daemon, session_id, feed=f"replay:{candles}", speed="max")
        daemon.ended(session_id)
        eventually("its process has left", lambda name=session_id: name not in daemon.session_pids())
    assert "deleted" in jesse_paper(daemon, "delete", "one", "--yes")
    assert kept.exists()
    jesse_paper(daemon, "delete", "two", "--yes")
    assert not kept.exists()


def test_disk_use_names_what_takes_space(daemon: Daemon) -> None:
    ended(daemon, "large")
    use = daemon.call(wire.PaperDiskUse())
    (share,) = (share for share in use.sessions if share.session_id == "large")
    assert share.status == "stopped"
    assert share.used_mb >= daemon.layout.session("large").journal.stat().st_size / 1e6
    assert use.used_mb >= use.candles_mb + sum(share.used_mb for share in use.sessions)
    assert "large" in jesse_paper(daemon, "disk")


def test_retention_takes_what_ended_long_ago_and_gives_a_wrong_clock_a_day_to_be_set_right() -> None:
    day = 86_400_000
    ended = {"older": 1 * day, "newer": 9 * day}
    retention = Retention(days=3)
    for seconds in (0.0, 86_399.0):
        assert retention.due(ended, 10 * day, monotonic=seconds) == []
    assert retention.due(ended, 10 * day, monotonic=86_400.0) == ["older"]
    # The clock is a year ahead for some hours, and once more later.
    assert retention.due(ended, 375 * day, monotonic=90_000.0) == ["older"]
    assert retention.due(ended, 11 * day, monotonic=100_000.0) == ["older"]
    assert retention.due(ended, 375 * day, monotonic=180_000.0) == ["older"]
    assert retention.due({}, 11 * day, monotonic=190_000.0) == []
    assert Retention(days=0).due(ended, 10**15, monotonic=1e9) == []
