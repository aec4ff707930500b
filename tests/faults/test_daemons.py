"""Two of anything, other people's files, the network: what the daemon refuses, and what it leaves alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from jesse_paper import protocol as wire
from jesse_paper.client import Curve, DaemonClient
from jesse_paper.errors import PaperError
from jesse_paperd.processes import lease
from jesse_paperd.processes.identity import identify
from tests.support.breaking import IMPATIENT, PACED, read_only, start_trading
from tests.support.daemon import Daemon, eventually, running_daemon

SLOW = PACED / 20


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with running_daemon(config=IMPATIENT) as running:
        yield running


def refused(daemon: Daemon) -> tuple[int, str]:
    """Exit status and last words of a daemon that does not come up."""
    before = len(daemon.output())
    status = daemon.spawn().wait(60)
    return status, daemon.output()[before:]


def test_a_second_daemon_refuses_to_start_and_names_the_first(daemon: Daemon) -> None:
    pid = daemon.call(wire.Ping()).pid
    status, said = refused(daemon)
    assert status == 5
    assert f"another daemon, pid {pid}, serves the home {daemon.home}" in said
    assert daemon.call(wire.Ping()).pid == pid


def test_nothing_in_the_home_is_open_to_others(daemon: Daemon) -> None:
    start_trading(daemon, "private", speed=SLOW)
    start_trading(daemon, "ended", speed="max")
    daemon.ended("ended")
    open_to_others = {
        path.relative_to(daemon.home): stat.filemode(path.lstat().st_mode)
        for path in [daemon.home, *daemon.home.rglob("*")]
        if path.lstat().st_mode & 0o077 and path.parent != daemon.home  # the test's own files lie at the top
    }
    assert open_to_others == {}
    for folder in (daemon.home, daemon.layout.run, daemon.layout.session("private").root):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for file in (daemon.layout.registry, daemon.layout.session("private").journal, daemon.layout.run / "daemon.sock"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    daemon.stop_session("private")


def test_a_forged_lease_is_no_session_and_its_process_is_left_alone(daemon: Daemon) -> None:
    start_trading(daemon, "forged", speed=SLOW)
    files = daemon.layout.session("forged")
    daemon.kill()
    os.kill(daemon.session_pids()["forged"], signal.SIGKILL)
    with subprocess.Popen(["sleep", "600"]) as stranger:
        identity = identify(stranger.pid)
        assert identity is not None
        eventually("the session is dead", lambda: lease.proven_holder(files.lease) is None)
        files.lease.write_text(json.dumps(identity._asdict()))
        daemon.start()
        eventually("it was started again", lambda: daemon.session_pids().get("forged", stranger.pid) != stranger.pid)
        assert daemon.stop_session("forged").stop_reason == "stopped"
        assert stranger.poll() is None
        stranger.kill()


def test_an_adopted_session_has_one_process_however_often_the_daemon_is_killed(daemon: Daemon) -> None:
    start_trading(daemon, "adopted", speed=SLOW)
    pid = daemon.session_pids()["adopted"]
    for _ in range(3):
        daemon.restart()
        assert daemon.status("adopted").health.pid == pid
    daemon.stop_session("adopted")


def test_what_a_cut_off_start_or_removal_left_is_tidied_and_what_is_unknown_is_kept(daemon: Daemon) -> None:
    start_trading(daemon, "kept", speed="max")
    daemon.ended("kept")
    eventually("its process has left", lambda: "kept" not in daemon.session_pids())
    daemon.kill()
    sessions = daemon.layout.sessions
    (sessions / "cut_off_start" / "strategy").mkdir(parents=True)
    shutil.copytree(sessions / "kept", sessions / "of_another_registry")
    shutil.copytree(sessions / "kept", sessions / ".removed.gone")
    (sessions / "kept").rename(sessions / ".removed.kept")
    daemon.start()
    assert not (sessions / "cut_off_start").exists()
    assert not (sessions / ".removed.gone").exists()
    assert (sessions / "of_another_registry" / "journal.sqlite").exists()
    assert daemon.trades("kept")
    with pytest.raises(PaperError, match="exists already") as caught:
        start_trading(daemon, "of_another_registry")
    assert caught.value.code == "conflict"


def test_a_home_that_others_may_write_is_refused_with_the_command_that_mends_it() -> None:
    daemon = Daemon()
    daemon.home.chmod(0o770)
    status, said = refused(daemon)
    assert status == 7
    assert f"{daemon.home} may be written by others" in said
    assert f"chmod 700 {daemon.home}" in said
    daemon.close()


def test_a_registry_that_is_gone_while_sessions_are_there_is_missed() -> None:
    daemon = Daemon()
    session = daemon.layout.session("orphan")
    session.root.mkdir(parents=True)
    session.journal.write_bytes(b"some journal")
    status, said = refused(daemon)
    assert status == 7
    assert "registry.sqlite is gone" in said
    assert session.journal.exists()
    daemon.close()


_KEYS = 'curve_secret_key = "{0}"\ncurve_clients = ["{1}"]\n'
_KEY = "0" * 40
#: What stands in the way → how it comes there, the exit status, words of the refusal.
OBSTACLES: dict[str, tuple[Callable[[Path], object], int, str]] = {
    "a configuration that is a folder": (lambda home: (home / "config.toml").mkdir(), 2, "is a directory"),
    "a configuration that is a pipe": (lambda home: os.mkfifo(home / "config.toml"), 2, "is a named pipe"),
    "a configuration without an end": (lambda home: (home / "config.toml").symlink_to("/dev/zero"), 2, "is a device"),
    "a configuration that is nowhere": (lambda home: (home / "config.toml").symlink_to("nowhere"), 2, "cannot be read"),
    "a configuration of noise": (lambda home: (home / "config.toml").write_bytes(b"\xff\x00"), 2, "not UTF-8"),
    "a short secret key": (
        lambda home: (home / "config.toml").write_text(_KEYS.format("short", _KEY)), 2, "curve_secret_key: a key has",
    ),
    "a client's key of other letters": (
        lambda home: (home / "config.toml").write_text(_KEYS.format(_KEY, "к" * 40)), 2, "curve_clients: a key has 40",
    ),
    "sessions that are a file": (lambda home: (home / "sessions").write_text(""), 7, "cannot be made"),
    "a registry that is a folder": (lambda home: (home / "registry.sqlite").mkdir(), 7, "registry.sqlite cannot be"),
}  # fmt: skip


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_what_stands_in_the_way_of_a_start_is_told_in_words(obstacle: str) -> None:
    daemon = Daemon()
    put, expected, words = OBSTACLES[obstacle]
    put(daemon.home)
    status, said = refused(daemon)
    daemon.close()
    assert status == expected
    assert words in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "endpoint",
    [
        *("tcp://127.0.0.1:99999", "tcp://127.0.0.1:*", "tcp://127.0.0.1", "tcp://", "tcp://nohost.invalid:5000"),
        *(
            "ipc://relative",
            "ipc:///no/such/folder/socket",
            "ipc:///dev/null",
            "inproc://x",
            "nonsense",
            "ipc://@hidden",
        ),
    ],
)
def test_an_endpoint_that_cannot_be_is_refused_in_words(endpoint: str) -> None:
    daemon = Daemon(config=_KEYS.format(_KEY, _KEY))
    daemon.environment["JESSE_PAPER_ENDPOINT"] = endpoint
    status, said = refused(daemon)
    daemon.close()
    assert status == 2
    assert endpoint in said
    assert "Traceback" not in said


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_home_on_a_disk_that_is_read_only_is_refused_in_words() -> None:
    daemon = Daemon()
    with read_only(daemon.home):
        done = subprocess.run(
            [sys.executable, "-c", Daemon.program], env=daemon.environment, capture_output=True, text=True, check=False
        )
    daemon.close()
    assert done.returncode == 7
    assert "Read-only file system" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_network_address_without_keys_is_refused() -> None:
    daemon = Daemon(config='endpoint = "tcp://127.0.0.1:45999"')
    daemon.environment.pop("JESSE_PAPER_ENDPOINT")
    status, said = refused(daemon)
    assert status == 2
    assert "needs curve_secret_key and curve_clients" in said
    daemon.close()


def test_a_network_address_with_keys_answers_whom_it_knows_and_nobody_else(tmp_path: Path) -> None:
    server, client, stranger = ([key.decode() for key in zmq.curve_keypair()] for _ in range(3))
    with zmq.Context() as context, context.socket(zmq.REP) as socket:
        endpoint = f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}"
    daemon = Daemon(config=f'curve_secret_key = "{server[1]}"\ncurve_clients = ["{client[0]}"]')
    daemon.environment["JESSE_PAPER_ENDPOINT"] = endpoint
    known = DaemonClient(endpoint, curve=Curve(server[0], *client))
    unknown = DaemonClient(endpoint, curve=Curve(server[0], *stranger))
    deceived = DaemonClient(endpoint, curve=Curve(stranger[0], *client))
    daemon.client.close()
    daemon.client = known
    try:
        daemon.start()
        assert daemon.call(wire.PaperListSessions(active_only=False)).total == 0
        for client_without in (unknown, deceived):
            with pytest.raises(PaperError) as caught:
                client_without.call(wire.Ping(), timeout=1)
            assert caught.value.code in ("daemon_unreachable", "timeout")
        with zmq.Context() as context, context.socket(zmq.REQ) as plain:
            plain.setsockopt(zmq.LINGER, 0)
            plain.connect(endpoint)
            plain.send(b'{"v":1,"id":"1","body":{"op":"ping"}}')
            assert not plain.poll(500)
    finally:
        unknown.close()
        deceived.close()
        daemon.close()
