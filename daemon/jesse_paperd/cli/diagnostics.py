"""ping, health, feeds, strategies and raw: is the daemon well, and what exactly does it say?"""

from __future__ import annotations

import sys

import click

from jesse_paperd.cli.asking import ask, json_option, pairs, print_json, table
from jesse_paperd.wire import protocol as wire
from jesse_paperd.wire.client import DaemonClient


@click.command()
@json_option
def ping(as_json: bool) -> None:
    """Ask the daemon who it is."""
    pong = ask(wire.Ping, {}, timeout=5)
    if as_json:
        return print_json(pong)
    return pairs({name: getattr(pong, name) for name in pong.__struct_fields__})


@click.command()
@json_option
def health(as_json: bool) -> None:
    """Show whether the daemon, its engine and its feed are well."""
    answer = ask(wire.PaperHealth, {})
    if as_json:
        return print_json(answer)
    counts = ", ".join(f"{count} {state}" for state, count in answer.sessions.items())
    return pairs(
        {
            "state": answer.state + (f": {'; '.join(answer.reasons)}" if answer.reasons else ""),
            "sessions": counts or "none",
            "engine": f"{answer.engine}, Jesse {answer.jesse_version or 'unknown'}",
            "feed": answer.feed,
            "version": f"{answer.version}, up since {answer.started_at}",
            "disk": f"{answer.disk_used_mb:,.1f} MB used, {answer.disk_free_mb:,.0f} MB free",
        }
    )


@click.command()
@json_option
def feeds(as_json: bool) -> None:
    """Show the exchanges and markets that the feed follows, and which are stale."""
    answer = ask(wire.PaperHealth, {})
    if as_json:
        return print_json(answer)
    click.echo(f"feed: {answer.feed}")
    columns = ["exchange", "state", "reason", "clock offset ms", "requests", "failed", "weight/min", "of"]
    rows = [
        [e.exchange, e.state, e.reason, e.clock_offset_ms, e.requests, e.failures, e.weight_last_minute, e.weight_limit]
        for e in answer.exchanges
    ]
    table(columns, rows)
    columns = ["exchange", "symbol", "state", "last final", "sessions", "gap minutes", "revised", "stale", "reason"]
    rows = [
        [
            *(m.exchange, m.symbol, m.state, m.last_final, m.sessions),
            *(m.gap_minutes, m.revisions, m.stale_times, m.reason),
        ]
        for m in answer.markets
    ]
    return table(columns, rows)


@click.command()
@json_option
def strategies(as_json: bool) -> None:
    """List the strategies of the daemon's Jesse project."""
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
    return table(["strategy", "goes", "hyperparameters", "description"], rows, title=answer.project)


@click.command()
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
        click.echo(client.raw(text.strip().encode(), timeout=90).decode(errors="replace"))
