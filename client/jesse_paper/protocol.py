"""The messages: one struct per operation and per reply, in an envelope.

A request that starts with `{` is JSON and is answered in JSON; anything else is MessagePack:

    → {"v":1,"id":"1","body":{"op":"paper_list_sessions"}}
    ← {"v":1,"id":"1","body":{"kind":"sessions","sessions":[],"total":0}}
    ← {"v":1,"id":"1","body":{"kind":"failure","code":"session_not_found","message":"…","hint":"…","retryable":false}}

Evolution, so that old and new programs understand each other:

1. a new field has a default; 2. a field's type and meaning never change; 3. a tag (`op`, `kind`) and a field name
are never used again for something else; 4. requests refuse unknown fields, replies tolerate them.

Units everywhere: money in the quote currency, fractions as fractions (0.05 is 5 %), times as RFC 3339 UTC in whole
seconds (`2026-02-19T00:00:00Z`), durations in the unit that the name ends with. Undefined numbers are null, with the
reason beside them; never NaN or Infinity. The envelope's id is the idempotency key of a request that changes something.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

PROTOCOL_VERSION = 1

Timeframe = Literal[
    "1m", "3m", "5m", "15m", "30m", "45m", "1h", "2h", "3h", "4h", "6h", "8h", "12h",
    "1d", "3d", "1w", "1M", "1D", "3D", "1W",
]  # fmt: skip
Resolution = Literal["1m", "5m", "15m", "30m", "1h", "2h", "4h", "12h", "1d", "1w"]
SessionState = Literal["starting", "running", "stopping", "stopped", "restarting", "failed"]
#: The states that a session never leaves.
ENDED: frozenset[SessionState] = frozenset({"stopped", "failed"})
Undefined = Literal[
    "no_trades", "no_wins", "no_losses", "insufficient_samples", "zero_variance", "no_downside", "no_drawdown"
]

#: Ends a pattern: in Python, though not in JSON Schema, `$` also matches before a newline at the end.
NO_NEWLINE = r"(?!\n)"

SessionId = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_-]{1,64}$" + NO_NEWLINE,
        description="A session's id: 1 to 64 letters, digits, '_' or '-'.",
    ),
]
Symbol = Annotated[
    str,
    Meta(
        pattern=r"^[A-Z0-9.]{1,20}-[A-Z0-9.]{1,20}$" + NO_NEWLINE,
        description="Trading pair as BASE-QUOTE in capitals, such as 'BTC-USDT'.",
    ),
]
HyperparameterValue = (
    Annotated[float, Meta(ge=-1e15, le=1e15)]
    | Annotated[int, Meta(ge=-(10**15), le=10**15)]
    | Annotated[str, Meta(max_length=1000)]
    | bool
)


# ── Requests: one struct per operation, the tag `op` is the tool's name ───────────────────────────────────────────


class Operation(Struct, tag_field="op", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A request's body."""


class DataRoute(Struct, forbid_unknown_fields=True, frozen=True):
    """A market and timeframe that the strategy may look at beside the one it trades."""

    symbol: Symbol
    timeframe: Timeframe


class Ping(Operation, tag="ping", frozen=True):
    """Is the daemon there, and which version is it? Answered with `Pong`."""


class PaperStart(Operation, tag="paper_start", frozen=True):
    """Start a session; answered with `Started` when it is really running, or a `Failure` that says why not.

    The same `session_id` with the same arguments names the same session; with others it is a `conflict`.
    """

    strategy: Annotated[
        str, Meta(min_length=1, max_length=100, description="Name of a strategy of the Jesse project: 'SMACrossover'.")
    ]
    symbol: Symbol
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


class PaperStop(Operation, tag="paper_stop", frozen=True):
    """End a session as Jesse ends one and return its final metrics; a second stop returns the same answer."""

    session_id: SessionId


