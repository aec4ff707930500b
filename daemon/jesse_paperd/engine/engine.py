"""The engine: Jesse's own simulation, fed with closed 1m candles, giving facts.

A strategy trades here as in `jesse.research.backtest`, bit for bit (docs/engine.md says how and how far). The result
does not depend on how the candles are split between calls of `advance`.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jesse_paperd.core.minutes import Rows
from jesse_paperd.engine.bookkeeping import Ledger, LogTap
from jesse_paperd.engine.equity import EquityRuns, account_of, daily_balances
from jesse_paperd.engine.intake import TIME, Intake, checksum
from jesse_paperd.engine.jesse import core as jesse
from jesse_paperd.engine.settings import EngineSettings
from jesse_paperd.engine.stepping import Stepper
from jesse_paperd.engine.strategy import create_strategies, paper_class
from jesse_paperd.engine.warmup import Warmup
from jesse_paperd.records.journal import Facts, Progress

__all__ = ["Engine", "EngineSettings"]


class Engine:
    """One session's engine. Jesse's state is process-global: make one engine at a time in a process.

    Args:
        settings: the session.
        strategy_classes: that of each route, as `load_strategies` returns them.
        warmup: symbol → rows that come before the session, in Jesse's column order (open time in milliseconds,
            open, close, high, low, volume).
        start: earliest opening time of a traded minute; None for that of the first row that comes.

    Raises:
        PaperError: `strategy_failed` when the strategy cannot be created, `invalid_argument` for hyperparameters
            that it does not have.
    """

    def __init__(
        self,
        settings: EngineSettings,
        strategy_classes: Sequence[type],
        warmup: Mapping[str, Rows],
        start: int | None,
    ) -> None:
        self.settings = settings
        self.progress = Progress(leverage=float(settings.leverage))
        self._facts = Facts()
        random.seed(settings.seed)
        np.random.seed(settings.seed % 2**32)
        paper = {cls: paper_class(cls) for cls in strategy_classes}
        routes = [(r.symbol, r.timeframe, paper[cls]) for r, cls in zip(settings.routes, strategy_classes, strict=True)]
        jesse.configure(settings.for_jesse(), routes, settings.data_routes)
        self._reads = jesse.BucketReads()
        self._taps = LogTap(self._facts.logs, "info"), LogTap(self._facts.logs, "error")
        jesse.store.logs.info, jesse.store.logs.errors = self._taps
        jesse.store.app.time = start or max((int(rows[-1, TIME]) for rows in warmup.values() if len(rows)), default=0)
        self._strategies = create_strategies(settings)
        #: Of each route, those given together with the defaults of the others, as its strategy began with them.
        self.hyperparameters: list[dict[str, Any]] = [dict(strategy.hp or {}) for strategy in self._strategies]
        self._positions = jesse.positions()
        self._ledger = Ledger(settings.exchange, {s.symbol: s.position for s in self._strategies})
        self._equity = EquityRuns()
        self._balances = 0
        self._pending_leverage: int | None = None
        self._intake = Intake(settings.symbols, settings.gap_policy == "fill")
        given = self._intake.begin(warmup, start)
        self.progress.checksum = checksum(given, 0)
        self._first_symbol = settings.routes[0].symbol
        self.progress.warmup = len(given.get(self._first_symbol, ()))
        needed = (*((route.symbol, route.timeframe) for route in settings.routes), *settings.data_routes)
        self._stepper: Stepper | None = None
        self._warmup = Warmup(settings.exchange, needed, settings.warmup_candles, given, start)

    def advance(self, rows: Mapping[str, Rows]) -> None:
        """Step whole minutes: any number, all symbols' rows of the same span of time; one row each is live.

        What the strategy raises comes through as it is; the facts of the whole minutes before it can still be taken.
        """
        ready = self._intake.take(rows, self._facts, self.progress, self.settings.traded)
        latest = max((int(part[-1, TIME]) for part in rows.values() if len(part)), default=None)
        self._advance(ready)
        # Rows that are held back count as taken: the intake has them, and a replay gives them to it again.
        if latest is not None:
            self.progress.last_candle = latest

    def finish(self) -> int:
        """End as Jesse ends a session: `before_terminate`, an open position closed at the last price, `terminate`.

        Returns:
            How many positions that closed.
        """
        self._advance(self._intake.rest())
        closed = 0
        if self._stepper is not None:
            before = self._ledger.trades
            for strategy in sorted(self._strategies, key=lambda strategy: strategy.symbol):  # as Jesse ends them
                strategy._terminate()
                jesse.execute_market_orders()
            jesse.save_balance()
            # Jesse replaces a sample of the same minute.
            self._balances = min(self._balances, len(jesse.store.app.daily_balance) - 1)
            self._ledger.collect(self._facts, stopping=True)
            if self.progress.last_close is not None:
                account = account_of(self._positions, jesse.currency())
                equity, unrealized = account.at([self.progress.closes.get(p.symbol, 0.0) for p in self._positions])
                self._equity.revise_last(equity, unrealized, account.in_position)
            closed = self._ledger.trades - before
        for tap in self._taps:
            tap.tell_of_dropped()
        self.progress.phase = "ended"
        return closed

    def set_leverage(self, leverage: int) -> None:
        """Use another leverage from the next moment at which the session is flat: now, or after a later minute.

        On a futures market alone: `SessionSpec.refusal_of_leverage` says whether a session can have one.
        """
        self._pending_leverage = leverage
        self._apply_leverage()

    def take_facts(self) -> Facts:
        """What the minutes since the last call caused."""
        facts = self._facts
        facts.equity = self._equity.take()
        facts.daily_balance = daily_balances(self._balances)
        self._balances = len(jesse.store.app.daily_balance)
        facts.events.sort(key=lambda event: event[0])
        self._facts = Facts()
        for tap in self._taps:
            tap.pass_to(self._facts.logs)
        return facts

    def _advance(self, rows: dict[str, Rows]) -> None:
        if self._stepper is not None:
            self._stepper.step(rows, self._facts)
            return
        begin = self._warmup.take(rows)
        if begin is None:
            self.progress.checksum = checksum(rows, self.progress.checksum)
            self.progress.warmup += len(rows[self._first_symbol])
            return
        early = {symbol: part[: np.searchsorted(part[:, TIME], begin)] for symbol, part in rows.items()}
        self.progress.checksum = checksum(early, self.progress.checksum)
        self.progress.warmup += len(early[self._first_symbol])
        self._stepper = self._begin(begin)
        self._stepper.step(self._warmup.finish(begin), self._facts)

    def _begin(self, begin: int) -> Stepper:
        jesse.begin_balance(begin)
        self.progress.phase = "running"
        return Stepper(
            self.settings,
            self._strategies,
            begin,
            self._reads,
            self._ledger,
            self._equity,
            self.progress,
            self._apply_leverage,
        )

    def _apply_leverage(self) -> None:
        """Apply a leverage that was asked for, if the session is flat: no position, no order working."""
        if (
            self._pending_leverage is None
            or any(position.is_open for position in self._positions)
            or jesse.store.orders.count_all_active_orders()
        ):
            return
        exchange = self._positions[0].exchange
        if self._pending_leverage != exchange.futures_leverage:
            detail: dict[str, object] = {"from": exchange.futures_leverage, "to": self._pending_leverage}
            self._facts.events.append((int(jesse.store.app.time), "leverage", detail))
            exchange.futures_leverage = self._pending_leverage
            self.progress.leverage = float(self._pending_leverage)
        self._pending_leverage = None
