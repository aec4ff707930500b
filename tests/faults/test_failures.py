"""Whose failure it is, and what its owner can read of it from afar: tracebacks, output, how processes ended."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator

import pytest

from jesse_paper import protocol as wire
from jesse_paperd.records.journal import JournalReader
from tests.support.breaking import IMPATIENT
from tests.support.daemon import ROOT, Daemon, Project, eventually, strategy_source

#: A minute of market in a twentieth of a second.
PACE = 1200.0
_EXIT = """\
    def update_position(self):
        if self.index % 8 == 6:
            self.liquidate()
"""
_HELPER = "def deepest(index):\n    raise LookupError(f'candle {index} is \\udce4 bad one')\n"
_TELLS = """\
    def before(self):
        print(f'decision {self.index}')
        print('half a line', end='')
        print(' and its end \\udcff\\0')
        print('to the error stream', file=sys.stderr)
        logging.getLogger('mine').warning('through logging %d', self.index)
        self.log('through Jesse \\ud800')
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    project = Project(tmp_path_factory.mktemp("project"))
    buys = {"should_long": "return self.index % 8 == 2", "extra": _EXIT}
    project.add("Trades", strategy_source("Trades", **buys))
    project.add("Falls", strategy_source("Falls", should_long="return self.index > 5 and deepest(self.index)"))
    falls = project.root / "strategies" / "Falls"
    (falls / "helper.py").write_text(_HELPER)
    (falls / "__init__.py").write_text(
        "from strategies.Falls.helper import deepest\n" + (falls / "__init__.py").read_text()
    )
    project.add("Tells", strategy_source("Tells", top="import logging, sys", extra=_TELLS))
    floods = "    def before(self):\n        for n in range(1000):\n            print('x' * 5000)\n"
    project.add("Floods", strategy_source("Floods", extra=floods))
    project.add("Orders", strategy_source("Orders", should_long="return self.index > 5", extra=_NAN_STOP))
    project.add("Nan", strategy_source("Nan", should_long="return True").replace("self.balance / self.price", "nan"))
    nan = project.root / "strategies" / "Nan" / "__init__.py"
    nan.write_text(nan.read_text().replace("from jesse", "from math import nan\nfrom jesse", 1))
    for name, base, shown in (("Base", "BaseException", "'base'"), ("Mute", "Exception", "1 / 0")):
        own = f"class Own({base}):\n    def __str__(self):\n        return {shown}\n"
        raises = "if self.index > 5:\n            raise Own\n        return False"
        project.add(name, strategy_source(name, top=own, should_long=raises))
    interrupts = "if self.index > 5:\n            raise KeyboardInterrupt\n        return False"
    project.add("Interrupts", strategy_source("Interrupts", should_long=interrupts))
    other = "return self.get_candles(self.exchange, 'ETH-USDT', '15m') is None"
    project.add("Other", strategy_source("Other", should_long=other))
    daemon = Daemon(project.root, IMPATIENT)
    daemon.environment["PYTHONPATH"] = str(ROOT / "tests" / "fakes" / "defects")
    daemon.environment["DEFECT"] = str(daemon.home / "defect")
    try:
        yield daemon.start().ready()
    finally:
        daemon.close()


_NAN_STOP = """\
    def on_open_position(self, order):
        self.stop_loss = self.position.qty, float('nan')
"""


def start(daemon: Daemon, strategy: str, session_id: str = "", **more: object) -> str:
    name = session_id or strategy
    daemon.start_session(**{"session_id": name, "strategy": strategy, "timeframe": "15m", "warmup_candles": 24, **more})
    return name


def logged(daemon: Daemon, session_id: str, level: str = "all") -> list[wire.LogLine]:
    return daemon.call(wire.PaperGetLogs(session_id=session_id, limit=1000, level=level)).lines  # type: ignore[arg-type]


