"""How a command ends that could not do what it should: a sentence on stderr, and the error table's exit status.

With --json the last line of stderr is one JSON object instead, in one form for every command:

    {"error": {"code": "session_not_found", "message": "no session has the id 'x'", "hint": "the newest are: …"}}
"""

from __future__ import annotations

import os
import re
import sys
from typing import NoReturn

import msgspec

from jesse_paper.errors import PaperError
from jesse_paperd.terminal.printable import printable

#: The daemon's words are for all its clients, and name the tools: these are the commands that do the same.
COMMANDS = {
    "paper_start": "start",
    "paper_stop": "stop",
    "paper_status": "status",
    "paper_restart": "restart",
    "paper_list_sessions": "ls",
    "paper_list_strategies": "strategies",
    "paper_get_events": "events",
    "paper_get_logs": "logs",
    "paper_health": "health",
    "paper_get_metrics": "metrics",
    "paper_get_trades": "trades",
    "paper_get_equity": "equity",
    "paper_delete_session": "delete",
}


def error_object(error: PaperError) -> dict[str, str]:
    """An error for a program, in the words of this one."""
    return {"code": error.code, "message": _ours(error.message), "hint": _ours(error.hint)}


def fail(error: PaperError, as_json: bool) -> NoReturn:
    """Print the error and exit."""
    if as_json:
        told = msgspec.json.encode({"error": error_object(error)}).decode()
    else:
        hint = f"\n  {_ours(error.hint)}" if error.hint else ""
        told = printable(f"jesse-paper: {_ours(error.message)}{hint}  [{error.code}]")
    sys.stderr.write(f"{told}\n")
    sys.stderr.flush()
    # What could not be printed must not be tried again at the end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(error.kind.exit_status)


def _ours(text: str) -> str:
    return re.sub(
        r"\bpaper_[a-z_]+", lambda tool: f"jesse-paper {COMMANDS[tool[0]]}" if tool[0] in COMMANDS else tool[0], text
    )
