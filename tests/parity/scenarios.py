"""What the tests beyond plain comparison do with an engine. Imported by the worker only, beside Jesse."""

from __future__ import annotations

import random
import resource
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from jesse.modes import backtest_mode
from jesse.services import candle_service, order_service
from jesse.store import store

from jesse_paper.errors import PaperError
from jesse_paperd.engine.engine import Engine
from jesse_paperd.engine.jesse import core as jesse_core
from jesse_paperd.engine.strategy import load_strategies
from jesse_paperd.records.journal import Facts, Journal, JournalReader, Outcome, Progress
from jesse_paperd.session.replay_check import ReplayCheck
from jesse_paperd.verification.rerun import verify
from tests.parity.candles import MINUTE, Rows
from tests.parity.case import Case
from tests.parity.lab import add_facts, reference, session, settings_of, strategies_of


def facts_of(case: Case, batches: Sequence[int], leverages: Sequence[tuple[int, int]] = ()) -> dict[str, Any]:
    """Everything that a session says, as plain data."""
    facts, outcome, progress = session(case, batches, leverages)
    return {**msgspec.to_builtins(facts), "raised": outcome.raised, "progress": progress}


def notes_of(case: Case, batches: Sequence[int] = (4096,)) -> list[Any]:
    """What the strategy noted in a session."""
    return session(case, batches)[1].notes


def minute_balances(case: Case) -> tuple[list[tuple[int, float]], Facts]:
    """Jesse's own balance after every minute of its backtest, and the facts of the session."""
    balances: list[tuple[int, float]] = []
    execute = order_service.execute_simulated_market_orders

    def execute_and_look() -> None:
        execute()
        app = store.app
        kept = app.daily_balance, app.daily_balance_timestamps
        app.daily_balance, app.daily_balance_timestamps = [], []
        jesse_core.save_balance()
        balances.append((int(app.time), float(app.daily_balance[0])))
        app.daily_balance, app.daily_balance_timestamps = kept

    order_service.execute_simulated_market_orders = execute_and_look
    try:
        reference(case, by_the_clock=True)
    finally:
        order_service.execute_simulated_market_orders = execute
    return balances, session(case)[0]


def loads(project: Path, name: str, **account: Any) -> tuple[str, str]:
    """The class's name of a strategy that loads and can be created, or the code and message of why not."""
    candles = np.array([[MINUTE, 1.0, 1.0, 1.0, 1.0, 1.0]])
    try:
        strategies = load_strategies(project, [name])
        case = Case(name, {"BTC-USDT": candles}, project=project, **account)
        Engine(settings_of(case), strategies, {}, case.start)
    except PaperError as error:
        return error.code, error.message
    return "", strategies[0].__name__


def journal_of(
    case: Case, path: Path, batches: Sequence[int], stop: bool, leverages: Sequence[tuple[int, int]] = ()
) -> None:
    """Journal a session as its process does, batch by batch."""
    engine = Engine(settings_of(case), strategies_of(case), case.warmup, case.start)
    journal = Journal(path)
    symbol = next(iter(case.candles))
    rows = case.candles[symbol]
    asked = dict(leverages)
    cut = turn = 0
    while cut < len(rows):
        if cut in asked:
            leverage = asked.pop(cut)
            engine.set_leverage(leverage)
            facts = engine.take_facts()
            at = int(rows[cut - 1, 0]) + MINUTE if cut else 0
            facts.events.append((at, "leverage_asked", {"to": leverage, "seq": cut}))
            journal.commit(facts, engine.progress)
        end = min([cut + batches[turn % len(batches)], *(index for index in asked if index > cut), len(rows)])
        engine.advance({symbol: rows[cut:end]})
        journal.commit(engine.take_facts(), engine.progress)
        cut, turn = end, turn + 1
    if stop:
        closed = engine.finish()
        journal.commit(engine.take_facts(), engine.progress, Outcome(0, "stopped", closed_at_stop=closed))
    journal.close()


def replay_against(case: Case, path: Path, batches: Sequence[int]) -> list[dict[str, Any]]:
    """Replay a case beside its journal; return the divergences."""
    reader = JournalReader(path)
    check = ReplayCheck(reader)
    engine = Engine(settings_of(case), strategies_of(case), case.warmup, case.start)
    symbol = next(iter(case.candles))
    rows, cut, turn, found = case.candles[symbol], 0, 0, []
    while cut < len(rows):
        end = cut + batches[turn % len(batches)]
        engine.advance({symbol: rows[cut:end]})
        found += check.compare(engine.take_facts())
        cut, turn = end, turn + 1
    found += check.finish(engine.progress)
    reader.close()
    return [msgspec.to_builtins(divergence) for divergence in found]


def verified(case: Case, path: Path) -> dict[str, Any]:
    """What verifying a journaled case says."""
    reader = JournalReader(path)
    result = verify(settings_of(case), strategies_of(case), case.warmup, case.start, case.candles, reader)
    reader.close()
    return msgspec.to_builtins(result)  # type: ignore[no-any-return]


