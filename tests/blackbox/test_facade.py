"""The façade, through a real MCP client, in front of daemons that do as they should and of some that do not."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from mcp import ClientSession, McpError

from jesse_paper import protocol as p
from jesse_paper.errors import ERRORS, PaperError
from jesse_paper_mcp.tools import TOOLS
from tests.fakes.fake_daemon import FakeDaemon, answering, crashing_at_first, garbage, silent
from tests.support.mcp_client import call, line_client, text_of, with_client

INVALID_PARAMS = -32602


def trade(number: int) -> p.Trade:
    return p.Trade(
        trade_id=f"t{number:04d}",
        entry_time="2026-02-19T01:00:00Z",
        exit_time="2026-02-19T02:30:00Z",
        side="long",
        entry_price=94500.123456,
        exit_price=95200.654321,
        size=0.1,
        pnl=70.0530865,
        pnl_pct=0.00741299,
        fees=9.45,
        symbol="BTC-USDT",
        duration_minutes=90,
        order_ids=["o1", "o2"],
    )


def trades(count: int) -> p.Trades:
    return p.Trades(session_id="a", total_trades=count, trades=[trade(i) for i in range(count)])


def test_the_server_introduces_itself_and_lists_its_tools_the_required_ones_first(endpoint: str):
    async def look(session: ClientSession) -> list[str]:
        return [tool.name for tool in (await session.list_tools()).tools]

    required = [
        "paper_start", "paper_stop", "paper_status", "paper_get_trades", "paper_get_equity", "paper_get_metrics",
        "paper_list_sessions", "paper_update_session",
    ]  # fmt: skip
    listed = with_client(endpoint, look)
    assert listed[: len(required)] == required
    assert listed == [tool.name for tool in TOOLS]
    assert with_client(endpoint, look, "--toolset", "core") == required


def test_an_answer_is_told_twice_alike_structured_and_as_text(endpoint: str):
    with FakeDaemon(endpoint, answering(trades(2))):
        result = call(endpoint, "paper_get_trades", {"session_id": "a"})
    assert not result.isError
    assert result.structuredContent == json.loads(text_of(result))
    assert result.structuredContent["trades"][1]["trade_id"] == "t0001"
    assert "kind" not in result.structuredContent


def test_numbers_that_are_undefined_arrive_as_null(endpoint: str):
    metrics = p.Metrics(
        total_return=0.0, sharpe_ratio=None, sortino_ratio=None, max_drawdown=0.0, win_rate=None, total_trades=0,
        profit_factor=None, avg_trade=None, avg_winning_trade=None, avg_losing_trade=None, var_95=None,
        volatility=None, current_equity=10000.0, unrealized_pnl=0.0, undefined={"win_rate": "no_trades"},
    )  # fmt: skip
    with FakeDaemon(endpoint, answering(p.MetricsOf(session_id="a", metrics=metrics))):
        result = call(endpoint, "paper_get_metrics", {"session_id": "a"})
    told = result.structuredContent["metrics"]
    assert told["win_rate"] is None
    assert told["undefined"] == {"win_rate": "no_trades"}


def test_a_long_answer_keeps_its_rows_and_drops_fields_and_says_so(endpoint: str):
    with FakeDaemon(endpoint, answering(trades(100))):
        result = call(endpoint, "paper_get_trades", {"session_id": "a"})
    told = result.structuredContent
    assert len(told["trades"]) == told["total_trades"] == 100
    assert set(told["trades"][0]) == {
        "trade_id", "entry_time", "exit_time", "side", "entry_price", "exit_price", "size", "pnl", "pnl_pct", "fees",
    }  # fmt: skip
    assert "symbol" in told["omitted_fields"]
    assert list(told)[-1] == "trades"
    fewer = int("".join(c for c in told["size_note"].split("Ask for")[1] if c.isdigit()))
    with FakeDaemon(endpoint, answering(trades(fewer))):
        result = call(endpoint, "paper_get_trades", {"session_id": "a", "limit": fewer})
    assert "omitted_fields" not in result.structuredContent


def test_a_long_answer_without_lesser_fields_is_told_whole(endpoint: str):
    lines = [p.LogLine(seq=i, at="2026-02-19T01:00:00Z", level="info", message="x" * 100) for i in range(100)]
    with FakeDaemon(endpoint, answering(p.Logs(session_id="a", lines=lines, next_after=100))):
        result = call(endpoint, "paper_get_logs", {"session_id": "a"})
    told = result.structuredContent
    assert len(told["lines"]) == 100
    assert "omitted_fields" not in told
    assert "rows or fewer" in told["size_note"]


def test_lists_of_words_are_no_rows(endpoint: str):
    long = [p.Strategy(name=f"Strategy{i}", description="x" * 200) for i in range(100)]
    with FakeDaemon(endpoint, answering(p.Strategies(project="/p", strategies=long, timeframes=["1m", "1h"]))):
        told = call(endpoint, "paper_list_strategies").structuredContent
    assert told["timeframes"] == ["1m", "1h"]
    assert [row["name"] for row in told["strategies"]] == [strategy.name for strategy in long]


def test_arguments_reach_the_daemon_as_they_were_meant(endpoint: str):
    with FakeDaemon(endpoint, answering(trades(0))) as daemon:
        call(endpoint, "paper_get_trades", {"session_id": "a", "limit": "7", "offset": 3})
    assert daemon.requests[0].body == p.PaperGetTrades(session_id="a", limit=7, offset=3)


def test_bad_arguments_are_a_result_that_names_every_problem_and_nothing_is_sent(endpoint: str):
    with FakeDaemon(endpoint, answering()) as daemon:
        result = call(endpoint, "paper_start", {"symbol": "btc/usdt", "leverage": 0, "colour": "red"})
    assert result.isError
    assert result.structuredContent is None
    said = text_of(result)
    for part in ("`strategy` is missing", "'BTC-USDT'", "`leverage`", "`colour`", "Nothing was changed"):
        assert part in said
    assert said.endswith("[invalid_argument]")
    assert not daemon.frames


def test_a_refusal_says_what_failed_that_nothing_was_done_and_what_to_do_next(endpoint: str):
    refusal = PaperError("session_not_found", "no session has the id 'a'", "the newest are: b, c")
    with FakeDaemon(endpoint, answering(refusal)):
        result = call(endpoint, "paper_stop", {"session_id": "a"})
    assert result.isError
    assert text_of(result) == (
        "paper_stop failed: no session has the id 'a'. Nothing was changed. The newest are: b, c. "
        "Call paper_list_sessions for the sessions that exist. [session_not_found]"
    )


def test_every_code_of_the_error_table_says_whether_anything_was_done(endpoint: str):
    with FakeDaemon(endpoint, answering()) as daemon, line_client(endpoint) as client:
        for code in ERRORS:
            daemon.behaviour = answering(PaperError(code, "Something is as it is."))
            for tool, changes in (("paper_stop", True), ("paper_status", False)):
                result = tool_call(client, tool, {"session_id": "a"})
                said = result["content"][0]["text"]
                assert result["isError"]
                assert said.startswith(f"{tool} failed: Something is as it is.")
                assert said.endswith(f"[{code}]")
                assert ("Nothing was changed" in said or "may or may not have been done" in said) == changes


def test_an_unknown_tool_is_a_protocol_error_with_the_nearest_name(endpoint: str):
    with line_client(endpoint) as client:
        error = client.request("tools/call", {"name": "paper_stopp", "arguments": {}})["error"]
    assert error["code"] == INVALID_PARAMS
    assert "Did you mean 'paper_stop'?" in error["message"]


@pytest.mark.parametrize("name", ["paper_start", "paper_stop", "paper_update_session"])
def test_read_only_neither_lists_nor_calls_what_changes_something(endpoint: str, name: str):
    async def try_it(session: ClientSession) -> Any:
        assert name not in {tool.name for tool in (await session.list_tools()).tools}
        with pytest.raises(McpError) as caught:
            await session.call_tool(name, {"session_id": "a"})
        return caught.value.error.code

    with FakeDaemon(endpoint, answering()) as daemon:
        assert with_client(endpoint, try_it, "--read-only") == INVALID_PARAMS
    assert not daemon.frames


def test_without_a_daemon_a_call_says_how_to_start_one(endpoint: str):
    result = call(endpoint, "paper_list_sessions")
    assert result.isError
    said = text_of(result)
    assert "nothing was done" in said
    assert "jesse-paperd" in said
    assert said.endswith("[daemon_unreachable]")


def test_an_endpoint_that_cannot_be_used_is_an_error_of_the_call_not_the_end_of_the_server():
    assert "CURVE" in text_of(call("tcp://127.0.0.1:5555", "paper_list_sessions"))


def test_a_daemon_of_another_version_is_named_with_the_fix(endpoint: str):
    with FakeDaemon(endpoint, garbage):
        said = text_of(call(endpoint, "paper_list_sessions"))
    assert "restart the daemon" in said
    assert said.endswith("[version_mismatch]")


def test_a_request_lost_with_its_daemon_is_repeated_and_cannot_be_done_twice(endpoint: str):
    updated = answering(p.Updated(session_id="a", status="updated", updated_fields=["notes"]))
    with FakeDaemon(endpoint, crashing_at_first(updated)) as daemon:
        result = call(endpoint, "paper_update_session", {"session_id": "a", "updates": {"notes": "x"}})
    assert not result.isError
    assert len(daemon.requests) == 2
    assert len({request.id for request in daemon.requests}) == 1


def test_silence_says_that_it_may_or_may_not_have_happened(endpoint: str, short_timeouts: list[str]):
    with FakeDaemon(endpoint, silent) as daemon, line_client(endpoint, short_timeouts) as client:
        first = tool_call(client, "paper_stop", {"session_id": "a"})
        daemon.behaviour = answering()
        second = tool_call(client, "paper_list_sessions", {})
    said = first["content"][0]["text"]
    assert first["isError"]
    assert "may or may not" in said
    assert "paper_status" in said
    assert said.endswith("[timeout]")
    assert not second["isError"]
    stops = [request.id for request in daemon.requests if isinstance(request.body, p.PaperStop)]
    assert len(stops) > 1
    assert len(set(stops)) == 1


def test_each_call_is_a_request_of_its_own(endpoint: str):
    async def stop_twice(session: ClientSession) -> None:
        await session.call_tool("paper_stop", {"session_id": "a"})
        await session.call_tool("paper_stop", {"session_id": "a"})

    with FakeDaemon(endpoint, answering(PaperError("session_not_found", "No session 'a'."))) as daemon:
        with_client(endpoint, stop_twice)
    first, second = daemon.requests
    assert first.id != second.id


def test_a_waiting_call_holds_up_no_other(endpoint: str):
    def only_lists(frame: bytes) -> bytes | None:
        return answering()(frame) if isinstance(daemon.requests[-1].body, p.PaperListSessions) else None

    with FakeDaemon(endpoint, only_lists) as daemon, line_client(endpoint) as client:
        client.send("tools/call", {"name": "paper_stop", "arguments": {"session_id": "a"}})
        assert not tool_call(client, "paper_list_sessions", {})["isError"]


def test_i7_the_facade_outlives_restarts_of_the_daemon(endpoint: str):
    with line_client(endpoint) as client:
        for _ in range(2):
            assert tool_call(client, "paper_list_sessions", {})["isError"]
            with FakeDaemon(endpoint, answering()):
                assert not tool_call(client, "paper_list_sessions", {})["isError"]


def test_i6_a_facade_killed_in_the_middle_of_a_call_leaves_nothing_behind(endpoint: str):
    with FakeDaemon(endpoint, silent) as daemon:
        with line_client(endpoint) as client:
            client.send("tools/call", {"name": "paper_list_sessions", "arguments": {}})
            assert daemon.asked.wait(60)
            client.process.kill()
        daemon.behaviour = answering()
        with line_client(endpoint) as client:
            assert not tool_call(client, "paper_list_sessions", {})["isError"]


def test_the_facade_ends_with_its_stdin_even_in_the_middle_of_a_call(endpoint: str):
    with FakeDaemon(endpoint, silent) as daemon, line_client(endpoint) as client:
        client.send("tools/call", {"name": "paper_stop", "arguments": {"session_id": "a"}})
        assert daemon.asked.wait(60)
        client.close_stdin()
        assert client.process.wait(10) == 0


def test_a_client_that_sends_much_before_it_reads_is_answered_in_full(endpoint: str):
    calls = 200
    with FakeDaemon(endpoint, answering(trades(100))), line_client(endpoint) as client:
        asked = {
            client.send("tools/call", {"name": "paper_get_trades", "arguments": {"session_id": "a"}})
            for _ in range(calls)
        }
        answers = [client.read() for _ in range(calls)]
    assert {answer["id"] for answer in answers} == asked
    assert all(len(answer["result"]["structuredContent"]["trades"]) == 100 for answer in answers)


def test_stray_output_does_not_reach_the_protocol(endpoint: str):
    noisy = """
