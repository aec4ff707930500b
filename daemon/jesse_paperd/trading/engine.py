"""The engine: Jesse's own simulation, fed with closed 1m candles, giving facts.

A strategy trades here as in `jesse.research.backtest`, bit for bit (docs/engine.md says how and how far). The result
does not depend on how the candles are split between calls of `advance`.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from jesse_paperd.store.journal import Facts, Progress
from jesse_paperd.trading import jesse_core as jesse
from jesse_paperd.trading.equity import EquityRuns, account_of, daily_balances
from jesse_paperd.trading.intake import CLOSE, MINUTE, TIME, Intake, Rows, checksum, count_gaps
from jesse_paperd.trading.ledger import Ledger, LogTap
from jesse_paperd.trading.stepping import Market, first_touched
from jesse_paperd.trading.strategy import last_line, paper_class
from jesse_paperd.trading.warmup import Warmup
from jesse_paperd.wire.errors import PaperError

DAY = 86_400_000


@dataclass(frozen=True)
class EngineSettings:
    """All that the engine needs to know of a session.

    `exchange` is Jesse's name of the market, `timeframe` and `data_routes` are in Jesse's spelling; `data_routes`
    are further (symbol, timeframe) on the same exchange; `fee` is a fraction.
    """

    strategy_name: str
    exchange: str
    symbol: str
    timeframe: str
    market_type: Literal["spot", "futures"]
    starting_balance: float
    fee: float
    leverage: int
    leverage_mode: Literal["cross", "isolated"]
    warmup_candles: int
    data_routes: tuple[tuple[str, str], ...]
    hyperparameters: dict[str, Any] | None
    seed: int
    gap_policy: Literal["skip", "fill"]

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every symbol whose candles the engine needs, the traded one first."""
        return tuple(dict.fromkeys((self.symbol, *(symbol for symbol, _ in self.data_routes))))

    def for_jesse(self) -> dict[str, Any]:
        """The flat configuration that `jesse.research.backtest` takes."""
        return {
            "starting_balance": self.starting_balance,
            "fee": self.fee,
            "type": self.market_type,
            "futures_leverage": self.leverage,
            "futures_leverage_mode": self.leverage_mode,
            "exchange": self.exchange,
            "warm_up_candles": self.warmup_candles,
        }


