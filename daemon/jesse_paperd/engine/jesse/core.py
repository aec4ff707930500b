"""Jesse's machinery, as one seam: whatever the engine uses of Jesse 3.5.3 beyond its strategy API is named here.

Most of it is private to Jesse, so the version is pinned and the parity tests are the alarm. docs/engine.md lists each
function with the reason why leaning on it, or replacing it, changes no number. The engine's state is process-global
in Jesse (`store`, `router`, `config`): one session, one process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from jesse_paperd.core.minutes import Rows
from jesse_paperd.engine.jesse.version import require_jesse

require_jesse()

# Jesse behaves differently inside its own unit tests, which it also believes to be in when a test runner merely
# started the process. A session never is; the setting must precede the imports that read it.
import jesse.helpers as jh  # noqa: E402

jh.is_unit_testing = lambda: False

from jesse.config import config, set_config  # noqa: E402
from jesse.constants import TIMEFRAME_TO_ONE_MINUTES  # noqa: E402
from jesse.enums import order_statuses, order_types  # noqa: E402
from jesse.modes import backtest_mode  # noqa: E402
from jesse.modes import utils as modes_utils  # noqa: E402
from jesse.modes.utils import save_daily_portfolio_balance  # noqa: E402
from jesse.research.backtest import _format_config, _reset_research_runtime_state, backtest  # noqa: E402
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
    "BucketReads",
    "Strategy",
    "add_candle",
    "aggregate",
    "backtest",
    "backtest_mode",
    "begin_balance",
    "candles",
    "configure",
    "currency",
    "execute_market_orders",
    "fill_orders",
    "generate_completed_candles",
    "is_working",
    "jh",
    "minutes_of",
    "order_statuses",
    "order_types",
    "positions",
    "prepare_strategies",
    "router",
    "save_balance",
    "store",
    "unprepared",
    "update_active_orders",
]


# Each balance sample logs a line, which says nothing that the equity curve does not.
modes_utils.logger = SimpleNamespace(info=lambda _line: None, reset=logger.reset)

save_balance: Callable[[], None] = save_daily_portfolio_balance
update_active_orders: Callable[[str, str], None] = order_service.update_active_orders
execute_market_orders: Callable[[], None] = order_service.execute_simulated_market_orders
add_candle: Callable[..., None] = candle_service.add_candle
_rebuild_bucket: Callable[[str, str, str], Rows] = candle_service._get_timestamp_bucket_candles
generate_completed_candles: Callable[[str, Rows, int], Rows] = (
    candle_service.generate_completed_candles_from_observed_minutes
)


def minutes_of(timeframe: str) -> int:
    """Length of a timeframe in Jesse's spelling, in minutes."""
    return int(TIMEFRAME_TO_ONE_MINUTES[timeframe])


def sort_execution_orders(orders: list[Any], minutes: Rows) -> list[Any]:
    """The order in which several orders fill within the minutes that reach them.

    Jesse's own rule, but for orders of one price: it takes them from a set, in an order that changes with the random
    ids of the orders and from process to process. Here they fill in the order of submission, so that a replay repeats.
    """
    remaining = list(orders)
    filled: list[Any] = []
    for _, open_, close, high, low, _ in minutes:
        reached = [order for order in remaining if low <= order.price <= high]
        remaining = [order for order in remaining if order not in reached]
        if len(reached) == 1:
            filled += reached
        elif reached:
            # Jesse lists an order at the open twice, here and among those below; the second time it is filled already.
            filled += [order for order in reached if order.price == open_]
            above = sorted((order for order in reached if order.price > open_), key=lambda order: order.price)
            below = sorted((o for o in reached if o.price <= open_), key=lambda order: order.price, reverse=True)
            filled += above + below if open_ > close else below + above
        if len(filled) == len(orders):
            break
    return filled


backtest_mode._sort_execution_orders = sort_execution_orders


def is_working(order: Any) -> bool:
    """Whether an order is active. Reads the field where peewee keeps it: its accessor takes ten times as long."""
    return bool(order.__data__.get("status") == order_statuses.ACTIVE)


