"""Jesse's machinery, as one seam: whatever the engine uses of Jesse 3.5.3 beyond its strategy API is named here.

Most of it is private to Jesse, so the version is pinned and the parity tests are the alarm. docs/engine.md lists each
function with the reason why leaning on it, or replacing it, changes no number. The engine's state is process-global
in Jesse (`store`, `router`, `config`): one session, one process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jesse_paperd.trading.jesse_version import require_jesse

require_jesse()

# Jesse behaves differently inside its own unit tests, which it also believes to be in when a test runner merely
# started the process. A session never is; the setting must precede the imports that read it.
import jesse.helpers as jh  # noqa: E402

jh.is_unit_testing = lambda: False

from jesse.config import config, set_config  # noqa: E402
from jesse.constants import TIMEFRAME_TO_ONE_MINUTES  # noqa: E402
from jesse.enums import order_statuses, order_types  # noqa: E402
from jesse.modes import backtest_mode  # noqa: E402
from jesse.modes.utils import save_daily_portfolio_balance  # noqa: E402
from jesse.research.backtest import _format_config, _reset_research_runtime_state  # noqa: E402
from jesse.routes import router  # noqa: E402
from jesse.services import (  # noqa: E402
    candle_service,
    exchange_service,
    logger,
    order_service,
    position_service,
)
from jesse.services.validators import validate_routes  # noqa: E402
from jesse.store import store  # noqa: E402
from jesse.strategies import Strategy  # noqa: E402

__all__ = [
    "Strategy",
    "add_candle",
    "apply_minute",
    "begin_balance",
    "candles",
    "configure",
    "currency",
    "execute_market_orders",
    "generate_candle",
    "generate_completed_candles",
    "jh",
    "minutes_of",
    "order_statuses",
    "order_types",
    "prepare_strategy",
    "save_balance",
    "store",
    "update_active_orders",
]

MINUTE = 60_000
Rows = NDArray[np.float64]

save_balance: Callable[[], None] = save_daily_portfolio_balance
update_active_orders: Callable[[str, str], None] = order_service.update_active_orders
execute_market_orders: Callable[[], None] = order_service.execute_simulated_market_orders
add_candle: Callable[..., None] = candle_service.add_candle
generate_candle: Callable[[str, Rows], Rows] = candle_service.generate_candle_from_observed_minutes
generate_completed_candles: Callable[[str, Rows, int], Rows] = (
    candle_service.generate_completed_candles_from_observed_minutes
)


def minutes_of(timeframe: str) -> int:
    """Length of a timeframe in Jesse's spelling, in minutes."""
    return int(TIMEFRAME_TO_ONE_MINUTES[timeframe])


def configure(
    exchange: dict[str, Any], symbol: str, timeframe: str, data_routes: tuple[tuple[str, str], ...], strategy: type
) -> None:
    """Reset Jesse and set it up for one session, as its research backtest does before its first candle.

    Args:
        exchange: the flat configuration that `jesse.research.backtest` takes.
        symbol, timeframe: the traded route, in Jesse's spelling.
        data_routes: further (symbol, timeframe) on the same exchange.
        strategy: the strategy's class; Jesse must never resolve a name, since that may rewrite the user's file.
    """
    name = exchange["exchange"]
    _reset_research_runtime_state()
    # Jesse's own simulation: in its paper mode, orders and logs go to Postgres.
    config["app"]["trading_mode"] = "backtest"
    set_config(_format_config(exchange))
    router.initiate(
        [{"exchange": name, "symbol": symbol, "timeframe": timeframe, "strategy": strategy}],
        [{"exchange": name, "symbol": other, "timeframe": frame} for other, frame in data_routes],
    )
    store.reset()
    validate_routes(router)
    store.candles.init_storage(5000)
    store.candles.enforce_warmup = exchange["warm_up_candles"] > 0
    # Always by the clock: counting rows, which Jesse does on gap-free candles, is right only from a day boundary on.
    store.candles.uses_timestamp_buckets = True
    exchange_service.initialize_exchanges_state()
    order_service.initialize_orders_state()
    position_service.initialize_positions_state()


def prepare_strategy(hyperparameters: dict[str, Any] | None) -> Any:
    """Create the strategy object of the configured route and return it."""
    # Candle pipelines make synthetic markets for Monte Carlo runs; a paper session trades the market's own candles.
    backtest_mode._prepare_routes(hyperparameters=hyperparameters, with_candles_pipeline=False)
    return router.routes[0].strategy


def larger_timeframes() -> list[str]:
    """The timeframes that Jesse aggregates from 1m for every symbol, in its order within a minute."""
    return sorted(timeframe for timeframe in config["app"]["considering_timeframes"] if timeframe != "1m")


def candles(exchange: str, symbol: str, timeframe: str) -> Any:
    """Jesse's growing array of a symbol's candles: completed ones, and what it read of the forming one."""
    return store.candles.get_storage(exchange, symbol, timeframe)


def currency() -> str:
    """The key of the wallet that Jesse's balance samples read."""
    return str(jh.app_currency())


def begin_balance(started_at: int) -> None:
    """Start the clock and save the first balance sample."""
    store.app.starting_time = started_at
    store.app.time = started_at
    save_daily_portfolio_balance(is_initial=True)
    # Without a logger of this name, Jesse's first error line would open a log file in the working directory.
    quiet = logging.getLogger("jesse_paperd.trading.jesse")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    logger.LOGGERS[jh.app_mode()] = quiet


def apply_minute(
    time: int, rows: dict[str, dict[str, Any]], sources: list[tuple[str, int]], releases: list[tuple[str, str, int]]
) -> tuple[set[tuple[str, str, str]], set[tuple[str, str]]]:
    """Step one minute through Jesse's timestamp replay: make its candles visible, fill orders, release buckets.

    Args:
        time: the minute's close, in milliseconds.
        rows: Jesse's key of a market → its exchange, symbol and candles.
        sources: (key, row) of each market's candle of this minute, sorted.
        releases: (key, timeframe, row) of each bucket that this minute completes or leaves behind, sorted; the row
            is any of the bucket's.

    Returns:
        The (exchange, symbol, timeframe) that closed at this very moment, and the (exchange, symbol) with a candle.
    """
    event = {"time": time, "sources": sources, "aggregates": releases}
    pipelines = dict.fromkeys(rows)
    updated, pairs = backtest_mode._apply_timestamp_replay_event(event, rows, pipelines, process_orders=True)
    return updated, pairs
