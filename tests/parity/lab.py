"""Runs a case through `jesse.research.backtest` and through the engine. Imported by the worker only, beside Jesse."""

from __future__ import annotations

import importlib
import json
import random
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from jesse.modes import backtest_mode
from jesse.research import backtest
from jesse.store import store

from jesse_paper.errors import PaperError
from jesse_paperd.engine.engine import Engine, EngineSettings
from jesse_paperd.engine.jesse import core as jesse_core
from jesse_paperd.engine.strategy import _strategy_of, load_strategies, paper_class, with_hyperparameters
from jesse_paperd.records.journal import Facts, Progress, TradeRow
from jesse_paperd.records.spec import RouteSpec
from tests.parity.candles import Rows
from tests.parity.case import Case, Outcome, Verdict

warnings.simplefilter("ignore")


def settings_of(case: Case) -> EngineSettings:
    return EngineSettings(
        routes=(
            RouteSpec(next(iter(case.candles)), case.strategy, case.timeframe, case.hyperparameters),
            *(RouteSpec(r.symbol, r.strategy, r.timeframe, r.hyperparameters) for r in case.further),
        ),
        exchange="Binance Spot" if case.market == "spot" else "Binance Perpetual Futures",
        market_type=case.market,
        starting_balance=case.balance,
        fee=case.fee,
        leverage=case.leverage,
        leverage_mode=case.leverage_mode,
        warmup_candles=case.warmup_candles,
        data_routes=case.data_routes,
        seed=case.seed,
        gap_policy=case.gap_policy,
    )


def streams_of(settings: EngineSettings, rows: dict[str, Rows]) -> dict[str, Any]:
    """Candles as `jesse.research.backtest` takes them: copies, so that no run can change what another is given."""
    return {
        f"{settings.exchange}-{symbol}": {"exchange": settings.exchange, "symbol": symbol, "candles": part.copy()}
        for symbol, part in rows.items()
        if len(part)
    }


def strategies_of(case: Case) -> list[type]:
    """The class of each route's strategy, the notes emptied."""
    names = [case.strategy, *(route.strategy for route in case.further)]
    if case.project is not None:
        strategies = load_strategies(case.project, names)
    else:
        strategies = [_strategy_of(importlib.import_module(f"jesse.strategies.{name}"), name) for name in names]
    for strategy in strategies:
        getattr(strategy, "notes", []).clear()
    return strategies


def notes_of(strategies: Sequence[type]) -> list[Any]:
    """What they noted, by class."""
    return [note for strategy in dict.fromkeys(strategies) for note in getattr(strategy, "notes", [])]


def shipped_strategies() -> list[str]:
    """Names of the strategies inside the jesse package."""
    import pkgutil

    import jesse.strategies

    return sorted(module.name for module in pkgutil.iter_modules(jesse.strategies.__path__) if module.ispkg)


def reference(case: Case, by_the_clock: bool = False, as_paper: bool = False) -> Outcome:
    """Jesse's own backtest of the case.

    Args:
        by_the_clock: make it use its timestamp replay where it would count rows.
        as_paper: give the strategy the flags of paper trading, for one that reads them.
    """
    settings, strategies = settings_of(case), strategies_of(case)
    classes = dict.fromkeys(strategies)

    outcome = Outcome()
    generate_outputs = backtest_mode._generate_outputs

    def keep(*args: Any, **kwargs: Any) -> Any:
        nonlocal outcome
        outcome = _outcome([_trade(trade) for trade in store.closed_trades.trades])
        return generate_outputs(*args, **kwargs)

    random.seed(case.seed)
    np.random.seed(case.seed)
    clock = (lambda _candles: True) if by_the_clock else backtest_mode._uses_observed_timestamp_replay
    paper = {cls: paper_class(cls) if as_paper else cls for cls in classes}
    # Jesse's backtest gives all routes one set of hyperparameters: where each has its own, they become defaults.
    shared = case.hyperparameters if not case.further else None
    routes = [
        {
            "exchange": settings.exchange,
            "symbol": route.symbol,
            "timeframe": route.timeframe,
            "strategy": paper[cls]
            if shared or not route.hyperparameters
            else with_hyperparameters(paper[cls], {**_defaults_of(cls), **route.hyperparameters}),
        }
        for route, cls in zip(settings.routes, strategies, strict=True)
    ]
    with _replaced("_generate_outputs", keep), _replaced("_uses_observed_timestamp_replay", clock):
        try:
            backtest(
                settings.for_jesse(),
                routes,
                [{"exchange": settings.exchange, "symbol": s, "timeframe": frame} for s, frame in case.data_routes],
                streams_of(settings, case.candles),
                streams_of(settings, case.warmup) or None,
                hyperparameters=shared,
            )
        except Exception as error:  # noqa: BLE001 - what it raises is the outcome
            outcome = Outcome(raised=_described(error))
    return replace(outcome, notes=notes_of(strategies))


