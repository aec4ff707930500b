"""Sessions in a few lines of Markdown, for people."""

from __future__ import annotations

from jesse_paper import protocol as p
from jesse_paper.figures import money, price


def of_sessions(sessions: p.Sessions) -> str:
    """All sessions, a row each."""
    if not sessions.sessions:
        return "No paper trading sessions yet.\n"
    head = [
        "| session | strategy | market | state | health | equity | return | hours |",
        "|---|---|---|---|---|--:|--:|--:|",
    ]
    rows = [
        f"| {row.session_id} | {row.strategy} | {row.symbol} {row.timeframe} | {row.status} | {row.health or '–'} "
        f"| {_money(row.current_equity)} | {_percent(row.total_return)} | {row.duration_hours:.1f} |"
        for row in sessions.sessions
    ]
    return "\n".join(head + rows) + "\n"


def of_session(status: p.Status) -> str:
    """How a session is doing: state, results, what it holds, what is wrong."""
    metrics = status.metrics
    lines = [
        f"# {status.session_id}: {status.strategy} on {status.symbol} {status.timeframe}",
        "",
        f"Simulated money on {status.market or status.exchange}, leverage {status.leverage:g}. "
        f"**{status.status}** since {status.stopped_at or status.started_at or '–'}, "
        f"{'after' if status.stopped_at else 'for'} {status.duration_hours:.1f} hours.",
        "",
        f"- Equity {_money(status.current_equity)} ({_percent(metrics.total_return)}), "
        f"unrealized {_money(status.unrealized_pnl)}",
        f"- Largest drawdown {_percent(metrics.max_drawdown)}, now {_percent(metrics.current_drawdown)}",
        f"- {metrics.total_trades} closed trades, {_percent(metrics.win_rate)} won, "
        f"profit factor {_number(metrics.profit_factor)}, average {_money(metrics.avg_trade)}",
        f"- Sharpe ratio {_number(metrics.sharpe_ratio)}, Sortino ratio {_number(metrics.sortino_ratio)} "
        f"({metrics.observations} returns of {metrics.returns_interval})",
    ]
    lines += [
        f"- Holds {position.side} {price(position.size)} {position.symbol or status.symbol} from "
        f"{price(position.entry_price)}, now {price(position.current_price)} ({_money(position.unrealized_pnl)})"
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


def _money(value: float | None) -> str:
    return "–" if value is None else money(value)


def _percent(fraction: float | None) -> str:
    return "–" if fraction is None else f"{fraction:.2%}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
