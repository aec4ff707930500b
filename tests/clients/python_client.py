"""The same conversation as typescript_client.mjs with the Python SDK's client, of whatever major is installed."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import anyio
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


def plain(model: Any) -> Any:
    return model.model_dump(by_alias=True, mode="json", exclude_none=True)


async def main(command: str, *rest: str) -> None:
    *arguments, calls = rest
    server = StdioServerParameters(command=command, args=arguments, env=dict(os.environ))
    async with stdio_client(server) as (read, write), ClientSession(read, write) as client:
        await client.initialize()
        tools = plain(await client.list_tools())["tools"]
        results = [plain(await client.call_tool(name, given)) for name, given in json.loads(calls)]
        resources = plain(await client.list_resources())["resources"]
        prompts = plain(await client.list_prompts())["prompts"]
    print(json.dumps({"tools": tools, "results": results, "resources": resources, "prompts": prompts}))


anyio.run(main, *sys.argv[1:])
