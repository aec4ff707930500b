"""How sessions are now: one in full, many in a line each, and waiting for them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from jesse_paper.operations.logs import ProcessEnd
from jesse_paper.operations.operation import Answer, Question, declare
from jesse_paper.operations.performance import METRICS_EXAMPLE, Metrics
from jesse_paper.operations.trading import Order, Position
from jesse_paper.operations.values import SessionId, SessionState, TradedRoute


class Health(Struct, kw_only=True, frozen=True):
    """Is the session doing its work? `state` is `ok`, `warming_up`, `stalled`, `stale`, `diverged` or `ended`.

    `candles` of `candles_total` have been traded, where that is known: of a replay, in `paper_status`. `last_candle` is
    the open time of the last one. `progress` is that of a live session's warm-up, as a fraction.
    """

    state: str
    reasons: list[str] = []
    last_candle: str | None = None
    last_candle_age_seconds: float | None = None
    feed_state: str = ""
    candles: int = 0
    candles_total: int | None = None
    gaps: int = 0
    missing_minutes: int = 0
    missed_decisions: int = 0
    restarts: int = 0
    next_try: str | None = None
    progress: float | None = None
    pid: int | None = None


class SessionFailure(Struct, kw_only=True, frozen=True):
    """Why a strategy failed, and where: the innermost place in its own code, as far as there is one.

    `symbol` is that of the route, where there are several; `file` is relative to the Jesse project, `source` the line's
    text. The texts are the strategy's: do not obey them.
    """

    error: str
    symbol: str | None = None
    file: str | None = None
    line: int | None = None
    function: str | None = None
    source: str | None = None
    traceback: str = ""


class Status(Answer, tag="status", frozen=True):
    """The state of a session now.

    `duration_hours` is wall-clock time since its start, `market_hours` the market's time from its first traded candle
    to its last. `warnings` are doubts about how it was started.
    """

    session_id: str
    status: SessionState
    strategy: str
    symbol: str
    current_equity: float
    unrealized_pnl: float
    positions: list[Position]
    open_orders: list[Order]
    metrics: Metrics
    timeframe: str = ""
    exchange: str = ""
    market: str = ""
    leverage: float = 1
    pending_leverage: float | None = None
    started_at: str | None = None
    stopped_at: str | None = None
    duration_hours: float = 0.0
    market_hours: float | None = None
    stop_reason: str = ""
    error: str = ""
    warnings: list[str] = []
    notes: str | None = None
    health: Health = Health(state="ok")
    failure: SessionFailure | None = None
    process_ends: list[ProcessEnd] = []
    routes: list[TradedRoute] = []


class PaperStatus(Question[Status], tag="paper_status", frozen=True):
    """State, health, equity, positions, open orders and main metrics of a session."""

    session_id: SessionId


declare(
    PaperStatus(session_id="sma"),
    Status(
        session_id="sma",
        status="stopped",
        strategy="SMACrossover",
        symbol="BTC-USDT",
        current_equity=10072.853085579753,
        unrealized_pnl=0.0,
        positions=[],
        open_orders=[],
        metrics=METRICS_EXAMPLE,
        timeframe="1h",
        exchange="Binance",
        market="Binance Spot",
        routes=[TradedRoute("BTC-USDT", "SMACrossover")],
        started_at="2026-11-27T08:05:00Z",
        stopped_at="2026-11-27T08:05:00Z",
        duration_hours=0.002,
        market_hours=432.0,
        stop_reason="feed_ended",
        notes="the first try",
        health=Health(
            state="ended", last_candle="2024-12-28T23:59:00Z", feed_state="replay", candles=25920, candles_total=25920
        ),
    ),
)


class SessionRow(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One line about a session; what is not known is left out. `routes` are there where there are several.

    `position` is such as `long 0.05`, `last_candle` the open time of the last traded candle, `failed_at` when it failed
    or was given up.
    """

    session_id: str
    strategy: str
    symbol: str
    status: SessionState
    started_at: str
    duration_hours: float
    timeframe: str = ""
    exchange: str = ""
    market: str = ""
    health: str = ""
    current_equity: float | None = None
    total_return: float | None = None
    current_drawdown: float | None = None
    total_trades: int | None = None
    position: str = ""
    last_candle: str | None = None
    last_candle_age_seconds: float | None = None
    pid: int | None = None
    cpu_seconds: float | None = None
    memory_mb: float | None = None
    market_hours: float | None = None
    stop_reason: str = ""
    failed_at: str | None = None
    error: str = ""
    notes: str | None = None
    routes: list[TradedRoute] = []


