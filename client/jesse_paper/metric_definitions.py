"""What each metric means, as text: the one table behind `--explain`, reports and docs/metrics.md.

python -m jesse_paper.metric_definitions      prints it as Markdown
"""

from __future__ import annotations

from typing import NamedTuple

VERSION = 1
"""Told in every reply; another number means that a definition below has changed."""


class Definition(NamedTuple):
    """`unit` is money (quote currency), fraction, ratio, count, hours or text."""

    unit: str
    text: str
    undefined: tuple[str, ...] = ()


REASONS: dict[str, str] = {
    "no_trades": "no trade has been closed yet",
    "no_wins": "no closed trade made a profit",
    "no_losses": "no closed trade made a loss",
    "insufficient_samples": "fewer than 10 returns, or for calmar_ratio less than 30 days",
    "zero_variance": "all returns are equal",
    "no_downside": "no return is negative",
    "no_drawdown": "equity never fell below its peak",
}

DEFINITIONS: dict[str, Definition] = {
    "total_return": Definition("fraction", "current_equity / starting balance − 1"),
    "current_equity": Definition("money", "balance + unrealized profit of open positions, at the last 1m sample"),
    "unrealized_pnl": Definition("money", "profit of open positions at the last 1m sample"),
    "realized_pnl": Definition("money", "sum of the net profits of closed trades"),
    "fees_paid": Definition("money", "sum of the fees of closed trades, entry and exit"),
    "max_drawdown": Definition(
        "fraction", "largest (peak − equity) / peak over all 1m samples, the start included; positive"
    ),
    "current_drawdown": Definition("fraction", "(peak − equity) / peak at the last 1m sample; positive"),
    "max_drawdown_duration_hours": Definition(
        "hours", "longest time from the last sample at a peak to the first one back there, or to the last sample"
    ),
    "exposure": Definition("fraction", "share of 1m samples with an open position"),
    "total_trades": Definition("count", "closed trades"),
    "win_rate": Definition(
        "fraction",
        "closed trades with a net profit above 0, over all closed trades (break-even is not a win)",
        ("no_trades",),
    ),
    "profit_factor": Definition(
        "ratio", "sum of net profits of winning trades / sum of net losses of losing trades", ("no_trades", "no_losses")
    ),
    "avg_trade": Definition("money", "mean net profit of closed trades", ("no_trades",)),
    "avg_winning_trade": Definition(
        "money", "mean net profit of trades with a net profit above 0", ("no_trades", "no_wins")
    ),
    "avg_losing_trade": Definition(
        "money", "mean net profit of trades with a net profit below 0; negative", ("no_trades", "no_losses")
    ),
    "longest_winning_streak": Definition("count", "most winning trades in a row, in the order of closing"),
    "longest_losing_streak": Definition("count", "most losing trades in a row, in the order of closing"),
    "sharpe_ratio": Definition(
        "ratio",
        "mean(r) / std(r, ddof 1) · √annualization, risk-free rate 0",
        ("insufficient_samples", "zero_variance"),
    ),
    "sortino_ratio": Definition(
        "ratio", "mean(r) / √(Σ min(r, 0)² / n) · √annualization, target 0", ("insufficient_samples", "no_downside")
    ),
    "volatility": Definition("fraction", "std(r, ddof 1) · √annualization", ("insufficient_samples",)),
    "var_95": Definition(
        "fraction",
        "historical value at risk over one returns_interval: the 5th percentile of r (linear interpolation) as a "
        "loss; negative when even that is a gain",
        ("insufficient_samples",),
    ),
    "expected_shortfall_95": Definition(
        "fraction",
        "mean loss of the ⌊0.05 (n − 1)⌋ + 1 worst r, those at or below the 5th percentile; horizon as var_95",
        ("insufficient_samples",),
    ),
    "calmar_ratio": Definition(
        "ratio",
        "annual compound return / max_drawdown, where annual compound return is (current_equity / starting balance) "
        "^ (365 days / time since the start) − 1",
        ("insufficient_samples", "no_drawdown"),
    ),
    "returns_interval": Definition(
        "text", "the interval behind r: 1h or 1d; by default 1d from 30 daily returns on, 1h before"
    ),
    "observations": Definition("count", "how many r there are"),
    "annualization": Definition("count", "intervals in a year of round-the-clock trading: 365 of 1d, 8,760 of 1h"),
    "definition": Definition("count", "version of these definitions"),
    "as_of": Definition("text", "time of the last 1m sample; null before the first"),
    "undefined": Definition("text", "field → why it is null"),
}


def markdown() -> str:
    """The two tables of docs/metrics.md."""
    lines = ["| field | unit | definition | null when |", "|---|---|---|---|"]
    for name, (unit, text, undefined) in DEFINITIONS.items():
        lines.append(f"| `{name}` | {unit} | {text} | {', '.join(f'`{reason}`' for reason in undefined) or '–'} |")
    lines += ["", "| reason | meaning |", "|---|---|"]
    lines += [f"| `{reason}` | {meaning} |" for reason, meaning in REASONS.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")
