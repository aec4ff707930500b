"""Loading a strategy from a Jesse project's files, showing it the paper mode, and creating it."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import jesse.indicators  # noqa: F401 - nearly every strategy imports it: 0.2 s, paid once in the zygote
from jesse.exceptions import InvalidRoutes, InvalidStrategy, RouteNotFound

from jesse_paper.errors import PaperError
from jesse_paperd.engine.advice import with_advice
from jesse_paperd.engine.blame import last_line
from jesse_paperd.engine.hyperparameters import checked, problems_of_declaration
from jesse_paperd.engine.jesse.core import Strategy, prepare_strategies, router, unprepared
from jesse_paperd.engine.settings import EngineSettings
from jesse_paperd.engine.strategy_check import problems_of

# What Jesse keeps of a chart line in its live mode; here it also bounds the executed orders drawn on the chart.
CHART_POINTS = 1_000


def load_strategies(snapshot_root: Path, names: Sequence[str]) -> list[type]:
    """Import `strategies/<name>/__init__.py` below a folder for each name and return its strategy class.

    The class with the folder's name is taken, else the only strategy that the package defines. Jesse's own loader is
    not used: it rewrites the file when the names differ. Nothing is written, not even bytecode.

    Raises:
        PaperError: `strategy_failed` when the import raises, no class or several are found, or hooks are missing or
            such that Jesse cannot call them: all of them at once.
    """
    root = str(snapshot_root)
    if root not in sys.path:
        sys.path.insert(0, root)
    for module in [module for module in sys.modules if module.split(".")[0] == "strategies"]:
        del sys.modules[module]
    importlib.invalidate_caches()
    # Routes of one strategy share its class, as under Jesse.
    classes = {name: _load(snapshot_root, name) for name in dict.fromkeys(names)}
    return [classes[name] for name in names]


def _load(snapshot_root: Path, name: str) -> type:
    wrote_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        found = importlib.import_module(f"strategies.{name}")
    except (Exception, SystemExit) as error:
        message = f"strategy '{name}' could not be imported: {last_line(error)}"
        raise PaperError("strategy_failed", with_advice(message, error)) from error
    finally:
        sys.dont_write_bytecode = wrote_bytecode
    strategy = _strategy_of(found, name)
    problems = problems_of(strategy, snapshot_root)
    if missing := sorted(getattr(strategy, "__abstractmethods__", ())):
        problems.insert(0, f"it lacks the mandatory method{'s' if len(missing) > 1 else ''} {', '.join(missing)}")
    if problems:
        raise _cannot_be_run(name, problems)
    return strategy


def _strategy_of(module: ModuleType, name: str) -> type:
    classes = {
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Strategy) and value is not Strategy
    }
    named = getattr(module, name, None)
    if named in classes:
        return named  # type: ignore[no-any-return]
    own = {cls for cls in classes if cls.__module__.startswith(module.__name__)} or classes
    leaves = [cls for cls in own if not any(cls in other.__mro__[1:] for other in own)]
    if len(leaves) == 1:
        return leaves[0]
    raise PaperError(
        "strategy_failed",
        f"strategies/{name}/__init__.py defines "
        + (f"several strategies ({', '.join(sorted(cls.__name__ for cls in leaves))})" if leaves else "no strategy"),
        f"name one class {name}, deriving from jesse.strategies.Strategy",
    )


def paper_class(strategy: type) -> type:
    """The same strategy as it would find itself in paper trading.

    Jesse keeps simulating (`jh.is_live()` stays false: its paper mode needs Postgres), but the strategy's own flags
    say paper trading. Jesse skips `update_chart` for a strategy that is live, so it is called here, at the moment
    at which the backtest calls it; and what would grow for ever in a session of months is bounded.
    """

    def clear_cached_methods(self: Any) -> None:
        if self._is_executing:
            self.update_chart()
        Strategy._clear_cached_methods(self)
        if len(self._cached_metrics) > 1:
            self._cached_metrics = {
                count: metrics for count, metrics in self._cached_metrics.items() if count == self.trades_count
            }

    def handle_executed_order_for_chart(self: Any, order: Any) -> None:
        Strategy._handle_executed_order_for_chart(self, order)
        del self._executed_orders[:-CHART_POINTS]

    def get_candles(self: Any, exchange: str, symbol: str, timeframe: str) -> Any:
        try:
            return strategy.get_candles(self, exchange, symbol, timeframe)  # type: ignore[attr-defined]
        except RouteNotFound:
            raise InvalidRoutes(_no_such_candles(self, exchange, symbol, timeframe)) from None

    def prepare_buy(self: Any, make_copies: bool = True) -> None:
        _check_order("buy", self.buy)
        Strategy._prepare_buy(self, make_copies)

    def prepare_sell(self: Any, make_copies: bool = True) -> None:
        _check_order("sell", self.sell)
        Strategy._prepare_sell(self, make_copies)

    body = {
        "__module__": strategy.__module__,
        "__qualname__": strategy.__qualname__,
        "__doc__": strategy.__doc__,
        "is_papertrading": _says(True),
        "is_live": _says(True),
        "is_backtesting": _says(False),
        "_clear_cached_methods": clear_cached_methods,
        "_handle_executed_order_for_chart": handle_executed_order_for_chart,
        "get_candles": get_candles,
        "_prepare_buy": prepare_buy,
        "_prepare_sell": prepare_sell,
    }
    return type(strategy)(strategy.__name__, (strategy,), body)


def create_strategies(settings: EngineSettings) -> list[Any]:
    """Create the strategies of the configured routes, their hyperparameters overridden by those given.

    Raises:
        PaperError: `strategy_failed`, `invalid_argument`, naming the strategy.
    """
    try:
        strategies = prepare_strategies()
    except Exception as error:
        failed = unprepared()
        name = settings.routes[failed].strategy
        # Jesse has read them already, and trips over what is wrong with them.
        if problems := _problems_of_declaration_of(router.routes[failed].strategy):
            raise _cannot_be_run(name, problems) from None
        raise _not_created(name, error) from error
    for strategy, route in zip(strategies, settings.routes, strict=True):
        try:
            declared = strategy.hyperparameters()
        except Exception as error:
            raise _not_created(route.strategy, error) from error
        if problems := problems_of_declaration(declared):
            raise _cannot_be_run(route.strategy, problems)
        strategy.name = route.strategy
        if given := route.hyperparameters:
            if not settings.hyperparameters_as_given:
                given = checked(route.strategy, declared, given)
            strategy.hp = {**(strategy.hp or {}), **given}
    return strategies


def with_hyperparameters(strategy: type, values: dict[str, Any]) -> type:
    """The same strategy with other defaults: how a backtest, which takes one set for all routes, gives each its own."""

    def hyperparameters(self: Any) -> list[dict[str, Any]]:
        return [
            {**each, "default": values.get(each["name"], each["default"])}
            for each in strategy.hyperparameters(self)  # type: ignore[attr-defined]
        ]

    return type(strategy)(strategy.__name__, (strategy,), {"hyperparameters": hyperparameters, "dna": lambda _self: ""})


def _not_created(name: str, error: Exception) -> PaperError:
    cause = error.__context__ if type(error).__name__ == "InvalidStrategy" and error.__context__ else error
    message = f"strategy '{name}' could not be created: {last_line(cause)}"
    return PaperError("strategy_failed", with_advice(message, cause))


def _problems_of_declaration_of(strategy: Any) -> list[str]:
    try:
        declared = strategy.hyperparameters()
    except Exception:  # noqa: BLE001 - the strategy's own code; what it raised is told as it is
        return []
    return problems_of_declaration(declared)


def _cannot_be_run(name: str, problems: list[str]) -> PaperError:
    return PaperError("strategy_failed", f"strategy '{name}' cannot be run: {'; '.join(problems)}")


def _no_such_candles(strategy: Any, exchange: str, symbol: str, timeframe: str) -> str:
    asked = f"get_candles({exchange!r}, {symbol!r}, {timeframe!r})"
    if exchange != strategy.exchange:
        return (
            f"{asked}: this session trades on {strategy.exchange!r} and has no candles of {exchange!r}; ask with "
            f"self.exchange, and start the session with --data-route {symbol}:{timeframe} and a candle file of {symbol}"
        )
    return (
        f"{asked}: the session was not started with that route; start it with --data-route {symbol}:{timeframe} "
        f"(data_routes) and, on a replay, a candle file of {symbol}"
    )


def _check_order(name: str, given: Any) -> None:
    """Refuse an entry order with a number that is none: Jesse takes it, and trips over it in its decimals."""
    points = given if isinstance(given, list) else [given]
    for point in points:
        with contextlib.suppress(TypeError, ValueError):  # of another shape: Jesse says so
            qty, price = map(float, point)
            for field, value in (("size", qty), ("price", price)):
                if not math.isfinite(value):
                    raise InvalidStrategy(
                        f"self.{name} must contain valid numbers, but ({qty}, {price}) was given: its {field} is "
                        f"{value}. Make sure the values used to calculate it are available."
                    )


def _says(answer: bool) -> property:
    return property(lambda _self: answer)
