"""Lists, waits and mistakes: what a monitor, an agent and an operator ask again and again."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq

from jesse_paper import protocol as wire
from jesse_paper.codec import decode_reply, encode_request
from jesse_paper.errors import PaperError
from tests.support.daemon import (
    EXAMPLES,
    SPOT_CANDLES,
    Daemon,
    Project,
    running_daemon,
    strategy_source,
)
from tests.support.mcp_client import line_client

PACED = 60.0 * 30


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    project = Project(tmp_path_factory.mktemp("project"))
    project.add("Quiet", strategy_source("Quiet"))
    project.add("Fails", strategy_source("Fails", should_long="return 1 / 0 if self.index > 3 else False"))
    project.add("Dies", strategy_source("Dies", should_long="return os._exit(3)", top="import os"))
    settings = "[restart]\nlimit = 1\nfirst_seconds = 0.01\nlongest_seconds = 0.02\n"
    with running_daemon(project.root, settings) as daemon:
        yield daemon


def start(daemon: Daemon, session_id: str, strategy: str = "Quiet", **more: Any) -> wire.Started:
    return daemon.start_session(
        **{"session_id": session_id, "strategy": strategy, "timeframe": "15m", "warmup_candles": 24, **more}
    )


def test_forty_sessions_come_whole_in_pages_through_the_facade(daemon: Daemon) -> None:
    for n in range(40):
        start(daemon, f"page-{n:02}-of-a-list-that-is-long", notes="a note that makes the line longer " * 3)
    for n in range(40):
        daemon.ended(f"page-{n:02}-of-a-list-that-is-long")
    seen: list[dict[str, Any]] = []
    with line_client(daemon.endpoint) as client:
        offset: int | None = 0
        while offset is not None:
            asked = {"active_only": False, "offset": offset}
            result = client.request("tools/call", {"name": "paper_list_sessions", "arguments": asked})["result"]
            assert len(result["content"][0]["text"]) <= 10_000
            page = result["structuredContent"]
            assert page["total"] == 40
            assert page["sessions"]
            seen += page["sessions"]
            offset = page["next_offset"]
            assert (offset is None) == ("offset" not in page.get("size_note", "") and len(seen) == 40)
    assert len({row["session_id"] for row in seen}) == len(seen) == 40
    for row in seen:
        assert {"current_equity", "current_drawdown", "health", "total_return", "total_trades", "notes"} <= row.keys()
        assert "pid" not in row
    for row in seen:
        daemon.call(wire.PaperDeleteSession(session_id=row["session_id"]))


def test_the_list_has_what_runs_and_what_failed_lately_and_all_only_when_asked(daemon: Daemon) -> None:
    start(daemon, "ended")
    start(daemon, "fell", "Fails")
    start(daemon, "gave-up", "Dies")
    start(daemon, "runs", speed=PACED)
    for session_id in ("ended", "fell", "gave-up"):
        daemon.ended(session_id)
    listed = daemon.call(wire.PaperListSessions())
    assert {row.session_id for row in listed.sessions} == {"fell", "gave-up", "runs"}
    assert listed.total == 3
    states = {row.session_id: (row.status, row.failed_at is not None) for row in listed.sessions}
    assert states == {"fell": ("failed", True), "gave-up": ("failed", True), "runs": ("running", False)}
    assert {r.session_id for r in daemon.call(wire.PaperListSessions(active_only=False)).sessions} >= {"ended", "runs"}


def test_a_session_that_was_given_up_says_failed_wherever_it_is_asked(daemon: Daemon) -> None:
    assert daemon.status("gave-up").status == "failed"
    waited = daemon.call(wire.PaperWait(session_ids=["gave-up"], status=["failed"]))
    assert waited.reached
    final = daemon.stop_session("gave-up")
    assert (final.status, final.error) == ("failed", daemon.status("gave-up").error)
    assert "exit status 3" in final.error
    assert daemon.stop_session("gave-up") == final
    assert daemon.status("gave-up").status == "failed"
    (row,) = [r for r in daemon.call(wire.PaperListSessions()).sessions if r.session_id == "gave-up"]
    assert (row.status, row.error) == ("failed", final.error)
    assert daemon.call(wire.PaperHealth()).sessions["failed"] == 2


def test_the_last_candle_is_one_time_in_every_answer(daemon: Daemon) -> None:
    (row,) = [r for r in daemon.call(wire.PaperListSessions(active_only=False)).sessions if r.session_id == "ended"]
    assert row.last_candle == daemon.status("ended").health.last_candle == "2024-12-28T23:59:00Z"


def test_a_wait_says_which_session_ended_without_what_was_waited_for(daemon: Daemon) -> None:
    asked = wire.PaperWait(session_ids=["ended", "runs"], min_trades=5, timeout_seconds=50)
    waited = daemon.call(asked)
    assert not waited.reached
    assert waited.reached_by == []
    assert waited.ended_without == {"ended": "it is stopped (feed_ended)"}
    assert "waiting longer is of no use" in waited.hint
    late = wire.PaperWait(session_ids=["ended"], until_time="2099-01-01", timeout_seconds=50)
    assert daemon.call(late).ended_without.keys() == {"ended"}
    ended = daemon.call(wire.PaperWait(session_ids=["ended", "runs"], mode="any"))
    assert (ended.reached, ended.reached_by, ended.ended_without) == (True, ["ended"], {})
    with pytest.raises(PaperError, match="until_time"):
        daemon.call(wire.PaperWait(session_ids=["ended"], until_time="soon"))


def test_a_daemon_that_ends_answers_those_who_wait_and_is_not_held_up_by_them() -> None:
    with running_daemon() as daemon, zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        daemon.start_session(session_id="slow", speed=1.0)
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(daemon.endpoint)
        waits = [f"wait-{n}" for n in range(8)]
        for request_id in waits:
            socket.send(encode_request(request_id, wire.PaperWait(session_ids=["slow"], timeout_seconds=55)))
        # One peer's requests are taken in their order: when this is answered, all of them have come.
        socket.send(encode_request("ping", wire.Ping()))
        assert decode_reply(socket.recv(), "ping")
        assert daemon.kill(signal.SIGTERM) == 0
        for _ in range(len(waits)):
            reply = msgspec.msgpack.decode(socket.recv())
            assert (reply["body"]["kind"], reply["body"]["code"]) == ("failure", "shutting_down")
            waits.remove(reply["id"])
    assert waits == []


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("paper_update_session", {"session_id": "runs", "leverage": 2}, "put it inside `updates`"),
        ("paper_status", {"session_id": "endet"}, "Did you mean 'ended'?"),
        ("paper_start", {"strategy": "Quiet", "symbol": "BTC-USDT", "timeframe": "60m"}, "Did you mean '1h'?"),
        ("paper_start", {"strategy": "Quiet", "symbol": "BTC-USDT", "timeframe": "24h"}, "Did you mean '1d'?"),
        ("paper_get_orders", {"session_id": "runs", "status": "filled"}, "Did you mean 'executed'?"),
        ("paper_get_trades", {"session_id": "runs", "side": "buy"}, "Did you mean 'long'?"),
        (
            "paper_get_trades",
            {"session_id": "runs", "since": "2025-01-02", "until": "2025-01-01"},
            "since: 2025-01-02 is after until: 2025-01-01",
        ),
        ("paper_get_equity", {"session_id": "runs", "since": "2025-01-02", "until": "2025-01-01"}, "is after until"),
    ],
)
def test_a_mistake_is_answered_with_what_was_probably_meant(
    daemon: Daemon, tool: str, arguments: dict[str, Any], said: str
) -> None:
    with line_client(daemon.endpoint) as client:
        result = client.request("tools/call", {"name": tool, "arguments": arguments})["result"]
    assert result["isError"]
    assert said in result["content"][0]["text"]


def test_candles_that_look_like_another_pairs_are_doubted_and_traded(daemon: Daemon, tmp_path: Path) -> None:
    started = start(daemon, "another-pair", symbol="ETH-USDT")
    doubt = f"{SPOT_CANDLES.name} looks like candles of BTC-USDT, and is taken for ETH-USDT"
    assert doubt in started.hint
    assert daemon.status("another-pair").warnings == [doubt]
    plain = tmp_path / "prices.csv.gz"
    plain.write_bytes(SPOT_CANDLES.read_bytes())
    assert daemon.status(start(daemon, "unnamed", symbol="ETH-USDT", feed=f"replay:{plain}").session_id).warnings == []


def test_an_unknown_page_or_project_is_no_trouble() -> None:
    with running_daemon(EXAMPLES) as daemon:
        answer = daemon.call(wire.PaperListSessions(offset=1000))
        assert (answer.sessions, answer.total, answer.next_offset) == ([], 0, None)
