"""A session from start to stop, against a real daemon."""

from __future__ import annotations

import gzip
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from tests.support.daemon import SPOT_CANDLES, Daemon, Project, eventually, running_daemon, strategy_source

SLOW = 60 * 500.0  # 500 candles a second: the example takes most of a minute


def test_a_session_trades_a_replay_to_its_end_and_stays_readable(daemon: Daemon) -> None:
    started = daemon.start_session(session_id="whole")
    assert started.market == "Binance Spot"
    status = daemon.ended("whole")
    assert (status.status, status.stop_reason) == ("stopped", "feed_ended")
    with gzip.open(SPOT_CANDLES) as file:
        assert status.health.candles == sum(1 for _ in file) - 1 - 240 * 60
    trades = daemon.call(wire.PaperGetTrades(session_id="whole"))
    assert trades.total_trades == len(trades.trades) == status.metrics.total_trades > 0
    assert "whole" not in daemon.session_pids()


@pytest.fixture
def holding(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon with a strategy that buys at once and holds what it has."""
    project = Project(tmp_path)
    project.add("Holds", strategy_source("Holds", should_long="return True"))
    with running_daemon(project.root) as running:
        yield running


def test_stop_closes_the_position_and_a_second_stop_gives_the_same_answer(holding: Daemon) -> None:
    daemon = holding
    daemon.start_session(session_id="stopped", strategy="Holds", timeframe="15m", speed=SLOW * 8)
    eventually("it holds a position", lambda: daemon.status("stopped").positions)
    stopped = daemon.stop_session("stopped")
    assert stopped.status == "stopped"
    assert daemon.stop_session("stopped") == stopped
    status = daemon.status("stopped")
    assert not status.positions
    assert not status.open_orders
    assert status.metrics.total_trades == stopped.final_metrics.total_trades
    assert stopped.final_metrics.final_equity == status.current_equity
    assert stopped.closed_at_stop == 1
    assert daemon.trades("stopped")[-1].exit_reason == "session_stop"


def test_the_same_session_id_and_arguments_are_one_session_and_others_a_conflict(daemon: Daemon) -> None:
    first = daemon.start_session(session_id="twice", speed=SLOW)
    again = daemon.start_session(session_id="twice", speed=SLOW)
    assert (again.started_at, again.already_existed) == (first.started_at, True)
    with pytest.raises(PaperError) as caught:
        daemon.start_session(session_id="twice", speed=SLOW, starting_balance=5000)
    assert caught.value.code == "conflict"
    assert "starting_balance" in caught.value.message
    daemon.stop_session("twice")


def test_a_repeated_request_id_gets_the_first_answer(daemon: Daemon) -> None:
    body = wire.PaperStart(strategy="SMACrossover", symbol="BTC-USDT", feed=f"replay:{SPOT_CANDLES}", speed=SLOW)
    first = daemon.call(body, request_id="start-once")
    assert daemon.call(body, request_id="start-once") == first
    other = wire.PaperStop(session_id=first.session_id)
    with pytest.raises(PaperError) as caught:
        daemon.call(other, request_id="start-once")
    assert caught.value.code == "request_id_reused"
    daemon.stop_session(first.session_id)


def test_a_bare_zmq_socket_asks_in_json_and_is_answered_in_json(daemon: Daemon) -> None:
    with zmq.Context() as context, context.socket(zmq.REQ) as socket:
        socket.setsockopt(zmq.RCVTIMEO, 10_000)
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(daemon.endpoint)
        socket.send(b'{"v":1,"id":"1","body":{"op":"paper_list_sessions"}}')
        reply = json.loads(socket.recv())
    assert (reply["v"], reply["id"], reply["body"]["kind"]) == (1, "1", "sessions")
    assert reply["body"]["total"] == len(reply["body"]["sessions"])


def test_sessions_outlive_the_daemon_and_the_next_one_adopts_them() -> None:
    with running_daemon() as daemon:
        daemon.start_session(session_id="survivor", speed=SLOW)
        pid = daemon.session_pids()["survivor"]
        for number in (signal.SIGKILL, signal.SIGTERM):
            before = daemon.status("survivor").health.candles
            daemon.restart(number)
            status = daemon.status("survivor")
            assert (status.status, status.health.pid, status.health.restarts) == ("running", pid, 0)
            assert status.health.candles >= before
        daemon.stop_session("survivor")


def test_a_killed_session_is_replayed_and_ends_as_an_undisturbed_one(daemon: Daemon) -> None:
    undisturbed = daemon.start_session(session_id="undisturbed", strategy="DayTrader", timeframe="15m")
    daemon.start_session(session_id="disturbed", strategy="DayTrader", timeframe="15m", speed=SLOW * 8)
    for kills in (1, 2):
        eventually("it is under way", lambda k=kills: daemon.status("disturbed").health.candles > 5000 * k)
        os.kill(daemon.session_pids()["disturbed"], signal.SIGKILL)
        eventually("it was restarted", lambda k=kills: daemon.status("disturbed").health.restarts == k)
    assert daemon.ended("disturbed").health.state == "ended"
    daemon.ended(undisturbed.session_id)
    assert daemon.trades("disturbed") == daemon.trades("undisturbed")
    curves = [
        daemon.call(wire.PaperGetEquity(session_id=s, resolution="5m", max_points=10_000)).equity_curve
        for s in ("disturbed", "undisturbed")
    ]
    assert curves[0] == curves[1]


def test_updates_say_what_was_done_what_is_pending_and_what_was_refused(daemon: Daemon) -> None:
    daemon.start_session(session_id="updated", speed=SLOW)
    updates = wire.SessionUpdates(leverage=3, notes="watch the drawdown")
    answer = daemon.call(wire.PaperUpdateSession(session_id="updated", updates=updates))
    assert answer.updated_fields == ["notes"]
    assert "spot" in answer.refused["leverage"]
    assert daemon.status("updated").notes == "watch the drawdown"
    daemon.stop_session("updated")
