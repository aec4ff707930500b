"""ping, health, feeds, strategies and raw: is the daemon well, and what exactly does it say?"""

from __future__ import annotations

import contextlib
import sys

import click
import msgspec

from jesse_paper import protocol as wire
from jesse_paper.client import DaemonClient
from jesse_paper.errors import ERRORS
from jesse_paperd.cli.asking import ask, json_option, print_json
from jesse_paperd.terminal.tables import Styled, minute, pairs, table


@click.command()
@json_option
def ping(as_json: bool) -> None:
    """Ask the daemon who it is.

    \b
    jesse-paper ping
    """
    pong = ask(wire.Ping, {}, timeout=5)
    if as_json:
        return print_json(pong)
    return pairs({name: getattr(pong, name) for name in pong.__struct_fields__})


@click.command(short_help="Show whether daemon, engine and feed are well.")
@json_option
def health(as_json: bool) -> None:
    """Show whether the daemon, its engine and its feed are well.

    \b
    jesse-paper health --json | jq -e '.state == "ok"'
    """
    answer = ask(wire.PaperHealth, {})
    if as_json:
        return print_json(answer)
    counts = ", ".join(f"{count} {state}" for state, count in answer.sessions.items())
    return pairs(
        {
            "state": Styled(f"● {answer.state}", "green") if answer.state == "ok" else Styled("▲ degraded", "bold red"),
            "because": "; ".join(answer.reasons),
            "sessions": counts or "none",
            "engine": f"{answer.engine}, Jesse {answer.jesse_version or 'unknown'}",
            "feed": answer.feed,
            "version": f"{answer.version}, up since {answer.started_at}",
            "disk": f"{answer.disk_used_mb:,.1f} MB used, {answer.disk_free_mb:,.0f} MB free",
        }
    )


@click.command(short_help="Show the markets that the feed follows.")
@json_option
def feeds(as_json: bool) -> None:
    """Show the exchanges and markets that the feed follows, and which are stale.

    \b
    jesse-paper feeds
    """
    answer = ask(wire.PaperHealth, {})
    if as_json:
        return print_json(answer)
    click.echo(f"feed: {answer.feed}")
    if not answer.markets:
        click.echo("No live session, so no market is followed.")
        return None
    columns = ["exchange", "state", "clock ms", "requests", "failed", "weight/min", "of", "reason"]
    rows = [
        [
            *(e.exchange, _feed_state(e.state), e.clock_offset_ms, e.requests, e.failures),
            *(e.weight_last_minute, e.weight_limit, e.reason),
        ]
        for e in answer.exchanges
    ]
    table(columns, rows, optional=("of", "weight/min", "requests", "clock ms"), elastic="reason")
    click.echo()
    columns = ["exchange", "symbol", "state", "last final", "sessions", "gap minutes", "revised", "stale", "reason"]
    rows = [
        [
            *(m.exchange, m.symbol, _feed_state(m.state), minute(m.last_final), m.sessions),
            *(m.gap_minutes, m.revisions, m.stale_times, m.reason),
        ]
        for m in answer.markets
    ]
    table(columns, rows, optional=("revised", "stale", "gap minutes", "sessions"), elastic="reason")
    return None


def _feed_state(state: str) -> Styled:
    if state in ("up", "live"):
        return Styled(f"● {state}", "green")
    return Styled(f"▲ {state}", "bold red") if state in ("down", "stale", "refused") else Styled(f"◌ {state}", "yellow")


@click.command()
@json_option
def strategies(as_json: bool) -> None:
    """List the strategies of the daemon's Jesse project.

    \b
    jesse-paper strategies
    """
    answer = ask(wire.PaperListStrategies, {})
    if as_json:
        return print_json(answer)
    rows = [
        [
            *(s.name, "long, short" if s.goes_short else "long", ", ".join(h.name for h in s.hyperparameters)),
            s.problem or s.description,
        ]
        for s in answer.strategies
    ]
    if not rows:
        click.echo(f"{answer.project} has no strategy. {answer.hint}".rstrip())
        return None
    columns = ["strategy", "goes", "hyperparameters", "description"]
    return table(columns, rows, title=answer.project, optional=("hyperparameters",), elastic="description")


@click.command(short_help="Send a message of the wire as JSON.")
@click.argument("request", default="-")
@json_option
def raw(request: str, as_json: bool) -> None:
    """Send REQUEST, a message of the wire as JSON ('-' reads it from stdin), and print the reply as it came.

    \b
    jesse-paper raw '{"v":1,"id":"1","body":{"op":"paper_list_sessions"}}'
    """
    del as_json  # the reply to JSON is JSON anyway
    text = sys.stdin.read() if request == "-" else request
    with DaemonClient.from_environment() as client:
        reply = client.raw(text.strip().encode(), timeout=90)
    click.echo(reply.decode(errors="replace"))
    with contextlib.suppress(msgspec.DecodeError):  # a reply to MessagePack is for the eye alone
        body = msgspec.json.decode(reply)["body"]
        if body["kind"] == "failure":
            sys.exit(ERRORS[body["code"]].exit_status)
