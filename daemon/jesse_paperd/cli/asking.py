"""How a command asks the daemon, and how a program gets the answer: as JSON. People get tables.py."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec

from jesse_paperd.wire.client import DaemonClient
from jesse_paperd.wire.protocol import Operation
from jesse_paperd.wire.validation import parse

Command = TypeVar("Command", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on stdout.")


def ask(kind: type[Operation], arguments: dict[str, Any], timeout: float = 30.0) -> Any:
    """Check the arguments, send the request, return the answer.

    Raises:
        PaperError: what the daemon or the way to it says.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    with DaemonClient.from_environment() as client:
        return client.call(parse(kind, given), timeout=timeout)


def print_json(answer: Any) -> None:
    """The whole answer, on one line when it is piped."""
    encoded = msgspec.json.encode(answer)
    click.echo(msgspec.json.format(encoded, indent=2 if sys.stdout.isatty() else -1).decode())
