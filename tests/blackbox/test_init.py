"""init: from an empty directory to a session that trades, with nothing written by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.daemon import ETHER_CANDLES, FUTURES_CANDLES, SPOT_CANDLES, Daemon, running_daemon

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
        feed = f"replay:BTC-USDT={FUTURES_CANDLES},ETH-USDT={ETHER_CANDLES}"
        routes = ["--routes", str(project / "routes.toml"), "--exchange", "Binance Perpetual Futures", "--json"]
        told = run("jesse-paper", "start", *routes, "--feed", feed, home=daemon.home, cwd=project).stdout
        started = json.loads(told)
        assert [route["timeframe"] for route in started["routes"]] == ["1h", "30m"]
        assert daemon.ended(started["session_id"]).status == "stopped"
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


def test_init_inside_a_jesse_project_uses_it_and_says_what_becomes_of_its_env(short_home: Path, tmp_path: Path):
    inside = tmp_path / "strategies" / "Mine"
    inside.mkdir(parents=True)
    (inside / "__init__.py").write_text("from jesse.strategies import Strategy\n\n\nclass Mine(Strategy): ...\n")
    (tmp_path / ".env").write_text("POSTGRES_NAME=jesse_db\nPOSTGRES_PASSWORD=secret\n")
    for cwd, arguments in ((tmp_path, []), (inside, []), (tmp_path, ["."])):
        done = run("jesse-paper", "init", *arguments, "--json", home=short_home, cwd=cwd)
        made = json.loads(done.stdout)
        assert made["project"] == str(tmp_path)
        assert not (tmp_path / "jesse-project").exists()
        assert not (tmp_path / "strategies" / "FirstStrategy").exists()
        assert made["next"] == ["jesse-paperd &", "jesse-paper start Mine BTC-USDT"]
        assert [f"{tmp_path}/.env is not read" in note for note in made["notes"]] == [True]
    config = (short_home / "config.toml").read_text()
    assert f'env_file = "{tmp_path}/.env"' in config
    assert "secret" not in config
    checked = json.loads(run("jesse-paperd", "--check", home=short_home, cwd=tmp_path).stdout)
    assert checked["project"] == str(tmp_path)


def test_a_configuration_of_a_folder_below_is_another_project(short_home: Path, tmp_path: Path):
    run("jesse-paper", "init", "below", home=short_home, cwd=tmp_path)
    (tmp_path / "strategies").mkdir()
    told = run("jesse-paper", "init", ".", home=short_home, cwd=tmp_path).stderr
    assert f'names another project, {tmp_path}/below: put there project = "{tmp_path}"' in told


def test_what_to_do_next_is_right_beside_a_daemon_that_runs(tmp_path: Path):
    with running_daemon() as daemon:
        done = json.loads(run("jesse-paper", "init", "--json", home=daemon.home, cwd=tmp_path).stdout)
        assert daemon.process is not None
        assert done["next"][0].startswith(f"kill {daemon.process.pid} ")
        assert str(daemon.project) in done["next"][0]
        again = run("jesse-paper", "init", str(daemon.project), "--json", home=daemon.home, cwd=tmp_path)
        done = json.loads(again.stdout)
        assert done["next"] == ["jesse-paper start DayTrader BTC-USDT"]
