"""A view of one session for clients that embed pages: equity, drawdown, trades, kept up to date.

By the MCP Apps extension (SEP-1865, 2026-01-26): tools name a page in their `_meta`; a client that knows the extension
reads it as a resource, shows it in a sandbox and carries the page's own tool calls. To all others the tools and their
results are what they would be without it. The page, session_view.html, loads nothing from anywhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

JSON = dict[str, Any]

URI = "ui://jesse-paper/session"
#: Of a tool that is shown by the page. The second form is older; some clients know only that.
TOOL_META: JSON = {"ui": {"resourceUri": URI}, "ui/resourceUri": URI}


def contents() -> JSON:
    """The contents of the resource `URI`, with the permission to reach nobody."""
    page = Path(__file__).with_name("session_view.html").read_text(encoding="utf-8")
    meta = {"ui": {"csp": {"connectDomains": [], "resourceDomains": []}, "prefersBorder": True}}
    return {"uri": URI, "mimeType": "text/html;profile=mcp-app", "text": page, "_meta": meta}
