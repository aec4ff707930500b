"""A wall clock that is set back or forward breaks nothing: what waits, waits by the monotonic clock."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from jesse_paper import protocol as wire
from tests.support.breaking import IMPATIENT, PACED, assert_nothing_was_lost, short_candles, start_trading
from tests.support.daemon import ROOT, Daemon, eventually

DAY = 86_400.0


def test_setting_the_clock_breaks_no_session_no_stop_and_no_retry(tmp_path: Path) -> None:
    shift = tmp_path / "shift"
    daemon = Daemon(config=IMPATIENT)
    daemon.environment["PYTHONPATH"] = str(ROOT / "tests" / "fakes" / "shifted_clock")
    daemon.environment["CLOCK_SHIFT"] = str(shift)
    shift.write_text("0")
    try:
        daemon.start()
        start_trading(daemon, "undisturbed", speed="max")
        start_trading(daemon, "through")
        for seconds in (-400 * DAY, 400 * DAY, -3600.0, 0.0):
            shift.write_text(str(seconds))
            before = daemon.status("through").health.candles
            status = eventually("it goes on", lambda b=before: (s := daemon.status("through")).health.candles > b and s)
            assert status.health.state == "ok", status.health.reasons
            assert status.duration_hours >= 0
            killed = daemon.session_pids()["through"]
            os.kill(killed, signal.SIGKILL)
            eventually("another runs", lambda pid=killed: daemon.status("through").health.pid not in (None, pid))
        daemon.ended("through")
        assert_nothing_was_lost(daemon, "through", "undisturbed")
        once = wire.PaperStart(
            strategy="DayTrader", symbol="BTC-USDT", timeframe="15m", feed=f"replay:{short_candles()}", speed=PACED / 50
        )
        first = daemon.call(once, request_id="once")
        shift.write_text(str(400 * DAY))
        other = wire.PaperUpdateSession(session_id="through", updates=wire.SessionUpdates(notes="a year later"))
        daemon.call(other)
        assert daemon.call(once, request_id="once").session_id == first.session_id
        shift.write_text(str(-400 * DAY))
        daemon.restart()
        stopped = daemon.stop_session(first.session_id)
        assert stopped.stop_reason == "stopped"
        assert stopped.duration_hours >= 0
    finally:
        daemon.close()
