"""init: from an empty directory to a session that trades, with nothing written by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.daemon import SPOT_CANDLES, Daemon

BIN = Path(sys.executable).parent


def run(program: str, *arguments: str, home: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("JESSE_PAPER")}
    environment = {**others, "JESSE_PAPER_HOME": str(home)}
    return subprocess.run(
        [BIN / program, *arguments], env=environment, cwd=cwd, capture_output=True, text=True, timeout=120, check=True
    )


def test_init_makes_a_project_whose_strategy_trades_and_a_configuration_that_names_it(tmp_path: Path):
    project = tmp_path / "jesse-project"
    daemon = Daemon(project)
    try:
        made = json.loads(run("jesse-paper", "init", "--json", home=daemon.home, cwd=tmp_path).stdout)
        assert made["project"] == str(project)
        assert set(made["files"].values()) == {"made"}
        checked = json.loads(run("jesse-paperd", "--check", home=daemon.home, cwd=tmp_path).stdout)
        assert checked["project"] == str(project)
        daemon.start().ready()
        daemon.start_session(strategy="FirstStrategy", session_id="first", feed=f"replay:{SPOT_CANDLES}")
        assert daemon.ended("first").status == "stopped"
        assert daemon.trades("first")
    finally:
        daemon.close()


def test_init_keeps_what_is_there_and_says_when_another_project_is_configured(short_home: Path, tmp_path: Path):
    run("jesse-paper", "init", 'one \'and "quoted"', home=short_home, cwd=tmp_path)
    config = (short_home / "config.toml").read_text()
    again = run("jesse-paper", "init", "two", home=short_home, cwd=tmp_path)
    assert f"kept    {short_home}/config.toml" in again.stdout
    assert "names another project" in again.stderr
    assert (short_home / "config.toml").read_text() == config
    checked = json.loads(run("jesse-paperd", "--check", home=short_home, cwd=tmp_path).stdout)
    assert checked["project"] == str(tmp_path / 'one \'and "quoted"')
