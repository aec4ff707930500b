"""ping and raw: is the daemon there, and what exactly does it say?"""

from __future__ import annotations

import sys

import click

from jesse_paperd.cli.asking import ask, json_option, pairs, print_json
from jesse_paperd.wire import protocol as wire
from jesse_paperd.wire.client import DaemonClient
from jesse_paperd.wire.endpoint import default_endpoint


@click.command()
@json_option
def ping(as_json: bool) -> None:
    """Ask the daemon who it is."""
    pong = ask(wire.Ping, {}, timeout=5)
    if as_json:
        return print_json(pong)
    return pairs({name: getattr(pong, name) for name in pong.__struct_fields__})


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
    with DaemonClient(default_endpoint()) as client:
        click.echo(client.raw(text.strip().encode(), timeout=90).decode(errors="replace"))
