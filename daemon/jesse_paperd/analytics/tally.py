"""The trade tally: closed trades, folded one by one into counts, sums and streaks.

Sums are taken in the order of closing, so that they are the same however the trades were split between questions.
"""

from __future__ import annotations

from jesse_paperd.records.journal import TradeRow


class TradeTally:
    """The fold. Money is in the quote currency and net of fees; a break-even trade is neither won nor lost."""

    def __init__(self) -> None:
        self.last = 0  # number of the newest trade folded
        self.count = 0
        self.wins = 0
        self.losses = 0
        self.gross_profit = 0.0
        self.gross_loss = 0.0  # positive
        self.realized_pnl = 0.0
        self.fees = 0.0
        self.held_ms = 0  # time from entries to exits
        self.longest_winning_streak = 0
        self.longest_losing_streak = 0
        self._winning = 0
        self._losing = 0

    def add(self, trade: TradeRow) -> None:
        """Fold the next closed trade."""
        self.last = trade.n
        self.count += 1
        self.realized_pnl += trade.pnl
        self.fees += trade.fee
        self.held_ms += trade.exit_at - trade.entry_at
        won, lost = trade.pnl > 0, trade.pnl < 0
        if won:
            self.wins += 1
            self.gross_profit += trade.pnl
        elif lost:
            self.losses += 1
            self.gross_loss -= trade.pnl
        self._winning = self._winning + 1 if won else 0
        self._losing = self._losing + 1 if lost else 0
        self.longest_winning_streak = max(self.longest_winning_streak, self._winning)
        self.longest_losing_streak = max(self.longest_losing_streak, self._losing)
