"""trades, orders, equity, metrics: what sessions have to show."""

from __future__ import annotations

import click

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paper.metric_definitions import DEFINITIONS
from jesse_paperd.cli.asking import ask, json_option, print_json
from jesse_paperd.cli.completion import complete_sessions
from jesse_paperd.cli.sessions import session_argument
from jesse_paperd.terminal.plots import plot_equity
from jesse_paperd.terminal.sessions import show_metrics, show_routes
from jesse_paperd.terminal.tables import amounts, change, minute, results, table


@click.command()
@session_argument
@click.option("--limit", type=int, help="How many at most. [default: 100]")
@click.option("--offset", type=int, help="How many of the oldest to skip. [default: 0]")
@json_option
def trades(session_id: str, limit: int | None, offset: int | None, as_json: bool) -> None:
    """List the closed trades of SESSION, oldest first.

    \b
    jesse-paper trades paper_0123456789ab --limit 20
    """
    answer = ask(wire.PaperGetTrades, {"session_id": session_id, "limit": limit, "offset": offset})
    if as_json:
        return print_json(answer)
    rows = [
        [
            *(t.trade_id, t.side, minute(t.entry_time), minute(t.exit_time), t.entry_price, t.exit_price),
            *(t.size, pnl, change(t.pnl_pct), fees, t.exit_reason),
        ]
        for t, pnl, fees in zip(
            answer.trades,
            results(t.pnl for t in answer.trades),
            amounts(t.fees for t in answer.trades),
            strict=True,
        )
    ]
    columns = ["trade", "side", "entry", "exit", "entry price", "exit price", "size", "pnl", "pnl %", "fees"]
    optional = ("fees", "size", "entry price", "exit price", "ended by", "entry")
    shown = f"{len(answer.trades)} of {answer.total_trades:,} closed trades"
    table([*columns, "ended by"], rows, title=shown, optional=optional)
    if answer.next_offset is not None:
        click.echo(f"The next ones: --offset {answer.next_offset}", err=True)
    return None


@click.command()
@session_argument
@click.option("--status", help="all, active, executed or canceled. [default: all]")
@click.option("--limit", type=int, help="How many at most. [default: 50]")
@click.option("--offset", type=int, help="How many of the oldest to skip. [default: 0]")
@json_option
def orders(session_id: str, status: str | None, limit: int | None, offset: int | None, as_json: bool) -> None:
    """List the orders of SESSION in the order of submission.

    \b
    jesse-paper orders paper_0123456789ab --status active
    """
    arguments = {"session_id": session_id, "status": status, "limit": limit, "offset": offset}
    answer = ask(wire.PaperGetOrders, arguments)
    if as_json:
        return print_json(answer)
    rows = [
        [
            *(o.order_id, o.side, o.type, o.role, o.size, o.price, o.status, minute(o.created_at)),
            *(minute(o.executed_at or o.canceled_at or ""), fee, o.trade_id),
        ]
        for o, fee in zip(answer.orders, amounts(o.fee for o in answer.orders), strict=True)
    ]
    columns = ["order", "side", "type", "role", "size", "price", "status", "submitted", "done", "fee", "trade"]
    optional = ("trade", "fee", "done", "role", "submitted", "type")
    table(columns, rows, title=f"{len(answer.orders)} of {answer.total:,} orders", optional=optional)
    if answer.next_offset is not None:
        click.echo(f"The next ones: --offset {answer.next_offset}", err=True)
    return None


@click.command()
@session_argument
@click.option("--resolution", "-r", help="Spacing of the points: 1m to 1w. [default: 1h]")
@click.option("--max-points", type=int, help="The newest points are kept. [default: 200]")
@json_option
def equity(session_id: str, resolution: str | None, max_points: int | None, as_json: bool) -> None:
    """Plot the equity and drawdown of SESSION.

    \b
    jesse-paper equity paper_0123456789ab --resolution 4h
    """
    arguments = {"session_id": session_id, "resolution": resolution, "max_points": max_points}
    answer = ask(wire.PaperGetEquity, arguments)
    if as_json:
        return print_json(answer)
    if not answer.equity_curve:
        click.echo("no candle has been traded yet")
        return None
    plot_equity(answer)
    if answer.hint:
        click.echo(answer.hint, err=True)
    return None


@click.command()
@click.argument("session_id", metavar="SESSION", required=False, shell_complete=complete_sessions)
@click.option("--returns-interval", help="auto, 1h or 1d. [default: auto]")
@click.option("--explain", is_flag=True, help="Say what each metric means, without a session.")
@json_option
def metrics(session_id: str | None, returns_interval: str | None, explain: bool, as_json: bool) -> None:
    """Show the performance and risk metrics of SESSION.

    \b
    jesse-paper metrics paper_0123456789ab
    jesse-paper metrics --explain
    """
    if explain:
        if as_json:
            return print_json({name: each._asdict() for name, each in DEFINITIONS.items()})
        rows = [[name, d.unit, d.text] for name, d in DEFINITIONS.items()]
        return table(["metric", "unit", "definition"], rows, elastic="definition")
    if session_id is None:
        raise PaperError("invalid_argument", "metrics: name a SESSION, or --explain", "jesse-paper ls lists them")
    answer = ask(wire.PaperGetMetrics, {"session_id": session_id, "returns_interval": returns_interval})
    if as_json:
        return print_json(answer)
    show_metrics(answer.metrics)
    return show_routes(answer.routes) if len(answer.routes) > 1 else None
