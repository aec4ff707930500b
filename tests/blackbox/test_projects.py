"""Strategies as people have them: what they import and read, what they declare, and what is said at the start."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from tests.support.daemon import Daemon, Project, running_daemon, strategy_source

_NUMBERS = """\
    def hyperparameters(self):
        return [
            {"name": "length", "type": int, "min": 2, "max": LONGEST, "default": 9},
            {"name": "ratio", "type": "float", "min": 0.5, "max": 2, "default": 1},
            {"name": "source", "type": "categorical", "options": ["close", "hl2"], "default": "close"},
            {"name": "loud", "type": bool, "default": False},
        ]

    def before(self):
        if self.index == 0:
            print(repr(self.hp))
"""


def reads(expression: str) -> str:
    """A method that reads something at its second candle, when the session is long said to run."""
    return f"    def before(self):\n        if self.index == 1:\n            print({expression})\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    root = tmp_path_factory.mktemp("project")
    project = Project(root)
    for folder in ("indicators", "src/models", "data", "strategies/shared", ".hidden"):
        (root / folder).mkdir(parents=True)
    (root / "indicators" / "__init__.py").write_text(
        "import importlib, pathlib\n"
        "for file in sorted(pathlib.Path(__file__).parent.glob('[a-z]*.py')):\n"
        "    globals()[file.stem] = importlib.import_module(f'indicators.{file.stem}').value\n"
    )
    (root / "indicators" / "highest.py").write_text("value = 'found by name'\n")
    (root / "src" / "models" / "net.py").write_text(
        "import json, pathlib\nWEIGHTS = json.loads((pathlib.Path(__file__).parent / 'weights.json').read_text())\n"
    )
    (root / "src" / "models" / "weights.json").write_text('{"w": "beside its module"}')
    (root / "strategies" / "helpers.py").write_text("word = 'among the strategies'\n")
    (root / "strategies" / "shared" / "words.txt").write_text("a shared folder")
    (root / "strategies" / "shared" / "__init__.py").write_text("")
    (root / "rules.json").write_text("at the root")
    (root / "strategies" / "common.json").write_text("beside the strategies")
    (root / "late").mkdir()
    (root / "late" / "module.py").write_text("word = 'imported by its name'\n")
    (root / "huge.bin").write_bytes(bytes(2**20 + 1))
    (root / ".env").write_text("SECRET=1")
    (root / "data" / "levels.csv").write_text("named in the settings")
    (root / "jesse-paper.toml").write_text('snapshot_include = ["data/*.csv"]\n')
    here = "os.path.dirname(__file__)"
    for name, top, expression in (
        ("Dynamic", "import indicators", "indicators.highest"),
        ("Weights", "from src.models.net import WEIGHTS", "WEIGHTS['w']"),
        ("Helper", "from strategies.helpers import word", "word"),
        ("Shared", "import os, strategies.shared", f"open({here} + '/../shared/words.txt').read()"),
        ("Rules", "", "open('rules.json').read()"),
        ("Levels", "", "open('data/levels.csv').read()"),
        ("Common", "", "open('strategies/common.json').read()"),
        ("Named", "import importlib", "importlib.import_module('late.module').word"),
        ("Environment", "", "open('.env').read()"),
        ("Huge", "", "len(open('huge.bin').read())"),
    ):
        project.add(name, strategy_source(name, top=top, extra=reads(expression)))
    project.add("Typed", strategy_source("Typed", top="LONGEST = 30", extra=_NUMBERS))
    project.add("Untyped", strategy_source("Untyped"))
    hooks = (
        "    @property\n    def hyperparameters(self):\n        return []\n\n"
        "    def on_close_position(self, order):\n        pass\n\n    def before(self, more):\n        pass\n"
    )
    project.add("Hooks", strategy_source("Hooks", extra=hooks))
    project.add("NoList", strategy_source("NoList", extra="    def hyperparameters(self):\n        return {'a': 1}\n"))
    project.add("Talib", strategy_source("Talib", top="import talib"))
    project.add("Selectors", strategy_source("Selectors", top="from jesse.services.selectors import get_all"))
    project.add("Opens", strategy_source("Opens", top="open('nothing/here.csv')"))
    project.add("Exits", strategy_source("Exits", extra="    def before(self):\n        exit()\n"))
    writes = "    def before(self):\n        open('rules.json.copy', 'a').write('x')\n"
    project.add("Writes", strategy_source("Writes", extra=writes))
    broken = root / "strategies" / "Broken"
    broken.mkdir()
    (broken / "__init__.py").write_text("\n\nx = (\n")
    return project


@pytest.fixture(scope="module")
def daemon(project: Project) -> Iterator[Daemon]:
    with running_daemon(project.root) as daemon:
        yield daemon


def start(daemon: Daemon, strategy: str, **more: Any) -> wire.Started:
    arguments = {"session_id": strategy, "strategy": strategy, "timeframe": "15m", "warmup_candles": 24, **more}
    return daemon.start_session(**arguments)


def printed(daemon: Daemon, session_id: str) -> list[str]:
    daemon.ended(session_id)
    lines = daemon.call(wire.PaperGetLogs(session_id=session_id, limit=1000)).lines
    return [line.message for line in lines if line.level == "stdout"]


@pytest.mark.parametrize(
    ("strategy", "found"),
    [
        ("Dynamic", "found by name"),
        ("Weights", "beside its module"),
        ("Helper", "among the strategies"),
        ("Shared", "a shared folder"),
        ("Rules", "at the root"),
        ("Levels", "named in the settings"),
        ("Common", "beside the strategies"),
        ("Named", "imported by its name"),
    ],
)
def test_a_strategy_finds_what_it_reads_of_its_project(daemon: Daemon, strategy: str, found: str) -> None:
    start(daemon, strategy)
    assert printed(daemon, strategy) == [found]
    assert daemon.call(wire.PaperVerify(session_id=strategy)).equal


@pytest.mark.parametrize("strategy", ["Environment", "Huge"])
def test_what_is_outside_the_snapshot_is_named_with_the_remedy(daemon: Daemon, strategy: str) -> None:
    start(daemon, strategy)
    error = daemon.ended(strategy).error
    assert "FileNotFoundError" in error
    assert "snapshot_include" in error
    assert f"strategies/{strategy}/__init__.py:" in error


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        ("Talib", r"No module named 'talib'.*-m pip install TA-Lib.*strategies/Talib/__init__.py:1"),
        ("Selectors", r"Jesse 3\.5\.3, which this runs on, has it no more.*strategies/Selectors/__init__.py:1"),
        ("Opens", r"nothing/here.csv.*snapshot_include.*strategies/Opens/__init__.py:1"),
        ("Broken", r"strategies/Broken/__init__.py, line 3: .*never closed"),
        ("NoList", r"hyperparameters\(\) must return a list of dictionaries, and returned dict"),
        (
            "Hooks",
            r"before\(self, more\) is called by Jesse as before\(self\) \(strategies/Hooks/__init__.py:\d+\); "
            r"hyperparameters must be a method, not a property \(strategies/Hooks/__init__.py:\d+\); "
            r"on_close_position\(self, order\) is called by Jesse as on_close_position\(self, order, closed_trade\)",
        ),
    ],
)
def test_a_strategy_that_cannot_run_is_refused_at_the_start_with_every_reason(
    daemon: Daemon, strategy: str, said: str
) -> None:
    with pytest.raises(PaperError) as refused:
        start(daemon, strategy)
    assert refused.value.code == "strategy_failed"
    assert re.search(said, refused.value.message), refused.value.message
    assert not daemon.layout.session(strategy).root.exists()


def test_a_strategy_that_ends_the_process_is_told_where_it_did(daemon: Daemon) -> None:
    start(daemon, "Exits")
    error = daemon.ended("Exits").error
    assert re.search(r"SystemExit.*ended the process itself \(strategies/Exits/__init__.py:\d+", error)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ({"length": 12.0}, "'length': 12,"),
        ({"length": "12", "loud": "true"}, "'length': 12, 'ratio': 1, 'source': 'close', 'loud': True"),
        ({"ratio": 2}, "'ratio': 2.0"),
        ({"source": "HL2"}, "'source': 'hl2'"),
    ],
)
def test_hyperparameters_become_what_is_declared(
    daemon: Daemon, given: dict[str, Any], taken: str, request: pytest.FixtureRequest
) -> None:
    session_id = f"typed-{abs(hash(request.node.name)) % 10**6}"
    start(daemon, "Typed", session_id=session_id, hyperparameters=given)
    assert taken in printed(daemon, session_id)[0]
    assert daemon.call(wire.PaperVerify(session_id=session_id)).equal


def test_hyperparameters_that_are_wrong_are_refused_all_at_once(daemon: Daemon) -> None:
    given = {"length": 12.5, "ratio": 500, "source": "high", "loud": 3, "lenght": 3}
    with pytest.raises(PaperError) as refused:
        start(daemon, "Typed", session_id="wrong", hyperparameters=given)
    assert refused.value.code == "invalid_argument"
    for said in (
        "length: 12.5 is not a whole number (int, 2 to 30)",
        "ratio: 500 is out of bounds (float, 0.5 to 2)",
        "source: 'high' is none of 'close', 'hl2'",
        "loud: 3 is not true or false",
        "Typed has no 'lenght', did you mean 'length'?",
    ):
        assert said in refused.value.message
    for value in (True, "twelve", 31):
        with pytest.raises(PaperError, match="length: "):
            start(daemon, "Typed", session_id="wrong", hyperparameters={"length": value})
    with pytest.raises(PaperError, match="Untyped declares no hyperparameters"):
        start(daemon, "Untyped", hyperparameters={"length": 3})
    assert not daemon.layout.session("wrong").root.exists()


def test_declared_hyperparameters_are_listed_with_their_own_types(daemon: Daemon) -> None:
    listed = {s.name: s for s in daemon.call(wire.PaperListStrategies()).strategies}
    length, ratio, source, loud = listed["Typed"].hyperparameters
    assert (repr(length.default), repr(length.max), length.type) == ("9", "30", "int")
    assert (ratio.type, ratio.min) == ("float", 0.5)
    assert source.options == ["close", "hl2"]
    assert loud.default is False
    assert listed["Broken"].problem.startswith("strategies/Broken/__init__.py, line 3")


def test_what_a_strategy_writes_is_no_damage_and_is_not_in_the_project(daemon: Daemon, project: Project) -> None:
    start(daemon, "Writes", speed=60 * 600)
    pid = daemon.session_pids()["Writes"]
    os.kill(pid, 9)
    assert daemon.ended("Writes").status == "stopped"
    assert not (project.root / "rules.json.copy").exists()


def test_a_pipe_a_link_out_or_too_much_in_a_strategys_folder_is_refused_and_not_waited_for(
    daemon: Daemon, project: Project, tmp_path: Path
) -> None:
    for name in ("Pipe", "Zero", "Gone", "Large"):
        project.add(name, strategy_source(name))
    strategies = project.root / "strategies"
    os.mkfifo(strategies / "Pipe" / "fifo")
    (strategies / "Zero" / "zero").symlink_to("/dev/zero")
    (strategies / "Gone" / "gone").symlink_to(tmp_path / "nowhere")
    with (strategies / "Large" / "model.bin").open("wb") as sparse:
        sparse.truncate(2**38)
    refusals: dict[str, str] = {}

    def refused(name: str) -> None:
        try:
            start(daemon, name)
        except PaperError as error:
            refusals[name] = error.message

    threads = [threading.Thread(target=refused, args=(name,)) for name in ("Pipe", "Zero", "Gone", "Large")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert "fifo is not a regular file" in refusals["Pipe"]
    assert "zero is not a regular file" in refusals["Zero"]
    assert "gone cannot be read" in refusals["Gone"]
    assert "come to more than 256 MiB" in refusals["Large"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('snapshot_include = ["../secrets"]', "leads out of the project"),
        ('snapshot_include = ["no/such/*"]', "matches no file"),
        ('snapshot_includes = ["data"]', "snapshot_includes"),
        ("snapshot_include = 3", "snapshot_include"),
        ("snapshot_include = [", "no TOML"),
    ],
)
def test_settings_of_a_project_that_are_wrong_are_named(
    daemon: Daemon, project: Project, settings: str, said: str
) -> None:
    file = project.root / "jesse-paper.toml"
    right = file.read_text()
    file.write_text(settings)
    try:
        with pytest.raises(PaperError, match=said) as refused:
            start(daemon, "Levels", session_id="settings")
        assert refused.value.code == "invalid_argument"
    finally:
        file.write_text(right)