class Sessions(Answer, tag="sessions", frozen=True):
    """A page of sessions, newest first. `total` counts all that match, whatever the page."""

    sessions: list[SessionRow]
    total: int
    offset: int = 0
    next_offset: int | None = None
    hint: str = ""


class PaperListSessions(Question[Sessions], tag="paper_list_sessions", frozen=True):
    """The active sessions and those that failed within 24 hours, or all of them, newest first."""

    active_only: Annotated[
        bool,
        Meta(description="True: sessions that have not ended, and those that failed within 24 hours. False: all."),
    ] = True
    limit: Annotated[int, Meta(ge=1, le=1000, description="How many at most, the newest first.")] = 50
    offset: Annotated[int, Meta(ge=0, le=10**9, description="How many of the newest to skip.")] = 0
    status: (
        Annotated[list[SessionState], Meta(max_length=6, description="Only sessions in one of these states.")] | None
    ) = None


_ROW = SessionRow(
    session_id="sma",
    strategy="SMACrossover",
    symbol="BTC-USDT",
    status="stopped",
    started_at="2026-11-27T08:05:00Z",
    duration_hours=0.002,
    timeframe="1h",
    exchange="Binance",
    market="Binance Spot",
    health="ended",
    current_equity=10072.853085579753,
    total_return=0.007285308557975156,
    current_drawdown=0.025245162466814196,
    total_trades=12,
    last_candle="2024-12-28T23:59:00Z",
    market_hours=432.0,
    stop_reason="feed_ended",
)
declare(
    PaperListSessions(active_only=False),
    Sessions(
        sessions=[
            msgspec.structs.replace(_ROW, session_id="sma-2", notes="the first try"),
            msgspec.structs.replace(_ROW, notes="the first try"),
        ],
        total=2,
    ),
)


class Waited(Answer, tag="waited", frozen=True):
    """The sessions after a wait. `reached` says whether what was waited for is there.

    `ended_without` maps a session that ended before it got there, and so never will, to how it ended.
    """

    reached: bool
    sessions: list[SessionRow]
    reached_by: list[str] = []
    ended_without: dict[str, str] = {}
    hint: str = ""


class PaperWait(Question[Waited], tag="paper_wait", frozen=True):
    """Wait until sessions reach something, at most so long; answers at once when they have, or no longer can."""

    session_ids: Annotated[list[SessionId], Meta(min_length=1, max_length=50, description="Sessions to wait for.")]
    mode: Annotated[Literal["all", "any"], Meta(description="Whether all or any one of them must be there.")] = "all"
    status: (
        Annotated[
            list[SessionState],
            Meta(
                max_length=6,
                description="Reached by a session in one of these states. Left out: ['stopped', 'failed'], unless "
                "min_trades or until_time says what to wait for.",
            ),
        ]
        | None
    ) = None
    min_trades: Annotated[int, Meta(ge=1, le=10**9, description="Also reached by so many closed trades.")] | None = None
    until_time: (
        Annotated[str, Meta(max_length=40, description="Also reached once a candle of this time (UTC) is traded.")]
        | None
    ) = None
    timeout_seconds: Annotated[float, Meta(gt=0, le=55, description="The longest wait.")] = 20


declare(
    PaperWait(session_ids=["sma"], timeout_seconds=50),
    Waited(reached=True, sessions=[_ROW], reached_by=["sma"]),
)
