"""Calls that last: what a client hears meanwhile, and what it costs to give one up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.fake_daemon import FakeDaemon, silent
from tests.support.daemon import SPOT_CANDLES, Daemon
from tests.support.mcp_client import LineClient, line_client

WAIT = {"session_ids": ["long"], "timeout_seconds": 50}


@pytest.fixture(scope="module")
def long(daemon: Daemon) -> Iterator[Daemon]:
    """A daemon with a session, `long`, that goes on for as long as a test."""
    daemon.start_session(
        session_id="long", strategy="DayTrader", timeframe="15m", feed=f"replay:{SPOT_CANDLES}", speed=60 * 50.0
    )
    yield daemon
    daemon.stop_session("long")


@pytest.fixture
def client(long: Daemon) -> Iterator[LineClient]:
    with line_client(long.endpoint) as connected:
        yield connected


def wait(client: LineClient, token: str | int | None = None, **arguments: Any) -> int:
    meta = {} if token is None else {"_meta": {"progressToken": token}}
    return client.send("tools/call", {"name": "paper_wait", "arguments": {**WAIT, **arguments}, **meta})


def test_a_wait_tells_how_far_it_and_its_sessions_are(client: LineClient):
    id = wait(client, "token-1", timeout_seconds=5)
    heard = []
    while (message := client.read()).get("id") != id:
        heard.append(message)
    assert message["result"]["structuredContent"]["reached"] is False
    assert {each["method"] for each in heard} == {"notifications/progress"}
    params = [each["params"] for each in heard]
    assert {each["progressToken"] for each in params} == {"token-1"}
    told = [each["progress"] for each in params]
    assert told == sorted(set(told))
    assert all(0 < each["progress"] < each["total"] == 5 for each in params)
    assert "long running" in params[0]["message"]
    assert "candles until 2024-12-" in params[0]["message"]


def test_without_a_token_nothing_is_heard_but_the_answer(client: LineClient):
    id = wait(client, timeout_seconds=3)
    assert client.read()["id"] == id


def test_a_call_of_which_nothing_is_known_still_shows_that_it_lasts(endpoint: str):
    with FakeDaemon(endpoint, silent), line_client(endpoint) as client:
        call = {"name": "paper_verify", "arguments": {"session_id": "a"}, "_meta": {"progressToken": 1}}
        client.send("tools/call", call)
        params = client.read()["params"]
    assert params["progress"] > 0
    assert "total" not in params
    assert "still at work" in params["message"]


def test_a_quick_or_refused_call_tells_nothing_on_the_way(client: LineClient):
    meta = {"progressToken": 7}
    for name, arguments in (("paper_list_sessions", {}), ("paper_status", {"session_id": "never-was"})):
        id = client.send("tools/call", {"name": name, "arguments": arguments, "_meta": meta})
        assert client.read()["id"] == id
    id = client.send("tools/call", {"name": "paper_stoop", "arguments": {}, "_meta": meta})
    assert client.read()["error"]["code"] == -32602


def test_waits_that_are_given_up_free_the_facade_at_once_and_fall_silent(client: LineClient):
    """More of them than threads that the SDK would use at once."""
    waits = [wait(client, f"token-{number}") for number in range(60)]
    for id in waits:
        client.write({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}})
    last = client.send("tools/call", {"name": "paper_list_sessions", "arguments": {}})
    between = []
    while (message := client.read()).get("id") != last:
        between.append(message)
    assert message["result"]["isError"] is False
    # The SDK may answer a request that was given up, but only with an error.
    assert all("error" in each for each in between if "id" in each)
    id = wait(client, "after", timeout_seconds=5)
    while (message := client.read()).get("id") != id:
        assert message.get("id") in waits or message["params"]["progressToken"] == "after"


def test_many_waits_at_once_hold_up_no_question(client: LineClient):
    waits = {wait(client) for _ in range(60)}
    last = client.send("tools/call", {"name": "paper_list_sessions", "arguments": {}})
    assert client.read()["id"] == last not in waits
