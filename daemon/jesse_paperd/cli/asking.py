"""How a command asks the daemon, and how it shows the answer: JSON for programs, tables for people."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec

from jesse_paperd.wire.client import DaemonClient
from jesse_paperd.wire.protocol import Answer, Operation
from jesse_paperd.wire.validation import parse

Command = TypeVar("Command", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print the daemon's answer as JSON.")


def ask(kind: type[Operation], arguments: dict[str, Any], timeout: float = 30.0) -> Any:
    """Check the arguments, send the request, return the answer.

    Raises:
        PaperError: what the daemon or the way to it says.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    with DaemonClient.from_environment() as client:
        return client.call(parse(kind, given), timeout=timeout)


def print_json(answer: Answer) -> None:
    """The whole answer, on one line when it is piped."""
    encoded = msgspec.json.encode(answer)
    click.echo(msgspec.json.format(encoded, indent=2 if sys.stdout.isatty() else -1).decode())


def table(columns: list[str], rows: list[list[Any]], title: str = "") -> None:
    """A table; numbers are aligned to the right, an empty value is a dash."""
    # rich takes 50 ms to import, which no --json caller should wait for.
    from rich import box
    from rich.console import Console
    from rich.table import Table

    shown = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        numeric = any(isinstance(row[index], int | float) for row in rows)
        shown.add_column(column, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        shown.add_row(*(_text(value) for value in row))
    # Into a pipe a table is as wide as it needs to be: there is no terminal whose width it could fit.
    Console(width=None if sys.stdout.isatty() else 200).print(shown)


def pairs(values: dict[str, Any], title: str = "") -> None:
    """Names and values, one a line."""
    table(["", ""], [[name, _text(value)] for name, value in values.items()], title)


def percent(value: float | None) -> str | None:
    """A fraction as people read it."""
    return None if value is None else f"{value:+.2%}"


def _text(value: Any) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) >= 10 else f"{value:.6g}"
    return str(value)
