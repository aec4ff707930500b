"""A daemon with sessions to look at: one well, one faster, one whose strategy fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import FUTURES_CANDLES, SPOT_CANDLES, Daemon, Project, running_daemon, strategy_source


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    root: Path = tmp_path_factory.mktemp("project")
    project = Project(root)
    project.add_example("SMACrossover")
    project.add_example("DayTrader")
    project.add("Breaks", strategy_source("Breaks", should_long="raise RuntimeError('as it was told to')"))
    with running_daemon(root) as daemon:
        # Ten candles a second, so that it is alive for as long as the tests look at it.
        daemon.start_session(session_id="calm", speed=600)
        futures = {"timeframe": "15m", "leverage": 3, "feed": f"replay:{FUTURES_CANDLES}"}
        daemon.start_session(session_id="eager", strategy="DayTrader", speed=6000, **futures)
        daemon.start_session(session_id="broken", strategy="Breaks", feed=f"replay:{SPOT_CANDLES}")
        daemon.ended("broken")
        yield daemon
