"""ls, start, stop, status, update: the life of sessions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from jesse_paperd.cli.asking import ask, json_option, pairs, percent, print_json, table
from jesse_paperd.wire import protocol as wire
from jesse_paperd.wire.errors import PaperError

session_argument = click.argument("session_id", metavar="SESSION")


def trading_options(command: Any) -> Any:
    """The options that `start` and `run-paper` share."""
    options = [
        click.option("--timeframe", "-t", help="The strategy's timeframe. [default: 1h]"),
        click.option("--starting-balance", type=float, help="Simulated money, in the quote currency. [default: 10000]"),
        click.option("--leverage", type=float, help="Whole number; above 1 needs futures. [default: 1]"),
        click.option("--leverage-mode", help="cross or isolated. [default: cross]"),
        click.option("--fee", type=float, help="Of each fill, as a fraction. [default: 0.001]"),
        click.option("--feed", help="live, or replay:FILE. [default: live]"),
        click.option("--speed", help="Of a replay: max, or a multiple of real time. [default: max]"),
        click.option("--warmup", "warmup_candles", type=int, help="Candles before the first decision. [default: 240]"),
        click.option(
            "--data-route", "data_routes", multiple=True, metavar="SYMBOL:TIMEFRAME", help="Further candles to read."
        ),
        click.option("--hyperparameters", metavar="JSON", help="Override the strategy's hyperparameters."),
        click.option("--gap-policy", help="skip or fill missing minutes. [default: skip]"),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def trading_arguments(values: dict[str, Any]) -> dict[str, Any]:
    """The options of `trading_options` as arguments of paper_start; what was not given is left out.

    Raises:
        PaperError: `invalid_argument` for a malformed data route or hyperparameters.
    """
    given = {name: value for name, value in values.items() if value is not None}
    routes = []
    for route in given.pop("data_routes", ()):
        symbol, colon, timeframe = route.partition(":")
        if not colon:
            raise PaperError(
                "invalid_argument", f"--data-route: {route!r} is not SYMBOL:TIMEFRAME, such as ETH-USDT:4h"
            )
        routes.append({"symbol": symbol, "timeframe": timeframe})
    if routes:
        given["data_routes"] = routes
    if "hyperparameters" in given:
        try:
            given["hyperparameters"] = json.loads(given["hyperparameters"])
        except ValueError as error:
            raise PaperError("invalid_argument", f"--hyperparameters is no JSON: {error}") from error
    if given.get("feed", "").startswith("replay:"):
        given["feed"] = _absolute(given["feed"])
    return given


def _absolute(feed: str) -> str:
    """A replay's files by absolute paths: the daemon's working directory is another one."""
    parts = []
    for part in feed.removeprefix("replay:").split(","):
        name, equals, path = part.rpartition("=")
        parts.append(f"{name}{equals}{Path(path).expanduser().absolute()}")
    return "replay:" + ",".join(parts)


@click.command()
@json_option
def ls(as_json: bool) -> None:
    """List all sessions, newest first."""
    answer = ask(wire.PaperListSessions, {})
    if as_json:
        return print_json(answer)
    rows = [
        [
            *(s.session_id, s.strategy, s.symbol, s.timeframe, s.exchange, s.status, s.health),
            *(s.current_equity, percent(s.total_return), s.started_at, s.stop_reason),
        ]
        for s in answer.sessions
    ]
    columns = ["session", "strategy", "symbol", "tf", "exchange", "status", "health"]
    return table([*columns, "equity", "return", "started", "ended by"], rows)


@click.command()
@click.argument("strategy")
@click.argument("symbol")
@click.option("--exchange", "-e", help="Jesse's name of it. [default: Binance]")
@trading_options
@click.option("--session-id", help="An id of your own: starting twice with it starts once.")
@click.option("--notes", help="Free text kept with the session.")
@json_option
def start(as_json: bool, **values: Any) -> None:
    """Start a session of STRATEGY on SYMBOL.

    \b
    jesse-paper start SMACrossover BTC-USDT --timeframe 1h
    jesse-paper start DayTrader BTC-USDT -t 15m --leverage 3 --feed replay:candles.csv.gz --speed 600
    """
    answer = ask(wire.PaperStart, trading_arguments(values), timeout=90)
    if as_json:
        return print_json(answer)
    what = f"{answer.strategy} on {answer.market} {answer.symbol} {answer.timeframe}"
    click.echo(f"{answer.session_id}  {answer.status}: {what}, {answer.starting_balance:,.2f} at {answer.leverage:g}×")
    if answer.hint:
        click.echo(f"  {answer.hint}", err=True)
    return None


@click.command()
@session_argument
@json_option
def stop(session_id: str, as_json: bool) -> None:
    """End SESSION: cancel its orders, close its position, and show its final metrics."""
    answer = ask(wire.PaperStop, {"session_id": session_id}, timeout=90)
    if as_json:
        return print_json(answer)
    click.echo(f"{answer.session_id}  {answer.status} ({answer.stop_reason}) after {answer.duration_hours:.2f} h")
    return show_metrics(answer.final_metrics)


@click.command()
@session_argument
@json_option
def status(session_id: str, as_json: bool) -> None:
    """Show the state, health, positions and main metrics of SESSION."""
    s = ask(wire.PaperStatus, {"session_id": session_id})
    if as_json:
        return print_json(s)
    pairs(
        {
            "status": s.status + (f" ({s.stop_reason})" if s.stop_reason else ""),
            "error": s.error,
            "health": s.health.state + (f": {'; '.join(s.health.reasons)}" if s.health.reasons else ""),
            "trades": f"{s.strategy} on {s.market} {s.symbol} {s.timeframe} at {s.leverage:g}×",
            "last candle": s.health.last_candle,
            "candles": f"{s.health.candles:,}, {s.health.gaps} gaps of {s.health.missing_minutes} minutes",
            "restarts": s.health.restarts,
            "equity": s.current_equity,
            "return": percent(s.metrics.total_return),
            "max drawdown": percent(-s.metrics.max_drawdown),
            "closed trades": s.metrics.total_trades,
            "notes": s.notes,
        },
        title=s.session_id,
    )
    if s.positions:
        rows = [[p.side, p.size, p.entry_price, p.current_price, p.unrealized_pnl] for p in s.positions]
        table(["position", "size", "entry", "price", "unrealized"], rows)
    if s.open_orders:
        rows = [[o.order_id, o.side, o.type, o.size, o.price, o.role] for o in s.open_orders]
        table(["order", "side", "type", "size", "price", "role"], rows)
    return None


@click.command()
@session_argument
@click.option("--leverage", type=float, help="Whole number, used from the next moment without a position.")
@click.option("--notes", help="Replaces the notes.")
@json_option
def update(session_id: str, leverage: float | None, notes: str | None, as_json: bool) -> None:
    """Change the leverage or the notes of SESSION."""
    updates = {name: value for name, value in (("leverage", leverage), ("notes", notes)) if value is not None}
    answer = ask(wire.PaperUpdateSession, {"session_id": session_id, "updates": updates})
    if as_json:
        return print_json(answer)
    for name in answer.updated_fields:
        click.echo(f"{name}: updated" + (f", {answer.pending[name]}" if name in answer.pending else ""))
    for name, reason in answer.refused.items():
        click.echo(f"{name}: refused, {reason}")
    return None


def show_metrics(metrics: wire.Metrics) -> None:
    """Metrics as a table, with the reason beside what is undefined."""
    skipped = {"undefined", "definition", "returns_interval", "observations", "annualization", "as_of"}
    rows = [
        [name, getattr(metrics, name), metrics.undefined.get(name, "")]
        for name in metrics.__struct_fields__
        if name not in skipped
    ]
    basis = f"{metrics.observations} returns of {metrics.returns_interval}, as of {metrics.as_of}"
    table(["metric", "value", "undefined because"], rows, title=basis)
