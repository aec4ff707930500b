"""How a command asks the daemon, and how a program gets the answer: as JSON. People get tables.py."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec

from jesse_paper.client import DaemonClient
from jesse_paper.errors import PaperError
from jesse_paper.protocol import Operation
from jesse_paper.validation import parse

Command = TypeVar("Command", bound=Callable[..., Any])

#: A daemon that is being restarted is back before this.
_PATIENCE_SECONDS = 60.0
_RETRY_SECONDS = 0.15

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on stdout.")


def ask(kind: type[Operation], arguments: dict[str, Any], timeout: float = 30.0) -> Any:
    """Check the arguments, send the request, return the answer.

    Raises:
        PaperError: what the daemon or the way to it says.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    with DaemonClient.from_environment() as client:
        return client.call(parse(kind, given), timeout=timeout)


def ask_patiently(kind: type[Operation], arguments: dict[str, Any], timeout: float = 30.0) -> Any:
    """The same in the midst of something: sessions live on while their daemon is restarted, so it is waited for.

    Raises:
        PaperError: what the daemon says, or that it stays away.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return ask(kind, arguments, timeout)
        except PaperError as error:
            if not error.kind.retryable or time.monotonic() > deadline:
                raise
        time.sleep(_RETRY_SECONDS)


def print_json(answer: Any) -> None:
    """The whole answer, on one line when it is piped."""
    encoded = msgspec.json.encode(answer)
    click.echo(msgspec.json.format(encoded, indent=2 if sys.stdout.isatty() else -1).decode())
