"""A session's metrics: one function for status, stop, `paper_get_metrics`, `run-paper` and reports.

What each number means stands in jesse_paper/metric_definitions.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from jesse_paper.metric_definitions import VERSION
from jesse_paper.protocol import Metrics, Undefined
from jesse_paper.rfc3339 import to_text
from jesse_paperd.analytics.path import EquityPath
from jesse_paperd.analytics.track_record import PERIODS, Interval, Performance
from jesse_paperd.core.minutes import DAY, HOUR

DAILY_FROM = 30
"""Daily returns from which `auto` prefers them; in days, the least time that is annualised by compounding."""


def metrics_of(standing: Performance, returns_interval: Literal["auto", "1h", "1d"] = "auto") -> Metrics:
    """The metrics as of its last refresh."""
    interval = _automatic(standing) if returns_interval == "auto" else returns_interval
    path, trades = standing.path, standing.trades
    observations, ratios = standing.ratios(interval)
    undefined: dict[str, Undefined] = {}

    def defined(field: str, value: float | Undefined) -> float | None:
        if isinstance(value, str):
            undefined[field] = value
            return None
        return value

    def of_trades(field: str, count: int, reason: Undefined, value: Callable[[], float]) -> float | None:
        return defined(field, value() if count else reason if trades.count else "no_trades")

    return Metrics(
        total_return=path.equity / path.starting_balance - 1,
        current_equity=path.equity,
        unrealized_pnl=path.unrealized_pnl,
        realized_pnl=trades.realized_pnl,
        fees_paid=trades.fees,
        max_drawdown=path.max_drawdown,
        current_drawdown=path.drawdown,
        max_drawdown_duration_hours=path.longest_under_water / HOUR,
        exposure=path.samples_in_position / path.samples if path.samples else 0.0,
        total_trades=trades.count,
        win_rate=of_trades("win_rate", trades.count, "no_trades", lambda: trades.wins / trades.count),
        profit_factor=of_trades(
            "profit_factor", trades.losses, "no_losses", lambda: trades.gross_profit / trades.gross_loss
        ),
        avg_trade=of_trades("avg_trade", trades.count, "no_trades", lambda: trades.realized_pnl / trades.count),
        avg_winning_trade=of_trades(
            "avg_winning_trade", trades.wins, "no_wins", lambda: trades.gross_profit / trades.wins
        ),
        avg_losing_trade=of_trades(
            "avg_losing_trade", trades.losses, "no_losses", lambda: -trades.gross_loss / trades.losses
        ),
        longest_winning_streak=trades.longest_winning_streak,
        longest_losing_streak=trades.longest_losing_streak,
        sharpe_ratio=defined("sharpe_ratio", ratios.sharpe),
        sortino_ratio=defined("sortino_ratio", ratios.sortino),
        volatility=defined("volatility", ratios.volatility),
        var_95=defined("var_95", ratios.var),
        expected_shortfall_95=defined("expected_shortfall_95", ratios.expected_shortfall),
        calmar_ratio=defined("calmar_ratio", _calmar(path)),
        returns_interval=interval,
        observations=observations,
        annualization=PERIODS[interval],
        definition=VERSION,
        as_of=None if path.last_at is None else to_text(path.last_at),
        undefined=undefined,
    )


def _automatic(standing: Performance) -> Interval:
    return "1d" if standing.ratios("1d")[0] >= DAILY_FROM else "1h"


def _calmar(path: EquityPath) -> float | Undefined:
    """Annual compound return over the largest drawdown (Young, 1991, over the whole life instead of three years)."""
    if path.started_at is None or path.last_at is None or path.last_at - path.started_at < DAILY_FROM * DAY:
        return "insufficient_samples"
    if not path.max_drawdown:
        return "no_drawdown"
    growth = max(path.equity, 0.0) / path.starting_balance
    try:
        return (math.pow(growth, 365 * DAY / (path.last_at - path.started_at)) - 1) / path.max_drawdown
    except OverflowError:
        return "insufficient_samples"
