"""logs, events, wait: following sessions over time."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
import time
from typing import Any

import click

from jesse_paper import protocol as wire
from jesse_paper.protocol import ENDED
from jesse_paperd.cli.asking import ask, ask_patiently, json_option, print_json
from jesse_paperd.cli.completion import complete_sessions
from jesse_paperd.cli.sessions import session_argument, show_process_ends
from jesse_paperd.terminal.printable import printable
from jesse_paperd.terminal.progress import waiting
from jesse_paperd.terminal.tables import minute, state, table

_POLL_SECONDS = 0.5
#: Seconds that one request may wait for: `paper_wait` takes no more.
_LONGEST_REQUEST = 50.0
#: A time and two spaces.
_INDENT = 18


@click.command(short_help="Show what engine and strategy logged; -f follows.")
@session_argument
@click.option("--follow", "-f", is_flag=True, help="Go on showing new lines until Ctrl-C.")
@click.option("--lines", "-n", "limit", type=int, default=50, show_default=True, help="How many of the newest.")
@click.option("--errors", is_flag=True, help="Only errors, tracebacks and standard error.")
@json_option
def logs(session_id: str, follow: bool, limit: int, errors: bool, as_json: bool) -> None:
    """Show what the engine and the strategy of SESSION logged and printed, and why it failed, at market time.

    \b
    jesse-paper logs paper_0123456789ab -f
    jesse-paper logs paper_0123456789ab --errors -n 10
    """
    arguments: dict[str, Any] = {"session_id": session_id, "limit": limit, "level": "error" if errors else "all"}
    answer = ask(wire.PaperGetLogs, arguments)
    if as_json and not follow:
        return print_json(answer)
    while True:
        for line in answer.lines:
            _show(line, as_json)
        if not follow:
            return show_process_ends(answer.process_ends)
        time.sleep(_POLL_SECONDS)
        answer = ask(wire.PaperGetLogs, {**arguments, "after": answer.next_after, "limit": 1000})


@click.command(short_help="Show starts, gaps, leverage changes, failures, ends.")
@session_argument
@click.option("--after", type=int, help="Only events after this sequence number.")
@json_option
def events(session_id: str, after: int | None, as_json: bool) -> None:
    """Show what happened to SESSION: starts, gaps, leverage changes, divergences, a failure, its end.

    \b
    jesse-paper events paper_0123456789ab
    """
    answer = ask(wire.PaperGetEvents, {"session_id": session_id, "after": after, "limit": 1000})
    if as_json:
        return print_json(answer)
    rows = [[e.seq, minute(e.at), e.event, _detail(e.detail)] for e in answer.events]
    table(["seq", "at", "event", "detail"], rows, elastic="detail")
    return show_process_ends(answer.process_ends)


@click.command(short_help="Wait until SESSIONs have ended, or reached something.")
@click.argument("session_ids", metavar="SESSION...", nargs=-1, required=True, shell_complete=complete_sessions)
@click.option("--any", "any_one", is_flag=True, help="Until any one of them is there, instead of all.")
@click.option("--status", multiple=True, help="A state to wait for. [default: stopped, failed]")
@click.option("--trades", "min_trades", type=int, help="Also enough: so many closed trades.")
@click.option("--until", "until_time", help="Also enough: a candle of this time was traded.")
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=50,
    show_default=True,
    help="The longest wait, in seconds; as long as you like.",
)
@json_option
def wait(as_json: bool, any_one: bool, timeout: float, **values: Any) -> None:
    """Wait until SESSIONs have ended, or reached something else; exit status 1 when they have not in time.

    \b
    jesse-paper wait paper_0123456789ab --trades 10 --timeout 3600
    """
    values = {name: value for name, value in values.items() if value is not None and value != ()}
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    with waiting(f"Waiting for {', '.join(values['session_ids'])} …"):
        answer = _wait({**values, "mode": "any" if any_one else "all"}, timeout)
    if as_json:
        print_json(answer)
    else:
        rows = [[s.session_id, state(s.status, s.health, s.stop_reason), s.current_equity] for s in answer.sessions]
        table(["session", "state", "equity"], rows)
        if not answer.reached:
            click.echo("Not reached in time." + (f" {answer.hint}" if answer.hint else ""), err=True)
    if not answer.reached:
        raise SystemExit(1)


def _wait(arguments: dict[str, Any], seconds: float) -> wire.Waited:
    """Wait as long as was asked for: one request of the wire after the other, each no longer than a request may be."""
    deadline = time.monotonic() + seconds
    asking = ask  # a daemon that is away from the beginning is told at once
    while True:
        share = min(_LONGEST_REQUEST, max(0.001, deadline - time.monotonic()))
        answer: wire.Waited = asking(wire.PaperWait, {**arguments, "timeout_seconds": share}, timeout=share + 15)
        # Of sessions that have ended there is nothing more to come.
        if answer.reached or time.monotonic() >= deadline or all(s.status in ENDED for s in answer.sessions):
            return answer
        asking = ask_patiently


def _show(line: wire.LogLine, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"at": line.at, "level": line.level, "message": line.message}))
        return
    # What a line goes on with stands under its beginning. Into a pipe no line is broken.
    width = shutil.get_terminal_size().columns - _INDENT if sys.stdout.isatty() else 10_000
    lines = [
        part
        for text in printable(line.message.rstrip()).splitlines()
        for part in textwrap.wrap(text, max(20, width)) or [""]
    ]
    at = click.style(f"{minute(line.at):<{_INDENT}}", dim=True)
    click.echo(at + click.style(f"\n{' ' * _INDENT}".join(lines), fg="red" if line.level == "error" else None))


def _detail(detail: dict[str, Any]) -> str:
    shown = {name: value for name, value in detail.items() if name != "traceback"}  # `logs --errors` shows it
    told = {name: value if isinstance(value, str) else json.dumps(value) for name, value in shown.items()}
    return ", ".join(f"{name} {value}" for name, value in told.items())
