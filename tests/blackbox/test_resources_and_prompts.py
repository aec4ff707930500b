"""What people attach to a conversation or pick from a menu."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from mcp import ClientSession, McpError
from mcp.types import PromptReference, ResourceTemplateReference
from pydantic import AnyUrl

from tests.support.daemon import SPOT_CANDLES, Daemon
from tests.support.mcp_client import with_client

RESOURCE_NOT_FOUND, INVALID_PARAMS, INTERNAL_ERROR = -32002, -32602, -32603


def read(endpoint: str, uri: str) -> tuple[str, str]:
    """Kind and text of a resource."""

    async def ask(session: ClientSession) -> Any:
        return (await session.read_resource(AnyUrl(uri))).contents[0]

    contents = with_client(endpoint, ask)
    return contents.mimeType, contents.text


def rejection(endpoint: str, uri: str) -> McpError:
    with pytest.raises(McpError) as caught:
        read(endpoint, uri)
    return caught.value


@pytest.fixture(scope="module")
def ended(daemon: Daemon) -> str:
    """A session that traded its replay to the end."""
    daemon.start_session(session_id="told", strategy="DayTrader", timeframe="15m", feed=f"replay:{SPOT_CANDLES}")
    daemon.ended("told")
    return "told"


def test_sessions_are_offered_by_name(daemon: Daemon, ended: str):
    async def look(session: ClientSession) -> tuple[set[str], set[str]]:
        resources = await session.list_resources()
        templates = await session.list_resource_templates()
        return {str(r.uri) for r in resources.resources}, {t.uriTemplate for t in templates.resourceTemplates}

    uris, templates = with_client(daemon.endpoint, look)
    assert uris == {"paper://sessions", f"paper://sessions/{ended}"}
    assert templates == {
        "paper://sessions/{id}",
        "paper://sessions/{id}/trades.csv",
        "paper://sessions/{id}/equity.csv",
    }


def test_the_list_of_sessions_is_a_table(daemon: Daemon, ended: str):
    kind, text = read(daemon.endpoint, "paper://sessions")
    assert kind == "text/markdown"
    assert f"| {ended} | DayTrader | BTC-USDT 15m | stopped |" in text


def test_a_session_is_a_report_with_the_numbers_of_its_status(daemon: Daemon, ended: str):
    status = daemon.status(ended)
    _, text = read(daemon.endpoint, f"paper://sessions/{ended}")
    assert text.startswith("# told: DayTrader on BTC-USDT 15m")
    assert f"Equity {status.current_equity:,.2f} ({status.metrics.total_return:.2%})" in text
    assert f"{status.metrics.total_trades} closed trades" in text
    assert f"**stopped** since {status.stopped_at}" in text


def test_trades_are_a_table_of_all_of_them(daemon: Daemon, ended: str):
    kind, text = read(daemon.endpoint, f"paper://sessions/{ended}/trades.csv")
    assert kind == "text/csv"
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["trade_id"], float(row["pnl"])) for row in rows] == [
        (trade.trade_id, trade.pnl) for trade in daemon.trades(ended)
    ]


def test_the_equity_curve_is_a_table(daemon: Daemon, ended: str):
    _, text = read(daemon.endpoint, f"paper://sessions/{ended}/equity.csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert float(rows[-1]["equity"]) == daemon.status(ended).current_equity


@pytest.mark.parametrize(
    "uri",
    [
        "paper://sessions/never-was",
        "paper://sessions/never-was/trades.csv",
        "paper://sessions/a b",
        "paper://sessions/told/balance.csv",
        "paper://session",
        "file:///etc/passwd",
    ],
)
def test_what_does_not_exist_is_not_found(daemon: Daemon, uri: str):
    assert rejection(daemon.endpoint, uri).error.code == RESOURCE_NOT_FOUND


def test_without_a_daemon_there_is_still_a_list_and_reading_says_why_not(endpoint: str):
    async def look(session: ClientSession) -> list[str]:
        return [str(resource.uri) for resource in (await session.list_resources()).resources]

    assert with_client(endpoint, look) == ["paper://sessions"]
    error = rejection(endpoint, "paper://sessions").error
    assert error.code == INTERNAL_ERROR
    assert "jesse-paperd" in error.message


def test_prompts_name_the_session_and_only_tools_that_exist(endpoint: str):
    async def look(session: ClientSession) -> None:
        tools = {tool.name for tool in (await session.list_tools()).tools}
        prompts = (await session.list_prompts()).prompts
        assert [prompt.name for prompt in prompts] == ["review_session", "compare_sessions", "judge_readiness"]
        for prompt in prompts:
            arguments = {argument.name: f"<{argument.name}>" for argument in prompt.arguments}
            (message,) = (await session.get_prompt(prompt.name, arguments)).messages
            assert all(value in message.content.text for value in arguments.values())
            words = {word.strip(".,:;()") for word in message.content.text.split()}
            assert {word for word in words if word.startswith("paper_")} <= tools

    with_client(endpoint, look)


@pytest.mark.parametrize(("name", "arguments"), [("review_session", {}), ("review_sesion", {"session_id": "a"})])
def test_a_prompt_that_cannot_be_is_refused(endpoint: str, name: str, arguments: dict[str, str]):
    with pytest.raises(McpError) as caught:
        with_client(endpoint, lambda session: session.get_prompt(name, arguments))
    assert caught.value.error.code == INVALID_PARAMS
    assert "review_session" in caught.value.error.message


def completed(endpoint: str, name: str, argument: str, value: str) -> list[str]:
    """What is offered for an argument of a prompt, or for a variable of a resource's address."""
    kind = PromptReference if "/" not in name else ResourceTemplateReference
    reference = kind(type="ref/prompt", name=name) if kind is PromptReference else kind(type="ref/resource", uri=name)

    async def ask(session: ClientSession) -> Any:
        return (await session.complete(reference, {"name": argument, "value": value})).completion

    found = with_client(endpoint, ask)
    assert found.total == len(found.values)
    return list(found.values)


def test_ids_of_sessions_are_offered_as_they_are_typed(daemon: Daemon, ended: str):
    assert completed(daemon.endpoint, "review_session", "session_id", "to") == [ended]
    assert completed(daemon.endpoint, "review_session", "session_id", "x") == []
    assert completed(daemon.endpoint, "paper://sessions/{id}/trades.csv", "id", "") == [ended]
    assert completed(daemon.endpoint, "compare_sessions", "session_ids", "other, t") == [f"other, {ended}"]
    assert completed(daemon.endpoint, "compare_sessions", "session_ids", f"{ended}, t") == []


def test_without_a_daemon_nothing_is_offered_and_what_does_not_exist_is_refused(endpoint: str):
    assert completed(endpoint, "review_session", "session_id", "") == []
    for name, argument in (("review_sesion", "session_id"), ("review_session", "id")):
        with pytest.raises(McpError) as caught:
            completed(endpoint, name, argument, "")
        assert caught.value.error.code == INVALID_PARAMS