def _defaults_of(strategy: type) -> dict[str, Any]:
    return {each["name"]: each["default"] for each in strategy.hyperparameters(None)}  # type: ignore[attr-defined]


def session(
    case: Case, batches: Sequence[int] = (4096,), leverages: Sequence[tuple[int, int]] = ()
) -> tuple[Facts, Outcome, Progress]:
    """A whole session in the engine, given in batches of so many minutes, in turn.

    Args:
        leverages: (index of the minute before which it is asked for, leverage).
    """
    total, strategies = Facts(), strategies_of(case)
    progress = Progress()
    try:
        engine = Engine(settings_of(case), strategies, case.warmup, case.start)
        progress = engine.progress
        for rows in _spans(case.candles, batches, leverages):
            if isinstance(rows, int):
                engine.set_leverage(rows)
            else:
                engine.advance(rows)
                add_facts(total, engine.take_facts())
        engine.finish()
        add_facts(total, engine.take_facts())
        outcome = _outcome(_trade_rows(total))
        assert outcome.balances == sorted(total.daily_balance), "the facts' balances differ from Jesse's"
    except Exception as error:  # noqa: BLE001 - what it raises is the outcome
        outcome = Outcome(raised=_described(error.__cause__ or error))
    return total, replace(outcome, notes=notes_of(strategies)), progress


def compare(case: Case, by_the_clock: bool = False, batches: Sequence[int] = (4096,)) -> Verdict:
    """Run a case both ways."""
    try:
        strategies_of(case)
    except PaperError as error:
        return Verdict("skipped", error.message, 0, str(case))
    expected = reference(case, by_the_clock)
    missing = re.search("Data route is required but missing: symbol='(.*?)', timeframe='(.*?)'", expected.raised)
    if missing and missing[1] in case.candles:
        return compare(replace(case, data_routes=(*case.data_routes, missing.groups())), by_the_clock, batches)
    found = session(case, batches)[1]
    problem = difference(expected, found)
    kind = "raises" if expected.raised else "equal"
    if expected.raised.startswith("CandlesNotFound"):
        # The backtest refuses candles that end within the warm-up; a session waits for more. And it refuses where it
        # has counted a bucket twice that began in the warm-up and ends in the candles; a session begins a bucket short.
        counted_twice = re.search(r"Only (\d+) of (\d+) required", expected.raised)
        short = counted_twice is not None and int(counted_twice[1]) == int(counted_twice[2]) - 1
        kind = "too short" if short or not found.trades else "differs"
    elif problem:
        as_paper = difference(reference(case, by_the_clock, as_paper=True), found)
        kind = "differs" if as_paper else "reads its mode"
    return Verdict(kind, problem or expected.raised, len(found.trades), str(case))


def compare_all(cases: Sequence[tuple[Case, bool]]) -> list[Verdict]:
    """Run (case, by the clock) one after another in this process."""
    return [compare(case, by_the_clock) for case, by_the_clock in cases]


def difference(expected: Outcome, found: Outcome) -> str:
    """The first difference in words, or nothing."""
    for n, (before, after) in enumerate(zip(expected.notes, found.notes, strict=False)):
        if repr(before) != repr(after):  # NaN is itself here
            return f"note {n}: {before!r} / {after!r}"
    if expected.raised or found.raised:
        return "" if expected.raised == found.raised else f"raised {expected.raised!r} / {found.raised!r}"
    for n, (before, after) in enumerate(zip(expected.trades, found.trades, strict=False), start=1):
        for name, value in before.items():
            if value != after[name]:
                return f"trade {n}, {name}: {value!r} / {after[name]!r}"
    if len(expected.notes) != len(found.notes):
        return f"notes: {len(expected.notes)} / {len(found.notes)}"
    for name in ("trades", "balances", "wallet", "liquidations"):
        before, after = getattr(expected, name), getattr(found, name)
        if before != after:
            return f"{name}: {before!r} / {after!r}"[:2000]
    return ""