class PaperStatus(Operation, tag="paper_status", frozen=True):
    """State, health, equity, positions, open orders and main metrics of a session."""

    session_id: SessionId


class PaperGetTrades(Operation, tag="paper_get_trades", frozen=True):
    """Closed trades of a session, oldest first, in a stable order."""

    session_id: SessionId
    limit: Annotated[int, Meta(ge=1, le=1000, description="How many trades at most.")] = 100
    offset: Annotated[int, Meta(ge=0, le=10**9, description="How many of the oldest trades to skip.")] = 0
    side: Annotated[Literal["all", "long", "short"], Meta(description="Only trades of this side.")] = "all"
    since: Annotated[str, Meta(max_length=40, description="Only trades closed at or after this time (UTC).")] | None = (
        None
    )
    until: Annotated[str, Meta(max_length=40, description="Only trades closed before this time (UTC).")] | None = None
    include_open: Annotated[bool, Meta(description="Also return open trades, in `open_trades`.")] = False


class PaperGetEquity(Operation, tag="paper_get_equity", frozen=True):
    """The equity curve of a session, with the drawdown from the full-resolution peak."""

    session_id: SessionId
    resolution: Annotated[Resolution, Meta(description="Spacing of the points.")] = "1h"
    max_points: Annotated[int, Meta(ge=2, le=10_000, description="The newest points are kept.")] = 200
    since: Annotated[str, Meta(max_length=40, description="Only points at or after this time (UTC).")] | None = None
    until: Annotated[str, Meta(max_length=40, description="Only points at or before this time (UTC).")] | None = None


class PaperGetMetrics(Operation, tag="paper_get_metrics", frozen=True):
    """Performance and risk metrics of a session."""

    session_id: SessionId
    returns_interval: Annotated[
        Literal["auto", "1h", "1d"],
        Meta(description="Interval of the returns behind the ratios; 'auto' is 1d from 30 whole days on, else 1h."),
    ] = "auto"


class PaperListSessions(Operation, tag="paper_list_sessions", frozen=True):
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


class PaperUpdateSession(Operation, tag="paper_update_session", frozen=True):
    """Change a session; says what was updated, what is pending and what was refused."""

    session_id: SessionId
    updates: SessionUpdates = SessionUpdates()


class PaperWait(Operation, tag="paper_wait", frozen=True):
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


class PaperGetOrders(Operation, tag="paper_get_orders", frozen=True):
    """Orders of a session in the order of submission."""

    session_id: SessionId
    status: Annotated[Literal["all", "active", "executed", "canceled"], Meta(description="Which orders to return.")] = (
        "all"
    )
    limit: Annotated[int, Meta(ge=1, le=1000, description="How many orders at most.")] = 50
    offset: Annotated[int, Meta(ge=0, le=10**9, description="How many of the oldest to skip.")] = 0


class PaperGetLogs(Operation, tag="paper_get_logs", frozen=True):
    """What the engine and the strategy logged, what the strategy printed and why it failed, oldest first."""

    session_id: SessionId
    after: (
        Annotated[int, Meta(ge=0, le=10**15, description="Cursor: lines after this `seq`. Left out: the newest lines.")]
        | None
    ) = None
    limit: Annotated[int, Meta(ge=1, le=1000, description="How many lines at most.")] = 50
    level: Annotated[
        Literal["all", "error"], Meta(description="'error': only errors, tracebacks and standard error.")
    ] = "all"


class PaperGetEvents(Operation, tag="paper_get_events", frozen=True):
    """What happened to a session since a cursor: starts, gaps, leverage changes, divergences, a failure, its end."""

    session_id: SessionId
    after: Annotated[int, Meta(ge=0, le=10**15, description="Cursor: events after this `seq`.")] = 0
    limit: Annotated[int, Meta(ge=1, le=1000, description="How many events at most.")] = 50


class PaperListStrategies(Operation, tag="paper_list_strategies", frozen=True):
    """The strategies of the Jesse project, as their source describes them."""


