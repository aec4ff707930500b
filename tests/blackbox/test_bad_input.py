"""Every mistake of a caller gets a clear error, leaves nothing running and harms no other session."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from tests.support.daemon import SPOT_CANDLES, Daemon, Project, running_daemon, strategy_source


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon on a project whose strategies each have one fault."""
    project = Project(tmp_path_factory.mktemp("project"))
    project.add_example("SMACrossover")
    project.add("DoesNotImport", "import no_such_module_anywhere\n")
    project.add("IsNoPython", "class IsNoPython(:\n")
    project.add("RaisesInInit", strategy_source("RaisesInInit", extra=_INIT))
    project.add("RaisesLater", strategy_source("RaisesLater", should_long="return True", extra=_RAISE_LATER))
    project.add("HasNoStrategy", "x = 1\n")
    with running_daemon(project.root) as daemon:
        yield daemon


_INIT = """\
    def __init__(self):
        super().__init__()
        raise ValueError("cannot begin")
"""
_RAISE_LATER = """\
    def before(self):
        if self.index == 50:
            raise ValueError("fell over at the fiftieth candle")
"""


def refused(daemon: Daemon, **arguments: Any) -> PaperError:
    """The error of a start, once it is certain that it left nothing behind."""
    before = {s.session_id for s in daemon.call(wire.PaperListSessions(active_only=False)).sessions}
    folders = set(daemon.layout.sessions.iterdir())
    with pytest.raises(PaperError) as caught:
        daemon.start_session(**arguments)
    assert {s.session_id for s in daemon.call(wire.PaperListSessions(active_only=False)).sessions} == before
    assert set(daemon.layout.sessions.iterdir()) == folders
    assert "Traceback" not in caught.value.message + caught.value.hint
    return caught.value


def test_an_unknown_strategy_is_refused_with_those_that_exist(faulty: Daemon) -> None:
    error = refused(faulty, strategy="SMACrossOver")
    assert error.code == "strategy_not_found"
    assert "did you mean SMACrossover" in error.hint


@pytest.mark.parametrize("name", ["../strategies/SMACrossover", "/etc", "SMACrossover/../SMACrossover", ".", "a b"])
def test_a_strategy_name_that_is_a_path_is_refused(faulty: Daemon, name: str) -> None:
    error = refused(faulty, strategy=name)
    assert error.code == "strategy_not_found"
    assert "not a path" in error.message


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({"symbol": "BTCUSDT"}, ["symbol"]),
        ({"symbol": "btc/usdt"}, ["symbol", "BTC-USDT"]),
        ({"timeframe": "7m"}, ["timeframe"]),
        ({"exchange": "Binanse"}, ["Binance"]),
        ({"starting_balance": 0}, ["starting_balance"]),
        ({"starting_balance": -5}, ["starting_balance"]),
        ({"leverage": 0.5, "exchange": "Binance Perpetual Futures"}, ["leverage"]),
        ({"leverage": 2.5, "exchange": "Binance Perpetual Futures"}, ["leverage", "whole number"]),
        ({"leverage": 3, "exchange": "Binance Spot"}, ["leverage", "Binance Perpetual Futures"]),
        ({"fee": -0.001}, ["fee"]),
        ({"fee": 0.1}, ["fee"]),
        ({"session_id": "no/slash"}, ["session_id"]),
        ({"session_id": "x" * 65}, ["session_id"]),
        ({"speed": 0}, ["speed"]),
        ({"feed": "file:/tmp/x"}, ["feed"]),
        ({"feed": "replay:relative.csv"}, ["feed", "absolute"]),
        ({"data_routes": [wire.DataRoute(symbol="BTC-USDT", timeframe="1h")]}, ["data_routes[0]"]),
        ({"data_routes": [wire.DataRoute(symbol="ETH-USDT", timeframe="1h")]}, ["feed", "ETH-USDT"]),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_bad_argument_is_named_with_what_would_be_right(
    faulty: Daemon, arguments: dict[str, Any], fields: list[str]
) -> None:
    error = refused(faulty, **arguments)
    assert error.code == "invalid_argument"
    for field in fields:
        assert field in error.message + error.hint


def test_an_unknown_field_is_refused_and_every_problem_of_a_request_is_told(faulty: Daemon) -> None:
    request = (
        b'{"v":1,"id":"u","body":{"op":"paper_start","strategy":"SMACrossover","symbol":"BTC-USDT",'
        b'"stratgy":"x","fee":7,"timeframe":"1hour"}}'
    )
    reply = faulty.client.raw(request).decode()
    for part in ('"code":"invalid_argument"', "stratgy", "fee", "timeframe"):
        assert part in reply


