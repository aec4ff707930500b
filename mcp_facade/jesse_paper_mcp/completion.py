"""The ids of sessions, offered while a person fills in a prompt or a resource's address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jesse_paper import protocol as p
from jesse_paper.errors import PaperError
from jesse_paper_mcp.jsonrpc import INVALID_PARAMS, Rejected
from jesse_paper_mcp.prompts import PROMPTS
from jesse_paper_mcp.resources import TEMPLATES

JSON = dict[str, Any]

#: The protocol allows no more in an answer.
MOST = 100
#: What takes a session's id: prompt → its arguments, resource template → its variables.
_TAKERS: dict[str, set[str]] = {
    **{prompt.name: set(prompt.arguments) for prompt in PROMPTS},
    **{template[0]: {"id"} for template in TEMPLATES},
}


def complete(reference: JSON, argument: JSON, ask: Callable[[p.Operation], Any]) -> JSON:
    """The result of `completion/complete`: ids that go on as the value begins, newest sessions first.

    Where the value is a list, separated by commas, its last id is completed. Without a daemon there are none.

    Raises:
        Rejected: there is no such prompt, template or argument.
    """
    taker = str(reference.get("name") or reference.get("uri"))
    name, value = str(argument.get("name")), str(argument.get("value", ""))
    if name not in _TAKERS.get(taker, ()):
        raise Rejected(INVALID_PARAMS, f"Nothing to complete: {taker[:80]} has no argument {name[:80]}.")
    before, comma, begun = value.rpartition(",") if name == "session_ids" else ("", "", value)
    try:
        sessions = ask(p.PaperListSessions(active_only=False, limit=1000)).sessions
    except PaperError:
        sessions = []
    start = f"{before}{comma} " if comma else ""
    taken = {each.strip() for each in before.split(",")}
    found = [row.session_id for row in sessions if row.session_id.startswith(begun.strip())]
    values = [start + session_id for session_id in found if session_id not in taken]
    return {"completion": {"values": values[:MOST], "total": len(values), "hasMore": len(values) > MOST}}
