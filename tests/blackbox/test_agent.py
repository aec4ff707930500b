"""What an agent lives through: a session from its start to its end, through the façade, with its mistakes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from mcp import ClientSession

from jesse_paper import protocol as wire
from tests.support.daemon import SPOT_CANDLES, Daemon, Project, eventually, running_daemon
from tests.support.mcp_client import line_client, text_of, with_client

FEED = f"replay:{SPOT_CANDLES}"
SLOW = 60 * 500.0  # 500 candles a second: the example takes most of a minute
Tool = Callable[..., Awaitable[Any]]


def tools(session: ClientSession) -> tuple[Tool, Tool]:
    """Two ways to call a tool: for its answer, and for the text of its error."""

    async def answer(name: str, **arguments: Any) -> dict[str, Any]:
        result = await session.call_tool(name, arguments)
        assert not result.isError, text_of(result)
        assert result.structuredContent is not None
        return result.structuredContent

    async def error(name: str, **arguments: Any) -> str:
        result = await session.call_tool(name, arguments)
        assert result.isError, result.structuredContent
        assert "Traceback" not in text_of(result)
        return text_of(result)

    return answer, error


def test_an_agent_runs_a_session_through_its_whole_life(daemon: Daemon):
    async def life(session: ClientSession) -> None:
        await session.list_tools()  # from here on the client checks every result against its schema
        answer, _ = tools(session)
        started = await answer(
            "paper_start", strategy="DayTrader", symbol="BTC-USDT", timeframe="15m", session_id="agent", feed=FEED
        )
        assert (started["session_id"], started["market"]) == ("agent", "Binance Spot")
        assert "agent" in {row["session_id"] for row in (await answer("paper_list_sessions"))["sessions"]}
        daemon.ended("agent")

        status = await answer("paper_status", session_id="agent")
        metrics = (await answer("paper_get_metrics", session_id="agent"))["metrics"]
        assert status["metrics"]["total_return"] == metrics["total_return"]

        page = await answer("paper_get_trades", session_id="agent")
        assert page["total_trades"] == metrics["total_trades"] > 0
        assert len(page["trades"]) == min(100, page["total_trades"])
        next_page = await answer("paper_get_trades", session_id="agent", limit=3, offset=2)
        assert [t["trade_id"] for t in next_page["trades"]] == [t["trade_id"] for t in page["trades"][2:5]]

        curve = await answer("paper_get_equity", session_id="agent", resolution="1d")
        assert curve["equity_curve"][-1]["equity"] == status["current_equity"]

        updated = await answer("paper_update_session", session_id="agent", updates={"notes": "seen by an agent"})
        assert updated["updated_fields"] == ["notes"]
        stopped = await answer("paper_stop", session_id="agent")
        assert stopped["status"] == "stopped"
        assert stopped["final_metrics"]["total_trades"] == metrics["total_trades"]
        assert await answer("paper_stop", session_id="agent") == stopped

    with_client(daemon.endpoint, life)


def test_every_mistake_of_an_agent_is_answered_with_what_to_do(daemon: Daemon):
    async def mistakes(session: ClientSession) -> None:
        answer, error = tools(session)
        valid = {"strategy": "SMACrossover", "symbol": "BTC-USDT", "feed": FEED, "speed": SLOW}
        for changed, code, helps in (
            ({"strategy": "SMACrosover"}, "strategy_not_found", "SMACrossover"),
            ({"strategy": "../SMACrossover"}, "strategy_not_found", "not a path"),
            ({"symbol": "BTC/USDT"}, "invalid_argument", "'BTC-USDT'"),
            ({"exchange": "Binanse"}, "invalid_argument", "Binance"),
            ({"leverage": 5, "exchange": "Binance Spot"}, "invalid_argument", "leverage"),
            ({"feed": "replay:/nowhere.csv"}, "candles_invalid", "/nowhere.csv"),
            ({"colour": "red"}, "invalid_argument", "colour"),
        ):
            said = await error("paper_start", **{**valid, **changed})
            assert said.endswith(f"[{code}]")
            assert helps in said
            assert "Nothing was changed" in said
        for tool in ("paper_stop", "paper_status", "paper_get_trades", "paper_get_equity", "paper_get_metrics"):
            said = await error(tool, session_id="never-was")
            assert said.endswith("[session_not_found]")
            assert "paper_list_sessions" in said or "paper_start" in said  # there may be none to list
        await answer("paper_start", **valid, session_id="mistaken")
        assert (await error("paper_start", **{**valid, "fee": 0.002}, session_id="mistaken")).endswith("[conflict]")
        await answer("paper_stop", session_id="mistaken")

    before = daemon.session_pids()
    with_client(daemon.endpoint, mistakes)
    assert daemon.session_pids() == before


def test_what_a_daemon_cannot_do_is_answered_with_the_reason_and_the_way_out(tmp_path: Path):
    """A broken strategy, one session too many, one that has ended, a file too short, a daemon that is gone."""
    project = Project(tmp_path)
    project.add("Broken", "import no_such_module\n")
    project.add_example("SMACrossover")
    short = tmp_path / "short.csv"
    short.write_text("timestamp,open,high,low,close,volume\n1733011200000,1,1,1,1,1\n")

    with running_daemon(project.root, "[limits]\nsessions = 1\n") as daemon:

        async def mistakes(session: ClientSession) -> None:
            answer, error = tools(session)
            valid = {"strategy": "SMACrossover", "symbol": "BTC-USDT", "feed": FEED, "speed": SLOW}

            said = await error("paper_start", **{**valid, "strategy": "Broken"})
            assert "no_such_module" in said
            assert said.endswith("[strategy_failed]")
            said = await error("paper_start", **{**valid, "feed": f"replay:{short}"})
            assert "240 candles of 60 minutes" in said
            assert said.endswith("[candles_invalid]")

            await answer("paper_start", **valid, session_id="first")
            said = await error("paper_start", **valid, session_id="second")
            assert "Stop one with paper_stop" in said
            assert said.endswith("[too_many_sessions]")
            assert (await error("paper_delete_session", session_id="first")).endswith("[conflict]")
            await answer("paper_stop", session_id="first")
            said = await error("paper_restart", session_id="first", mode="continue")
            assert said.endswith("[session_ended]")
            await answer("paper_delete_session", session_id="first")
            assert (await error("paper_status", session_id="first")).endswith("[session_not_found]")

            daemon.kill()
            said = await error("paper_start", **valid)
            assert "nothing was done" in said
            assert "Start it with `jesse-paperd`" in said
            assert said.endswith("[daemon_unreachable]")
            daemon.start()
            assert (await answer("paper_list_sessions"))["total"] == 0

        with_client(daemon.endpoint, mistakes)


def test_i6_a_session_goes_on_when_its_facade_is_killed(daemon: Daemon):
    with line_client(daemon.endpoint) as client:
        start = {"strategy": "SMACrossover", "symbol": "BTC-USDT", "feed": FEED, "speed": SLOW, "session_id": "orphan"}
        assert not client.request("tools/call", {"name": "paper_start", "arguments": start})["result"]["isError"]
        before = daemon.status("orphan").health.candles
        client.process.kill()
    eventually("the session goes on", lambda: daemon.status("orphan").health.candles > before)
    with line_client(daemon.endpoint) as client:
        status = client.request("tools/call", {"name": "paper_status", "arguments": {"session_id": "orphan"}})
    assert status["result"]["structuredContent"]["status"] == "running"
    daemon.stop_session("orphan")


def test_i8_a_facade_killed_while_it_starts_a_session_starts_at_most_one(daemon: Daemon):
    start = {
        "strategy": "SMACrossover",
        "symbol": "BTC-USDT",
        "feed": FEED,
        "speed": SLOW,
        "session_id": "half-started",
    }
    for _ in range(3):
        with line_client(daemon.endpoint) as client:
            client.send("tools/call", {"name": "paper_start", "arguments": start})
            client.process.kill()
    with line_client(daemon.endpoint) as client:
        answer = client.request("tools/call", {"name": "paper_start", "arguments": start})["result"]
    assert not answer["isError"]
    listed = daemon.call(wire.PaperListSessions(active_only=False)).sessions
    assert [row.session_id for row in listed].count("half-started") == 1
    daemon.stop_session("half-started")
