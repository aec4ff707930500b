"""The life of a session: start, update, stop, start again."""

from __future__ import annotations

from collections.abc import Container
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from jesse_paper.operations.operation import Answer, Mutation, declare
from jesse_paper.operations.performance import METRICS_EXAMPLE, FinalMetrics
from jesse_paper.operations.values import (
    HyperparameterValue,
    SessionId,
    SessionState,
    StrategyName,
    Symbol,
    Timeframe,
    TradedRoute,
)


class DataRoute(Struct, forbid_unknown_fields=True, frozen=True):
    """A market and timeframe that the strategy may look at beside the one it trades."""

    symbol: Symbol
    timeframe: Timeframe


class Started(Answer, tag="started", frozen=True):
    """A session as it runs. `market` is the exchange that `exchange` was resolved to.

    `routes` are all that it trades; `strategy`, `symbol` and `timeframe` are the first one's.

    `strategy_changed` is for restarts as another session: whether its strategy's code differs from the first one's.
    """

    session_id: str
    status: SessionState
    strategy: str
    symbol: str
    timeframe: str
    exchange: str
    starting_balance: float
    started_at: str
    market: str = ""
    leverage: float = 1
    leverage_mode: str = "cross"
    fee: float = 0.0
    warmup_candles: int = 0
    feed: str = "live"
    speed: Literal["max"] | float = "max"
    already_existed: bool = False
    hint: str = ""
    strategy_changed: bool | None = None
    routes: list[TradedRoute] = []


class PaperStart(Mutation[Started], tag="paper_start", frozen=True):
    """Start a session; answered with `Started` when it is really running, or a `Failure` that says why not.

    The same `session_id` with the same arguments names the same session; with others it is a `conflict`.
    """

    strategy: StrategyName | None = None
    symbol: Symbol | None = None
    timeframe: Annotated[Timeframe, Meta(description="The strategy's timeframe.")] = "1h"
    exchange: Annotated[
        str,
        Meta(
            max_length=100,
            description="Jesse's name of the exchange. 'Binance' means 'Binance Spot' at leverage 1 and "
            "'Binance Perpetual Futures' above.",
        ),
    ] = "Binance"
    starting_balance: Annotated[
        float, Meta(gt=0, le=1e12, description="Simulated money to start with, in the quote currency.")
    ] = 10000
    leverage: Annotated[float, Meta(ge=1, le=200, multiple_of=1, description="Above 1 needs a futures exchange.")] = 1
    session_id: (
        Annotated[
            SessionId, Meta(description="An id of your own (1 to 64 letters, digits, '_', '-'); made up when left out.")
        ]
        | None
    ) = None
    fee: Annotated[float, Meta(ge=0, lt=0.1, description="Fee of each fill, as a fraction of its value.")] = 0.001
    warmup_candles: Annotated[
        int,
        Meta(
            ge=0,
            le=100_000,
            description="Candles of the largest timeframe before the first decision; also how many candles "
            "non-sequential indicators see (0: all).",
        ),
    ] = 240
    feed: Annotated[
        str,
        Meta(
            max_length=4096,
            description="'live' for the exchange's own candles, 'replay:/path/to/candles.csv.gz' on the daemon's "
            "machine, or 'replay:store' or 'replay:postgres' for what its candle store or Jesse's database has, "
            "optionally with ':2024-12-01..2025-01-01' (the end not included).",
        ),
    ] = "live"
    speed: Annotated[
        Literal["max"] | Annotated[float, Meta(gt=0, le=1e6)],
        Meta(description="Of a replay: 'max', or a multiple of real time such as 60 (a candle a second)."),
    ] = "max"
    data_routes: Annotated[
        list[DataRoute], Meta(max_length=20, description="Further candles that the strategy reads.")
    ] = []
    hyperparameters: Annotated[
        dict[str, HyperparameterValue] | None, Meta(description="Override the strategy's hyperparameters.")
    ] = None
    leverage_mode: Annotated[Literal["cross", "isolated"], Meta(description="Of futures; spot ignores it.")] = "cross"
    gap_policy: Annotated[
        Literal["skip", "fill"],
        Meta(
            description="Minutes the market did not have: 'skip' leaves them out as Jesse does, 'fill' makes flat "
            "candles of them."
        ),
    ] = "skip"
    notes: Annotated[str, Meta(max_length=10_000, description="Free text kept with the session.")] | None = None
    routes: Annotated[
        list[TradedRoute],
        Meta(
            max_length=50,
            description="In place of strategy, symbol, timeframe and hyperparameters: several routes that share one "
            "wallet, each symbol once, all of one quote currency.",
        ),
    ] = []

    @classmethod
    def contradictions(cls, given: Container[str]) -> list[str]:
        if "routes" in given:
            beside = ("strategy", "symbol", "timeframe", "hyperparameters")
            return [
                f"`{name}` does not belong beside `routes`: each route has its own." for name in beside if name in given
            ]
        wanted = {
            "strategy": "a text of 1 to 100 characters",
            "symbol": "a text (Trading pair as BASE-QUOTE in capitals, such as 'BTC-USDT')",
        }
        return [f"`{name}` is missing: {allowed}." for name, allowed in wanted.items() if name not in given]

    def all_routes(self) -> list[TradedRoute]:
        """What is to be traded, in either form."""
        if self.routes:
            return self.routes
        assert self.strategy is not None
        assert self.symbol is not None
        return [TradedRoute(self.symbol, self.strategy, self.timeframe, self.hyperparameters)]