def add_facts(total: Facts, facts: Facts) -> None:
    """Put facts together as a journal would: later states replace earlier ones."""
    orders = {order.order_id: order for order in total.orders[-500:]}
    known = len(total.orders[:-500])
    for order in facts.orders:
        if order.order_id in orders:
            total.orders[known + list(orders).index(order.order_id)] = order
        else:
            orders[order.order_id] = order
            total.orders.append(order)
    total.trades += facts.trades
    total.positions = facts.positions if facts.positions is not None else total.positions
    if facts.equity and total.equity and total.equity[-1].first_at == facts.equity[0].first_at:
        total.equity.pop()
    total.equity += facts.equity
    if facts.daily_balance and total.daily_balance and total.daily_balance[-1][0] == facts.daily_balance[0][0]:
        total.daily_balance.pop()
    total.daily_balance += facts.daily_balance
    total.events += facts.events
    total.logs += facts.logs


def _spans(
    candles: dict[str, Rows], batches: Sequence[int], leverages: Sequence[tuple[int, int]]
) -> Iterator[dict[str, Rows] | int]:
    """All symbols' rows cut at the same moments, and the leverages asked for between them."""
    times = np.unique(np.concatenate([rows[:, 0] for rows in candles.values()]))
    asked = dict(leverages)
    cut = turn = 0
    while cut < len(times):
        if cut in asked:
            yield asked.pop(cut)
        end = min([cut + batches[turn % len(batches)], *(index for index in asked if index > cut), len(times)])
        first, last = times[cut], times[end - 1]
        yield {s: rows[(rows[:, 0] >= first) & (rows[:, 0] <= last)] for s, rows in candles.items()}
        cut, turn = end, turn + 1


@contextmanager
def _replaced(name: str, function: Any) -> Iterator[None]:
    original = getattr(backtest_mode, name)
    setattr(backtest_mode, name, function)
    try:
        yield
    finally:
        setattr(backtest_mode, name, original)


def _outcome(trades: list[dict[str, Any]]) -> Outcome:
    app = store.app
    return Outcome(
        trades=trades,
        balances=[
            (int(at), float(balance))
            for at, balance in zip(app.daily_balance_timestamps, app.daily_balance, strict=True)
        ],
        wallet=float(next(iter(store.exchanges.storage.values())).assets[jesse_core.currency()]),
        liquidations=app.total_liquidations,
    )


def _trade(trade: Any) -> dict[str, Any]:
    def value(name: str) -> Any:
        # Jesse has no entry price (NaN) for a trade that an order opened by flipping the position; the ledger has 0.
        number = getattr(trade, name)
        return number if number == number else 0.0

    return {
        **{name: value(name) for name in ("entry_price", "exit_price", "pnl")},
        "pnl_pct": value("pnl_percentage") / 100,
        "symbol": trade.symbol,
        "type": trade.type,
        "qty": trade.qty,
        "fee": trade.fee,
        "leverage": trade.leverage,
        "opened_at": trade.opened_at,
        "closed_at": trade.closed_at,
        "orders": [
            (o.side, o.type, bool(o.reduce_only), o.qty, o.filled_qty, o.price, o.fee, o.executed_at, o.submitted_via)
            for o in trade.orders
        ],
    }


def _trade_rows(facts: Facts) -> list[dict[str, Any]]:
    orders = {order.order_id: order for order in facts.orders}

    def row(trade: TradeRow) -> dict[str, Any]:
        return {
            "entry_price": trade.entry_price,
            "exit_price": trade.exit_price,
            "pnl": trade.pnl,
            "pnl_pct": trade.pnl_pct,
            "symbol": trade.symbol,
            "type": trade.side,
            "qty": trade.qty,
            "fee": trade.fee,
            "leverage": trade.leverage,
            "opened_at": trade.entry_at,
            "closed_at": trade.exit_at,
            "orders": [
                (o.side, o.type, o.reduce_only, o.qty, o.filled_qty, o.price, o.fee, o.executed_at, o.role or None)
                for o in (orders[order_id] for order_id in json.loads(trade.order_ids))
            ],
        }

    return [row(trade) for trade in facts.trades]


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
