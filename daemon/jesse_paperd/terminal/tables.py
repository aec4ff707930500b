"""How people see an answer: tables that fit their terminal, numbers that line up, health at a glance.

rich takes 50 ms to import, which no --json caller should wait for: every function here imports it when it is called.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from jesse_paper.figures import moneys, price, prices
from jesse_paper.protocol import ENDED
from jesse_paperd.terminal.printable import printable

if TYPE_CHECKING:
    from rich.table import Table

#: Into a pipe a table is as wide as it needs to be: there is no terminal whose width it could fit.
_UNBOUNDED = 10_000
_NUMBER = re.compile(r"[+-]?[\d,]+(\.\d+)?( ?%|×)?")
_GAP = 2


class Styled(NamedTuple):
    """A value with a style of rich: 'green', 'bold red', 'dim'."""

    text: str
    style: str


def table(
    columns: list[str],
    rows: list[list[Any]],
    title: str = "",
    *,
    optional: Sequence[str] = (),
    elastic: str = "",
    per_cell: bool = False,
) -> None:
    """Print a table. Numbers stand to the right and share their decimals, an empty value is a dash.

    Args:
        optional: columns that a narrow terminal does without, the first to go first.
        elastic: the column that is wrapped when even that is not enough.
        per_cell: the numbers of a column have different units, so each has its own decimals.
    """
    texts = [_column([row[i] for row in rows], per_cell) for i in range(len(columns))]
    widths = [max(map(len, (name, *(_plain(v) for v in texts[i])))) for i, name in enumerate(columns)]
    width = _terminal_width()
    kept = list(range(len(columns)))
    for name in optional:
        if sum(widths[i] + _GAP for i in kept) - _GAP > width and name in columns:
            kept.remove(columns.index(name))
    shown = _grid(header=True)
    for i in kept:
        numeric = any(_is_number(value) for value in texts[i])
        shown.add_column(columns[i], justify="right" if numeric else "left", no_wrap=columns[i] != elastic)
    for r in range(len(rows)):
        shown.add_row(*(_rich(texts[i][r]) for i in kept))
    if title:
        click.secho(title, bold=True)
    _print(shown)
    if left_out := [name for i, name in enumerate(columns) if i not in kept]:
        click.secho(f"A wider terminal also shows: {', '.join(left_out)}.", dim=True)


def pairs(values: dict[str, Any], title: str = "") -> None:
    """Print names and values, one a line; an empty value is left out."""
    shown = _grid(header=False)
    shown.add_column(style="dim", no_wrap=True)
    shown.add_column(overflow="fold")
    for name, value in values.items():
        if value not in (None, ""):
            shown.add_row(f"  {name}" if title else name, _rich(value if isinstance(value, Styled) else plain(value)))
    if title:
        click.secho(title, bold=True)
    _print(shown)


def percent(value: float | None) -> str | None:
    """A fraction as people read it, with its sign."""
    return None if value is None else f"{value:+.2%}".replace("-0.00%", "+0.00%")


def change(value: float | None) -> Styled | None:
    """A return: green above zero, red below."""
    text = percent(value)
    if text is None:
        return None
    return Styled(text, "" if text == "+0.00%" else "red" if text[0] == "-" else "green")


def fall(value: float | None) -> Styled | None:
    """A drawdown, which the wire has as a positive fraction, as the negative percentage that people look for."""
    if value is None:
        return None
    return Styled(f"{-value:.2%}" if value >= 0.00005 else "0.00%", "red" if value >= 0.00005 else "")


def amounts(values: Iterable[float | None]) -> list[str | None]:
    """Amounts of money that stand below each other."""
    known = list(values)
    texts = iter(moneys(value for value in known if value is not None))
    return [None if value is None else next(texts) for value in known]


def results(values: Iterable[float | None]) -> list[Styled | None]:
    """Profits and losses that stand below each other, green or red."""
    known = list(values)
    texts = iter(moneys((value for value in known if value is not None), sign=True))
    return [None if value is None else Styled(next(texts), "red" if value < 0 else "green") for value in known]


def unwell(status: str, health: str) -> bool:
    """Whether a session that has not ended is marked with ▲."""
    return status not in ENDED and health not in ("", "ok", "warming_up")


def state(status: str, health: str = "ok", reason: str = "") -> Styled:
    """State, health and reason in one cell, with a mark that needs no colour: ● well, ▲ not well, ○ ended, ✗ failed."""
    if status == "failed":
        return Styled("✗ failed", "bold red")
    if status == "stopped":
        return Styled(f"○ {status}" + (f", {reason}" if reason not in ("", "stopped") else ""), "dim")
    if health == "warming_up":
        return Styled(f"◌ {status}, warming up" if status != "starting" else "◌ warming up", "yellow")
    if unwell(status, health):
        return Styled(f"▲ {status}, {health}", "bold red")
    return Styled(f"● {status}", "green") if status == "running" else Styled(f"◌ {status}", "yellow")


def minute(time: str | None) -> str:
    """A time of the wire to the minute, as people read it."""
    return (time or "")[:16].replace("T", " ")


def plain(value: Any) -> str:
    """A single value as text."""
    if value is None or value == "":
        return "–"
    if isinstance(value, float):
        return price(value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else printable(str(value))


def _column(values: list[Any], per_cell: bool) -> list[str | Styled]:
    """The cells of a column as text; its floats share their decimals where that can be (jesse_paper/figures.py)."""
    shown = iter(() if per_cell else prices(value for value in values if isinstance(value, float)))
    return [
        value
        if isinstance(value, Styled)
        else next(shown)
        if isinstance(value, float) and not per_cell
        else plain(value)
        for value in values
    ]


def _plain(value: str | Styled) -> str:
    return value.text if isinstance(value, Styled) else value


def _is_number(value: str | Styled) -> bool:
    return _NUMBER.fullmatch(_plain(value)) is not None


def _rich(value: str | Styled) -> Any:
    # A Text, never a str: what a strategy's author wrote in brackets is not markup.
    from rich.text import Text

    return Text(printable(value.text), style=value.style) if isinstance(value, Styled) else Text(value)


def _grid(header: bool) -> Table:
    from rich import box
    from rich.table import Table

    # The padding is on the right alone, so that the last column may fill the terminal to its edge.
    return Table(
        box=box.SIMPLE_HEAD if header else None,
        show_header=header,
        show_edge=False,
        pad_edge=False,
        padding=(0, _GAP if not header else 1, 0, 0),
        header_style="dim",
        border_style="dim",
    )


def _terminal_width() -> int:
    from rich.console import Console

    return Console().width if sys.stdout.isatty() else _UNBOUNDED


def _print(shown: Table) -> None:
    from rich.console import Console

    console = Console(width=_terminal_width(), highlight=False)
    with console.capture() as capture:
        console.print(shown)
    for line in capture.get().splitlines():
        click.echo(line.rstrip())