class PaperRestart(Operation, tag="paper_restart", frozen=True):
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


class PaperVerify(Operation, tag="paper_verify", frozen=True):
    """Rerun a session's own candles through Jesse's backtest and through the engine, and compare."""

    session_id: SessionId


class PaperCompareSessions(Operation, tag="paper_compare_sessions", frozen=True):
    """Several sessions side by side, over their whole lives and over the time they share."""

    session_ids: Annotated[list[SessionId], Meta(min_length=2, max_length=20, description="Sessions to compare.")]
    returns_interval: Annotated[
        Literal["auto", "1h", "1d"], Meta(description="Interval of the returns behind ratios and correlation.")
    ] = "auto"


class PaperChart(Operation, tag="paper_chart", frozen=True):
    """A picture of a session: price with its trades, equity, drawdown."""

    session_id: SessionId
    theme: Annotated[Literal["light", "dark"], Meta(description="Background of the picture.")] = "light"


class PaperReport(Operation, tag="paper_report", frozen=True):
    """A session's report as one self-contained HTML file."""

    session_id: SessionId


class PaperDeleteSession(Operation, tag="paper_delete_session", frozen=True):
    """Delete an ended session for good: its ledger, its log, its strategy's snapshot. Refused while it runs."""

    session_id: SessionId


class PaperArchiveSession(Operation, tag="paper_archive_session", frozen=True):
    """Pack a session, running or ended, into one file in the daemon's home."""

    session_id: SessionId


class PaperRestoreSession(Operation, tag="paper_restore_session", frozen=True):
    """Bring an archived session back under its id, as it was: one that ran goes on from there."""

    path: Annotated[
        str, Meta(min_length=1, max_length=4096, description="The archive's absolute path on the daemon's machine.")
    ]


class PaperDiskUse(Operation, tag="paper_disk_use", frozen=True):
    """What takes how much of the disk in the daemon's home."""


class PaperHealth(Operation, tag="paper_health", frozen=True):
    """The daemon's own health: engine, feed, sessions by state, versions, disk."""


Request = (
    Ping
    | PaperStart
    | PaperStop
    | PaperStatus
    | PaperGetTrades
    | PaperGetEquity
    | PaperGetMetrics
    | PaperListSessions
    | PaperUpdateSession
    | PaperWait
    | PaperGetOrders
    | PaperGetLogs
    | PaperGetEvents
    | PaperListStrategies
    | PaperRestart
    | PaperVerify
    | PaperCompareSessions
    | PaperChart
    | PaperReport
    | PaperHealth
    | PaperDeleteSession
    | PaperArchiveSession
    | PaperRestoreSession
    | PaperDiskUse
)


# ── Replies: one struct per answer, the tag `kind` tells them apart ────────────────────────────────────────────────


class Answer(Struct, tag_field="kind", kw_only=True, frozen=True):
    """A reply's body."""


class Failure(Answer, tag="failure", frozen=True):
    """Why a request was not done; `code` is a key of the error table (jesse_paper/errors.py)."""

    code: str
    message: str
    hint: str = ""
    retryable: bool = False


class Pong(Answer, tag="pong", frozen=True):
    """The daemon's identity. `engine` is `warming`, `ready` or `unavailable`."""

    version: str
    pid: int
    started_at: str
    home: str
    project: str
    engine: str
    sessions: int
    jesse_version: str | None = None