def test_a_defect_of_ours_ends_the_process_and_not_the_session(daemon: Daemon) -> None:
    start(daemon, "Trades", "twin")
    start(daemon, "Trades", "ours", speed=PACE * 20)
    eventually("it trades", lambda: daemon.trades("ours"))
    (daemon.home / "defect").touch()
    status = eventually("it fell", lambda: (s := daemon.status("ours")).process_ends and s)
    (daemon.home / "defect").unlink()
    told = status.process_ends[0].reason
    assert "a defect of jesse-paper, not of the strategy: KeyError: 'BTC-USDT'" in told
    incident = re.search(r"\(([0-9a-f]{12})\)", told)
    assert incident is not None
    assert f"incident {incident[1]}" in daemon.layout.session("ours").log.read_text()
    assert daemon.ended("ours").status == "stopped"
    assert daemon.trades("ours") == daemon.trades(daemon.ended("twin").session_id)


def test_a_failure_tells_file_line_and_source_of_the_strategys_own_code(daemon: Daemon) -> None:
    status = daemon.ended(start(daemon, "Falls"))
    failure = status.failure
    assert failure is not None
    assert (failure.file, failure.line, failure.function) == ("strategies/Falls/helper.py", 2, "deepest")
    assert failure.source is not None
    assert failure.source.startswith("raise LookupError(")
    assert failure.error == "LookupError: candle 6 is \\udce4 bad one"
    assert 'File "strategies/Falls/__init__.py"' in failure.traceback
    assert status.error == f"{failure.error} (strategies/Falls/helper.py:2, in deepest)"
    assert logged(daemon, "Falls", "error")[-1].message == failure.traceback
    events = daemon.call(wire.PaperGetEvents(session_id="Falls")).events
    assert [event.event for event in events] == ["started", "failed", "ended"]
    assert events[1].detail["line"] == 2
    assert events[2].detail == {"reason": "failed"}
    (row,) = [r for r in daemon.call(wire.PaperListSessions(active_only=False)).sessions if r.session_id == "Falls"]
    assert row.error == status.error


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ("Nan", r"self.buy must contain valid numbers, but \(nan, .*\) was given: its size is nan"),
        ("Orders", "self.stop_loss must contain valid numbers"),
        ("Other", "start it with --data-route ETH-USDT:15m .* a candle file of ETH-USDT"),
    ],
)
def test_an_order_or_a_route_that_cannot_be_is_named_and_is_the_strategys(
    daemon: Daemon, strategy: str, message: str
) -> None:
    status = daemon.ended(start(daemon, strategy))
    assert status.status == "failed"
    assert re.search(message, status.error), status.error
    assert status.process_ends == []


@pytest.mark.parametrize(
    ("strategy", "error"),
    [
        ("Base", "Own: base"),
        ("Mute", "Own: <its text raised ZeroDivisionError>"),
        ("Interrupts", "KeyboardInterrupt"),
    ],
)
def test_whatever_a_strategy_raises_is_its_failure(daemon: Daemon, strategy: str, error: str) -> None:
    status = daemon.ended(start(daemon, strategy))
    assert status.status == "failed"
    assert status.failure is not None
    assert (status.failure.error, status.failure.function) == (error, "should_long")
    assert status.process_ends == []


