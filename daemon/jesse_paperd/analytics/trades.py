"""Closed trades as a client sees them."""

from __future__ import annotations

import msgspec

from jesse_paper.protocol import Trade
from jesse_paper.rfc3339 import to_text
from jesse_paperd.core.minutes import MINUTE
from jesse_paperd.records.journal import TradeRow


def trade_of(row: TradeRow, strategy: str = "") -> Trade:
    """A closed trade, with how far the market went against it and for it while it was open.

    Both excursions are fractions of the entry price and not negative, fees left out (Sweeney, 1996).
    """
    below = max(0.0, (row.entry_price - row.lowest) / row.entry_price)
    above = max(0.0, (row.highest - row.entry_price) / row.entry_price)
    adverse, favorable = (below, above) if row.side == "long" else (above, below)
    return Trade(
        trade_id=row.trade_id,
        entry_time=to_text(row.entry_at),
        exit_time=to_text(row.exit_at),
        side=row.side,
        entry_price=row.entry_price,
        exit_price=row.exit_price,
        size=abs(row.qty),
        pnl=row.pnl,
        pnl_pct=row.pnl_pct,
        fees=row.fee,
        symbol=row.symbol,
        leverage=row.leverage,
        duration_minutes=(row.exit_at - row.entry_at) / MINUTE,
        exit_reason=row.exit_reason,
        max_adverse_excursion=adverse,
        max_favorable_excursion=favorable,
        order_ids=msgspec.json.decode(row.order_ids, type=list[str]),
        strategy=strategy,
    )
