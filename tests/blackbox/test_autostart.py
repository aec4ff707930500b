"""`--autostart`: the daemon comes up with the first façade that needs it, once, and stays."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jesse_paper import protocol as wire
from tests.support.daemon import Daemon, eventually
from tests.support.mcp_client import COMMAND, LineClient, line_client

AUTOSTART = [*COMMAND, "--autostart"]
Connect = Callable[[], LineClient]


def stopped(daemon: Daemon) -> bool:
    """Ask whoever is the daemon to end: one that a façade started may come up only when the first has gone."""
    with contextlib.suppress(OSError, ValueError):
        os.kill(pid_of(daemon), signal.SIGTERM)
    return True


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    """A home without a daemon, which is also the environment's."""
    daemon = Daemon()
    for name in ("JESSE_PAPER_HOME", "JESSE_PAPER_PROJECT"):
        monkeypatch.setenv(name, daemon.environment[name])
    yield daemon
    eventually("the daemon has ended", lambda: not daemon.answers() or not stopped(daemon))
    daemon.close()


@pytest.fixture
def connect(home: Daemon) -> Iterator[Connect]:
    """Makes façades that start the daemon."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(line_client(home.endpoint, AUTOSTART))


def pid_of(daemon: Daemon) -> int:
    """The daemon that serves the home, by its own word."""
    return int(daemon.layout.lock.read_text())


def sessions(client: LineClient) -> dict[str, Any]:
    """The answer of paper_list_sessions, asked again for as long as the daemon is starting."""

    def answer() -> dict[str, Any] | None:
        result = client.request("tools/call", {"name": "paper_list_sessions", "arguments": {}})["result"]
        return None if "is starting" in result["content"][0]["text"] else result

    return eventually("the daemon has started", answer)


def started(daemon: Daemon) -> int:
    """How many daemons have begun in this home, as its log tells."""
    log = daemon.layout.log.read_text()
    return log.count(" serving ipc://") + log.count("another daemon")


def test_five_facades_at_once_start_one_daemon_which_outlives_them(home: Daemon, connect: Connect):
    home.home.rmdir()  # the very first start
    before = os.umask(0o002)  # that of many a desktop: the daemon refuses a home that others may write
    try:
        clients = [connect() for _ in range(5)]
    finally:
        os.umask(before)
    asked = [client.send("tools/call", {"name": "paper_list_sessions", "arguments": {}}) for client in clients]
    assert [client.read()["id"] for client in clients] == asked
    assert [sessions(client)["structuredContent"]["total"] for client in clients] == [0] * 5
    assert started(home) == 1
    pid = pid_of(home)
    for client in clients:
        client.process.kill()
        client.process.wait()
    assert home.call(wire.Ping()).pid == pid
    assert os.getsid(pid) not in {os.getsid(0), *(client.process.pid for client in clients)}
    assert int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) not in {
        client.process.pid for client in clients
    }


def test_a_daemon_that_was_stopped_is_started_again_at_the_next_call(home: Daemon, connect: Connect):
    client = connect()
    assert not sessions(client)["isError"]
    first = pid_of(home)
    os.kill(first, signal.SIGTERM)
    eventually("the daemon has ended", lambda: not home.answers())
    answer = sessions(client)
    assert not answer["isError"], answer
    assert home.call(wire.Ping()).pid != first


def test_a_call_in_the_moment_in_which_the_daemon_is_stopped_finds_another(home: Daemon, connect: Connect):
    client = connect()
    for _ in range(3):
        assert not sessions(client)["isError"]
        os.kill(pid_of(home), signal.SIGTERM)
        answer = sessions(client)
        assert not answer["isError"], answer


def test_a_daemon_that_runs_is_left_alone(home: Daemon, connect: Connect):
    home.start()
    assert not sessions(connect())["isError"]
    assert home.process is not None
    assert pid_of(home) == home.process.pid
    assert not home.layout.log.exists()


def test_the_handshake_does_not_wait_for_the_daemon(home: Daemon):
    """Also where it takes for ever: the call says that it is starting, and to call again."""
    slow = """
import sys
from jesse_paper_mcp import autostart, server
autostart.CALL_SECONDS = 0.2
autostart._start_detached = lambda log: autostart.os.getpid()
server.main(sys.argv[1:])
"""
    with line_client(home.endpoint, [sys.executable, "-c", slow, "--autostart"]) as client:
        result = client.request("tools/call", {"name": "paper_stop", "arguments": {"session_id": "a"}})["result"]
    assert result["isError"]
    said = result["content"][0]["text"]
    assert "is starting; nothing was done. Call again" in said
    assert said.endswith("[daemon_unreachable]")


@pytest.mark.parametrize("made", ["folder", "config"])
def test_a_home_that_cannot_be_used_gives_the_daemons_own_error(home: Daemon, connect: Connect, made: str):
    if made == "folder":
        home.home.rmdir()
        home.home.write_text("a file is no home")
        reason = "the home directory"
    else:
        (home.home / "config.toml").write_text("colour = 'red'\n")
        reason = "unknown field `colour`"
    result = sessions(connect())
    said = result["content"][0]["text"]
    assert result["isError"]
    assert reason in said
    assert "nothing was done" in said
    assert said.endswith("[daemon_unreachable]")
    if made == "folder":
        home.home.unlink()
        home.home.mkdir()


def test_a_daemon_that_comes_up_by_itself_meanwhile_is_waited_for(home: Daemon, connect: Connect):
    """The second daemon of a home refuses and names the first, which is then the one to wait for."""
    home.layout.prepare()
    home.process = home.spawn()
    assert not sessions(connect())["isError"]
    assert pid_of(home) == home.process.pid or home.process.wait(60) == 5


@pytest.mark.parametrize(
    ("how", "endpoint"), [("option", "tcp://127.0.0.1:5555"), ("variable", "ipc:///somewhere/else.sock")]
)
def test_only_the_daemon_of_the_own_home_is_started(home: Daemon, how: str, endpoint: str):
    environment = {**os.environ, **({"JESSE_PAPER_ENDPOINT": endpoint} if how == "variable" else {})}
    options = ["--endpoint", endpoint] if how == "option" else []
    done = subprocess.run([*AUTOSTART, *options], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"the endpoint here is {endpoint}" in done.stderr
    assert done.stdout == ""
    assert not home.layout.run.exists()


def test_install_writes_the_option_and_the_project(home: Daemon, tmp_path: Path):
    command = [str(Path(sys.executable).with_name("jesse-paper")), "mcp", "install", "--client", "claude-code"]
    subprocess.run([*command, "--autostart"], cwd=tmp_path, check=True, capture_output=True)
    entry = json.loads((tmp_path / ".mcp.json").read_text())["mcpServers"]["jesse-paper"]
    assert entry["args"] == ["--autostart"]
    assert entry["env"] == {"JESSE_PAPER_HOME": str(home.home), "JESSE_PAPER_PROJECT": str(home.project)}
