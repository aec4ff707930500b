"""top and watch: live, full-screen views of all sessions and of one."""

from __future__ import annotations

import sys
from typing import Any

import click

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paperd.cli.asking import ask
from jesse_paperd.cli.completion import complete_sessions


@click.command()
@click.option("--all", "-a", "everything", is_flag=True, help="Also show sessions that have ended (key: a).")
def top(everything: bool) -> None:
    """Watch all sessions live, what is not well first.

    Keys: s and S sort by the next and previous column, r reverses, a shows ended sessions too, Enter opens one, q
    leaves. A narrow terminal leaves out columns.

    \b
    jesse-paper top
    """
    _need_a_terminal("jesse-paper ls --json")
    _live().Live(everything).run()


@click.command(short_help="Watch SESSION live: equity, positions, last events.")
@click.argument("session_id", metavar="SESSION", shell_complete=complete_sessions)
def watch(session_id: str) -> None:
    """Watch SESSION live: equity, drawdown, positions, last events; q leaves.

    \b
    jesse-paper watch paper_0123456789ab
    """
    _need_a_terminal(f"jesse-paper status {session_id} --json")
    ask(wire.PaperStatus, {"session_id": session_id})
    _live().Live(True, session_id).run()


def _need_a_terminal(instead: str) -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise PaperError("invalid_argument", "this view needs a terminal", f"for a program: {instead}")


def _live() -> Any:
    """The views, with textual: it takes 0.3 s to import, and only these two commands need it.

    Raises:
        PaperError: `invalid_argument` when it is not installed.
    """
    try:
        from jesse_paperd.cli import top_screen
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "textual":
            raise
        raise PaperError("invalid_argument", "top and watch need textual", "pip install 'jesse-paper[tui]'") from error
    return top_screen
