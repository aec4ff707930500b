"""MCP requests to daemon calls, and answers to results. Knows nothing of the MCP SDK: JSON in, JSON out."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from jesse_paper.errors import PaperError
from jesse_paper.protocol import Answer, Operation
from jesse_paper.validation import did_you_mean, parse
from jesse_paper_mcp import completion, progress, prompts, rendering, resources, schemas, view
from jesse_paper_mcp.instructions import INSTRUCTIONS
from jesse_paper_mcp.jsonrpc import INVALID_PARAMS, Rejected
from jesse_paper_mcp.tools import Tool
from jesse_paper_mcp.wording import for_toolset

if TYPE_CHECKING:
    from jesse_paper.client import DaemonClient
    from jesse_paper_mcp.autostart import Autostart

JSON = dict[str, Any]
log = logging.getLogger(__name__)


class Facade:
    """Forwards tool calls to the daemon on one endpoint. Threads may share it.

    Args:
        endpoint: where the daemon is. It need not run: every call tries anew.
        tools: the tools on offer, by name.
        autostart: starts a daemon for a call that finds none.
    """

    def __init__(self, endpoint: str, tools: Mapping[str, Tool], autostart: Autostart | None = None) -> None:
        self._endpoint = endpoint
        self._tools = tools
        self._autostart = autostart

    @cached_property
    def _daemon(self) -> DaemonClient:
        from jesse_paper.client import DaemonClient  # ZeroMQ is not needed before the first call

        return DaemonClient.from_environment(self._endpoint)

    @cached_property
    def _declarations(self) -> list[JSON]:
        return [_declaration(tool) for tool in self._tools.values()]

    @property
    def instructions(self) -> str:
        """What a model reads before it sees any tool."""
        return for_toolset(INSTRUCTIONS, self._tools)

    def list_tools(self) -> JSON:
        """The result of `tools/list`."""
        return {"tools": self._declarations}

    def call_tool(self, name: str, arguments: Mapping[str, Any]) -> JSON:
        """The result of `tools/call`. Blocks until the daemon has answered, or the tool's time limit is over.

        Raises:
            Rejected: there is no such tool. Everything else that goes wrong is a result, which the model can read.
        """
        tool = self._tools.get(name)
        if tool is None:
            raise Rejected(INVALID_PARAMS, f"Unknown tool: {name[:80]}.{did_you_mean(name, self._tools)}")
        try:
            return rendering.success(self._ask(tool, parse(tool.operation, arguments)), self._tools)
        except PaperError as error:
            return rendering.failure(name, error, self._tools, read_only=tool.read_only)
        except Exception:
            incident = uuid.uuid4().hex[:8]
            log.exception("incident %s in %s", incident, name)
            defect = PaperError("internal", f"a defect of jesse-paper-mcp; its stderr explains incident {incident}.")
            return rendering.failure(name, defect, self._tools, read_only=tool.read_only)

    def progress(self, name: str, arguments: Mapping[str, Any], seconds: float) -> progress.Progress:
        """How far a call is that has lasted so long. Blocks while the daemon is asked about its sessions.

        Raises:
            PaperError: the arguments are wrong, which is the call's answer.
        """
        operation = parse(self._tools[name].operation, arguments)
        return progress.of(operation, seconds, lambda asked: self._daemon.call(asked, timeout=1.0))

    def list_resources(self) -> JSON:
        """The result of `resources/list`."""
        return resources.listing(self._daemon.call)  # clients ask for it as they start: it waits for nobody

    def list_resource_templates(self) -> JSON:
        """The result of `resources/templates/list`."""
        return resources.templates()

    def read_resource(self, uri: str) -> JSON:
        """The result of `resources/read`.

        Raises:
            Rejected: there is no such resource, or the daemon does not answer.
        """
        return resources.read(uri, self._call)

    def list_prompts(self) -> JSON:
        """The result of `prompts/list`."""
        return prompts.listing()

    def get_prompt(self, name: str, arguments: Mapping[str, str]) -> JSON:
        """The result of `prompts/get`.

        Raises:
            Rejected: there is no such prompt, or it lacks an argument.
        """
        return prompts.get(name, arguments)

    def complete(self, reference: JSON, argument: JSON) -> JSON:
        """The result of `completion/complete`.

        Raises:
            Rejected: there is nothing of this name to complete.
        """
        return completion.complete(reference, argument, self._daemon.call)

    def _call(self, operation: Operation, **options: Any) -> Answer:
        """Ask the daemon, starting it first where it may and must be."""
        try:
            return self._daemon.call(operation, **options)
        except PaperError as error:
            if error.code != "daemon_unreachable" or self._autostart is None:
                raise
        self._autostart.await_daemon()
        return self._daemon.call(operation, **options)

    def _ask(self, tool: Tool, operation: Operation) -> Answer:
        """Ask; after silence ask once more with the same request id, so that it cannot be done twice."""
        request_id = uuid.uuid4().hex
        try:
            return self._call(operation, request_id=request_id, timeout=tool.timeout)
        except PaperError as silence:
            if silence.code != "timeout":
                raise
            # A daemon that is there is only busy; one that went away with the question has to be started.
            if tool.read_only and (self._autostart is None or self._autostart.listens()):
                raise
            try:
                return self._call(operation, request_id=request_id, timeout=tool.timeout)
            except PaperError as error:
                # The first request may have been done, so "nothing was done" would be untrue.
                raise silence if error.code == "daemon_unreachable" else error from None


def _declaration(tool: Tool) -> JSON:
    return {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "inputSchema": schemas.input_schema(tool.operation),
        "outputSchema": schemas.output_schema(tool.answer),
        "annotations": {
            "title": tool.title,
            "readOnlyHint": tool.read_only,
            "destructiveHint": tool.destructive,
            "idempotentHint": tool.idempotent,
            "openWorldHint": tool.open_world,
        },
    } | ({"_meta": view.TOOL_META} if tool.viewed else {})
