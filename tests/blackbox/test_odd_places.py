"""Homes and endpoints of every name: they serve wholly, or are refused by daemon, client and façade alike."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jesse_paper import protocol as wire
from jesse_paper.client import DaemonClient
from jesse_paper.errors import PaperError
from tests.support.daemon import Daemon, running_daemon
from tests.support.mcp_client import call, text_of

BIN = Path(sys.executable).parent


def test_a_home_whose_name_means_something_in_an_address_is_that_very_folder():
    with running_daemon(home_name="a#b?c=1&d %41é'\"") as daemon:
        daemon.start_session(session_id="one")
        ended = daemon.ended("one")
        assert ended.status == "stopped"
        trades = daemon.trades("one")
        assert trades
        assert daemon.call(wire.PaperVerify(session_id="one"), timeout=90).equal
        archived = Path(daemon.call(wire.PaperArchiveSession(session_id="one")).path)
        assert archived.parent == daemon.layout.archives
        assert archived.exists()
        daemon.restart()
        assert daemon.trades("one") == trades
        imported = cli(
            daemon, "candles", "import", str(_candles(daemon)), "-e", "Binance Spot", "-s", "BTC-USDT", "--json"
        )
        assert json.loads(imported.stdout)["imported"][0]["added"]
        assert json.loads(cli(daemon, "candles", "ls", "--json").stdout)["markets"]
        daemon.ready()
        daemon.start_session(session_id="two", feed="replay:store", exchange="Binance Spot")
        assert daemon.ended("two").status == "stopped"
        assert [each.name for each in daemon.home.parent.iterdir()] == [daemon.home.name], "nothing lies beside it"


def _candles(daemon: Daemon) -> Path:
    return daemon.project / "candles" / "binance-BTC-USDT-1m-2024-12.csv.gz"


def cli(daemon: Daemon, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "jesse-paper", *arguments],
        env={**daemon.environment, **environment},
        cwd=daemon.home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("endpoint", "told"),
    [
        ("ipc://@jesse-paper", "an abstract socket has no permissions"),
        ("ipc://*", "it must be ipc:///path"),
        ("ipc://relative.sock", "it must be ipc:///path"),
    ],
)
def test_an_endpoint_that_cannot_be_kept_private_is_refused_everywhere(endpoint: str, told: str):
    daemon = Daemon()
    try:
        daemon.environment["JESSE_PAPER_ENDPOINT"] = endpoint
        process = daemon.spawn()
        assert process.wait(60) == 2
        assert told in daemon.output()
        assert "Traceback" not in daemon.output()
        with pytest.raises(PaperError, match=told):
            DaemonClient(endpoint)
        assert told in cli(daemon, "ls").stderr
        assert told in cli(daemon, "doctor").stdout
        answer = call(endpoint, "paper_list_sessions")
        assert answer.isError
        assert told in text_of(answer)
    finally:
        daemon.close()
