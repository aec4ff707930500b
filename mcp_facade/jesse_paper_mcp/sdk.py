"""The MCP SDK, 1.x or 2.x, and nothing else: which of its classes carry what `Facade` says in JSON.

The two majors differ in how handlers are registered and in the names of fields; the JSON form of the protocol is the
same, and `model_validate` takes it on both. The low-level server is used because the high-level one ignores unknown
arguments and rewrites errors.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.to_thread
import mcp.types as types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared import exceptions

from jesse_paper_mcp.facade import JSON, Facade
from jesse_paper_mcp.instructions import INSTRUCTIONS
from jesse_paper_mcp.jsonrpc import Rejected
from jesse_paper_mcp.stdio import Output, Streams
from jesse_paperd import __version__

Handler = Callable[[JSON], Awaitable[JSON]]

NAME = "jesse-paper"
#: From 2.x on handlers are arguments of the server's constructor; 1.x had decorators.
IS_1 = hasattr(Server, "list_tools")


def serve(facade: Facade, streams: Streams) -> None:
    """Serve one client until its stdin ends."""
    anyio.run(_serve, facade, streams)


async def _serve(facade: Facade, streams: Streams) -> None:
    server = _server(
        {
            "ListTools": _in_thread(lambda _: facade.list_tools()),
            "CallTool": _in_thread(lambda params: facade.call_tool(params["name"], params.get("arguments") or {})),
            "ListResources": _in_thread(lambda _: facade.list_resources()),
            "ListResourceTemplates": _in_thread(lambda _: facade.list_resource_templates()),
            "ReadResource": _in_thread(lambda params: facade.read_resource(params["uri"])),
            "ListPrompts": _in_thread(lambda _: facade.list_prompts()),
            "GetPrompt": _in_thread(lambda params: facade.get_prompt(params["name"], params.get("arguments") or {})),
        }
    )
    stdout: Any = _Stdout(streams.stdout)
    async with stdio_server(anyio.wrap_file(streams.stdin), stdout) as (requests, replies):
        await server.run(requests, replies, server.create_initialization_options())


class _Stdout:
    """What the SDK wants of an asynchronous file."""

    def __init__(self, output: Output) -> None:
        self._output = output

    async def write(self, text: str) -> None:
        rest = self._output.write_now(text)
        if rest:
            await anyio.to_thread.run_sync(self._output.write_rest, rest)

    async def flush(self) -> None:
        """Nothing is held back."""


def _in_thread(answer: Callable[[JSON], JSON]) -> Handler:
    """Answering may block for as long as the daemon takes; other requests must not wait for it."""

    async def handler(params: JSON) -> JSON:
        try:
            return await anyio.to_thread.run_sync(answer, params, abandon_on_cancel=True)
        except Rejected as error:
            raise _protocol_error(error.code, error.message) from error

    return handler


def _server(handlers: dict[str, Handler]) -> Any:
    """A server with these handlers, named by the stem of the SDK's request and result classes."""
    if IS_1:
        server: Any = Server(NAME, version=__version__, instructions=INSTRUCTIONS)
        for stem, handler in handlers.items():
            server.request_handlers[getattr(types, f"{stem}Request")] = _handler_1(stem, handler)
        return server
    on_events: dict[str, Any] = {
        f"on_{_snake_case(stem)}": _handler_2(stem, handler) for stem, handler in handlers.items()
    }
    return Server(NAME, version=__version__, instructions=INSTRUCTIONS, **on_events)


def _handler_1(stem: str, handler: Handler) -> Callable[[Any], Awaitable[Any]]:
    result_type = getattr(types, f"{stem}Result")

    async def handle(request: Any) -> Any:
        return types.ServerResult(result_type.model_validate(await handler(_json(request.params))))

    return handle


def _handler_2(stem: str, handler: Handler) -> Callable[[Any, Any], Awaitable[Any]]:
    result_type = getattr(types, f"{stem}Result")

    async def handle(_context: Any, params: Any) -> Any:
        return result_type.model_validate(await handler(_json(params)))

    return handle


def _json(params: Any) -> JSON:
    dumped: JSON = params.model_dump(by_alias=True, mode="json", exclude_unset=True) if params is not None else {}
    return dumped


def _protocol_error(code: int, message: str) -> Exception:
    if IS_1:
        return exceptions.McpError(types.ErrorData(code=code, message=message))
    return exceptions.MCPError(code, message)  # type: ignore[attr-defined, no-any-return]


def _snake_case(stem: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in stem).lstrip("_")
