"""What is asked of a home's sessions, and the project that they came from."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec

from jesse_paper import protocol as wire
from tests.blackbox.test_feed_process import SPEED
from tests.support.daemon import EXAMPLES, Daemon, Project, strategy_source

#: Of the stand-in exchange's market.
LIVE_SEED = 11

_FAILS = strategy_source("Fails", should_long="return self.index % 20 == 5").replace(
    "    def go_long(self):",
    "    def update_position(self):\n        if self.index > 250:\n"
    "            raise LookupError('the strategy lost its way')\n        if self.index % 20 == 15:\n"
    "            self.liquidate()\n\n    def go_long(self):",
)
_OFTEN = strategy_source(
    "Often",
    should_long="return self.index % 3 == 0",
    extra="    def update_position(self):\n        if self.index % 3 == 2:\n            self.liquidate()\n",
)


def write_project(root: Path) -> Path:
    """The project of every home: the examples' strategies, one that fails, one that trades often."""
    shutil.copytree(EXAMPLES / "strategies", root / "strategies")
    project = Project(root)
    project.add("Fails", _FAILS)
    project.add("Often", _OFTEN)
    return root


def fast_feed_program(start: int) -> str:
    """A daemon whose feed runs on a fast clock that shows `start` (milliseconds) when it begins."""
    fast = f"'-m', 'tests.fakes.fast_feed', '--speed', '{SPEED}', '--start', '{start}'"
    return (
        "import sys; from jesse_paperd.service.feed_process import FeedKeeper; "
        f"FeedKeeper.PROGRAM = (sys.executable, {fast}); from jesse_paperd.app import main; main()"
    )


def answers_of(daemon: Daemon, session_id: str) -> dict[str, Any]:
    """What a session's numbers are, as plain data: its state, journal, curve, metrics, events and log."""
    status = daemon.status(session_id)
    asked: dict[str, wire.Operation] = {
        "trades": wire.PaperGetTrades(session_id=session_id, limit=1000),
        "orders": wire.PaperGetOrders(session_id=session_id, limit=1000),
        "equity": wire.PaperGetEquity(session_id=session_id, max_points=10_000),
        "metrics": wire.PaperGetMetrics(session_id=session_id),
        "events": wire.PaperGetEvents(session_id=session_id, limit=1000),
        "logs": wire.PaperGetLogs(session_id=session_id, limit=1000),
    }
    told = {name: msgspec.to_builtins(daemon.call(question)) for name, question in asked.items()}
    told["status"] = msgspec.to_builtins(status)
    if status.status == "stopped":
        told["final"] = msgspec.to_builtins(daemon.stop_session(session_id))
    return told