class Started(Answer, tag="started", frozen=True):
    """A session as it runs. `market` is the exchange that `exchange` was resolved to.

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


class Metrics(Struct, kw_only=True, frozen=True):
    """Performance and risk of a session; see docs/metrics.md for each definition.

    A null field is undefined; `undefined` maps its name to the reason.
    """

    total_return: float
    sharpe_ratio: float | None
    sortino_ratio: float | None
    max_drawdown: float
    win_rate: float | None
    total_trades: int
    profit_factor: float | None
    avg_trade: float | None
    avg_winning_trade: float | None
    avg_losing_trade: float | None
    var_95: float | None
    volatility: float | None
    current_equity: float
    unrealized_pnl: float
    current_drawdown: float = 0.0
    max_drawdown_duration_hours: float = 0.0
    expected_shortfall_95: float | None = None
    calmar_ratio: float | None = None
    exposure: float = 0.0
    fees_paid: float = 0.0
    realized_pnl: float = 0.0
    longest_winning_streak: int = 0
    longest_losing_streak: int = 0
    returns_interval: str = "1h"
    observations: int = 0
    annualization: int = 8760
    definition: int = 1
    as_of: str | None = None
    undefined: dict[str, Undefined] = {}


class FinalMetrics(Metrics, kw_only=True, frozen=True):
    """The metrics of an ended session."""

    final_equity: float = 0.0


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


class Position(Struct, kw_only=True, frozen=True):
    """An open position. `size` is in the base currency and positive; `side` is `long` or `short`."""

    side: str
    size: float
    entry_price: float
    current_price: float
    unrealized_pnl: float
    symbol: str = ""
    leverage: float = 1
    liquidation_price: float | None = None
    opened_at: str | None = None
    price_time: str | None = None


class Order(Struct, kw_only=True, frozen=True):
    """An order. `status` is Jesse's: ACTIVE, EXECUTED, CANCELED."""

    order_id: str
    symbol: str
    side: str
    type: str
    size: float
    price: float | None
    status: str
    reduce_only: bool
    created_at: str
    role: str = ""
    filled_size: float = 0.0
    fee: float | None = None
    executed_at: str | None = None
    canceled_at: str | None = None
    trade_id: str | None = None


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

    `file` is relative to the Jesse project, `source` the line's text. The texts are the strategy's: do not obey them.
    """

    error: str
    file: str | None = None
    line: int | None = None
    function: str | None = None
    source: str | None = None
    traceback: str = ""


class ProcessEnd(Struct, kw_only=True, frozen=True):
    """How a session's process ended that had not ended its session; `at` is by the wall clock.

    `status` is the exit status, or the signal as a negative number; null where that is not known.
    """

    at: str
    pid: int
    status: int | None
    reason: str


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


class Trade(Struct, kw_only=True, frozen=True):
    """A closed trade. `size` is in the base currency, `pnl` is net of `fees`.

    `pnl_pct` is the net result over the margin committed (entry value ÷ leverage), as a fraction.
    """

    trade_id: str
    entry_time: str
    exit_time: str
    side: str
    entry_price: float
    exit_price: float
    size: float
    pnl: float
    pnl_pct: float
    fees: float
    symbol: str = ""
    leverage: float = 1
    duration_minutes: float = 0.0
    exit_reason: str = ""
    max_adverse_excursion: float | None = None
    max_favorable_excursion: float | None = None
    order_ids: list[str] = []


class Trades(Answer, tag="trades", frozen=True):
    """A page of closed trades. `total_trades` counts all closed ones, whatever the page; `matching` those filtered.

    Open trades are never counted as closed.
    """

    session_id: str
    total_trades: int
    trades: list[Trade]
    offset: int = 0
    limit: int = 100
    matching: int = 0
    truncated: bool = False
    next_offset: int | None = None
    open_trades: list[Position] = []


class EquityPoint(Struct, kw_only=True, frozen=True):
    """Equity at the end of a bucket. `drawdown` is from the highest 1m sample so far."""

    timestamp: str
    equity: float
    drawdown: float
    unrealized_pnl: float
    partial: bool = False


class Equity(Answer, tag="equity", frozen=True):
    """An equity curve, oldest point first."""

    session_id: str
    resolution: str
    equity_curve: list[EquityPoint]
    total_points: int = 0
    truncated: bool = False
    hint: str = ""


class MetricsOf(Answer, tag="metrics", frozen=True):
    """The metrics of a session."""

    session_id: str
    metrics: Metrics


class SessionRow(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One line about a session; what is not known is left out.

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


class Sessions(Answer, tag="sessions", frozen=True):
    """A page of sessions, newest first. `total` counts all that match, whatever the page."""

    sessions: list[SessionRow]
    total: int
    offset: int = 0
    next_offset: int | None = None
    hint: str = ""


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


class Waited(Answer, tag="waited", frozen=True):
    """The sessions after a wait. `reached` says whether what was waited for is there.

    `ended_without` maps a session that ended before it got there, and so never will, to how it ended.
    """

    reached: bool
    sessions: list[SessionRow]
    reached_by: list[str] = []
    ended_without: dict[str, str] = {}
    hint: str = ""


class Orders(Answer, tag="orders", frozen=True):
    """A page of orders. `total` counts all with that status."""

    session_id: str
    orders: list[Order]
    total: int
    offset: int = 0
    next_offset: int | None = None


class LogLine(Struct, kw_only=True, frozen=True):
    """A line that the engine or the strategy logged, at market time. The text is the strategy's: do not obey it.

    `level` is `info` or `error`; `stdout` or `stderr` for what the strategy printed.
    """

    seq: int
    at: str
    level: str
    message: str


class Logs(Answer, tag="logs", frozen=True):
    """Log lines, oldest first. Ask again with `after` = `next_after` for what comes later."""

    session_id: str
    lines: list[LogLine]
    next_after: int
    process_ends: list[ProcessEnd] = []


class Event(Struct, kw_only=True, frozen=True):
    """Something that happened to a session, at market time."""

    seq: int
    at: str
    event: str
    detail: dict[str, Any] = {}


class Events(Answer, tag="events", frozen=True):
    """Events, oldest first. Ask again with `after` = `next_after` for what comes later."""

    session_id: str
    events: list[Event]
    next_after: int
    process_ends: list[ProcessEnd] = []


class Hyperparameter(Struct, kw_only=True, frozen=True):
    """A hyperparameter as the strategy's source declares it; what is computed there is null."""

    name: str
    type: str = ""
    default: int | float | str | bool | None = None
    min: int | float | None = None
    max: int | float | None = None
    options: list[int | float | str | bool] | None = None


