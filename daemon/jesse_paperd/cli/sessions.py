"""ls, status, stop, update: the sessions there are."""

from __future__ import annotations

import sys

import click

from jesse_paper import protocol as wire
from jesse_paper.figures import money
from jesse_paperd.cli.asking import ask, json_option, print_json
from jesse_paperd.cli.completion import complete_sessions
from jesse_paperd.terminal.printable import printable
from jesse_paperd.terminal.progress import waiting
from jesse_paperd.terminal.sessions import of_routes, routes_in_words, show_metrics
from jesse_paperd.terminal.tables import (
    Styled,
    amounts,
    change,
    fall,
    minute,
    pairs,
    results,
    state,
    table,
)

session_argument = click.argument("session_id", metavar="SESSION", shell_complete=complete_sessions)


@click.command()
@click.option("--all", "-a", "everything", is_flag=True, help="Also sessions that ended: however, and how long ago.")
@click.option("--active", is_flag=True, hidden=True)  # what is shown without --all
@click.option("--limit", "-n", type=int, help="How many at most, the newest first. [default: 50]")
@click.option("--offset", type=int, help="How many of the newest to skip.")
@json_option
def ls(everything: bool, active: bool, limit: int | None, offset: int | None, as_json: bool) -> None:
    """List the sessions that run, and those that failed within 24 hours, newest first.

    \b
    jesse-paper ls
    jesse-paper ls --all --json | jq -r '.sessions[].session_id'
    """
    del active
    answer = ask(wire.PaperListSessions, {"active_only": not everything, "limit": limit, "offset": offset})
    if as_json:
        return print_json(answer)
    if not answer.sessions:
        told = "No session yet." if everything else "No session runs; --all shows those that ended."
        click.echo(f"{told} Start one: jesse-paper start STRATEGY SYMBOL")
        return None
    rows = [
        [
            *(s.session_id, of_routes(s, "strategy"), of_routes(s, "symbol"), of_routes(s, "timeframe")),
            state(s.status, s.health, s.stop_reason),
            *(equity, change(s.total_return), fall(s.current_drawdown), s.total_trades, s.position),
            *(s.market or s.exchange, minute(s.started_at)),
        ]
        for s, equity in zip(answer.sessions, amounts(s.current_equity for s in answer.sessions), strict=True)
    ]
    columns = ["session", "strategy", "symbol", "tf", "state", "equity", "return", "drawdown", "trades", "position"]
    optional = ("started", "exchange", "position", "trades", "drawdown", "tf", "strategy", "symbol")
    table([*columns, "exchange", "started"], rows, optional=optional)
    if answer.hint:
        click.echo(printable(answer.hint), err=True)
    return None


@click.command(short_help="End SESSION and show its final metrics.")
@session_argument
@json_option
def stop(session_id: str, as_json: bool) -> None:
    """End SESSION: cancel its orders, close its position, and show its final metrics.

    \b
    jesse-paper stop paper_0123456789ab
    """
    with waiting(f"Stopping {session_id} …"):
        answer = ask(wire.PaperStop, {"session_id": session_id}, timeout=90)
    if as_json:
        return print_json(answer)
    click.echo(f"{answer.session_id}  {answer.status} ({answer.stop_reason}) after {answer.duration_hours:.2f} h")
    if answer.hint:
        click.echo(printable(answer.hint), err=True)
    return show_metrics(answer.final_metrics)


@click.command(short_help="Show state, health, positions and main metrics.")
@session_argument
@json_option
def status(session_id: str, as_json: bool) -> None:
    """Show the state, health, positions and main metrics of SESSION.

    \b
    jesse-paper status paper_0123456789ab
    """
    s: wire.Status = ask(wire.PaperStatus, {"session_id": session_id})
    if as_json:
        return print_json(s)
    health = s.health
    done = f"{health.candles:,}" + (f" of {health.candles_total:,}" if health.candles_total else "")
    gaps = f", {health.gaps:,} gaps of {health.missing_minutes:,} minutes" if health.gaps else ", no gap"
    pairs(
        {
            "state": state(s.status, health.state, s.stop_reason),
            "error": Styled(s.error, "red") if s.error else "",
            "raised by": s.failure.source if s.failure is not None else "",
            "because": Styled("; ".join(health.reasons), "red") if health.reasons else "",
            "next try": health.next_try,
            **routes_in_words(s.routes, s.market),
            "leverage": f"{s.leverage:g}×" if s.leverage != 1 else "",
            "candles": done + gaps,
            "last candle": minute(health.last_candle) + _age(health.last_candle_age_seconds),
            "restarts": health.restarts or "",
            "equity": f"{money(s.current_equity)} {s.symbol.rpartition('-')[2]}",
            "return": change(s.metrics.total_return),
            "drawdown": f"{fall(s.metrics.current_drawdown).text} now, {fall(s.metrics.max_drawdown).text} at worst",  # type: ignore[union-attr]
            "trades": f"{s.metrics.total_trades:,} closed" + _win_rate(s.metrics.win_rate),
            "notes": s.notes,
        },
        title=s.session_id,
    )
    if s.positions:
        click.echo()
        rows = [
            [p.side, p.symbol, p.size, p.entry_price, p.current_price, result, p.liquidation_price]
            for p, result in zip(s.positions, results([p.unrealized_pnl for p in s.positions]), strict=True)
        ]
        columns = ["position", "symbol", "size", "entry", "price", "unrealized", "liquidation"]
        table(columns, rows, optional=("liquidation",))
    if s.open_orders:
        click.echo()
        rows = [[o.order_id, o.symbol, o.side, o.type, o.size, o.price, o.role] for o in s.open_orders]
        table(["order", "symbol", "side", "type", "size", "price", "role"], rows)
    return show_process_ends(s.process_ends)


@click.command(short_help="Change the leverage or the notes of SESSION.")
@session_argument
@click.option("--leverage", type=float, help="Whole number, used from the next moment without a position.")
@click.option("--notes", help="Replaces the notes.")
@json_option
def update(session_id: str, leverage: float | None, notes: str | None, as_json: bool) -> None:
    """Change the leverage or the notes of SESSION.

    \b
    jesse-paper update paper_0123456789ab --leverage 2 --notes "half the risk"
    """
    updates = {name: value for name, value in (("leverage", leverage), ("notes", notes)) if value is not None}
    answer = ask(wire.PaperUpdateSession, {"session_id": session_id, "updates": updates})
    if as_json:
        return print_json(answer)
    for name in answer.updated_fields:
        click.echo(f"{name}: updated" + (f", {answer.pending[name]}" if name in answer.pending else ""))
    for name, reason in answer.refused.items():
        click.echo(f"{name}: refused, {reason}")
    return sys.exit(1) if answer.refused else None


def show_process_ends(ends: list[wire.ProcessEnd]) -> None:
    """How a session's processes ended that had not ended it, by the wall clock; nothing when none did."""
    if ends:
        click.echo()
        rows = [[minute(end.at), end.pid, end.reason] for end in ends]
        table(["process died", "pid", "how"], rows, elastic="how")


def _age(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f", {seconds:.0f} s ago" if seconds < 120 else f", {seconds / 60:,.0f} min ago"


def _win_rate(rate: float | None) -> str:
    return "" if rate is None else f", {rate:.0%} won"
