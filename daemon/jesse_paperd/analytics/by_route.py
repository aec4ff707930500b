"""What each route of a session contributed: its closed trades, and what it holds."""

from __future__ import annotations

from collections.abc import Sequence

from jesse_paper.protocol import RouteMetrics
from jesse_paperd.analytics.tally import TradeTally
from jesse_paperd.analytics.track_record import TrackRecord
from jesse_paperd.records.journal import PositionRow, Progress
from jesse_paperd.records.spec import SessionSpec, wire_timeframe


def metrics_by_route(
    spec: SessionSpec, track: TrackRecord, positions: Sequence[PositionRow], progress: Progress | None
) -> list[RouteMetrics]:
    """A row for each route, as of the last refresh; open positions are valued at their last close."""
    path = track.path
    begin, end = path.started_at or 0, path.last_at or 0
    rows = []
    for route in spec.routes:
        trades = track.by_symbol.get(route.symbol) or TradeTally()
        held, unrealized = trades.held_ms, 0.0
        for position in positions:
            if position.symbol == route.symbol:
                held += max(0, end - position.opened_at)
                close = progress.close_of(route.symbol) if progress is not None else None
                if close is not None:
                    direction = 1 if position.side == "long" else -1
                    unrealized = direction * abs(position.qty) * (close - position.entry_price)
        rows.append(
            RouteMetrics(
                symbol=route.symbol,
                strategy=route.strategy,
                timeframe=wire_timeframe(route.timeframe),
                total_trades=trades.count,
                win_rate=trades.wins / trades.count if trades.count else None,
                profit_factor=trades.gross_profit / trades.gross_loss if trades.losses else None,
                realized_pnl=trades.realized_pnl,
                unrealized_pnl=unrealized,
                fees_paid=trades.fees,
                exposure=held / (end - begin) if end > begin else 0.0,
                contribution=(trades.realized_pnl + unrealized) / spec.starting_balance,
            )
        )
    return rows