def failing_session(case: Case, batches: Sequence[int]) -> tuple[str, Facts, Progress]:
    """What a session whose strategy raises has said by then."""
    engine = Engine(settings_of(case), strategies_of(case), case.warmup, case.start)
    total = Facts()
    rows = next(iter(case.candles.values()))
    symbol = next(iter(case.candles))
    cut = turn = 0
    try:
        while cut < len(rows):
            end = cut + batches[turn % len(batches)]
            engine.advance({symbol: rows[cut:end]})
            add_facts(total, engine.take_facts())
            cut, turn = end, turn + 1
    except Exception as error:  # noqa: BLE001 - what it raises is the answer
        add_facts(total, engine.take_facts())
        return f"{type(error).__name__}: {error}", total, engine.progress
    return "", total, engine.progress


def kept_after(case: Case, days: Sequence[int]) -> list[dict[str, int]]:
    """How much a session keeps after each of some days of candles, taking its facts every hour."""
    engine = Engine(settings_of(case), strategies_of(case), case.warmup, case.start)
    symbol = next(iter(case.candles))
    rows, kept = case.candles[symbol], []
    for first in range(0, days[-1] * 1440, 60):
        engine.advance({symbol: rows[first : first + 60]})
        engine.take_facts()
        if (first + 60) % 1440 == 0 and (first + 60) // 1440 in days:
            strategy = jesse_core.router.routes[0].strategy
            kept.append(
                {
                    "logs": len(store.logs.info) + len(store.logs.errors),
                    "orders": sum(map(len, store.orders.storage.values())),
                    "active": sum(map(len, store.orders.active_storage.values())),
                    "watched": len(engine._ledger._open),
                    "drawn": len(strategy._executed_orders),
                    "chart": max(
                        (len(line["data"]) for line in strategy._add_line_to_candle_chart_values.values()), default=0
                    ),
                    "metrics": len(strategy._cached_metrics),
                    "trades": len(store.closed_trades.trades),
                    "facts": sum(len(part or []) for part in vars(engine._facts).values()),
                    "maxrss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
                }
            )
    return kept


def reads_checked(case: Case) -> int:
    """Compare every read of a larger timeframe with Jesse's own rebuilding of it; return how many were spared."""
    spared = 0
    read = jesse_core.BucketReads.candles

    def checked(self: Any, exchange: str, symbol: str, timeframe: str) -> Rows:
        nonlocal spared
        storage = store.candles.storage
        minutes, larger = storage[f"{exchange}-{symbol}-1m"], storage[f"{exchange}-{symbol}-{timeframe}"]
        state = jesse_core._last_rows(minutes, larger) if len(minutes) and len(larger) else None
        spared += self._read.get((exchange, symbol, timeframe)) == state
        answer = read(self, exchange, symbol, timeframe).copy()
        copies = larger.array.copy(), larger.index
        rebuilt = jesse_core._rebuild_bucket(exchange, symbol, timeframe)
        assert np.array_equal(answer, rebuilt), (store.app.time, timeframe, answer[-2:], rebuilt[-2:])
        assert larger.index == copies[1]
        assert np.array_equal(larger.array[: larger.index + 1], copies[0][: copies[1] + 1])
        return answer

    jesse_core.BucketReads.candles = checked  # type: ignore[method-assign]
    try:
        outcome = session(case)[1]
    finally:
        jesse_core.BucketReads.candles = read  # type: ignore[method-assign]
    assert not outcome.raised.startswith("AssertionError"), outcome.raised
    return spared


def orders_sorted_both_ways(seed: int, count: int) -> None:
    """Jesse's own order of fills equals the engine's for orders of different prices."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("untouched", backtest_mode.__file__)
    assert spec is not None
    assert spec.loader is not None
    untouched = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(untouched)
    dice = random.Random(seed)

    class Order:
        def __init__(self, price: float) -> None:
            self.price = price

    for _ in range(count):
        open_, close = dice.randrange(90, 110), dice.randrange(90, 110)
        candle = np.array(
            [[0.0, open_, close, max(open_, close) + dice.randrange(9), min(open_, close) - dice.randrange(9), 1]]
        )
        orders = [Order(price) for price in dice.sample(range(80, 120), dice.randrange(1, 8))]
        ours = [order.price for order in jesse_core.sort_execution_orders(list(orders), candle)]
        theirs = [order.price for order in untouched._sort_execution_orders(list(orders), candle)]
        assert ours == theirs, (candle, ours, theirs)


def as_jesse_reads(rows: Rows, timeframe: str) -> Rows:
    """Completed candles of a timeframe by Jesse's own aggregation."""
    return candle_service.generate_completed_candles_from_observed_minutes(  # type: ignore[no-any-return]
        timeframe, rows, int(rows[-1, 0]) + MINUTE
    )


def with_gap_policy(case: Case, policy: str) -> Case:
    return replace(case, gap_policy=policy)  # type: ignore[arg-type]
