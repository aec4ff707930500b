"""How a session performs: metrics, equity, comparison, chart, report."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from jesse_paper.operations.operation import Answer, Question, declare
from jesse_paper.operations.values import Resolution, SessionId, Symbol, Undefined


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


class RouteMetrics(Struct, kw_only=True, frozen=True):
    """What one route of a session contributed.

    Money is in the quote currency; `realized_pnl` is net of fees, `unrealized_pnl` that of the open position at its
    last close. `exposure` is the share of the market's time with a position, `contribution` the sum of both results
    over the starting balance. What is undefined without trades, or without lost ones, is null.
    """

    symbol: str
    strategy: str
    timeframe: str
    total_trades: int
    win_rate: float | None
    profit_factor: float | None
    realized_pnl: float
    unrealized_pnl: float
    fees_paid: float
    exposure: float
    contribution: float


class MetricsOf(Answer, tag="metrics", frozen=True):
    """The metrics of a session; `metrics` are the account's, `routes` have a row for each symbol that it trades."""

    session_id: str
    metrics: Metrics
    routes: list[RouteMetrics] = []


class PaperGetMetrics(Question[MetricsOf], tag="paper_get_metrics", frozen=True):
    """Performance and risk metrics of a session."""

    session_id: SessionId
    returns_interval: Annotated[
        Literal["auto", "1h", "1d"],
        Meta(description="Interval of the returns behind the ratios; 'auto' is 1d from 30 whole days on, else 1h."),
    ] = "auto"


METRICS_EXAMPLE = Metrics(
    total_return=0.007285308557975156,
    sharpe_ratio=1.0436956809475164,
    sortino_ratio=1.5278850034282123,
    max_drawdown=0.03340328912983575,
    win_rate=0.5,
    total_trades=12,
    profit_factor=1.1407286161468555,
    avg_trade=6.088187411650575,
    avg_winning_trade=98.70017614168147,
    avg_losing_trade=-86.52380131838032,
    var_95=0.002311772445362592,
    volatility=0.15208726317096857,
    current_equity=10072.853085579753,
    unrealized_pnl=0.0,
    current_drawdown=0.025245162466814196,
    max_drawdown_duration_hours=311.3333333333333,
    expected_shortfall_95=0.004135234656462322,
    exposure=0.389413988657845,
    fees_paid=132.10511111687535,
    realized_pnl=73.0582489398069,
    longest_winning_streak=2,
    longest_losing_streak=2,
    observations=432,
    as_of="2024-12-29T00:00:00Z",
    undefined={"calmar_ratio": "insufficient_samples"},
)
declare(
    PaperGetMetrics(session_id="sma"),
    MetricsOf(
        session_id="sma",
        metrics=METRICS_EXAMPLE,
        routes=[
            RouteMetrics(
                symbol="BTC-USDT",
                strategy="SMACrossover",
                timeframe="1h",
                total_trades=12,
                win_rate=0.5,
                profit_factor=1.1407286161468555,
                realized_pnl=73.0582489398069,
                unrealized_pnl=0.0,
                fees_paid=132.10511111687535,
                exposure=0.389429012345679,
                contribution=0.0073058248939806905,
            )
        ],
    ),
)


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


class PaperGetEquity(Question[Equity], tag="paper_get_equity", frozen=True):
    """The equity curve of a session, with the drawdown from the full-resolution peak."""

    session_id: SessionId
    resolution: Annotated[Resolution, Meta(description="Spacing of the points.")] = "1h"
    max_points: Annotated[int, Meta(ge=2, le=10_000, description="The newest points are kept.")] = 200
    since: Annotated[str, Meta(max_length=40, description="Only points at or after this time (UTC).")] | None = None
    until: Annotated[str, Meta(max_length=40, description="Only points at or before this time (UTC).")] | None = None


declare(
    PaperGetEquity(session_id="sma", resolution="1d", max_points=2),
    Equity(
        session_id="sma",
        resolution="1d",
        equity_curve=[
            EquityPoint(
                timestamp="2024-12-28T00:00:00Z",
                equity=10042.312736010552,
                drawdown=0.028200566782712603,
                unrealized_pnl=0.0,
            ),
            EquityPoint(
                timestamp="2024-12-29T00:00:00Z",
                equity=10072.853085579753,
                drawdown=0.025245162466814196,
                unrealized_pnl=0.0,
            ),
        ],
        total_points=19,
        truncated=True,
        hint="the newest 2 of 19 points; use a coarser resolution or max_points",
    ),
)


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


class PaperCompareSessions(Question[Compared], tag="paper_compare_sessions", frozen=True):
    """Several sessions side by side, over their whole lives and over the time they share."""

    session_ids: Annotated[list[SessionId], Meta(min_length=2, max_length=20, description="Sessions to compare.")]
    returns_interval: Annotated[
        Literal["auto", "1h", "1d"], Meta(description="Interval of the returns behind ratios and correlation.")
    ] = "auto"


declare(
    PaperCompareSessions(session_ids=["sma", "sma-2"]),
    Compared(
        whole={"sma": METRICS_EXAMPLE, "sma-2": METRICS_EXAMPLE},
        common={"sma": METRICS_EXAMPLE, "sma-2": METRICS_EXAMPLE},
        correlation={"sma": {"sma": 1.0, "sma-2": 1.0}, "sma-2": {"sma": 1.0, "sma-2": 1.0}},
        returns_interval="1h",
        observations=432,
        since="2024-12-11T00:00:00Z",
        until="2024-12-29T00:00:00Z",
    ),
)


class Chart(Answer, tag="chart", frozen=True):
    """A PNG picture (in JSON: base64)."""

    session_id: str
    png: bytes
    description: str = ""


class PaperChart(Question[Chart], tag="paper_chart", frozen=True):
    """A picture of a session: price with its trades, equity, drawdown."""

    session_id: SessionId
    theme: Annotated[Literal["light", "dark"], Meta(description="Background of the picture.")] = "light"
    symbol: (
        Annotated[Symbol, Meta(description="The pair whose price and trades are shown; left out, the first route's.")]
        | None
    ) = None


declare(
    PaperChart(session_id="sma"),
    Chart(
        session_id="sma",
        png=b"\x89PNG",
        description="SMACrossover · BTC-USDT 1h · Binance Spot: equity 10,072.85 (+0.73%), largest drawdown 3.34%, "
        "12 closed trades, as of 2024-12-29T00:00:00Z; simulated money",
    ),
)


class Report(Answer, tag="report", frozen=True):
    """A self-contained HTML page."""

    session_id: str
    html: str


class PaperReport(Question[Report], tag="paper_report", frozen=True):
    """A session's report as one self-contained HTML file."""

    session_id: SessionId


declare(
    PaperReport(session_id="sma"),
    Report(session_id="sma", html="<!doctype html>"),
)