def test_what_a_strategy_prints_is_in_its_log_once_however_often_it_is_replayed(daemon: Daemon) -> None:
    start(daemon, "Tells", speed=PACE * 10)
    for deaths in (1, 2):
        seen = len(logged(daemon, "Tells"))
        eventually("it tells more", lambda s=seen: len(logged(daemon, "Tells")) > s + 20)
        os.kill(daemon.session_pids()["Tells"], signal.SIGKILL)
        eventually("it was started again", lambda d=deaths: daemon.status("Tells").health.restarts == d)
    seen = len(logged(daemon, "Tells"))
    eventually("it tells more", lambda: len(logged(daemon, "Tells")) > seen + 20)
    daemon.stop_session("Tells")
    lines = logged(daemon, "Tells")
    stdout = [line.message for line in lines if line.level == "stdout"]
    decisions = [text for text in stdout if text.startswith("decision")]
    assert decisions == [f"decision {n}" for n in range(len(decisions))]
    assert stdout.count("half a line and its end \\udcff\\x00") == len(decisions)
    assert [line.message for line in lines].count("through Jesse \\ud800") == len(decisions)
    stderr = [line.message for line in lines if line.level == "stderr"]
    assert stderr.count("to the error stream") == len(decisions)
    assert [text for text in stderr if text.startswith("through logging")] == [
        f"through logging {n}" for n in range(len(decisions))
    ]
    assert {line.level for line in logged(daemon, "Tells", "error")} == {"stderr"}


def test_a_flood_of_output_is_cut_and_counted(daemon: Daemon) -> None:
    start(daemon, "Floods", speed=PACE * 10)
    eventually("it has flooded", lambda: daemon.status("Floods").health.candles > 100)
    daemon.stop_session("Floods")
    lines = logged(daemon, "Floods")
    assert len(lines) < 1000
    assert max(len(line.message) for line in lines) < 2_100
    assert any("lines were dropped" in line.message for line in lines)


def test_how_a_process_ended_is_told_where_it_is_looked_for(daemon: Daemon) -> None:
    start(daemon, "Trades", "killed", speed=PACE)
    pid = daemon.session_pids()["killed"]
    os.kill(pid, signal.SIGTERM)
    eventually("it was started again", lambda: daemon.session_pids().get("killed", pid) != pid)
    pid = eventually("it is there again", lambda: daemon.session_pids().get("killed"))
    os.kill(pid, signal.SIGKILL)
    status = eventually("both are told", lambda: len((s := daemon.status("killed")).process_ends) == 2 and s)
    assert status.process_ends[1].pid == pid
    assert (status.process_ends[1].status, status.process_ends[0].status) == (-signal.SIGKILL, 10)
    assert "killed by signal 9 (SIGKILL): perhaps by the kernel" in status.process_ends[1].reason
    for question in (wire.PaperGetLogs(session_id="killed"), wire.PaperGetEvents(session_id="killed")):
        assert daemon.call(question).process_ends == status.process_ends
    reason = status.process_ends[1].reason
    eventually("its next process tells", lambda: _events(daemon, "killed")[-1].detail.get("after") == reason)
    daemon.stop_session("killed")


def test_a_leverage_that_a_spot_session_cannot_take_is_refused_and_harms_nothing(daemon: Daemon) -> None:
    start(daemon, "Trades", "spot", exchange="Binance Spot", speed=PACE)
    for leverage in (1, 2):
        updates = wire.SessionUpdates(leverage=leverage, notes=f"{leverage}")
        answer = daemon.call(wire.PaperUpdateSession(session_id="spot", updates=updates))
        assert "its leverage is always 1" in answer.refused["leverage"]
    candles = daemon.status("spot").health.candles
    eventually("it goes on", lambda: daemon.status("spot").health.candles > candles + 20)
    assert daemon.status("spot").process_ends == []
    daemon.stop_session("spot")


def test_an_ended_session_says_so_in_its_events(daemon: Daemon) -> None:
    start(daemon, "Trades", "ends")
    daemon.ended("ends")
    assert _kinds(daemon, "ends") == ["started", "ended"]
    reader = JournalReader(daemon.layout.session("ends").journal)
    assert reader.last_event("ended") == {"reason": "feed_ended"}
    reader.close()


def _events(daemon: Daemon, session_id: str) -> list[wire.Event]:
    return daemon.call(wire.PaperGetEvents(session_id=session_id)).events


def _kinds(daemon: Daemon, session_id: str) -> list[str]:
    return [event.event for event in _events(daemon, session_id)]