import os, subprocess, sys
from jesse_paper_mcp import facade, server
quiet = facade.Facade.call_tool
def noisy(self, name, arguments):
    print("stray print", flush=True)
    os.write(1, b"stray write")
    subprocess.run(["echo", "stray child"])
    assert sys.stdin.read() == ""
    return quiet(self, name, arguments)
facade.Facade.call_tool = noisy
server.main()
"""
    with FakeDaemon(endpoint, answering()), line_client(endpoint, [sys.executable, "-c", noisy]) as client:
        client.send("tools/call", {"name": "paper_list_sessions", "arguments": {}})
        assert client.read()["result"]["isError"] is False
        client.close_stdin()
        assert client.process.stderr is not None
        log = client.process.stderr.read()
    for stray in (b"stray print", b"stray write", b"stray child"):
        assert stray in log


def test_garbage_from_a_client_does_not_end_the_server(endpoint: str):
    lines = (
        b"",
        b"hello",
        b"{",
        b"[]",
        b"7",
        b"\xff\xfe",
        b'{"jsonrpc":"2.0"}',
        b'{"jsonrpc":"2.0","id":99,"method":"x"}',
    )
    with FakeDaemon(endpoint, answering()), line_client(endpoint) as client:
        for line in lines:
            client.write_line(line)
            assert not tool_call(client, "paper_list_sessions", {})["isError"], line


def test_arguments_that_are_no_object_are_a_protocol_error(endpoint: str):
    with line_client(endpoint) as client:
        for arguments in ([], "x", 7):
            response = client.request("tools/call", {"name": "paper_list_sessions", "arguments": arguments})
            assert response["error"]["code"] == INVALID_PARAMS


def test_a_defect_of_the_facade_is_told_with_an_incident_and_no_traceback(endpoint: str):
    broken = """
from jesse_paper_mcp import rendering, server
def success(answer, offered):
    raise RuntimeError("secret detail")
rendering.success = success
server.main()
"""
    with FakeDaemon(endpoint, answering()), line_client(endpoint, [sys.executable, "-c", broken]) as client:
        result = tool_call(client, "paper_list_sessions", {})
        client.close_stdin()
        assert client.process.stderr is not None
        log = client.process.stderr.read().decode()
    said = result["content"][0]["text"]
    assert result["isError"]
    assert said.endswith("[internal]")
    assert "secret detail" not in said
    incident = said.split("incident ")[1].split(".")[0]
    assert incident in log
    assert "secret detail" in log


def tool_call(client: Any, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = client.request("tools/call", {"name": name, "arguments": arguments})["result"]
    return result


@pytest.fixture
def short_timeouts() -> list[str]:
    """A façade whose tools wait half a second."""
    impatient = """
from jesse_paper_mcp import tools, server
tools.TOOLS = tuple(tool._replace(timeout=0.5) for tool in tools.TOOLS)
server.main()
"""
    return [sys.executable, "-c", impatient]
