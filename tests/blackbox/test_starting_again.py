"""What a start and a restart answer when the session is there already, has ended, has failed, or cannot trade yet."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from tests.blackbox.test_feed_process import BTC, SPOT, stand_in
from tests.blackbox.test_live_faults import Exchange
from tests.support.at_once import ask_at_once, codes_of
from tests.support.breaking import short_candles
from tests.support.daemon import Daemon, Project, eventually, running_daemon, strategy_source

SLOW = 60.0
CONFIG = """
[restart]
limit = 1
first_seconds = 0.01
longest_seconds = 0.02
"""
_FAILS = "if self.index > 300:\n            raise LookupError('lost its way')\n        return False"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    project = Project(tmp_path_factory.mktemp("project"))
    project.add("Calm", strategy_source("Calm"))
    project.add("Fails", strategy_source("Fails", should_long=_FAILS))
    with running_daemon(project.root, CONFIG) as running:
        yield running


def start(daemon: Daemon, session_id: str, **arguments: Any) -> wire.Started:
    defaults = {"strategy": "Calm", "timeframe": "15m", "feed": f"replay:{short_candles()}", "speed": SLOW}
    return daemon.start_session(session_id=session_id, **{**defaults, **arguments})


def jesse_paper(daemon: Daemon, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).parent / "jesse-paper", *arguments]
    return subprocess.run(command, env=daemon.environment, check=False, capture_output=True, text=True)


def refused(daemon: Daemon, body: wire.Operation) -> PaperError:
    with pytest.raises(PaperError) as caught:
        daemon.call(body)
    return caught.value


def give_up(daemon: Daemon, session_id: str) -> None:
    def has_failed() -> bool:
        if (pid := daemon.session_pids().get(session_id)) is not None:
            os.kill(pid, signal.SIGKILL)
        return daemon.status(session_id).status == "failed"

    eventually("it is given up", has_failed)


def test_a_replay_that_ends_at_once_is_a_success_and_says_where_its_results_are(daemon: Daemon) -> None:
    def ended() -> wire.Started | None:
        name = f"short-{len(daemon.call(wire.PaperListSessions(active_only=False, limit=1000)).sessions)}"
        answer = start(daemon, name, speed="max", warmup_candles=0, timeframe="1h", feed=f"replay:{short_candles(1)}")
        daemon.ended(name)
        return answer if answer.status == "stopped" else None

    answer = eventually("a replay ends before its start is answered", ended)
    assert not answer.already_existed
    assert "has traded all its candles" in answer.hint
    assert "paper_get_metrics" in answer.hint
    again = start(
        daemon, answer.session_id, speed="max", warmup_candles=0, timeframe="1h", feed=f"replay:{short_candles(1)}"
    )
    assert again.already_existed
    assert "nothing was started" in again.hint
    assert "paper_restart" in again.hint


def test_the_id_of_a_session_that_failed_is_refused_with_what_failed_and_what_to_call(daemon: Daemon) -> None:
    start(daemon, "lost", strategy="Fails", speed="max")
    assert daemon.ended("lost").status == "failed"
    with pytest.raises(PaperError, match="lost its way") as caught:
        start(daemon, "lost", strategy="Fails", speed="max")
    assert caught.value.code == "session_ended"
    assert "nothing was started" in caught.value.message
    for tool in ("paper_restart", "paper_delete_session"):
        assert tool in caught.value.hint
    done = jesse_paper(
        *(daemon, "start", "Fails", BTC, "--session-id", "lost", "-t", "15m", "--speed", "max"),
        *("--feed", f"replay:{short_candles()}"),
    )
    assert done.returncode == 5
    assert "lost its way" in done.stderr
    assert "jesse-paper restart" in done.stderr


def test_the_id_of_a_session_that_was_given_up_is_refused_and_can_be_continued(daemon: Daemon) -> None:
    start(daemon, "tried")
    give_up(daemon, "tried")
    with pytest.raises(PaperError, match="died") as caught:
        start(daemon, "tried")
    assert "continue" in caught.value.hint
    done = jesse_paper(daemon, "restart", "tried", "--continue")
    assert (done.returncode, done.stdout) == (0, "tried\n")
    assert "goes on from where it was given up" in done.stderr
    daemon.stop_session("tried")
    # What was stopped has ended for good.
    error = refused(daemon, wire.PaperRestart("tried", mode="continue"))
    assert (error.code, "has ended" in error.message) == ("session_ended", True)


def test_a_session_that_was_given_up_and_stopped_is_not_continued(daemon: Daemon) -> None:
    start(daemon, "over")
    give_up(daemon, "over")
    final = daemon.stop_session("over")
    assert refused(daemon, wire.PaperRestart("over", mode="continue")).code == "session_ended"
    assert daemon.stop_session("over") == final


def test_a_session_that_runs_is_restarted_only_beside_itself(daemon: Daemon) -> None:
    start(daemon, "sma")
    done = jesse_paper(daemon, "restart", "sma")
    assert done.returncode == 5
    assert "'sma' has not ended" in done.stderr
    assert "new_session_id" in done.stderr
    beside = jesse_paper(daemon, "restart", "sma", "--new-session-id", "beside", "--json")
    assert json.loads(beside.stdout)["session_id"] == "beside"
    assert daemon.status("sma").status == "running"
    for session_id in ("sma", "beside"):
        daemon.stop_session(session_id)
    assert jesse_paper(daemon, "restart", "sma").stdout == "sma-2\n"
    daemon.stop_session("sma-2")
    assert daemon.call(wire.PaperRestart("sma-2")).session_id == "sma-3"
    daemon.stop_session("sma-3")
    error = refused(daemon, wire.PaperRestart("sma", new_session_id="sma"))
    assert (error.code, "is the session itself" in error.message) == ("invalid_argument", True)


def test_a_restart_says_whether_the_strategys_code_has_changed(daemon: Daemon) -> None:
    Project(daemon.project).add("Edited", strategy_source("Edited"))
    start(daemon, "edited", strategy="Edited")
    daemon.stop_session("edited")
    same = daemon.call(wire.PaperRestart("edited"))
    assert same.strategy_changed is False
    daemon.stop_session(same.session_id)
    Project(daemon.project).add("Edited", strategy_source("Edited", should_long="return 1 > 2"))
    other = daemon.call(wire.PaperRestart("edited"))
    assert other.strategy_changed
    assert "code has changed" in other.hint
    daemon.stop_session(other.session_id)
    assert start(daemon, "fresh").strategy_changed is None
    daemon.stop_session("fresh")


def test_a_restart_that_cannot_be_says_whose_settings_are_meant(daemon: Daemon, tmp_path: Path) -> None:
    candles = tmp_path / "gone.csv"
    candles.write_bytes(short_candles().read_bytes())
    start(daemon, "orphan", feed=f"replay:{candles}")
    daemon.stop_session("orphan")
    candles.unlink()
    error = refused(daemon, wire.PaperRestart("orphan"))
    assert "session 'orphan' cannot be started again with its settings" in error.message
    assert "gone.csv" in error.message


def test_ids_that_the_daemon_makes_sort_by_age_and_are_random(daemon: Daemon) -> None:
    made = []
    for _ in range(3):
        answer = daemon.start_session(strategy="Calm", timeframe="15m", feed=f"replay:{short_candles()}", speed=SLOW)
        made.append(answer.session_id)
        daemon.stop_session(answer.session_id)
    assert made == sorted(made)
    assert all(re.fullmatch(r"paper_[0-9a-f]{17}", session_id) for session_id in made)
    assert len({session_id[-6:] for session_id in made}) == 3


def test_a_live_start_whose_exchange_cannot_be_reached_says_so_and_goes_on_trying(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.add("Calm", strategy_source("Calm"))
    with stand_in() as told:
        config = str(told["config"])
    # The exchange is gone, and so its address answers nobody. Far more patience than the answer needs.
    with running_daemon(project.root, f"start_seconds = 600\n{config}") as lonely:
        body = wire.PaperStart(strategy="Calm", symbol=BTC, exchange=SPOT, timeframe="1m", session_id="lonely")
        answer = lonely.call(body, timeout=120)
        assert answer.status == "starting"
        assert "cannot be had now" in answer.hint
        assert SPOT in answer.hint
        assert "goes on trying" in answer.hint
        assert lonely.status("lonely").status == "starting"
        assert lonely.stop_session("lonely").status == "stopped"


def test_a_stop_does_not_wait_for_a_start_that_waits_for_its_exchange(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.add("Calm", strategy_source("Calm"))
    with stand_in() as told:
        Exchange(told).misbehave({"kind": "silence"})
        with running_daemon(project.root, f"start_seconds = 600\n{told['config']}") as patient:
            body = wire.PaperStart(strategy="Calm", symbol=BTC, exchange=SPOT, timeframe="1m", session_id="patient")
            started, stopped = ask_at_once(patient, ("start", body), ("stop", wire.PaperStop("patient")))
            assert codes_of([started, stopped]) == ["started", "stopped"]
            assert started.status == "stopped"
            assert stopped.stop_reason == "stopped"


def test_arguments_that_an_earlier_version_kept_without_a_later_field_are_the_same_arguments(daemon: Daemon) -> None:
    start(daemon, "early")
    daemon.kill()
    with contextlib.closing(sqlite3.connect(daemon.layout.registry)) as db, db:
        (kept,) = db.execute("SELECT arguments FROM sessions WHERE session_id = 'early'").fetchone()
        fewer = {name: value for name, value in json.loads(kept).items() if name not in ("gap_policy", "data_routes")}
        db.execute("UPDATE sessions SET arguments = ? WHERE session_id = 'early'", (json.dumps(fewer),))
    daemon.start().ready()
    assert start(daemon, "early").already_existed
    with pytest.raises(PaperError, match='gap_policy "skip"') as caught:
        start(daemon, "early", gap_policy="fill")
    assert caught.value.code == "conflict"
    daemon.stop_session("early")
