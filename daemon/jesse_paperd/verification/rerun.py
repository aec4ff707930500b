"""Proof on demand: a session's own candles once more, through `jesse.research.backtest` and through the engine.

Both run in the calling process and take it over (Jesse's state is process-global): call this in a process of its own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from jesse_paperd.core.minutes import MINUTE, Rows
from jesse_paperd.engine.engine import Engine, EngineSettings
from jesse_paperd.engine.intake import TIME, Intake, empty
from jesse_paperd.engine.jesse import core as jesse_core
from jesse_paperd.engine.strategy import paper_class, with_hyperparameters
from jesse_paperd.records.journal import Facts, JournalReader, Progress, TradeRow
from jesse_paperd.records.verification import Divergence, Verification
from jesse_paperd.session.replay import step_again
from jesse_paperd.session.replay_check import ReplayCheck

_BLOCK = 4096
_END_OF_TIME = 2**62
# The journal's name of a trade's field → Jesse's, and what makes Jesse's value the journal's.
_FIELDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "symbol": ("symbol", str),
    "side": ("type", str),
    "qty": ("qty", float),
    "entry_price": ("entry_price", lambda value: _defined(value)),
    "exit_price": ("exit_price", lambda value: _defined(value)),
    "entry_at": ("opened_at", int),
    "exit_at": ("closed_at", int),
    "fee": ("fee", float),
    "pnl": ("PNL", lambda value: _defined(value)),
    "pnl_pct": ("PNL_percentage", lambda value: _defined(value) / 100),
}


def verify(
    settings: EngineSettings,
    strategy_classes: Sequence[type],
    warmup: Mapping[str, Rows],
    start: int | None,
    rows: Mapping[str, Rows],
    reader: JournalReader,
) -> Verification:
    """Rerun a session and compare every closed trade, field by field, to the last bit.

    Args:
        settings, strategy_classes, warmup, start: what the session's engine was made of.
        rows: the candles that it consumed, up to the journal's cursor.
        reader: the session's journal.
    """
    journaled = reader.trades()
    outcome = reader.outcome()
    finished = outcome is not None and outcome.reason != "failed"
    replay, hyperparameters = _replay(settings, strategy_classes, warmup, start, rows, reader, finished)

    limits = []
    until = None
    changes = [at for _, at, kind, _ in reader.events() if kind == "leverage"]
    if changes:
        until = changes[0]
        rows = {symbol: part[part[:, TIME] + MINUTE <= until] for symbol, part in rows.items()}
        limits.append("a backtest has one leverage: only what closed before the first change of it was compared")
        finished = False
    warmup, rows = _as_traded(settings, warmup, start, rows)
    expected_trades = [trade for trade in journaled if until is None or trade.exit_at <= until]
    reason = _why_not_by_rows(settings, warmup, rows)
    counts_rows = not reason
    difference = None
    try:
        # Jesse's backtest gives all routes the same hyperparameters, or each its defaults.
        classes = [
            with_hyperparameters(cls, own) if route.hyperparameters else cls
            for cls, own, route in zip(strategy_classes, hyperparameters, settings.routes, strict=True)
        ]
        found = _backtest(settings, classes, warmup, rows, by_the_clock=not counts_rows)
        difference = _compare(expected_trades, found, finished, len(settings.routes))
        if difference is not None and counts_rows:
            by_the_clock = _backtest(settings, classes, warmup, rows, by_the_clock=True)
            if _compare(expected_trades, by_the_clock, finished, len(settings.routes)) is None:
                limits.append("equal to Jesse's timestamp replay of these candles, not to its row counting")
    except Exception as error:  # noqa: BLE001 - the strategy's own code runs in there
        # A session that failed fails here too, at the candle after the last whole one.
        difference = Divergence("backtest", "run", None, f"{type(error).__name__}: {error}")
    return Verification(
        equal=difference is None and not replay,
        trades=len(journaled),
        compared=len(expected_trades),
        method="row counting" if counts_rows else "timestamp replay",
        compared_until=until,
        difference=difference,
        replay=replay,
        limits=limits,
        method_reason=reason or "one market without gaps, begun on a boundary of all timeframes",
    )


def _replay(
    settings: EngineSettings,
    strategy_classes: Sequence[type],
    warmup: Mapping[str, Rows],
    start: int | None,
    rows: Mapping[str, Rows],
    reader: JournalReader,
    finished: bool,
) -> tuple[list[Divergence], list[dict[str, Any]]]:
    """What differs from the journal, and the hyperparameters that each route's strategy had."""
    engine = Engine(settings, strategy_classes, warmup, start)
    check = ReplayCheck(reader)
    found: list[Divergence] = []

    def note(facts: Facts) -> None:
        found.extend(check.compare(facts))

    def blocks(end: int) -> Iterator[dict[str, Rows]]:
        return _blocks(rows, engine.progress.last_candle, end)

    step_again(engine, reader.leverage_changes(), _END_OF_TIME, blocks, engine.advance, note)
    if finished:
        engine.finish()
        note(engine.take_facts())
    return found + check.finish(engine.progress), engine.hyperparameters