declare(
    PaperStart(
        strategy="SMACrossover", symbol="BTC-USDT", session_id="sma", feed="replay:/srv/candles/BTC-USDT.csv.gz"
    ),
    Started(
        session_id="sma",
        status="running",
        strategy="SMACrossover",
        symbol="BTC-USDT",
        timeframe="1h",
        exchange="Binance",
        starting_balance=10000.0,
        routes=[TradedRoute("BTC-USDT", "SMACrossover")],
        started_at="2026-11-27T08:05:00Z",
        market="Binance Spot",
        fee=0.001,
        warmup_candles=240,
        feed="replay:/srv/candles/BTC-USDT.csv.gz",
    ),
)


class SessionUpdates(Struct, forbid_unknown_fields=True, frozen=True):
    """What may be changed of a session."""

    leverage: (
        Annotated[
            float,
            Meta(
                ge=1,
                le=200,
                multiple_of=1,
                description="Used from the next moment the session has no position.",
            ),
        ]
        | None
    ) = None
    notes: Annotated[str, Meta(max_length=10_000, description="Replaces the session's notes.")] | None = None


class Updated(Answer, tag="updated", frozen=True):
    """What became of an update: `status` is `updated`, `partly_updated` or `refused`.

    `updated_fields` have their new values; `pending` ones are accepted and wait for the moment named, `refused` ones
    were not done, each with the reason.
    """

    session_id: str
    status: str
    updated_fields: list[str]
    pending: dict[str, str] = {}
    refused: dict[str, str] = {}


class PaperUpdateSession(Mutation[Updated], tag="paper_update_session", frozen=True):
    """Change a session; says what was updated, what is pending and what was refused."""

    session_id: SessionId
    updates: SessionUpdates = SessionUpdates()


declare(
    PaperUpdateSession(session_id="sma", updates=SessionUpdates(notes="the first try")),
    Updated(session_id="sma", status="updated", updated_fields=["notes"]),
)


class Stopped(Answer, tag="stopped", frozen=True):
    """How a session ended. `duration_hours` is wall-clock time since its start, `market_hours` the time it traded."""

    session_id: str
    status: SessionState
    stopped_at: str | None
    duration_hours: float
    final_metrics: FinalMetrics
    stop_reason: str = ""
    closed_at_stop: int = 0
    market_hours: float | None = None
    error: str = ""
    hint: str = ""


class PaperStop(Mutation[Stopped], tag="paper_stop", frozen=True):
    """End a session as Jesse ends one and return its final metrics; a second stop returns the same answer."""

    session_id: SessionId


declare(
    PaperStop(session_id="sma"),
    Stopped(
        session_id="sma",
        status="stopped",
        stopped_at="2026-11-27T08:05:00Z",
        duration_hours=0.002,
        final_metrics=FinalMetrics(**msgspec.structs.asdict(METRICS_EXAMPLE), final_equity=10072.853085579753),
        stop_reason="feed_ended",
        closed_at_stop=1,
        market_hours=432.0,
    ),
)


class PaperRestart(Mutation[Started], tag="paper_restart", frozen=True):
    """Start a session with the settings of another one, or go on with one that the daemon had given up."""

    session_id: SessionId
    mode: Annotated[
        Literal["new", "continue"],
        Meta(
            description="'new': another session with the same settings, a fresh balance and the strategy as it is now. "
            "'continue': the same session, where the daemon gave up restarting it."
        ),
    ] = "new"
    new_session_id: (
        Annotated[
            SessionId,
            Meta(
                description="Id of the other session. Left out, it is made of the first one's, which must have ended: "
                "'sma' becomes 'sma-2'."
            ),
        ]
        | None
    ) = None


declare(
    PaperRestart(session_id="sma"),
    Started(
        session_id="sma-2",
        status="running",
        strategy="SMACrossover",
        symbol="BTC-USDT",
        timeframe="1h",
        exchange="Binance",
        starting_balance=10000.0,
        routes=[TradedRoute("BTC-USDT", "SMACrossover")],
        started_at="2026-11-27T08:05:00Z",
        market="Binance Spot",
        fee=0.001,
        warmup_candles=240,
        feed="replay:/srv/candles/BTC-USDT.csv.gz",
        hint="another session than sma, with its settings",
        strategy_changed=False,
    ),
)
