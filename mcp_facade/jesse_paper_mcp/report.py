"""Sessions in a few lines of Markdown, for people."""

from __future__ import annotations

from jesse_paper import protocol as p
from jesse_paper.figures import money, or_dash, percent, price


def of_sessions(sessions: p.Sessions) -> str:
    """All sessions, a row each."""
    if not sessions.sessions:
        return "No paper trading sessions yet.\n"
    head = [
        "| session | strategy | market | state | health | equity | return | hours |",
        "|---|---|---|---|---|--:|--:|--:|",
    ]
    rows = [
        f"| {row.session_id} | {_each(row, 'strategy')} | {_each(row, 'symbol')} {_each(row, 'timeframe')} "
        f"| {row.status} | {row.health or '–'} "
        f"| {or_dash(row.current_equity, money)} | {or_dash(row.total_return, percent)} | {row.duration_hours:.1f} |"
        for row in sessions.sessions
    ]
    return "\n".join(head + rows) + "\n"


def of_session(status: p.Status) -> str:
    """How a session is doing: state, results, what it holds, what is wrong."""
    metrics = status.metrics
    one = f"{status.strategy} on {status.symbol} {status.timeframe}"
    several = [f"- {route.symbol}: {route.strategy}, every {route.timeframe}" for route in status.routes]
    lines = [
        f"# {status.session_id}: {one if len(several) == 1 else f'{len(several)} routes, one wallet'}",
        "",
        *([*several, ""] if len(several) > 1 else []),
        f"Simulated money on {status.market or status.exchange}, leverage {status.leverage:g}. "
        f"**{status.status}** since {status.stopped_at or status.started_at or '–'}, "
        f"{'after' if status.stopped_at else 'for'} {status.duration_hours:.1f} hours.",
        "",
        f"- Equity {money(status.current_equity)} ({percent(metrics.total_return)}), "
        f"unrealized {money(status.unrealized_pnl)}",
        f"- Largest drawdown {percent(metrics.max_drawdown)}, now {percent(metrics.current_drawdown)}",
        f"- {metrics.total_trades} closed trades, {or_dash(metrics.win_rate, percent)} won, "
        f"profit factor {or_dash(metrics.profit_factor, _number)}, average {or_dash(metrics.avg_trade, money)}",
        f"- Sharpe ratio {or_dash(metrics.sharpe_ratio, _number)}, "
        f"Sortino ratio {or_dash(metrics.sortino_ratio, _number)} "
        f"({metrics.observations} returns of {metrics.returns_interval})",
    ]
    lines += [
        f"- Holds {position.side} {price(position.size)} {position.symbol or status.symbol} from "
        f"{price(position.entry_price)}, now {price(position.current_price)} ({money(position.unrealized_pnl)})"
        for position in status.positions
    ] or ["- Holds nothing"]
    if status.open_orders:
        lines.append(f"- {len(status.open_orders)} open orders")
    lines.append(f"- Health: {status.health.state}, last candle {status.health.last_candle or '–'}")
    lines += [f"  - {reason}" for reason in status.health.reasons]
    for name, text in (("Stopped", status.stop_reason), ("Error", status.error), ("Notes", status.notes)):
        if text:
            lines.append(f"- {name}: {text}")
    return "\n".join(lines) + "\n"


def _each(row: p.SessionRow, field: str) -> str:
    """A field of the session's routes, each value once."""
    values = [getattr(route, field) for route in row.routes] or [getattr(row, field)]
    return ", ".join(dict.fromkeys(values))


def _number(value: float) -> str:
    return f"{value:.2f}"
