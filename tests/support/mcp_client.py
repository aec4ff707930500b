"""The façade as a process, with a real MCP client at its other end, or line by line."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import anyio
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import CallToolResult

COMMAND = [sys.executable, "-m", "jesse_paper_mcp"]


@contextlib.asynccontextmanager
async def connected(endpoint: str, *options: str) -> AsyncIterator[ClientSession]:
    """A client session with a façade of its own."""
    server = StdioServerParameters(
        command=COMMAND[0], args=[*COMMAND[1:], "--endpoint", endpoint, *options], env=dict(os.environ)
    )
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        yield session


def with_client(endpoint: str, conversation: Callable[[ClientSession], Awaitable[Any]], *options: str) -> Any:
    """The result of a conversation with a façade on this endpoint."""

    async def run() -> tuple[Any, Exception | None]:
        async with connected(endpoint, *options) as session:
            try:
                return await conversation(session), None
            except Exception as error:  # noqa: BLE001 - raised again, out of reach of the client's task groups
                return None, error

    result, error = anyio.run(run)
    if error is not None:
        raise error
    return result


def call(endpoint: str, name: str, arguments: dict[str, Any] | None = None) -> CallToolResult:
    """The result of one tool call through a new façade."""
    return with_client(endpoint, lambda session: session.call_tool(name, arguments or {}))


def text_of(result: CallToolResult) -> str:
    """What a model reads of a result."""
    return "".join(block.text for block in result.content)


class LineClient:
    """A façade whose lines the test writes and reads itself: for what a well-behaved client never does."""

    def __init__(self, endpoint: str, command: list[str] = COMMAND) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "JESSE_PAPER_ENDPOINT": endpoint},
        )
        self._id = 0

    def handshake(self) -> None:
        self.request(
            "initialize",
            {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
        )
        self.write({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def write(self, message: Any) -> None:
        self.write_line(json.dumps(message).encode())

    def write_line(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def read(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def send(self, method: str, params: Any) -> int:
        """Send a request without waiting; its id."""
        self._id += 1
        self.write({"jsonrpc": "2.0", "id": self._id, "method": method, "params": params})
        return self._id

    def request(self, method: str, params: Any) -> Any:
        """The response to a request. Notifications in between are skipped."""
        id = self.send(method, params)
        while True:
            message = self.read()
            if message.get("id") == id:
                return message

    def close_stdin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()


@contextlib.contextmanager
def line_client(endpoint: str, command: list[str] = COMMAND) -> Iterator[LineClient]:
    client = LineClient(endpoint, command)
    try:
        client.handshake()
        yield client
    finally:
        if client.process.poll() is None:
            client.process.kill()
        client.process.wait()
        for stream in (client.process.stdin, client.process.stdout, client.process.stderr):
            with contextlib.suppress(BrokenPipeError):
                stream.close()  # type: ignore[union-attr]
