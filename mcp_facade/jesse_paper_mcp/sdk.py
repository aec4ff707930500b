"""The MCP SDK, 1.x or 2.x, and nothing else: which of its classes carry what `Facade` says in JSON.

The two majors differ in how handlers are registered and in the names of fields; the JSON form of the protocol is the
same, and `model_validate` takes it on both. The low-level server is used because the high-level one ignores unknown
arguments and rewrites errors.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import mcp.types as types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared import exceptions

from jesse_paper.errors import PaperError
from jesse_paper_mcp.facade import JSON, Facade
from jesse_paper_mcp.jsonrpc import Rejected
from jesse_paper_mcp.progress import EVERY_SECONDS
from jesse_paper_mcp.stdio import Output, Streams
from jesse_paperd import __version__

#: Answers a request's parameters. The SDK's session is there for notifications in the meantime.
Handler = Callable[[JSON, Any], Awaitable[JSON]]

NAME = "jesse-paper"
#: From 2.x on handlers are arguments of the server's constructor; 1.x had decorators.
IS_1 = hasattr(Server, "list_tools")
SDK_ERROR: type[Exception] = exceptions.McpError if IS_1 else exceptions.MCPError  # type: ignore[attr-defined]
#: Calls at once, of which each has a thread. A client may wait for many sessions and still ask for others.
CALLS = 500


def serve(facade: Facade, streams: Streams) -> None:
    """Serve one client until its stdin ends."""
    anyio.run(_serve, facade, streams)


async def _serve(facade: Facade, streams: Streams) -> None:
    anyio.to_thread.current_default_thread_limiter().total_tokens = CALLS
    server = _server(
        {
            "ListTools": _in_thread(lambda _: facade.list_tools()),
            "CallTool": _reporting(facade),
            "ListResources": _in_thread(lambda _: facade.list_resources()),
            "ListResourceTemplates": _in_thread(lambda _: facade.list_resource_templates()),
            "ReadResource": _in_thread(lambda params: facade.read_resource(params["uri"])),
            "ListPrompts": _in_thread(lambda _: facade.list_prompts()),
            "GetPrompt": _in_thread(lambda params: facade.get_prompt(params["name"], params.get("arguments") or {})),
            "Complete": _in_thread(lambda params: facade.complete(params["ref"], params["argument"])),
        },
        facade.instructions,
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

    async def handler(params: JSON, _session: Any) -> JSON:
        try:
            answered: JSON = await _threaded(answer, params)
            return answered
        except Rejected as error:
            raise _protocol_error(error.code, error.message) from error

    return handler


def _reporting(facade: Facade) -> Handler:
    """Tool calls, with progress for a client that gave a token."""
    silent = _in_thread(lambda params: facade.call_tool(params["name"], params.get("arguments") or {}))

    async def handler(params: JSON, session: Any) -> JSON:
        token = (params.get("_meta") or {}).get("progressToken")
        if token is None:
            return await silent(params, session)
        answer: JSON = {}
        refusal = None
        async with anyio.create_task_group() as group:
            group.start_soon(_report, facade, params, partial(session.send_progress_notification, token))
            try:
                answer = await silent(params, session)
            except SDK_ERROR as error:
                refusal = error  # out of reach of the group, which would wrap it
            group.cancel_scope.cancel()
        if refusal is not None:
            raise refusal
        return answer

    return handler


async def _report(facade: Facade, params: JSON, notify: Callable[..., Awaitable[None]]) -> None:
    """Tell how far a call is, now and then, until cancelled."""
    began = anyio.current_time()
    while True:
        await anyio.sleep(EVERY_SECONDS)
        seconds = anyio.current_time() - began
        with contextlib.suppress(PaperError):
            await notify(*await _threaded(facade.progress, params["name"], params.get("arguments") or {}, seconds))


async def _threaded(function: Callable[..., Any], *arguments: Any) -> Any:
    """The function's value. A cancelled request lets go of its thread at once."""
    return await anyio.to_thread.run_sync(function, *arguments, abandon_on_cancel=True)


def _server(handlers: dict[str, Handler], instructions: str) -> Any:
    """A server with these handlers, named by the stem of the SDK's request and result classes."""
    if IS_1:
        server: Any = Server(NAME, version=__version__, instructions=instructions)
        for stem, handler in handlers.items():
            server.request_handlers[getattr(types, f"{stem}Request")] = _handler_1(server, stem, handler)
        return server
    on_events: dict[str, Any] = {
        "on_completion" if stem == "Complete" else f"on_{_snake_case(stem)}": _handler_2(stem, handler)
        for stem, handler in handlers.items()
    }
    return Server(NAME, version=__version__, instructions=instructions, **on_events)


def _handler_1(server: Any, stem: str, handler: Handler) -> Callable[[Any], Awaitable[Any]]:
    result_type = getattr(types, f"{stem}Result")

    async def handle(request: Any) -> Any:
        answer = await handler(_json(request.params), server.request_context.session)
        return types.ServerResult(result_type.model_validate(answer))

    return handle


def _handler_2(stem: str, handler: Handler) -> Callable[[Any, Any], Awaitable[Any]]:
    result_type = getattr(types, f"{stem}Result")

    async def handle(context: Any, params: Any) -> Any:
        return result_type.model_validate(await handler(_json(params), context.session))

    return handle


def _json(params: Any) -> JSON:
    dumped: JSON = params.model_dump(by_alias=True, mode="json", exclude_unset=True) if params is not None else {}
    return dumped


def _protocol_error(code: int, message: str) -> Exception:
    return SDK_ERROR(types.ErrorData(code=code, message=message)) if IS_1 else SDK_ERROR(code, message)


def _snake_case(stem: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in stem).lstrip("_")
