"""Live sessions from exchange to journal: a real daemon, its feed on a fast clock, and an exchange of that speed."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator

import pytest

from jesse_paper import protocol as wire
from jesse_paper.rfc3339 import to_ms
from jesse_paperd.candles.store import Candle, CandleReader
from jesse_paperd.core.minutes import MINUTE
from jesse_paperd.records.journal import JournalReader
from tests.blackbox.test_feed_process import BTC, ROOT, SPEED, SPOT, stand_in
from tests.fakes.market import random_market
from tests.support.daemon import Daemon, Project, eventually, strategy_source

SEED = 11
ETH = "ETH-USDT"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon whose exchange is a stand-in; both live sixty times as fast as the clock, from now on."""
    project = Project(tmp_path_factory.mktemp("project"))
    project.add("Often", strategy_source("Often", should_long="return self.index % 3 == 0", extra=_EXITS))
    start = time.time_ns() // 1_000_000
    fast = f"'-m', 'tests.fakes.fast_feed', '--speed', '{SPEED}', '--start', '{start}'"
    with stand_in("--symbol", ETH, "--seed", str(SEED), "--speed", str(SPEED), "--start", str(start)) as exchange:
        daemon = Daemon(project.root, str(exchange["config"]))
        daemon.program = (
            "import sys; from jesse_paperd.service.feed_process import FeedKeeper; "
            f"FeedKeeper.PROGRAM = (sys.executable, {fast}); from jesse_paperd.app import main; main()"
        )
        daemon.environment["PYTHONPATH"] = str(ROOT)
        try:
            yield daemon.start().ready()
        finally:
            daemon.close()


_EXITS = """\
    def update_position(self):
        if self.index % 3 == 2:
            self.liquidate()
"""


def start(daemon: Daemon, session_id: str) -> wire.Started:
    body = wire.PaperStart(
        strategy="Often", symbol=BTC, timeframe="1m", exchange=SPOT, session_id=session_id, warmup_candles=60
    )
    return daemon.call(body)


def consumed(daemon: Daemon, session_id: str) -> int:
    return daemon.status(session_id).health.candles


def test_a_live_session_warms_up_trades_what_the_exchange_had_and_equals_a_backtest(live: Daemon) -> None:
    started = start(live, "first")
    assert started.market == SPOT
    eventually("it trades", lambda: consumed(live, "first") >= 8 and live.trades("first"))
    status = live.status("first")
    assert status.health.feed_state in ("live", "warming_up", "stale")
    assert status.health.last_candle is not None
    live.stop_session("first")
    with contextlib.closing(JournalReader(live.layout.session("first").journal)) as journal:
        progress = journal.progress()
    assert progress is not None
    assert progress.first_candle is not None
    assert progress.last_candle is not None
    assert progress.candles == (progress.last_candle - progress.first_candle) // MINUTE + 1
    with contextlib.closing(CandleReader(live.layout.candle_store(SPOT))) as store:
        rows = store.range(BTC, progress.first_candle, progress.last_candle + MINUTE).tolist()
    finals = random_market(BTC, SEED).finals(progress.first_candle, progress.last_candle + MINUTE)
    assert [Candle(int(t), o, h, low, c, v) for t, o, c, h, low, v in rows] == finals
    verified = live.call(wire.PaperVerify(session_id="first"))
    assert verified.equal, verified


def test_a_live_session_of_two_routes_steps_each_minute_once_both_markets_have_it(live: Daemon) -> None:
    routes = [wire.TradedRoute(symbol, "Often", "1m") for symbol in (BTC, ETH)]
    live.call(wire.PaperStart(routes=routes, exchange=SPOT, session_id="both", warmup_candles=60))
    eventually("both trade", lambda: {trade.symbol for trade in live.trades("both")} == {BTC, ETH})
    os.kill(live.session_pids()["both"], signal.SIGKILL)
    eventually("it was restarted", lambda: live.status("both").health.restarts == 1)
    before = consumed(live, "both")
    eventually("it goes on", lambda: consumed(live, "both") >= before + 2)
    status = live.status("both")
    assert {position.strategy for position in status.positions} <= {"Often"}
    live.stop_session("both")
    assert live.call(wire.PaperVerify(session_id="both")).equal


def test_a_market_without_candles_holds_its_session_up_and_health_says_which(live: Daemon) -> None:
    routes = [wire.TradedRoute(symbol, "Often", "1m") for symbol in (BTC, "NOPE-USDT")]
    live.call(wire.PaperStart(routes=routes, exchange=SPOT, session_id="held", warmup_candles=60), timeout=90)

    def told() -> list[str]:
        return [reason for reason in live.status("held").health.reasons if "holds the session up" in reason]

    (reason,) = eventually("its health tells", told)
    assert reason.startswith("NOPE-USDT holds the session up for ")
    assert consumed(live, "held") == 0
    live.stop_session("held")


def test_a_killed_live_session_loses_no_candle_and_doubles_none(live: Daemon) -> None:
    start(live, "killed")
    for kills in (1, 2):
        before = consumed(live, "killed")
        eventually("it goes on", lambda b=before: consumed(live, "killed") >= b + 3)
        os.kill(live.session_pids()["killed"], signal.SIGKILL)
        eventually("it was restarted", lambda k=kills: live.status("killed").health.restarts == k)
    final = live.stop_session("killed")
    assert final.status == "stopped"
    status = live.status("killed")
    assert status.health.state == "ended"
    points = live.call(wire.PaperGetEquity(session_id="killed", resolution="1m", max_points=10_000)).equity_curve
    times = [to_ms(point.timestamp) for point in points]
    assert times == list(range(times[0], times[-1] + MINUTE, MINUTE))
    assert live.call(wire.PaperVerify(session_id="killed")).equal


def test_sessions_of_one_market_share_one_subscription_which_ends_with_the_last(live: Daemon) -> None:
    for session_id in ("one", "two", "three"):
        start(live, session_id)
    health = eventually("the feed follows", lambda: (h := live.call(wire.PaperHealth())).markets and h)
    (market,) = health.markets
    assert (market.exchange, market.symbol, market.sessions) == (SPOT, BTC, 3)
    for session_id in ("one", "two", "three"):
        live.stop_session(session_id)
    eventually("the feed ends", lambda: live.call(wire.PaperHealth()).feed == "idle")


def test_what_the_daemon_does_not_know_of_an_exchange_is_told(live: Daemon) -> None:
    answer = live.call(
        wire.PaperStart(strategy="Often", symbol="NOPE-USDT", exchange=SPOT, session_id="nope"), timeout=90
    )
    assert answer.status == "starting"
    assert "NOPE-USDT" in answer.hint
    status = eventually("its health tells", lambda: (s := live.status("nope")).health.reasons and s)
    assert any("NOPE-USDT" in reason for reason in status.health.reasons)
    live.stop_session("nope")