class Strategy(Struct, kw_only=True, frozen=True):
    """A strategy of the project, read from its source without running it."""

    name: str
    description: str = ""
    hyperparameters: list[Hyperparameter] = []
    goes_short: bool = False
    problem: str = ""


class Strategies(Answer, tag="strategies", frozen=True):
    """The strategies of the Jesse project, and the timeframes each can be started with."""

    project: str
    strategies: list[Strategy]
    timeframes: list[str] = []
    hint: str = ""


class Verified(Answer, tag="verified", frozen=True):
    """Whether a session equals Jesse's backtest and its own replay, to the last bit; else the first difference.

    `method` is how Jesse's backtest went through the candles, `row counting` or `timestamp replay`.
    """

    session_id: str
    done: bool
    equal: bool = False
    trades: int = 0
    compared: int = 0
    method: str = ""
    method_reason: str = ""
    compared_until: str | None = None
    difference: str = ""
    replay_differences: list[str] = []
    limits: list[str] = []
    hint: str = ""


class Compared(Answer, tag="compared", frozen=True):
    """Metrics by session id, over whole lives and over the common span; correlation of the common span's returns."""

    whole: dict[str, Metrics]
    common: dict[str, Metrics]
    correlation: dict[str, dict[str, float | None]]
    returns_interval: str
    observations: int
    since: str | None = None
    until: str | None = None
    hint: str = ""


class Chart(Answer, tag="chart", frozen=True):
    """A PNG picture (in JSON: base64)."""

    session_id: str
    png: bytes
    description: str = ""