def test_a_missing_candle_file_is_refused(faulty: Daemon) -> None:
    error = refused(faulty, feed="replay:/nowhere/candles.csv")
    assert error.code == "candles_invalid"
    assert "/nowhere/candles.csv" in error.message


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("1733011260000,1,2,0.5,x,1", "not a number"),
        ("1733011260001,1,2,0.5,1,1", "whole minute"),
        ("1733011140000,1,2,0.5,1,1", "later"),
        ("1733011260000,1,2,0.5,3,1", "outside low and high"),
        ("1733011260000,1,2,0.5,1,-1", "negative volume"),
        ("1733011260000,1,2,0.5,nan,1", "not finite"),
        ("1733011260000,1,2,0,1,1", "above 0"),
        ("1733011260000,1,2,0.5,1", "5 values"),
    ],
)
def test_a_candle_file_with_a_bad_row_is_refused_with_its_line(
    faulty: Daemon, tmp_path: Path, line: str, problem: str
) -> None:
    good = [f"{1733011200000 - 60_000 * i},1,2,0.5,1,1" for i in range(3, -1, -1)]
    bad = tmp_path / "bad.csv"
    bad.write_text("\n".join(["timestamp,open,high,low,close,volume", *good, line, ""]))
    error = refused(faulty, feed=f"replay:{bad}")
    assert error.code == "candles_invalid"
    assert "line 6" in error.message
    assert problem in error.message


def test_a_truncated_gzip_and_a_file_shorter_than_the_warm_up_are_refused(faulty: Daemon, tmp_path: Path) -> None:
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(SPOT_CANDLES.read_bytes()[:5000])
    assert refused(faulty, feed=f"replay:{cut}").code == "candles_invalid"
    short = tmp_path / "short.csv"
    lines = gzip.decompress(SPOT_CANDLES.read_bytes()).decode().splitlines()
    short.write_text("\n".join(lines[:500]))
    error = refused(faulty, feed=f"replay:{short}")
    assert error.code == "candles_invalid"
    assert "warm-up" in error.message


@pytest.mark.parametrize(
    ("strategy", "says"),
    [
        ("DoesNotImport", "no_such_module_anywhere"),
        ("IsNoPython", "Python"),
        ("RaisesInInit", "cannot begin"),
        ("HasNoStrategy", "HasNoStrategy"),
    ],
)
def test_a_strategy_that_cannot_begin_is_refused_with_the_reason(faulty: Daemon, strategy: str, says: str) -> None:
    error = refused(faulty, strategy=strategy)
    assert error.code == "strategy_failed"
    assert says in error.message


def test_a_strategy_that_raises_mid_session_fails_alone_and_keeps_its_ledger(faulty: Daemon) -> None:
    faulty.start_session(session_id="good", speed=60 * 1000)
    faulty.start_session(session_id="bad", strategy="RaisesLater")
    status = faulty.ended("bad")
    assert status.status == "failed"
    assert status.error.startswith("ValueError: fell over at the fiftieth candle (strategies/RaisesLater/__init__.py:")
    assert status.health.candles > 0
    assert faulty.call(wire.PaperGetEquity(session_id="bad")).equity_curve
    assert "fell over at the fiftieth candle" in faulty.layout.session("bad").log.read_text()
    assert "Traceback" in faulty.layout.session("bad").log.read_text()
    final = faulty.stop_session("bad")
    assert final.status == "failed"
    assert final == faulty.stop_session("bad")
    assert faulty.status("good").status == "running"
    faulty.stop_session("good")


def test_a_session_that_does_not_exist_is_told_with_those_that_do(faulty: Daemon) -> None:
    for body in (
        wire.PaperStatus(session_id="nobody"),
        wire.PaperStop(session_id="nobody"),
        wire.PaperGetMetrics(session_id="nobody"),
    ):
        with pytest.raises(PaperError) as caught:
            faulty.call(body)
        assert caught.value.code == "session_not_found"


@pytest.mark.parametrize(
    "frame", [b"", b"\xff\xfe", b"{", b'{"v":1}', b"\x93\x01\x02\x03", b'{"v":1,"id":"1","body":[]}']
)
def test_garbage_is_answered_and_the_daemon_goes_on(faulty: Daemon, frame: bytes) -> None:
    reply = faulty.client.raw(frame)
    assert b"invalid_request" in reply or b"version_mismatch" in reply
    assert faulty.answers()
