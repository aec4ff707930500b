"""A session in words and tables: what it trades, its metrics in their units."""

from __future__ import annotations

from typing import Any, Literal

import click

from jesse_paper import protocol as wire
from jesse_paper.figures import money
from jesse_paper.metric_definitions import DEFINITIONS, REASONS
from jesse_paperd.terminal.tables import minute, pairs, percent, plain, state, table


def describe(started: wire.Started, note: str = "") -> None:
    """What a session trades, in one block, with a note of what was done."""
    quote = started.symbol.rpartition("-")[2]
    leverage = f", {started.leverage:g}× {started.leverage_mode}" if started.leverage > 1 else ""
    feed = "live, the exchange's own candles"
    if started.feed != "live":
        files = ", ".join(part.rpartition("/")[2] for part in started.feed.removeprefix("replay:").split(","))
        speed = "as fast as possible" if started.speed == "max" else f"{started.speed:,.6g} × real time"
        feed = f"replay of {files}, {speed}"
    mark = state(started.status)
    colour = {"running": "green", "failed": "red", "stopped": None}.get(started.status, "yellow")
    click.echo(f"{click.style(started.session_id, bold=True)}  {click.style(mark.text, fg=colour)}")
    pairs(
        {
            **routes_in_words(started.routes, started.market or started.exchange),
            "candles": feed,
            "warm-up": f"{started.warmup_candles:,} candles before the first decision",
            "account": f"{money(started.starting_balance)} {quote}{leverage}, fee {100 * started.fee:g} % of a fill",
            "mode": "paper: real candles, simulated money",
            "note": note,
        },
        title=" ",
    )


def of_routes(row: wire.SessionRow, field: Literal["symbol", "strategy", "timeframe"]) -> str:
    """A field of a session's first route, and how many other values it has: "BTC-USDT +2"."""
    first = str(getattr(row, field))
    others = {getattr(route, field) for route in row.routes} - {first}
    return f"{first} +{len(others)}" if others else first


def routes_in_words(routes: list[wire.TradedRoute], market: str) -> dict[str, str]:
    """What trades where: a line for the one route and its market, or a line each."""
    if len(routes) == 1:
        return {
            "strategy": f"{routes[0].strategy}, every {routes[0].timeframe}",
            "market": f"{routes[0].symbol} on {market}",
        }
    listed = [f"{route.symbol}: {route.strategy}, every {route.timeframe}" for route in routes]
    return {"market": market, **{f"route {n}": told for n, told in enumerate(listed, start=1)}}


def show_metrics(metrics: wire.Metrics) -> None:
    """Metrics as a table, each in its unit, with the reason beside what is undefined."""
    skipped = {"undefined", "definition", "returns_interval", "observations", "annualization", "as_of", "final_equity"}
    names = [name for name in DEFINITIONS if name in metrics.__struct_fields__ and name not in skipped]
    rows = [
        [name, in_its_unit(name, getattr(metrics, name)), REASONS.get(metrics.undefined.get(name, ""), " ")]
        for name in names
    ]
    basis = (
        f"{metrics.observations:,} returns of {metrics.returns_interval}, as of {minute(metrics.as_of) or 'no candle'}"
    )
    columns = ["metric", "value", *(["undefined because"] if metrics.undefined else [])]
    table(columns, [row[: len(columns)] for row in rows], title=basis, elastic=columns[-1])


def show_routes(routes: list[wire.RouteMetrics]) -> None:
    """What each route contributed."""
    columns = ["symbol", "strategy", "trades", "win rate", "profit factor", "pnl", "fees", "exposure", "contribution"]
    rows = [
        [
            *(r.symbol, f"{r.strategy} {r.timeframe}", r.total_trades),
            in_its_unit("win_rate", r.win_rate),
            in_its_unit("profit_factor", r.profit_factor),
            *(money(r.realized_pnl + r.unrealized_pnl), money(r.fees_paid)),
            *(f"{r.exposure:.1%}", percent(r.contribution)),
        ]
        for r in routes
    ]
    table(columns, rows, title="By route", optional=("fees", "exposure", "profit factor"))


def in_its_unit(name: str, value: Any) -> Any:
    """A metric as people read it."""
    if value is None:
        return None
    unit = DEFINITIONS[name].unit
    if unit == "fraction":
        return percent(value) if name == "total_return" else f"{value:.2%}"
    if unit == "money":
        return money(value)
    return f"{value:,.1f} h" if unit == "hours" else f"{value:.2f}" if unit == "ratio" else plain(value)