def _blocks(rows: Mapping[str, Rows], after: int | None, end: int) -> Iterator[dict[str, Rows]]:
    """Rows that open after `after` and before `end`, all symbols cut at the same moments."""
    after = -1 if after is None else after
    part = {s: candles[(candles[:, TIME] > after) & (candles[:, TIME] < end)] for s, candles in rows.items()}
    times = np.unique(np.concatenate([candles[:, TIME] for candles in part.values()]))
    for first in range(0, len(times), _BLOCK):
        low, high = times[first], times[min(first + _BLOCK, len(times)) - 1]
        yield {s: candles[(candles[:, TIME] >= low) & (candles[:, TIME] <= high)] for s, candles in part.items()}


def _as_traded(
    settings: EngineSettings, warmup: Mapping[str, Rows], start: int | None, rows: Mapping[str, Rows]
) -> tuple[dict[str, Rows], dict[str, Rows]]:
    """Warm-up and traded rows as the engine stepped them: gaps filled where the session fills them."""
    intake = Intake(settings.symbols, settings.gap_policy == "fill")
    given = intake.begin(warmup, start)
    taken = intake.take(rows, Facts(), Progress(), settings.traded)
    for symbol, held in intake.rest().items():
        taken[symbol] = np.concatenate((taken[symbol], held))
    if start is not None:
        for symbol, part in taken.items():
            early = int(np.searchsorted(part[:, TIME], start))
            given[symbol] = np.concatenate((given.get(symbol, empty()), part[:early]))
            taken[symbol] = part[early:]
    return given, taken


def _why_not_by_rows(settings: EngineSettings, warmup: Mapping[str, Rows], rows: Mapping[str, Rows]) -> str:
    """Why Jesse's row counting would cut other candles than the clock; empty where it cuts the same."""
    if len(rows) > 1:
        return "several markets: their rows are matched by the clock"
    (symbol,) = rows
    candles, before = rows[symbol], warmup.get(symbol, empty())
    longest = max(jesse_core.minutes_of(timeframe) for timeframe in settings.timeframes)
    if len(candles) == 0:
        return "no candle was traded"
    if (np.diff(candles[:, TIME]) != MINUTE).any():
        return "the traded candles have gaps: there Jesse itself goes by the clock"
    times = np.concatenate((before[:, TIME], candles[:1, TIME]))
    if missing := int((np.diff(times) // MINUTE - 1).sum()):
        return (
            f"the warm-up lacks {missing} minute{'s' if missing > 1 else ''}: Jesse's plain backtest counts rows "
            "there, so its candles are shifted against the clock, which a session follows"
        )
    if len(before) < settings.warmup_candles * longest:
        return "the warm-up was completed from the candles that were to be traded"
    if not all(
        len(before) % length == 0 and candles[0, TIME] % (length * MINUTE) == 0
        for length in map(jesse_core.minutes_of, settings.timeframes)
    ):
        return "the session began amid a candle of one of its timeframes"
    return ""


def _backtest(
    settings: EngineSettings,
    strategy_classes: Sequence[type],
    warmup: Mapping[str, Rows],
    rows: Mapping[str, Rows],
    by_the_clock: bool,
) -> list[dict[str, Any]]:
    exchange = settings.exchange

    def streams(parts: Mapping[str, Rows]) -> dict[str, dict[str, Any]]:
        return {
            f"{exchange}-{symbol}": {"exchange": exchange, "symbol": symbol, "candles": part}
            for symbol, part in parts.items()
            if len(part)
        }

    routes = [
        {"exchange": exchange, "symbol": route.symbol, "timeframe": route.timeframe, "strategy": paper}
        for route, paper in zip(settings.routes, _paper_classes(strategy_classes), strict=True)
    ]
    random.seed(settings.seed)
    np.random.seed(settings.seed % 2**32)
    with _timestamp_replay(by_the_clock):
        result = jesse_core.backtest(
            settings.for_jesse(),
            routes,
            [{"exchange": exchange, "symbol": symbol, "timeframe": frame} for symbol, frame in settings.data_routes],
            streams(rows),
            streams(warmup) or None,
        )
    trades: list[dict[str, Any]] = result.get("trades", [])
    return trades


def _paper_classes(classes: Sequence[type]) -> list[type]:
    """Each class in paper mode; routes that share one share this one as well."""
    paper = {cls: paper_class(cls) for cls in classes}
    return [paper[cls] for cls in classes]


@contextmanager
def _timestamp_replay(forced: bool) -> Iterator[None]:
    """Make Jesse go by the clock on candles on which it would count rows."""
    module = jesse_core.backtest_mode
    original = module._uses_observed_timestamp_replay
    if forced:
        module._uses_observed_timestamp_replay = lambda _candles: True
    try:
        yield
    finally:
        module._uses_observed_timestamp_replay = original


def _compare(journaled: list[TradeRow], found: list[dict[str, Any]], finished: bool, routes: int) -> Divergence | None:
    if not finished and len(found) > len(journaled):
        # The backtest closes at its end what the session still has open, one position of each route at most.
        found = found[: max(len(journaled), len(found) - routes)]
    for trade, reference in zip(journaled, found, strict=False):
        for name, (jesse_name, converted) in _FIELDS.items():
            expected = converted(reference[jesse_name])
            if getattr(trade, name) != expected:
                return Divergence("trades", f"{trade.trade_id}, {name}", getattr(trade, name), expected)
    if len(journaled) != len(found):
        return Divergence("trades", "count", len(journaled), len(found))
    return None


def _defined(value: float) -> float:
    """The journal has 0 where Jesse has no value, as for the entry price of a trade opened by a flip."""
    return float(value) if np.isfinite(value) else 0.0