def aggregate(timeframe: str, minutes: Rows) -> Rows:
    """The candle of some minutes, by Jesse's own kernel: sums of volumes depend on the order of adding."""
    candle: Rows = candle_service.generate_candle_from_one_minutes(timeframe, minutes, accept_forming_candles=True)
    return candle


def configure(
    exchange: dict[str, Any], routes: Sequence[tuple[str, str, type]], data_routes: tuple[tuple[str, str], ...]
) -> None:
    """Reset Jesse and set it up for one session, as its research backtest does before its first candle.

    Args:
        exchange: the flat configuration that `jesse.research.backtest` takes.
        routes: what is traded: symbol, timeframe in Jesse's spelling, and the strategy's class; Jesse must never
            resolve a name, since that may rewrite the user's file.
        data_routes: further (symbol, timeframe) on the same exchange.
    """
    name = exchange["exchange"]
    _reset_research_runtime_state()
    # Jesse's own simulation: in its paper mode, orders and logs go to Postgres.
    config["app"]["trading_mode"] = "backtest"
    set_config(_format_config(exchange))
    router.initiate(
        [{"exchange": name, "symbol": symbol, "timeframe": frame, "strategy": cls} for symbol, frame, cls in routes],
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


def prepare_strategies() -> list[Any]:
    """Create the strategy objects of the configured routes and return them."""
    # Candle pipelines make synthetic markets for Monte Carlo runs; a paper session trades the market's own candles.
    backtest_mode._prepare_routes(hyperparameters=None, with_candles_pipeline=False)
    return [route.strategy for route in router.routes]


def unprepared() -> int:
    """The index of the route whose strategy could not be created."""
    for index, route in enumerate(router.routes):
        if route.strategy is None or route.strategy.position is None:
            return index
    return len(router.routes) - 1


def positions() -> list[Any]:
    """The positions of all routes, in the order in which Jesse's balance samples add them up."""
    return list(store.positions.storage.values())


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
    quiet = logging.getLogger("jesse_paperd.engine.jesse")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    logger.LOGGERS[jh.app_mode()] = quiet


def fill_orders(candle: Rows, exchange: str, symbol: str, previous_close: float | None) -> None:
    """Apply a minute's prices: fill the orders that its open jumped over, then those within it, then liquidate."""
    backtest_mode._simulate_price_change_effect(candle, exchange, symbol, previous_close=previous_close)


class BucketReads:
    """Caches the forming candle, which Jesse would rebuild at every read of a larger timeframe.

    Jesse aggregates the bucket's minutes anew on each `self.candles`, and stores the result over the last time's. With
    the same last minute and the same last candle in the store, that changes nothing: then the store is the answer.
    """

    def __init__(self) -> None:
        self._read: dict[tuple[str, str, str], tuple[int, bytes, int, bytes]] = {}
        self._rebuild = _rebuild_bucket
        candle_service._get_timestamp_bucket_candles = self.candles

    def candles(self, exchange: str, symbol: str, timeframe: str) -> Rows:
        """All candles of a timeframe, the forming one last."""
        storage = store.candles.storage
        minutes = storage.get(f"{exchange}-{symbol}-1m")
        larger = storage.get(f"{exchange}-{symbol}-{timeframe}")
        if minutes is None or larger is None:  # Jesse knows what to say of an unknown route
            return self._rebuild(exchange, symbol, timeframe)
        key = (exchange, symbol, timeframe)
        if self._read.get(key) != _last_rows(minutes, larger):
            self._rebuild(exchange, symbol, timeframe)
            self._read[key] = _last_rows(minutes, larger)
        array, index = larger.snapshot()
        return array[: index + 1]  # type: ignore[no-any-return]

    def completed(self, key: tuple[str, str, str], minutes: Any, larger: Any) -> None:
        """A candle was just stored, last in its array, with the last minute in it: reading it would store it again."""
        self._read[key] = _last_rows(minutes, larger)


def _last_rows(minutes: Any, larger: Any) -> tuple[int, bytes, int, bytes]:
    minute_array, minute = minutes.snapshot()
    array, index = larger.snapshot()
    return minute, minute_array[minute].tobytes(), index, array[index].tobytes()