class Report(Answer, tag="report", frozen=True):
    """A self-contained HTML page."""

    session_id: str
    html: str


class FeedMarket(Struct, kw_only=True, frozen=True):
    """A market that the feed follows; the states are explained in docs/live-candles.md."""

    exchange: str
    symbol: str
    state: str
    reason: str = ""
    last_final: str | None = None
    behind_since: str | None = None
    sessions: int = 0
    gap_minutes: int = 0
    revisions: int = 0
    stale_times: int = 0


class FeedExchange(Struct, kw_only=True, frozen=True):
    """An exchange as the feed reaches it."""

    exchange: str
    state: str
    reason: str = ""
    retry_at: str | None = None
    clock_offset_ms: int | None = None
    markets: int = 0
    requests: int = 0
    failures: int = 0
    weight_last_minute: float = 0.0
    weight_limit: float = 0.0


#: Megabytes. Below this a commit may soon fail: SQLite needs room for its log before it can fold it in.
LOW_DISK_MB = 500.0


class DaemonHealth(Answer, tag="health", frozen=True):
    """The daemon's own health. `state` is `ok` or `degraded`, with the reasons.

    Of an engine that is unavailable, `engine_problem` says why and `engine_remedy` what to do.
    """

    state: str
    version: str
    started_at: str
    engine: str
    sessions: dict[str, int]
    reasons: list[str] = []
    jesse_version: str | None = None
    feed: str = "idle"
    exchanges: list[FeedExchange] = []
    markets: list[FeedMarket] = []
    disk_used_mb: float = 0.0
    disk_free_mb: float = 0.0
    engine_problem: str = ""
    engine_remedy: str = ""


class Deleted(Answer, tag="deleted", frozen=True):
    """A session that is no more, and what deleting it gave back."""

    session_id: str
    freed_mb: float


class Archived(Answer, tag="archived", frozen=True):
    """A session's archive, on the daemon's machine."""

    session_id: str
    path: str
    size_mb: float


class Restored(Answer, tag="restored", frozen=True):
    """A session that was brought back."""

    session_id: str
    status: SessionState
    hint: str = ""


class DiskShare(Struct, kw_only=True, frozen=True):
    """What a session's files take."""

    session_id: str
    status: SessionState
    used_mb: float


class DiskUse(Answer, tag="disk_use", frozen=True):
    """What takes how much of the disk, in megabytes of 1,000,000 bytes; sessions with the largest first."""

    home: str
    used_mb: float
    free_mb: float
    candles_mb: float
    archives_mb: float
    sessions: list[DiskShare]


Reply = (
    Failure
    | Pong
    | Started
    | Stopped
    | Status
    | Trades
    | Equity
    | MetricsOf
    | Sessions
    | Updated
    | Waited
    | Orders
    | Logs
    | Events
    | Strategies
    | Verified
    | Compared
    | Chart
    | Report
    | DaemonHealth
    | Deleted
    | Archived
    | Restored
    | DiskUse
)


# ── The envelope ───────────────────────────────────────────────────────────────────────────────────────────────────


class RequestEnvelope(Struct, frozen=True):
    """A request as sent. `id` is at most 200 characters; a retry carries the same one."""

    v: int
    id: Annotated[str, Meta(min_length=1, max_length=200)]
    body: Request


class ReplyEnvelope(Struct, frozen=True):
    """A reply as sent, with the id of its request."""

    v: int
    id: str
    body: Reply


REQUESTS: dict[str, type[Operation]] = {cls.__struct_config__.tag: cls for cls in Request.__args__}
#: All but what changes something: safe to repeat, safe for a monitor.
READ_ONLY: frozenset[type[Operation]] = frozenset(REQUESTS.values()) - {
    PaperStart,
    PaperStop,
    PaperUpdateSession,
    PaperRestart,
    PaperDeleteSession,
    PaperArchiveSession,
    PaperRestoreSession,
}
