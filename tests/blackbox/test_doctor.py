"""doctor: each check, seen in a broken state, says how to fix it; what is well stays well."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import jesse_paperd
from jesse_paper import protocol as wire
from jesse_paper.codec import decode_request, encode_reply
from jesse_paper.errors import PaperError
from jesse_paperd.cli.doctor import exchange_finding
from tests.fakes.fake_daemon import FakeDaemon
from tests.support.daemon import EXAMPLES, Daemon, Project, eventually, running_daemon

BIN = Path(sys.executable).parent
CHECKS = [
    *("home", "permissions", "configuration", "service", "disk", "socket", "daemon", "versions", "engine"),
    *("Jesse project", "sessions", "files", "feed", "clock"),
]


def examined(environment: dict[str, str], cwd: Path) -> tuple[dict[str, dict[str, str]], int]:
    """What doctor finds, by check, and its exit status."""
    done = subprocess.run(
        [BIN / "jesse-paper", "doctor", "--json"],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stderr == ""
    findings = json.loads(done.stdout)
    assert [finding["check"] for finding in findings] == CHECKS
    return {finding["check"]: finding for finding in findings}, done.returncode


def surroundings(home: Path, **more: str) -> dict[str, str]:
    """The environment of a user with this home, whatever this machine has."""
    own = {"JESSE_PAPER_HOME": str(home), "JESSE_PAPER_PROJECT": str(EXAMPLES), **more}
    others = {name: value for name, value in os.environ.items() if not name.startswith("JESSE_PAPER")}
    return {**others, **own}


def test_with_a_daemon_everything_that_is_this_machines_own_is_well():
    with running_daemon() as daemon:
        found, status = examined(daemon.environment, daemon.home)
        assert {check for check in CHECKS if found[check]["state"] == "wrong"} == set()
        assert {check for check in CHECKS if found[check]["state"] == "ok"} >= set(CHECKS) - {"service", "feed"}
        assert status == 0
        daemon.home.chmod(0o755)
        found, status = examined(daemon.environment, daemon.home)
        assert found["permissions"]["state"] == "wrong"
        assert "is 0755" in found["permissions"]["found"]
        assert f"chmod -R go= {daemon.home}" in found["permissions"]["mend"]
        assert status == 1


def no_home(home: Path) -> dict[str, str]:
    return {"JESSE_PAPER_HOME": str(home / "none")}


def broken_configuration(home: Path) -> dict[str, str]:
    (home / "config.toml").write_text("speed = 3")
    return {}


def socket_left(home: Path) -> dict[str, str]:
    (home / "run").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(home / "run" / "daemon.sock"))
    return {}


def another_endpoint(home: Path) -> dict[str, str]:
    return {"JESSE_PAPER_ENDPOINT": f"ipc://{home}/elsewhere"}


def no_strategies(home: Path) -> dict[str, str]:
    return {"JESSE_PAPER_PROJECT": str(home)}


def systemd_says(state: str) -> Callable[[Path], dict[str, str]]:
    def prepare(home: Path) -> dict[str, str]:
        program = home / "bin" / "systemctl"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\necho LoadState=loaded; echo ActiveState={state}\n")
        program.chmod(0o755)
        return {"PATH": f"{program.parent}:{os.environ['PATH']}"}

    return prepare


def supervisord_gone(home: Path) -> dict[str, str]:
    (home / "supervisor.sock").touch()
    return {}


WITHOUT_A_DAEMON = [
    (no_home, "home", "wrong", "No such file", "jesse-paperd"),
    (no_home, "permissions", "unknown", "there is no home", ""),
    (broken_configuration, "configuration", "wrong", "speed", "docs/operations.md"),
    (no_home, "socket", "wrong", "is not there", "start one"),
    (socket_left, "socket", "warning", "without a daemon", "the next daemon replaces it"),
    (another_endpoint, "socket", "wrong", "elsewhere is not there", "start one"),
    (no_home, "daemon", "wrong", "No daemon answers", "jesse-paperd"),
    (no_home, "engine", "unknown", "", ""),
    (no_strategies, "Jesse project", "wrong", "0 strategies", "JESSE_PAPER_PROJECT"),
    (systemd_says("failed"), "service", "wrong", "systemd --user: failed", "journalctl --user -u jesse-paperd"),
    (systemd_says("active"), "service", "ok", "systemd --user: active", ""),
    (supervisord_gone, "service", "wrong", "supervisord: does not answer", "supervisord -c"),
]


@pytest.mark.parametrize(("prepare", "check", "state", "told", "mend"), WITHOUT_A_DAEMON)
def test_without_a_daemon_each_broken_state_is_seen_and_its_mending_told(
    short_home: Path, prepare: Callable[[Path], dict[str, str]], check: str, state: str, told: str, mend: str
):
    found, status = examined({**surroundings(short_home), **prepare(short_home)}, short_home)
    assert found[check]["state"] == state
    assert told in found[check]["found"]
    assert mend in found[check]["mend"]
    assert status == 1  # there is no daemon


PONG = wire.Pong(
    version=jesse_paperd.__version__,
    pid=1,
    started_at="2026-01-01T00:00:00Z",
    home="/home/me/.jesse-paper",
    project="/home/me/project",
    engine="ready",
    sessions=1,
    jesse_version="3.5.3",
)
HEALTH = wire.DaemonHealth(
    state="ok",
    version=PONG.version,
    started_at=PONG.started_at,
    engine="ready",
    sessions={"running": 1},
    feed="running",
    exchanges=[wire.FeedExchange(exchange="Binance Spot", state="up", clock_offset_ms=12)],
    markets=[wire.FeedMarket(exchange="Binance Spot", symbol="BTC-USDT", state="live")],
    disk_free_mb=50_000,
)
STRATEGIES = wire.Strategies(project="/home/me/project", strategies=[wire.Strategy(name="Good")])
STALE = wire.FeedMarket(exchange="Binance Spot", symbol="BTC-USDT", state="stale", reason="silent for 5 minutes")
SLOW = wire.FeedExchange(exchange="Binance Spot", state="up", clock_offset_ms=-5000)
BROKEN = wire.Strategy(name="Bad", problem="line 3: invalid syntax")


def changed(answer: Any, **fields: Any) -> Any:
    return type(answer)(**{**{name: getattr(answer, name) for name in answer.__struct_fields__}, **fields})


DAEMONS = [
    (changed(PONG, version="0.0.1"), HEALTH, STRATEGIES, "versions", "daemon 0.0.1", "restart the daemon"),
    (changed(PONG, engine="unavailable"), HEALTH, STRATEGIES, "engine", "no session can be started", "pip install"),
    (PONG, changed(HEALTH, disk_free_mb=120), STRATEGIES, "disk", "120 MB free", "jesse-paper disk"),
    (PONG, changed(HEALTH, feed="down"), STRATEGIES, "feed", "its process is down", "the daemon's log"),
    (PONG, changed(HEALTH, markets=[STALE]), STRATEGIES, "feed", "silent for 5 minutes", "jesse-paper feeds"),
    (PONG, changed(HEALTH, exchanges=[SLOW]), STRATEGIES, "clock", "-5,000 ms", "timedatectl"),
    (PONG, HEALTH, changed(STRATEGIES, strategies=[BROKEN]), "Jesse project", "line 3", "fix Bad"),
    (PONG, HEALTH, changed(STRATEGIES, strategies=[]), "Jesse project", "no strategy", "JESSE_PAPER_PROJECT"),
]


@pytest.mark.parametrize(("pong", "health", "strategies", "check", "told", "mend"), DAEMONS)
def test_what_a_daemon_tells_of_itself_is_judged(
    short_home: Path, pong: wire.Pong, health: wire.Answer, strategies: wire.Answer, check: str, told: str, mend: str
):
    answers = {
        wire.Ping: pong,
        wire.PaperHealth: health,
        wire.PaperListStrategies: strategies,
        wire.PaperListSessions: wire.Sessions(sessions=[], total=0),
        wire.PaperCheckFiles: wire.Checked(sessions=0),
    }

    def behave(frame: bytes) -> bytes:
        request = decode_request(frame)
        return encode_reply(request.id, answers[type(request.body)], request.json)

    endpoint = f"ipc://{short_home}/daemon.sock"
    with FakeDaemon(endpoint, behave):
        found, status = examined(surroundings(short_home, JESSE_PAPER_ENDPOINT=endpoint), short_home)
    assert [name for name in CHECKS if found[name]["state"] == "wrong"] == [check]
    assert told in found[check]["found"]
    assert mend in found[check]["mend"]
    assert status == 1


def test_sessions_that_failed_are_named(short_home: Path):
    failed = wire.SessionRow(
        session_id="broken", strategy="Any", symbol="BTC-USDT", status="failed", started_at=PONG.started_at,
        duration_hours=1.0,
    )  # fmt: skip
    answers = {
        wire.Ping: PONG,
        wire.PaperHealth: HEALTH,
        wire.PaperListStrategies: STRATEGIES,
        wire.PaperListSessions: wire.Sessions(sessions=[failed], total=1),
        wire.PaperCheckFiles: wire.Checked(sessions=1),
    }

    def behave(frame: bytes) -> bytes:
        request = decode_request(frame)
        return encode_reply(request.id, answers[type(request.body)], request.json)

    endpoint = f"ipc://{short_home}/daemon.sock"
    with FakeDaemon(endpoint, behave):
        found, _ = examined(surroundings(short_home, JESSE_PAPER_ENDPOINT=endpoint), short_home)
    assert found["sessions"]["state"] == "warning"
    assert "1 failed within 24 hours: broken" in found["sessions"]["found"]
    assert "jesse-paper logs broken" in found["sessions"]["mend"]


@pytest.fixture
def supervisord(short_home: Path) -> Iterator[Path]:
    """A supervisord that was told of a daemon which ends at once."""
    environment = surroundings(short_home)
    install = [BIN / "jesse-paper", "service", "install", "--supervisord", "--project", str(EXAMPLES)]
    subprocess.run(install, env=environment, check=True, capture_output=True)
    config = short_home / "supervisord.conf"
    config.write_text(config.read_text().replace(f"command={BIN}/jesse-paperd", "command=/bin/false"))
    process = subprocess.Popen([BIN / "supervisord", "-n", "-c", config], env=environment, stdout=subprocess.DEVNULL)
    try:
        yield short_home
    finally:
        process.terminate()
        process.wait(30)


def test_a_daemon_that_supervisord_cannot_keep_alive_is_seen(supervisord: Path):
    def state() -> str:
        found, _ = examined(surroundings(supervisord), supervisord)
        return found["service"]["found"] if found["service"]["state"] == "wrong" else ""

    told = eventually("supervisord gives its word", lambda: "BACKOFF" in (s := state()) or "FATAL" in s)
    assert told


def test_an_exchange_that_cannot_be_reached_is_a_warning(unused_port: int):
    found = exchange_finding("127.0.0.1", unused_port)
    assert found.state == "warning"
    assert "replays need no network" in found.mend


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def test_a_daemon_that_was_started_a_moment_ago_is_waited_for():
    daemon = Daemon()
    try:
        daemon.process = daemon.spawn()
        found, _ = examined(daemon.environment, daemon.home)
        assert found["home"]["state"] == "ok"
    finally:
        daemon.close()


def test_another_jesse_is_named_with_the_one_that_is_wanted_and_how_to_get_it(tmp_path: Path):
    installed = tmp_path / "jesse-3.5.2.dist-info" / "METADATA"
    installed.parent.mkdir()
    installed.write_text("Metadata-Version: 2.1\nName: jesse\nVersion: 3.5.2\n")
    daemon = Daemon()
    daemon.environment["PYTHONPATH"] = str(tmp_path)
    try:
        daemon.start()
        eventually("the engine is refused", lambda: daemon.call(wire.Ping()).engine == "unavailable")
        found, status = examined(daemon.environment, daemon.home)
        assert status == 1
        assert "jesse 3.5.2 is installed" in found["engine"]["found"]
        assert "3.5.3" in found["engine"]["found"]
        assert f"{sys.executable} -m pip install 'jesse==3.5.3'" in found["engine"]["mend"]
        with pytest.raises(PaperError) as caught:
            daemon.start_session()
        assert caught.value.code == "engine_unavailable"
        assert "3.5.2" in caught.value.message
        assert "pip install 'jesse==3.5.3'" in caught.value.hint
    finally:
        daemon.close()


def test_a_broken_strategy_of_a_real_project_is_named(tmp_path: Path):
    project = Project(tmp_path)
    project.add("Bad", "def (:")
    with running_daemon(tmp_path) as daemon:
        found, status = examined(daemon.environment, daemon.home)
    assert "Bad" in found["Jesse project"]["found"]
    assert status == 1