class Engine:
    """One session's engine. Jesse's state is process-global: make one engine at a time in a process.

    Args:
        settings: the session.
        strategy_class: as `load_strategy` returns it.
        warmup: symbol → rows that come before the session, in Jesse's column order (open time in milliseconds,
            open, close, high, low, volume).
        start: earliest opening time of a traded minute; None for that of the first row that comes.

    Raises:
        PaperError: `strategy_failed` when the strategy cannot be created, `invalid_argument` for hyperparameters
            that it does not have.
    """

    def __init__(
        self, settings: EngineSettings, strategy_class: type, warmup: Mapping[str, Rows], start: int | None
    ) -> None:
        self.settings = settings
        self.progress = Progress(leverage=float(settings.leverage))
        self._facts = Facts()
        self._is_spot = settings.market_type == "spot"
        random.seed(settings.seed)
        np.random.seed(settings.seed % 2**32)
        jesse.configure(
            settings.for_jesse(), settings.symbol, settings.timeframe, settings.data_routes, paper_class(strategy_class)
        )
        self._reads = jesse.BucketReads()
        jesse.store.logs.info = LogTap(self._facts.logs, "info")
        jesse.store.logs.errors = LogTap(self._facts.logs, "error")
        jesse.store.app.time = start or max((int(rows[-1, TIME]) for rows in warmup.values() if len(rows)), default=0)
        self._strategy = create_strategy(settings)
        self._position = self._strategy.position
        self._ledger = Ledger(settings.exchange, settings.symbol, self._position)
        self._equity = EquityRuns()
        self._currency = jesse.currency()
        self._account = account_of(self._strategy, self._currency)
        self._valued = 0
        self._filled_at_close = False
        self._balances = 0
        self._pending_leverage: int | None = None
        self._timeframe_ms = jesse.minutes_of(settings.timeframe) * MINUTE
        self._next_balance = 0
        self._markets: list[Market] = []
        self._traded: Market
        self._intake = Intake(settings.symbols, settings.gap_policy == "fill")
        given = self._intake.begin(warmup, start)
        self.progress.checksum = checksum(given, 0)
        self.progress.warmup = len(given.get(settings.symbol, ()))
        routes = ((settings.symbol, settings.timeframe), *settings.data_routes)
        self._warmup: Warmup | None = Warmup(settings.exchange, routes, settings.warmup_candles, given, start)

    def advance(self, rows: Mapping[str, Rows]) -> None:
        """Step whole minutes: any number, all symbols' rows of the same span of time; one row each is live.

        What the strategy raises comes through as it is; the facts of the whole minutes before it can still be taken.
        """
        ready = self._intake.take(rows, self._facts, self.progress, self.settings.symbol)
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
        if self._warmup is None:
            before = self._ledger.trades
            self._strategy._terminate()
            jesse.execute_market_orders()
            jesse.save_balance()
            # Jesse replaces a sample of the same minute.
            self._balances = min(self._balances, len(jesse.store.app.daily_balance) - 1)
            self._ledger.collect(self._facts, stopping=True)
            if self.progress.last_close is not None:
                self._account = account_of(self._strategy, self._currency)
                equity, unrealized = self._account.at(self.progress.last_close)
                self._equity.revise_last(equity, unrealized, self._account.in_position)
            closed = self._ledger.trades - before
        self.progress.phase = "ended"
        return closed

    def set_leverage(self, leverage: int) -> None:
        """Use another leverage from the next moment at which the session is flat: now, or after a later minute.

        Raises:
            PaperError: `invalid_argument` on a spot market.
        """
        if self._is_spot:
            raise PaperError("invalid_argument", f"leverage {leverage}: a spot market has none", "use leverage 1")
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
        jesse.store.logs.info = LogTap(self._facts.logs, "info")
        jesse.store.logs.errors = LogTap(self._facts.logs, "error")
        return facts

    def _advance(self, rows: dict[str, Rows]) -> None:
        if self._warmup is None:
            self._step(rows)
            return
        begin = self._warmup.take(rows)
        if begin is None:
            self.progress.checksum = checksum(rows, self.progress.checksum)
            self.progress.warmup += len(rows[self.settings.symbol])
            return
        early = {symbol: part[: np.searchsorted(part[:, TIME], begin)] for symbol, part in rows.items()}
        self.progress.checksum = checksum(early, self.progress.checksum)
        self.progress.warmup += len(early[self.settings.symbol])
        rest = self._warmup.finish(begin)
        self._warmup = None
        self._begin(begin)
        self._step(rest)

    def _begin(self, begin: int) -> None:
        jesse.begin_balance(begin)
        self._started_at = begin
        # Jesse's schedule: the first sample after 1,440 candles and one more minute, then each day.
        self._next_balance = begin + DAY + MINUTE
        self._markets = [
            Market(self.settings.exchange, symbol, self._reads) for symbol in sorted(self.settings.symbols)
        ]
        self._traded = next(market for market in self._markets if market.symbol == self.settings.symbol)
        self.progress.phase = "running"

    def _step(self, rows: dict[str, Rows]) -> None:
        for market in self._markets:
            market.load(rows[market.symbol], self._started_at)
        traded = self._traded
        self._valued = traded.begins
        if self.progress.first_candle is None and len(traded.times) > traded.begins:
            first = int(traded.times[traded.begins])
            self.progress.first_candle = self.progress.started_at = first
            self._equity.add(first, float(self.settings.starting_balance), 0.0, False)
        decisions = traded.times[traded.decides(self._timeframe_ms)].tolist()
        lowest, highest = traded.reach()
        try:
            decided = 0
            while True:
                decision = decisions[decided] if decided < len(decisions) else None
                time, touched = self._next_eventful(decision, lowest, highest)
                self._pass_quietly(time)
                if time is None:
                    break
                decided += time == decision
                self._pass(time, touched, decides=time == decision)
        finally:
            self._value(traded.passed)
            done = {market.symbol: market.rows[market.begins : market.passed] for market in self._markets}
            self.progress.checksum = checksum(done, self.progress.checksum)
            self._note_progress()

    def _next_eventful(self, decision: int | None, lowest: Any, highest: Any) -> tuple[int | None, bool]:
        """Opening time of the next minute in which something can happen, and whether its prices reach an order.

        That is the next decision, or earlier a minute that reaches an order or at which the balance is due; None when
        there is none in this stretch.
        """
        traded, time = self._traded, decision
        due = self._next_balance - MINUTE
        if time is None or due < time:
            rows = ((market, max(market.row_at(due), market.next)) for market in self._markets)
            times = [int(market.times[row]) for market, row in rows if row < len(market.times)]
            time = min([*times, *([] if time is None else [time])], default=None)
        levels = self._levels()
        if levels is not None:
            end = len(traded.times) if time is None else traded.row_at(time + MINUTE)
            if traded.next < end:
                price = float(traded.rows[max(traded.next - 1, 0), CLOSE])
                row = first_touched(lowest, highest, traded.next, end, price, levels)
                if row < end:
                    return int(traded.times[row]), True
        return time, False

    def _levels(self) -> list[float] | None:
        """The prices at which an order fills or the position is liquidated; None when there is none."""
        working = jesse.store.orders.get_active_orders(self.settings.exchange, self.settings.symbol)
        levels = [float(order.price) for order in working if jesse.is_working(order)]
        if self._position.mode == "isolated" and self._position.is_open:
            levels.append(float(self._position.liquidation_price))
        return levels or None

    def _pass_quietly(self, time: int | None) -> None:
        """Take the minutes before `time` (all that are left for None), in which nothing happens."""
        latest = -1
        for market in self._markets:
            end = len(market.times) if time is None else market.row_at(time)
            if end <= market.next:
                continue
            latest = max(latest, int(market.times[end - 1]))
            market.show(end)
            market.release()
            market.passed = end
            if market is self._traded:
                self._position.current_price = market.rows[end - 1, CLOSE]
                if self._filled_at_close:
                    jesse.update_active_orders(market.exchange, market.symbol)
                    self._filled_at_close = False
        if latest >= 0:
            jesse.store.app.time = float(latest + MINUTE)

    def _pass(self, time: int, touched: bool, decides: bool) -> None:
        """Take one minute in which something may happen, in the order of Jesse's timestamp replay."""
        traded = self._traded
        jesse.store.app.time = float(time + MINUTE)
        present = [m for m in self._markets if m.next < len(m.times) and m.times[m.next] == time]
        # All markets' candles are visible before any of them has effects.
        for market in present:
            market.show(market.next + 1)
        for market in present:
            if market is traded:
                row = market.next - 1
                if touched:
                    before = market.rows[row - 1, CLOSE] if row else None
                    jesse.fill_orders(market.rows[row], market.exchange, market.symbol, before)
                else:
                    self._position.current_price = market.rows[row, CLOSE]
            market.release()
        if decides:
            self._strategy._execute()
        if traded in present:
            jesse.update_active_orders(traded.exchange, traded.symbol)
        # Whether Jesse's list of active orders is stale until it is brought up to date in the next minute.
        self._filled_at_close = bool(jesse.store.orders.to_execute)
        jesse.execute_market_orders()
        if time + MINUTE >= self._next_balance:
            jesse.save_balance()
            while self._next_balance <= time + MINUTE:
                self._next_balance += DAY
        for market in present:
            market.passed = market.next
        self._ledger.collect(self._facts)
        if (account := account_of(self._strategy, self._currency)) != self._account:
            self._value(traded.next - (traded in present))
            self._account = account
        self._apply_leverage()

    def _value(self, end: int) -> None:
        """Sample the equity at the closes up to row `end`: the account has been the same since the last call."""
        begin, traded = self._valued, self._traded
        if end > begin:
            times = traded.times[begin:end] + MINUTE
            self._equity.extend(times, *self._account.at(traded.rows[begin:end, CLOSE]), self._account.in_position)
            self._valued = end

    def _apply_leverage(self) -> None:
        """Apply a leverage that was asked for, if the session is flat: no position, no order working."""
        working = jesse.store.orders.count_active_orders
        if (
            self._pending_leverage is None
            or self._position.is_open
            or working(self.settings.exchange, self.settings.symbol)
        ):
            return
        exchange = self._position.exchange
        if self._pending_leverage != exchange.futures_leverage:
            detail: dict[str, object] = {"from": exchange.futures_leverage, "to": self._pending_leverage}
            self._facts.events.append((int(jesse.store.app.time), "leverage", detail))
            exchange.futures_leverage = self._pending_leverage
            self.progress.leverage = float(self._pending_leverage)
        self._pending_leverage = None

    def _note_progress(self) -> None:
        """Bring progress up to the minutes that were stepped as a whole."""
        traded = self._traded
        if traded.passed <= traded.begins:
            return
        seen = traded.times[: traded.passed]
        if self.progress.candles == 0:
            seen = seen[traded.begins :]
        count_gaps(self.settings.symbol, seen, self._timeframe_ms, self._facts, self.progress)
        self.progress.candles += traded.passed - traded.begins
        self.progress.last_candle = int(
            max(market.times[market.passed - 1] for market in self._markets if market.passed)
        )
        self.progress.last_close = float(traded.rows[traded.passed - 1, CLOSE])


def create_strategy(settings: EngineSettings) -> Any:
    """Create the strategy of the configured route, its hyperparameters overridden by those given.

    Raises:
        PaperError: `strategy_failed`, `invalid_argument`.
    """
    try:
        strategy = jesse.prepare_strategy(None)
        declared = [parameter["name"] for parameter in strategy.hyperparameters()]
    except Exception as error:
        cause = error.__context__ if type(error).__name__ == "InvalidStrategy" and error.__context__ else error
        raise PaperError(
            "strategy_failed", f"strategy '{settings.strategy_name}' could not be created: {last_line(cause)}"
        ) from error
    strategy.name = settings.strategy_name
    if settings.hyperparameters:
        unknown = sorted(set(settings.hyperparameters) - set(declared))
        if declared and unknown:
            raise PaperError(
                "invalid_argument",
                f"hyperparameters: '{settings.strategy_name}' has no {', '.join(map(repr, unknown))}",
                f"it has {', '.join(map(repr, declared))}",
            )
        strategy.hp = {**(strategy.hp or {}), **settings.hyperparameters}
    return strategy
