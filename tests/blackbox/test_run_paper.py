"""run-paper: a session in the foreground does what it does under the daemon, and nobody else has a say in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.daemon import SPOT_CANDLES, Daemon, Project, eventually, running_daemon, strategy_source

BIN = Path(sys.executable).parent

_BY_HASH = "return self.index % (3 + hash('a word') % 97) == 0 and not self.position.is_open"
_LEAVE = """\
    def update_position(self):
        self.liquidate()
"""
_FALL_OVER = """\
    def update_position(self):
        self.liquidate()

    def before(self):
        if self.index == 300:
            raise ValueError("fell over")
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("project"))
    project.add("ByHash", strategy_source("ByHash", should_long=_BY_HASH, extra=_LEAVE))
    project.add("FallsOver", strategy_source("FallsOver", should_long="return self.index % 50 == 0", extra=_FALL_OVER))
    project.add("FallsAtOnce", "raise RuntimeError('cannot be imported')\n")
    return project


@pytest.fixture(scope="module")
def daemon(project: Project) -> Iterator[Daemon]:
    with running_daemon(project.root) as daemon:
        yield daemon


def run_paper(project: Project, strategy: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("JESSE_PAPER")}
    others.pop("PYTHONHASHSEED", None)
    options = {"--strategy": strategy, "--feed": f"replay:{SPOT_CANDLES}", "--project": str(project.root)}
    given = [word for option in options.items() for word in option]
    return subprocess.run(
        [BIN / "jesse-paper", "run-paper", "Binance Spot", "BTC-USDT", "--json", *given],
        env={**others, "JESSE_PAPER_HOME": str(cwd / "home"), **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_strategy_that_depends_on_hashes_trades_the_same_as_under_the_daemon(
    project: Project, daemon: Daemon, tmp_path: Path
):
    daemon.start_session(strategy="ByHash", session_id="by-hash", exchange="Binance Spot")
    daemon.ended("by-hash")
    trades: list[Any] = msgspec.to_builtins(daemon.trades("by-hash"))
    assert trades
    told = json.loads(run_paper(project, "ByHash", tmp_path).stdout)
    assert told["trades"] == trades


def test_a_strategy_that_fails_leaves_a_document_with_the_trades_it_made(project: Project, tmp_path: Path):
    done = run_paper(project, "FallsOver", tmp_path)
    assert done.returncode == 6
    document = json.loads(done.stdout)
    assert document["session"]["status"] == "failed"
    assert document["error"]["code"] == "strategy_failed"
    assert "fell over" in document["error"]["message"]
    assert document["trades"]
    assert document["equity_curve"]
    assert document["final_metrics"]["total_trades"] == len(document["trades"])
    assert json.loads(done.stderr.splitlines()[-1]) == {"error": document["error"]}


def test_a_strategy_that_cannot_begin_is_told_as_json_too(project: Project, tmp_path: Path):
    done = run_paper(project, "FallsAtOnce", tmp_path)
    assert done.returncode == 6
    assert "cannot be imported" in json.loads(done.stderr.splitlines()[-1])["error"]["message"]


#: Modules of ours, of others and of the standard library that the programs import early and late.
_PLANTED = ("msgspec", "numpy", "zmq", "json", "logging", "click", "rich", "jesse", "jesse_paperd", "dotenv", "ccxt")


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A folder in which somebody has left modules of the names that are imported."""
    for name in _PLANTED:
        (tmp_path / f"{name}.py").write_text("import sys\nsys.stderr.write('PLANTED RAN\\n')\nraise SystemExit(99)\n")
    return tmp_path


def test_nothing_is_imported_from_the_temporary_or_the_working_directory(project: Project, planted: Path):
    done = run_paper(project, "ByHash", planted, TMPDIR=str(planted))
    assert "PLANTED RAN" not in done.stderr
    assert json.loads(done.stdout)["trades"]
    assert not list(planted.glob("jesse-paper-*")), "nothing is left behind"


@pytest.mark.parametrize("command", ["candles ls --json", "doctor --json", "init", "ls --json"])
def test_no_command_imports_from_where_it_is_called(daemon: Daemon, planted: Path, command: str):
    done = subprocess.run(
        [BIN / "jesse-paper", *command.split()],
        env={**daemon.environment, "TMPDIR": str(planted)},
        cwd=planted,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "PLANTED" not in done.stdout + done.stderr
    if command.startswith("doctor"):
        configuration = next(f for f in json.loads(done.stdout) if f["check"] == "configuration")
        assert configuration["state"] == "ok", configuration


def test_neither_daemon_nor_engine_import_from_where_they_are_started_or_work(project: Project, planted: Path):
    daemon = Daemon(project.root)
    try:
        daemon.layout.zygote.mkdir(parents=True)
        for folder in (daemon.home, daemon.layout.zygote):
            for module in planted.iterdir():
                shutil.copy(module, folder)
        with (daemon.home / "output").open("ab") as output:
            daemon.process = subprocess.Popen(
                [BIN / "jesse-paperd"],
                env={**daemon.environment, "TMPDIR": str(planted)},
                cwd=planted,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        eventually("the daemon answers", daemon.answers)
        daemon.ready().start_session(strategy="ByHash", session_id="one")
        assert daemon.ended("one").status == "stopped"
        assert "PLANTED" not in daemon.output()
    finally:
        daemon.close()
