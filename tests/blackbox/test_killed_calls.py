"""Every tool with the daemon killed in the middle of a call, and with the façade killed in the middle of it.

The next call works, and nothing has happened twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from jesse_paper import protocol as wire
from jesse_paper_mcp.tools import TOOLS
from tests.support.breaking import short_candles, start_trading
from tests.support.daemon import Daemon, eventually
from tests.support.mcp_client import LineClient, line_client

#: What a changing call does to the number of sessions.
CHANGES = {"paper_start": 1, "paper_restart": 1, "paper_delete_session": -1, "paper_stop": 0, "paper_update_session": 0}


class OrderedDaemon(Daemon):
    """A daemon that dies or waits in the middle of the next request of a kind, where it is told to."""

    program = """
import asyncio, os
from pathlib import Path
from jesse_paperd.app import main
from jesse_paperd.service.dispatcher import Dispatcher

order, held, go = (Path(os.environ["JESSE_PAPER_HOME"], name) for name in ("order", "held", "go"))
undisturbed = Dispatcher.handle

async def handle(self, body, request_id):
    operation, moment = order.read_text().split() if order.exists() else ("", "")
    if body.__struct_config__.tag != operation:
        return await undisturbed(self, body, request_id)
    order.unlink()
    if moment == "asked":
        os._exit(9)
    if moment == "held":
        held.touch()
        while not go.exists():
            await asyncio.sleep(0.01)
    answer = await undisturbed(self, body, request_id)
    if moment == "done":
        os._exit(9)
    return answer

Dispatcher.handle = handle
main()
"""

    def order(self, tool: str, moment: str) -> None:
        for name in ("held", "go"):
            (self.home / name).unlink(missing_ok=True)
        (self.home / "order").write_text(f"{tool} {moment}")

    def ids(self) -> list[str]:
        return [row.session_id for row in self.call(wire.PaperListSessions(active_only=False, limit=1000)).sessions]


@pytest.fixture(scope="module")
def daemon() -> Iterator[OrderedDaemon]:
    daemon = OrderedDaemon()
    try:
        daemon.start().ready()
        start_trading(daemon, "told", speed="max")
        daemon.ended("told")
        yield daemon
    finally:
        daemon.close()


def arguments_of(daemon: OrderedDaemon, tool: str, name: str, *, named: bool) -> dict[str, Any]:
    """Arguments of a call, with the sessions that it needs. Is a session made `named` by the caller?"""
    feed = {"feed": f"replay:{short_candles()}", "timeframe": "15m"}
    if tool == "paper_start":
        chosen = {"session_id": name} if named else {}
        return {"strategy": "DayTrader", "symbol": "BTC-USDT", **feed, "speed": 60, **chosen}
    if tool == "paper_restart":
        return {"session_id": "told", **({"new_session_id": name} if named else {})}
    if tool in ("paper_stop", "paper_delete_session"):
        start_trading(daemon, name, speed=60.0 if tool == "paper_stop" else "max")
        if tool == "paper_delete_session":
            daemon.ended(name)
        return {"session_id": name}
    if tool == "paper_update_session":
        return {"session_id": "told", "updates": {"notes": name}}
    if tool == "paper_compare_sessions":
        if "other" not in daemon.ids():
            start_trading(daemon, "other", speed="max")
            daemon.ended("other")
        return {"session_ids": ["told", "other"]}
    if tool == "paper_wait":
        return {"session_ids": ["told"]}
    return {} if tool in ("paper_list_sessions", "paper_list_strategies", "paper_health") else {"session_id": "told"}


def cases(*moments: str, short: tuple[str, ...]) -> list[Any]:
    """Each tool at each moment; only some of them where time is short."""
    return [
        pytest.param(
            tool.name,
            moment,
            id=f"{tool.name}-{moment}",
            marks=[] if tool.name in short and moment == moments[-1] else pytest.mark.slow,
        )
        for tool in TOOLS
        for moment in moments
    ]


def check_done_once(daemon: OrderedDaemon, tool: str, arguments: dict[str, Any], before: list[str], said: Any) -> None:
    assert len(daemon.ids()) == len(before) + CHANGES.get(tool, 0)
    if tool == "paper_stop":
        again = daemon.stop_session(arguments["session_id"])
        assert (again.stopped_at, again.final_metrics.total_trades) == (
            said["stopped_at"],
            said["final_metrics"]["total_trades"],
        )
    if tool == "paper_update_session":
        assert daemon.status("told").notes == arguments["updates"]["notes"]
    if tool == "paper_delete_session":
        assert arguments["session_id"] not in daemon.ids()
    for new in set(daemon.ids()) - set(before):  # a session that runs is alone with its name and its process
        assert new == said["session_id"]
        daemon.stop_session(new)


@pytest.mark.parametrize(("tool", "moment"), cases("asked", "done", short=("paper_start", "paper_stop")))
def test_a_call_whose_daemon_dies_is_answered_by_the_next_one_and_done_once(
    daemon: OrderedDaemon, tool: str, moment: str
):
    arguments = arguments_of(daemon, tool, f"{tool}-{moment}", named=False)
    before = daemon.ids()
    assert daemon.process is not None
    with line_client(daemon.endpoint) as client:
        daemon.order(tool, moment)
        id = client.send("tools/call", {"name": tool, "arguments": arguments})
        assert daemon.process.wait(60) == 9
        daemon.start()
        answer = client.read()
    assert answer["id"] == id
    assert not answer["result"]["isError"], answer["result"]["content"]
    check_done_once(daemon, tool, arguments, before, answer["result"]["structuredContent"])


@pytest.mark.parametrize(("tool", "moment"), cases("held", short=("paper_start",)))
def test_a_call_whose_facade_dies_is_done_once_and_can_be_repeated(daemon: OrderedDaemon, tool: str, moment: str):
    arguments = arguments_of(daemon, tool, f"{tool}-{moment}", named=True)
    before = daemon.ids()
    daemon.order(tool, moment)
    with line_client(daemon.endpoint) as client:
        client.send("tools/call", {"name": tool, "arguments": arguments})
        eventually("the daemon is in the middle of the call", (daemon.home / "held").exists)
        client.process.kill()
        client.process.wait()
    (daemon.home / "go").touch()
    eventually("the call is done", lambda: len(daemon.ids()) == len(before) + CHANGES.get(tool, 0))
    with line_client(daemon.endpoint) as client:
        result = repeated(client, tool, arguments)
    said = result.get("structuredContent")
    if tool == "paper_delete_session":
        assert result["content"][0]["text"].endswith("[session_not_found]")
    else:
        assert not result["isError"], result["content"]
    check_done_once(daemon, tool, arguments, before, said)


def repeated(client: LineClient, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = client.request("tools/call", {"name": tool, "arguments": arguments})["result"]
    return result
