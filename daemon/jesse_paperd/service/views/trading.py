"""What a session traded: pages of trades and orders, and open positions."""

from __future__ import annotations

from jesse_paper import protocol as wire
from jesse_paper.rfc3339 import to_text
from jesse_paperd.analytics.trades import trade_of
from jesse_paperd.core.minutes import MINUTE
from jesse_paperd.records.journal import OrderRow, PositionRow, Progress
from jesse_paperd.records.record import Record
from jesse_paperd.records.spec import SessionSpec
from jesse_paperd.service.process_view import ProcessView
from jesse_paperd.service.session_data import SessionData
from jesse_paperd.service.times import span_of


def trades(data: SessionData, record: Record, body: wire.PaperGetTrades) -> wire.Trades:
    since, until = span_of(body.since, body.until)
    filtered = body.side != "all" or body.symbol is not None or since is not None or until is not None
    with data.read(record) as journal:
        total = matching = journal.reader.trade_count()
        if filtered:
            rows = [
                row
                for row in journal.reader.trades()
                if body.side in ("all", row.side)
                and body.symbol in (None, row.symbol)
                and (since is None or row.exit_at >= since)
                and (until is None or row.exit_at < until)
            ]
            matching = len(rows)
            rows = rows[body.offset : body.offset + body.limit]
        else:
            rows = journal.reader.trades(after=body.offset, limit=body.limit)
        progress = journal.reader.progress()
        positions = journal.reader.positions() if body.include_open else []
    following = body.offset + len(rows)
    return wire.Trades(
        session_id=record.session_id,
        total_trades=total,
        trades=[trade_of(row, record.spec.strategy_on(row.symbol)) for row in rows],
        offset=body.offset,
        limit=body.limit,
        matching=matching,
        truncated=following < matching,
        next_offset=following if following < matching else None,
        open_trades=[
            position_of(row, record.spec, progress, ProcessView())
            for row in positions
            if body.symbol in (None, row.symbol)
        ],
    )


def orders(data: SessionData, record: Record, body: wire.PaperGetOrders) -> wire.Orders:
    with data.read(record) as journal:
        rows = [
            row
            for row in journal.reader.orders()
            if body.status in ("all", row.status.lower()) and body.symbol in (None, row.symbol)
        ]
    page = rows[body.offset : body.offset + body.limit]
    following = body.offset + len(page)
    return wire.Orders(
        session_id=record.session_id,
        orders=[order_of(row, record.spec) for row in page],
        total=len(rows),
        offset=body.offset,
        next_offset=following if following < len(rows) else None,
    )


def position_of(row: PositionRow, spec: SessionSpec, progress: Progress | None, view: ProcessView) -> wire.Position:
    """A position, marked to the last traded price where that is newer than the last candle."""
    price, at = row.entry_price, row.opened_at
    close = progress.close_of(row.symbol) if progress is not None else None
    if progress is not None and close is not None and progress.last_candle is not None:
        price, at = close, progress.last_candle + MINUTE
    for market in view.markets:
        if market.symbol == row.symbol and market.last_price is not None and (market.last_price_at or 0) > at:
            price, at = market.last_price, market.last_price_at or at
    size = abs(row.qty)
    direction = 1 if row.side == "long" else -1
    return wire.Position(
        side=row.side,
        size=size,
        entry_price=row.entry_price,
        current_price=price,
        unrealized_pnl=direction * size * (price - row.entry_price),
        symbol=row.symbol,
        leverage=row.leverage,
        liquidation_price=row.liquidation_price,
        opened_at=to_text(row.opened_at),
        price_time=to_text(at),
        strategy=spec.strategy_on(row.symbol),
    )


def order_of(row: OrderRow, spec: SessionSpec) -> wire.Order:
    return wire.Order(
        order_id=row.order_id,
        symbol=row.symbol,
        side=row.side,
        type=row.type,
        size=abs(row.qty),
        price=row.price,
        status=row.status,
        reduce_only=row.reduce_only,
        created_at=to_text(row.created_at),
        role=row.role,
        filled_size=abs(row.filled_qty),
        fee=row.fee,
        executed_at=to_text(row.executed_at) if row.executed_at is not None else None,
        canceled_at=to_text(row.canceled_at) if row.canceled_at is not None else None,
        trade_id=row.trade_id,
        strategy=spec.strategy_on(row.symbol),
    )
