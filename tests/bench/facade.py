"""The façade beside the bare MCP SDK: start to the answered list of tools, and a tool call's round trip."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable

from tests.fakes.fake_daemon import FakeDaemon, answering
from tests.support.mcp_client import COMMAND, LineClient, line_client

#: A server that does nothing, on nothing but the SDK.
BARE = """
import anyio
import mcp.types as types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

server = Server("bare")

@server.list_tools()
async def list_tools():
    return [types.Tool(name="paper_list_sessions", inputSchema={"type": "object"})]

@server.call_tool(validate_input=False)
async def call_tool(name, arguments):
    return types.CallToolResult(content=[types.TextContent(type="text", text="{}")])

async def main():
    async with stdio_server() as (requests, replies):
        await server.run(requests, replies, server.create_initialization_options())

anyio.run(main)
"""
COMMANDS = {"bare SDK": [sys.executable, "-c", BARE], "façade": COMMAND}
STARTS = 9
CALLS = 500
ROUNDS = 5


def start(endpoint: str, command: list[str]) -> float:
    began = time.perf_counter()
    with line_client(endpoint, command) as client:
        assert client.request("tools/list", {})["result"]["tools"]
        return time.perf_counter() - began


def round_trip(client: LineClient) -> float:
    def call() -> None:
        assert "error" not in client.request("tools/call", {"name": "paper_list_sessions", "arguments": {}})

    return statistics.median(timed(call) for _ in range(CALLS))


def timed(action: Callable[[], None]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def report(what: str, unit: float, name: str, seconds: dict[str, list[float]]) -> None:
    bare, facade = (statistics.median(each) for each in seconds.values())
    print(f"{what}: bare SDK {bare * unit:.2f} {name}, façade {facade * unit:.2f} {name}; ratio {facade / bare:.2f}")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="jp-", dir="/tmp") as home:
        endpoint = f"ipc://{home}/daemon.sock"
        # Taken in turns, so that what else the machine does meets both alike.
        starts: dict[str, list[float]] = {name: [] for name in COMMANDS}
        for _ in range(STARTS):
            for name, command in COMMANDS.items():
                starts[name].append(start(endpoint, command))
        report(f"start to the answered tools/list, median of {STARTS}", 1, "s", starts)
        trips: dict[str, list[float]] = {name: [] for name in COMMANDS}
        with (
            FakeDaemon(endpoint, answering()),
            line_client(endpoint, COMMANDS["bare SDK"]) as bare,
            line_client(endpoint, COMMANDS["façade"]) as facade,
        ):
            for _ in range(ROUNDS):
                trips["bare SDK"].append(round_trip(bare))
                trips["façade"].append(round_trip(facade))
        report(f"round trip of a tool call, median of {ROUNDS} × {CALLS}", 1000, "ms", trips)


if __name__ == "__main__":
    main()
