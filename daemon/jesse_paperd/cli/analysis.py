"""verify, compare, chart, report, export: looking at sessions more closely, and taking them elsewhere."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import inspect

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paper.rfc3339 import to_ms
from jesse_paperd.cli.asking import ask, json_option, print_json
from jesse_paperd.cli.completion import complete_sessions
from jesse_paperd.cli.output import check_output, output_option
from jesse_paperd.cli.sessions import session_argument
from jesse_paperd.core.output_file import write_whole
from jesse_paperd.terminal.progress import waiting
from jesse_paperd.terminal.sessions import in_its_unit
from jesse_paperd.terminal.tables import table

_PAGE = 1000


@click.command(short_help="Prove SESSION against Jesse's own backtest.")
@session_argument
@json_option
def verify(session_id: str, as_json: bool) -> None:
    """Prove SESSION: rerun its candles through Jesse's backtest and compare. Exit status 1 when they differ.

    \b
    jesse-paper verify paper_0123456789ab
    """
    with waiting("Running its candles through Jesse's backtest …"):
        answer = ask(wire.PaperVerify, {"session_id": session_id}, timeout=60)
        while not answer.done:
            answer = ask(wire.PaperVerify, {"session_id": session_id}, timeout=60)
    if as_json:
        print_json(answer)
    else:
        verdict = "equal" if answer.equal else "DIFFERENT"
        click.echo(f"{answer.session_id}: {verdict}; {answer.compared} of {answer.trades} trades compared with Jesse's")
        click.echo(f"backtest ({answer.method}: {answer.method_reason}), and all of it with its own replay")
        for line in (answer.difference, *answer.replay_differences, *answer.limits):
            if line:
                click.echo(f"  {line}")
    if not answer.equal:
        sys.exit(1)


@click.command(short_help="Show SESSIONs side by side.")
@click.argument("session_ids", metavar="SESSION SESSION...", nargs=-1, required=True, shell_complete=complete_sessions)
@json_option
def compare(session_ids: tuple[str, ...], as_json: bool) -> None:
    """Show SESSIONs side by side over the time they share, or else over their whole lives.

    \b
    jesse-paper compare paper_0123456789ab paper_ba9876543210
    """
    answer = ask(wire.PaperCompareSessions, {"session_ids": list(session_ids)})
    if as_json:
        return print_json(answer)
    shown = answer.common or answer.whole
    names = (
        *("total_return", "max_drawdown", "sharpe_ratio", "sortino_ratio", "volatility", "var_95"),
        *("total_trades", "win_rate", "profit_factor", "exposure", "current_equity"),
    )
    span = f"{answer.since} to {answer.until}" if answer.common else answer.hint
    rows = [[name, *(in_its_unit(name, getattr(m, name)) for m in shown.values())] for name in names]
    table(["metric", *shown], rows, title=span)
    if answer.correlation:
        rows = [[a, *(f"{answer.correlation[a][b]:.2f}" for b in answer.correlation)] for a in answer.correlation]
        table(
            ["correlation", *answer.correlation],
            rows,
            title=f"{answer.observations} returns of {answer.returns_interval}",
        )
    return None


@click.command(short_help="Draw price, trades, equity, drawdown as a PNG.")
@session_argument
@output_option("A .png file. [default: SESSION.png]")
@click.option("--theme", help="light or dark. [default: light]")
@click.option("--symbol", help="Whose price and trades. [default: the first route's]")
@json_option
def chart(
    session_id: str, output: Path | None, force: bool, theme: str | None, symbol: str | None, as_json: bool
) -> None:
    """Draw SESSION as a picture: price with its trades, equity, drawdown.

    \b
    jesse-paper chart paper_0123456789ab -o chart.png --theme dark
    """
    output = output or Path(f"{session_id}.png")
    check_output(output, force, ".png")
    answer = ask(wire.PaperChart, {"session_id": session_id, "theme": theme, "symbol": symbol}, timeout=60)
    write_whole(output, answer.png, "invalid_argument")
    if as_json:
        return print_json({"file": str(output), "description": answer.description})
    return click.echo(f"{output}\n{answer.description}")


@click.command(short_help="Write SESSION's report as one HTML file.")
@session_argument
@output_option("An .html file. [default: SESSION.html]")
@json_option
def report(session_id: str, output: Path | None, force: bool, as_json: bool) -> None:
    """Write SESSION's report: one HTML file that needs nothing else.

    \b
    jesse-paper report paper_0123456789ab -o report.html
    """
    output = output or Path(f"{session_id}.html")
    check_output(output, force, ".html", ".htm")
    answer = ask(wire.PaperReport, {"session_id": session_id}, timeout=60)
    write_whole(output, answer.html.encode(), "invalid_argument")
    return print_json({"file": str(output)}) if as_json else click.echo(output)


@click.command(short_help="Export trades, orders or equity as CSV or Parquet.")
@session_argument
@click.argument("what", type=click.Choice(["trades", "orders", "equity"]))
@output_option(".csv or .parquet; '-' is stdout. [default: -]")
@click.option("--resolution", "-r", help="Of the equity. [default: 1h]")
@json_option
def export(session_id: str, what: str, output: Path | None, force: bool, resolution: str | None, as_json: bool) -> None:
    """Export the trades, orders or equity of SESSION, all of them, with the field names of the JSON answers.

    \b
    jesse-paper export paper_0123456789ab trades > trades.csv
    jesse-paper export paper_0123456789ab equity -r 1m -o equity.parquet
    """
    if output is not None and str(output) == "-":
        output = None
    if output is not None:
        check_output(output, force, ".csv", ".parquet")
    parquet = output is not None and output.suffix.lower() == ".parquet"
    arrow = _pyarrow() if parquet else None
    rows = list(_rows(session_id, what, resolution))
    if as_json and output is None:
        return print_json(rows)
    kinds: dict[str, type[msgspec.Struct]] = {"trades": wire.Trade, "orders": wire.Order, "equity": wire.EquityPoint}
    kind = kinds[what]
    columns = kind.__struct_fields__
    if output is not None and arrow is not None:
        return _parquet(arrow, output, rows, kind)
    for row in rows:
        if "order_ids" in row:
            row["order_ids"] = " ".join(row["order_ids"])
    if output is None:
        return _csv(sys.stdout, rows, columns)
    text = io.StringIO(newline="")
    _csv(text, rows, columns)
    write_whole(output, text.getvalue().encode(), "invalid_argument")
    click.echo(f"{len(rows)} rows in {output}", err=True)
    return None


def _rows(session_id: str, what: str, resolution: str | None) -> Iterator[dict[str, Any]]:
    one = {"session_id": session_id}
    if what == "equity":
        arguments = {**one, "resolution": resolution, "max_points": 10_000}
        points: list[wire.EquityPoint] = []
        until = None
        while True:
            # Newest first, page by page: a page keeps the newest points before `until`.
            answer = ask(wire.PaperGetEquity, {**arguments, "until": until}, timeout=60)
            page = [p for p in answer.equity_curve if not points or p.timestamp < points[0].timestamp]
            points = page + points
            if not answer.truncated or not page:
                break
            until = points[0].timestamp
        yield from (msgspec.to_builtins(point) for point in points)
        return
    operation, field = (wire.PaperGetTrades, "trades") if what == "trades" else (wire.PaperGetOrders, "orders")
    offset: int | None = 0
    while offset is not None:
        answer = ask(operation, {**one, "limit": _PAGE, "offset": offset})
        yield from (msgspec.to_builtins(row) for row in getattr(answer, field))
        offset = answer.next_offset


def _csv(file: Any, rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    writer = csv.DictWriter(file, columns)
    writer.writeheader()
    writer.writerows(rows)


def _parquet(arrow: Any, output: Path, rows: list[dict[str, Any]], kind: type[msgspec.Struct]) -> None:
    """With times as times, and every column of its type even where it has no value."""
    types = {
        inspect.FloatType: arrow.float64(),
        inspect.IntType: arrow.int64(),
        inspect.BoolType: arrow.bool_(),
        inspect.ListType: arrow.list_(arrow.string()),
    }
    columns = {}
    for field in msgspec.structs.fields(kind):
        values = [row.get(field.encode_name) for row in rows]
        if field.encode_name == "timestamp" or field.encode_name.endswith(("_time", "_at")):
            times = [to_ms(value) if value else None for value in values]
            columns[field.encode_name] = arrow.array(times, arrow.timestamp("ms", tz="UTC"))
            continue
        info = inspect.type_info(field.type)
        kinds = {type(each) for each in (info.types if isinstance(info, inspect.UnionType) else (info,))}
        found = next((types[each] for each in kinds if each in types), arrow.string())
        columns[field.encode_name] = arrow.array(values, found)
    content = io.BytesIO()
    arrow.parquet.write_table(arrow.table(columns), content)
    write_whole(output, content.getvalue(), "invalid_argument")
    click.echo(f"{len(rows)} rows in {output}", err=True)


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise PaperError("invalid_argument", "Parquet needs pyarrow", "pip install 'jesse-paper[parquet]'") from error
    return pyarrow
