"""What a session trades: positions, orders, closed trades."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from jesse_paper.operations.operation import Answer, Question, declare
from jesse_paper.operations.values import SessionId, Symbol


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
    strategy: str = ""


class Order(Struct, kw_only=True, frozen=True):
    """An order. `status` is Jesse's: ACTIVE, EXECUTED, CANCELED.

    `trade_id` is that of a filled order's trade; of several routes it is known once the trade is closed.
    """

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
    strategy: str = ""


class Orders(Answer, tag="orders", frozen=True):
    """A page of orders. `total` counts all with that status."""

    session_id: str
    orders: list[Order]
    total: int
    offset: int = 0
    next_offset: int | None = None


class PaperGetOrders(Question[Orders], tag="paper_get_orders", frozen=True):
    """Orders of a session in the order of submission."""

    session_id: SessionId
    status: Annotated[Literal["all", "active", "executed", "canceled"], Meta(description="Which orders to return.")] = (
        "all"
    )
    symbol: Annotated[Symbol, Meta(description="Only orders of this pair.")] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000, description="How many orders at most.")] = 50
    offset: Annotated[int, Meta(ge=0, le=10**9, description="How many of the oldest to skip.")] = 0


declare(
    PaperGetOrders(session_id="sma", limit=1),
    Orders(
        session_id="sma",
        orders=[
            Order(
                order_id="o000001",
                symbol="BTC-USDT",
                side="buy",
                type="MARKET",
                size=0.03881417,
                price=97546.96,
                status="EXECUTED",
                reduce_only=False,
                created_at="2024-12-11T05:00:00Z",
                filled_size=0.03881417,
                fee=3.7862042884232006,
                executed_at="2024-12-11T05:00:00Z",
                trade_id="t001",
                strategy="SMACrossover",
            )
        ],
        total=99,
        next_offset=1,
    ),
)


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
    strategy: str = ""


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


class PaperGetTrades(Question[Trades], tag="paper_get_trades", frozen=True):
    """Closed trades of a session, oldest first, in a stable order."""

    session_id: SessionId
    limit: Annotated[int, Meta(ge=1, le=1000, description="How many trades at most.")] = 100
    offset: Annotated[int, Meta(ge=0, le=10**9, description="How many of the oldest trades to skip.")] = 0
    side: Annotated[Literal["all", "long", "short"], Meta(description="Only trades of this side.")] = "all"
    symbol: Annotated[Symbol, Meta(description="Only trades of this pair.")] | None = None
    since: Annotated[str, Meta(max_length=40, description="Only trades closed at or after this time (UTC).")] | None = (
        None
    )
    until: Annotated[str, Meta(max_length=40, description="Only trades closed before this time (UTC).")] | None = None
    include_open: Annotated[bool, Meta(description="Also return open trades, in `open_trades`.")] = False


declare(
    PaperGetTrades(session_id="sma", limit=1),
    Trades(
        session_id="sma",
        total_trades=12,
        trades=[
            Trade(
                trade_id="t001",
                entry_time="2024-12-11T05:00:00Z",
                exit_time="2024-12-12T11:00:00Z",
                side="long",
                entry_price=97546.96,
                exit_price=100579.44,
                size=0.03881417,
                pnl=110.01698637799451,
                pnl_pct=0.029057329715246848,
                fees=7.686207863605336,
                symbol="BTC-USDT",
                duration_minutes=1800.0,
                exit_reason="strategy",
                max_adverse_excursion=0.0030558615050639308,
                max_favorable_excursion=0.04450205316495761,
                order_ids=["o000001", "o000016"],
                strategy="SMACrossover",
            )
        ],
        limit=1,
        matching=12,
        truncated=True,
        next_offset=1,
    ),
)
