"""logs, events, wait, restart: following sessions over time."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from jesse_paperd.cli.asking import ask, json_option, print_json, table
from jesse_paperd.cli.sessions import session_argument
from jesse_paperd.wire import protocol as wire

_POLL_SECONDS = 0.5


@click.command()
@session_argument
@click.option("--follow", "-f", is_flag=True, help="Go on showing new lines until Ctrl-C.")
@click.option("--lines", "-n", "limit", type=int, default=50, show_default=True, help="How many of the newest.")
@click.option("--errors", is_flag=True, help="Only what was logged as an error.")
@json_option
def logs(session_id: str, follow: bool, limit: int, errors: bool, as_json: bool) -> None:
    """Show what the engine and the strategy of SESSION logged, at market time."""
    arguments: dict[str, Any] = {"session_id": session_id, "limit": limit, "level": "error" if errors else "all"}
    answer = ask(wire.PaperGetLogs, arguments)
    if as_json and not follow:
        return print_json(answer)
    while True:
        for line in answer.lines:
            shown = json.dumps({"at": line.at, "level": line.level, "message": line.message})
            click.echo(shown if as_json else f"{line.at}  {'! ' if line.level == 'error' else ''}{line.message}")
        if not follow:
            return None
        time.sleep(_POLL_SECONDS)
        answer = ask(wire.PaperGetLogs, {**arguments, "after": answer.next_after, "limit": 1000})


@click.command()
@session_argument
@click.option("--after", type=int, help="Only events after this sequence number.")
@json_option
def events(session_id: str, after: int | None, as_json: bool) -> None:
    """Show what happened to SESSION: starts, gaps, leverage changes, divergences."""
    answer = ask(wire.PaperGetEvents, {"session_id": session_id, "after": after, "limit": 1000})
    if as_json:
        return print_json(answer)
    return table(
        ["seq", "at", "event", "detail"], [[e.seq, e.at, e.event, json.dumps(e.detail)] for e in answer.events]
    )


@click.command()
@click.argument("session_ids", metavar="SESSION...", nargs=-1, required=True)
@click.option("--any", "any_one", is_flag=True, help="Until any one of them is there, instead of all.")
@click.option("--status", multiple=True, help="A state to wait for. [default: stopped, failed]")
@click.option("--trades", "min_trades", type=int, help="Also enough: so many closed trades.")
@click.option("--until", "until_time", help="Also enough: a candle of this time was traded.")
@click.option("--timeout", "timeout_seconds", type=float, default=50, show_default=True, help="The longest wait.")
@json_option
def wait(as_json: bool, any_one: bool, **values: Any) -> None:
    """Wait until SESSIONs have ended, or reached something else; exit status 1 when they have not in time."""
    values = {name: value for name, value in values.items() if value is not None and value != ()}
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    answer = ask(wire.PaperWait, {**values, "mode": "any" if any_one else "all"}, timeout=70)
    if as_json:
        print_json(answer)
    else:
        table(["session", "status", "equity"], [[s.session_id, s.status, s.current_equity] for s in answer.sessions])
    if not answer.reached:
        raise SystemExit(1)


@click.command()
@session_argument
@click.option("--continue", "goes_on", is_flag=True, help="Go on with a session that the daemon gave up.")
@click.option("--new-session-id", help="Id of the new session.")
@json_option
def restart(session_id: str, goes_on: bool, new_session_id: str | None, as_json: bool) -> None:
    """Start another session with the settings of SESSION."""
    arguments = {
        "session_id": session_id,
        "mode": "continue" if goes_on else "new",
        "new_session_id": new_session_id,
    }
    answer = ask(wire.PaperRestart, arguments, timeout=90)
    if as_json:
        return print_json(answer)
    click.echo(f"{answer.session_id}  {answer.status}: {answer.strategy} on {answer.market} {answer.symbol}")
    return None
