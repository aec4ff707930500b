"""What the CLI says to a user's mistakes: one sentence that helps, the table's exit status, never a traceback."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import (
    EXAMPLES,
    SPOT_CANDLES,
    Daemon,
    Project,
    eventually,
    running_daemon,
    strategy_source,
)

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with running_daemon() as daemon:
        daemon.start_session(session_id="ended")
        daemon.start_session(session_id="alive", speed=60)
        daemon.ended("ended")
        yield daemon


def shell(daemon: Daemon, line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line in bash as a user would; its status is that of `jesse-paper` even in a pipe."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        env={**daemon.environment, "PATH": path, "CANDLES": str(SPOT_CANDLES), **environment},
        cwd=daemon.home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert "Exception ignored" not in done.stderr, done.stderr
    return done


MISTAKES = [
    ("status nothing", 4, "no session has the id 'nothing'"),
    ("status bad/id", 2, "Did you mean 'bad-id'?"),
    ("stats ended", 2, "Did you mean 'status'?"),
    ("start Nope BTC-USDT", 4, "it has: DayTrader, SMACrossover"),
    ("start SMACrossover btcusdt", 2, "Did you mean 'BTC-USDT'?"),
    ("start SMACrossover BTC-USDT -t 7m", 2, "`timeframe` must be one of"),
    ("start SMACrossover BTC-USDT --feed replay:nope.csv", 6, "nope.csv cannot be read"),
    ("start SMACrossover BTC-USDT --leverage 1.5", 2, "`leverage` must be a whole number"),
    ("start SMACrossover BTC-USDT --hyperparameters '{x'", 2, "--hyperparameters is no JSON"),
    ("start SMACrossover BTC-USDT --data-route ETH", 2, "not SYMBOL:TIMEFRAME"),
    ("start SMACrossover BTC-USDT --speed fast --feed replay:$CANDLES", 2, "`speed` must be"),
    ("start SMACrossover", 2, "Missing argument 'SYMBOL'"),
    ("start SMACrossover BTC-USDT --session-id alive", 5, "alive"),
    ("trades ended --limit 0", 2, "`limit` must be a whole number"),
    ("equity ended -r 7m", 2, "`resolution` must be one of"),
    ("compare ended", 2, "a list of 2 to 20"),
    ("wait ended --until yesterday", 2, "is no RFC 3339 time"),
    ("chart ended -o /nowhere/x.png", 2, "/nowhere/x.png cannot be written"),
    ("report ended -o /dev/full", 2, "/dev/full is no regular file"),
    ("export ended trades -o /nowhere/x.parquet", 2, "/nowhere/x.parquet cannot be written"),
    ("chart ended -o x.svg", 2, "may end in .png"),
    ("report ended -o x.pdf", 2, "may end in .html"),
    ("export ended trades -o a.xlsx", 2, "may end in .csv or .parquet"),
    ("export ended trades -o a.csv.gz", 2, "may end in .csv or .parquet"),
    ("delete nothing", 4, "no session has the id 'nothing'"),
    ("delete alive --yes", 5, "stop it first with jesse-paper stop"),
    ("delete ended", 2, "say --yes to mean it"),
    ("update ended --leverage 2", 1, ""),
    ("raw '{nonsense'", 2, ""),
    ("top", 2, "this view needs a terminal"),
    ("watch ended", 2, "jesse-paper status ended --json"),
    ("metrics", 2, "name a SESSION"),
    ("service install", 2, "neither --systemd nor --supervisord"),
    ("init /proc/none", 7, "cannot be written"),
    ("ls > /dev/full", 7, "No space left on device"),
    ("ls --json > /dev/full", 7, "No space left on device"),
    (f"run-paper Binance BTC-USDT -s Nope --project {EXAMPLES} --feed replay:$CANDLES", 4, "has no strategy 'Nope'"),
]


@pytest.mark.parametrize(("command", "status", "told"), MISTAKES, ids=[command for command, _, _ in MISTAKES])
def test_a_mistake_ends_in_one_sentence_and_the_status_of_the_error_table(
    daemon: Daemon, command: str, status: int, told: str
):
    done = shell(daemon, f"jesse-paper {command}")
    assert told in done.stderr
    assert done.returncode == status


#: These have no --json, or print the answer that says no.
_NO_ERROR_OBJECT = ("top", "watch", "raw", "update")


@pytest.mark.parametrize(
    ("command", "status", "told"), [each for each in MISTAKES if each[0].split()[0] not in _NO_ERROR_OBJECT]
)
def test_under_json_a_mistake_is_one_object_at_the_end_of_stderr(daemon: Daemon, command: str, status: int, told: str):
    done = shell(daemon, f"jesse-paper {command} --json")
    assert done.stdout == ""
    assert done.returncode == status
    error = json.loads(done.stderr.splitlines()[-1])["error"]
    assert set(error) == {"code", "message", "hint"}
    assert told in f"{error['message']}\n{error['hint']}"


def test_waiting_takes_as_long_as_one_likes_and_outlasts_a_restart_of_the_daemon(tmp_path: Path):
    project = Project(tmp_path)
    project.add_example("SMACrossover")
    with running_daemon(tmp_path) as daemon:
        daemon.start_session(session_id="calm", speed=60)
        command = [str(BIN / "jesse-paper"), "wait", "calm", "--timeout", "86400", "--json"]
        with subprocess.Popen(command, env=daemon.environment, stdout=subprocess.PIPE, text=True) as waiting:
            eventually("it is connected", lambda: _sockets(waiting.pid))
            daemon.restart()
            daemon.stop_session("calm")
            told, _ = waiting.communicate(timeout=180)
        assert waiting.returncode == 0
        assert json.loads(told)["reached_by"] == ["calm"]
        # Nothing more can come of what has ended, so nothing more is waited for.
        done = shell(daemon, "jesse-paper wait calm --status running --timeout 86400")
        assert done.returncode == 1


def _sockets(pid: int) -> list[str]:
    """The sockets that a process has: a command opens none but the one to its daemon."""
    links = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            links.append(str(link.readlink()))
    return [link for link in links if link.startswith("socket:")]


ENVIRONMENTS = [
    ({"JESSE_PAPER_ENDPOINT": "ipc:///nowhere/daemon.sock"}, 3, "Start it with `jesse-paperd`"),
    ({"JESSE_PAPER_ENDPOINT": "nonsense"}, 2, "it must be ipc:///path or tcp://host:port"),
    ({"JESSE_PAPER_ENDPOINT": "tcp://127.0.0.1:5"}, 2, "TCP needs CURVE keys"),
    (
        {
            "JESSE_PAPER_ENDPOINT": "tcp://127.0.0.1:5",
            **dict.fromkeys(
                ("JESSE_PAPER_SERVER_KEY", "JESSE_PAPER_PUBLIC_KEY", "JESSE_PAPER_SECRET_KEY"), "too short"
            ),
        },
        2,
        "jesse-paper keygen",
    ),
    ({"JESSE_PAPER_ENDPOINT": "", "JESSE_PAPER_HOME": "/tmp/" + "x" * 120}, 2, "Choose a shorter home"),
]


@pytest.mark.parametrize(("environment", "status", "told"), ENVIRONMENTS)
def test_a_wrong_environment_is_explained(daemon: Daemon, environment: dict[str, str], status: int, told: str):
    done = shell(daemon, "jesse-paper ls", **environment)
    assert told in done.stderr
    assert done.returncode == status


@pytest.mark.parametrize(
    "command", ["trades ended", "trades ended --json", "logs ended -n 1000", "export ended equity -r 1m", "--help"]
)
def test_a_pipe_that_closes_early_is_no_error_worth_a_word(daemon: Daemon, command: str):
    assert shell(daemon, f"jesse-paper {command} | head -c 1").stderr == ""


def test_a_closed_stdout_is_survived(daemon: Daemon):
    assert shell(daemon, "jesse-paper ls >&-").returncode == 0
    assert shell(daemon, "jesse-paper metrics ended --json >&-").returncode == 0


def test_a_working_directory_that_is_gone_is_named(daemon: Daemon):
    line = "mkdir gone && cd gone && rmdir ../gone && jesse-paper start SMACrossover BTC-USDT --feed replay:x.csv"
    assert shell(daemon, line).returncode == 7


def test_a_terminal_that_knows_only_ascii_gets_what_it_can_show(daemon: Daemon):
    assert "running" in shell(daemon, "jesse-paper ls", PYTHONIOENCODING="ascii", LC_ALL="C").stdout


def test_start_into_a_pipe_prints_the_id_and_nothing_else(daemon: Daemon):
    done = shell(daemon, "jesse-paper start SMACrossover BTC-USDT --feed replay:$CANDLES --session-id piped")
    assert (done.stdout, done.stderr, done.returncode) == ("piped\n", "", 0)
    again = shell(daemon, "jesse-paper start SMACrossover BTC-USDT --feed replay:$CANDLES --session-id piped --follow")
    assert again.stdout == "piped\n"


def test_start_of_a_session_that_fails_has_its_status_followed_or_not(tmp_path: Path):
    project = Project(tmp_path)
    project.add("Breaks", strategy_source("Breaks", should_long="raise RuntimeError('as it was told to')"))
    with running_daemon(tmp_path) as daemon:
        done = shell(daemon, "jesse-paper start Breaks BTC-USDT --feed replay:$CANDLES --session-id one --follow")
        assert (done.stdout, done.returncode) == ("one\n", 6)
        assert "as it was told to" in done.stderr
        again = shell(daemon, "jesse-paper start Breaks BTC-USDT --feed replay:$CANDLES --session-id one")
        assert (again.stdout, again.returncode) == ("", 5)
        assert "as it was told to" in again.stderr


def test_interrupting_a_command_that_waits_ends_it_as_the_shell_expects(daemon: Daemon):
    command = [str(BIN / "jesse-paper"), "wait", "alive", "--json"]
    with subprocess.Popen(
        command, env=daemon.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        eventually("it is connected", lambda: _sockets(process.pid))
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told.strip() == ""
