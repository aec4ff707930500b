"""Everything that can be asked of a session and of the daemon."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from tests.support.daemon import Daemon, Project, running_daemon, strategy_source

TALKATIVE = strategy_source(
    "Talkative",
    should_long="return self.index % 5 == 0",
    extra="""\
    def go_long(self):
        qty = self.balance / self.price / 100
        self.buy = qty, self.price
        self.log(f"buying at {self.price}")

    def on_open_position(self, order):
        self.stop_loss = self.position.qty, self.price * 0.99
        self.take_profit = self.position.qty, self.price * 1.01

    def hyperparameters(self):
        return [{"name": "patience", "type": int, "min": 1, "max": 10, "default": 3}]
""",
).replace("class Talkative(Strategy):", 'class Talkative(Strategy):\n    """Buys every fifth candle and says so."""\n')


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with one ended session, `ended`, of a strategy that logs."""
    project = Project(tmp_path_factory.mktemp("project"))
    project.add("Talkative", TALKATIVE)
    project.add("Broken", "class Broken(:\n")
    with running_daemon(project.root) as daemon:
        daemon.start_session(session_id="ended", strategy="Talkative")
        daemon.ended("ended")
        yield daemon


def test_pages_of_trades_are_disjoint_whole_and_say_how_many_there_are(asked: Daemon) -> None:
    whole = asked.trades("ended")
    pages, offset = [], 0
    while offset is not None:
        page = asked.call(wire.PaperGetTrades(session_id="ended", limit=7, offset=offset))
        assert page.total_trades == len(whole)
        pages += page.trades
        offset = page.next_offset
    assert pages == whole
    assert asked.call(wire.PaperGetTrades(session_id="ended", offset=10**6)).trades == []


def test_orders_belong_to_trades_and_can_be_filtered_by_status(asked: Daemon) -> None:
    everything = asked.call(wire.PaperGetOrders(session_id="ended", limit=1000))
    assert everything.total == len(everything.orders)
    executed = asked.call(wire.PaperGetOrders(session_id="ended", status="executed", limit=1000)).orders
    canceled = asked.call(wire.PaperGetOrders(session_id="ended", status="canceled", limit=1000)).orders
    assert {o.order_id for o in executed} | {o.order_id for o in canceled} == {o.order_id for o in everything.orders}
    of_trades = [order_id for trade in asked.trades("ended") for order_id in trade.order_ids]
    assert sorted(of_trades) == sorted(o.order_id for o in executed)
    assert {o.role for o in canceled} == {"stop-loss", "take-profit"}


def test_logs_hold_what_the_strategy_said_and_can_be_followed(asked: Daemon) -> None:
    newest = asked.call(wire.PaperGetLogs(session_id="ended", limit=5))
    assert len(newest.lines) == 5
    lines, after = [], 0
    while True:
        page = asked.call(wire.PaperGetLogs(session_id="ended", after=after, limit=1000))
        if not page.lines:
            break
        lines += page.lines
        after = page.next_after
    assert sum("buying at" in line.message for line in lines) >= len(asked.trades("ended"))
    assert lines[-5:] == newest.lines


def test_events_tell_the_start_and_can_be_followed(asked: Daemon) -> None:
    events = asked.call(wire.PaperGetEvents(session_id="ended"))
    assert events.events[0].event == "started"
    assert "2024-12" < events.events[0].at < asked.trades("ended")[0].entry_time, "at market time"
    assert asked.call(wire.PaperGetEvents(session_id="ended", after=events.next_after)).events == []


def test_waiting_answers_at_once_when_it_is_there_and_in_time_when_it_is_not(asked: Daemon) -> None:
    assert asked.call(wire.PaperWait(session_ids=["ended"])).reached
    asked.start_session(session_id="going", strategy="Talkative", speed=60 * 400)
    waited = asked.call(wire.PaperWait(session_ids=["going", "ended"], min_trades=1, timeout_seconds=50))
    assert waited.reached
    assert asked.trades("going")
    never = wire.PaperWait(session_ids=["going"], min_trades=10**6, timeout_seconds=0.2)
    assert not asked.call(never).reached
    assert asked.call(wire.PaperWait(session_ids=["going", "ended"], mode="any")).reached_by == ["ended"]
    asked.stop_session("going")


def test_strategies_are_listed_with_what_their_source_says(asked: Daemon) -> None:
    answer = asked.call(wire.PaperListStrategies())
    broken, talkative = answer.strategies
    assert broken.problem == "strategies/Broken/__init__.py, line 1: invalid syntax"
    assert talkative.description == "Buys every fifth candle and says so."
    assert talkative.hyperparameters == [wire.Hyperparameter(name="patience", type="int", default=3, min=1.0, max=10.0)]


def test_a_restart_is_another_session_with_the_same_settings(asked: Daemon) -> None:
    again = asked.call(wire.PaperRestart(session_id="ended", new_session_id="again"))
    assert (again.session_id, again.strategy, again.already_existed) == ("again", "Talkative", False)
    asked.ended("again")
    assert asked.trades("again") == asked.trades("ended")
    with pytest.raises(PaperError) as caught:
        asked.call(wire.PaperRestart(session_id="ended", mode="continue"))
    assert caught.value.code == "session_ended"


def test_the_list_can_be_limited_and_leave_out_what_ended(asked: Daemon) -> None:
    everything = asked.call(wire.PaperListSessions(active_only=False))
    assert everything.total == len(everything.sessions) >= 2
    one = asked.call(wire.PaperListSessions(active_only=False, limit=1))
    assert (len(one.sessions), one.total, one.next_offset) == (1, everything.total, 1)
    assert one.hint
    rest = asked.call(wire.PaperListSessions(active_only=False, offset=1))
    assert [*one.sessions, *rest.sessions] == everything.sessions
    assert rest.next_offset is None
    stopped = asked.call(wire.PaperListSessions(active_only=False, status=["stopped"]))
    assert {row.status for row in stopped.sessions} == {"stopped"}
    assert stopped.total == len(stopped.sessions)
    asked.start_session(session_id="alive", strategy="Talkative", speed=60.0)
    active = asked.call(wire.PaperListSessions())
    assert ([s.session_id for s in active.sessions], active.total) == (["alive"], 1)
    asked.stop_session("alive")


def test_health_counts_sessions_by_state_and_knows_the_engine(asked: Daemon) -> None:
    health = asked.call(wire.PaperHealth())
    assert (health.state, health.engine, health.jesse_version) == ("ok", "ready", "3.5.3")
    assert health.sessions["stopped"] >= 1
    assert health.disk_free_mb > 0


def test_the_equity_curve_says_when_it_is_cut_and_its_drawdown_does_not_depend_on_that(asked: Daemon) -> None:
    short = asked.call(wire.PaperGetEquity(session_id="ended", max_points=10))
    whole = asked.call(wire.PaperGetEquity(session_id="ended", max_points=10_000))
    assert (len(short.equity_curve), short.truncated, whole.truncated) == (10, True, False)
    assert short.equity_curve == whole.equity_curve[-10:]
    daily = asked.call(wire.PaperGetEquity(session_id="ended", resolution="1d")).equity_curve
    hourly = {point.timestamp: point for point in whole.equity_curve}
    shared = [point for point in daily if point.timestamp in hourly]
    assert len(shared) > 10
    assert shared == [hourly[point.timestamp] for point in shared]
