"""The candles of a live session: what the feed has stored as final, read by cursor."""

from __future__ import annotations

import numpy as np

from jesse_paperd.candles.store import CandleReader
from jesse_paperd.core.layout import Layout
from jesse_paperd.core.minutes import MINUTE, Rows
from jesse_paperd.records.spec import SessionSpec


class LiveCandles:
    """Follows the candle store of the session's exchange.

    A minute is given once every symbol of the session is final up to it, so that all entries cover the same time.
    """

    def __init__(self, layout: Layout, spec: SessionSpec) -> None:
        assert spec.live_from is not None
        self._reader = CandleReader(layout.candle_store(spec.market))
        self._spec = spec
        self._from = spec.live_from

    def start(self) -> int:
        return self._from

    def warmup(self) -> dict[str, Rows] | None:
        since = self._spec.live_since
        if self._frontier(since) < self._from:
            return None
        return {symbol: self._reader.range(symbol, since, self._from) for symbol in self._spec.symbols}

    def read(self, after: int, limit: int) -> dict[str, Rows]:
        return self.upto(after, self._frontier(max(after + MINUTE, self._from)) - MINUTE, limit)

    def upto(self, after: int, last: int, limit: int) -> dict[str, Rows]:
        first = max(after + MINUTE, self._from)
        traded = {symbol: self._reader.range(symbol, first, last + MINUTE)[:limit] for symbol in self._spec.traded}
        minutes = np.unique(np.concatenate([rows[:, 0] for rows in traded.values()]))[:limit]
        if not len(minutes):
            return {}
        end = int(minutes[-1]) + MINUTE
        others = {
            symbol: self._reader.range(symbol, first, end) for symbol in self._spec.symbols if symbol not in traded
        }
        return {symbol: rows[: rows[:, 0].searchsorted(end)] for symbol, rows in traded.items()} | others

    def ended(self, after: int) -> bool:  # noqa: ARG002
        return False

    def total(self) -> None:
        return None

    def _frontier(self, since: int) -> int:
        """The first minute from `since` on that is not final for every symbol."""
        return min(self._reader.frontier(symbol, since) or since for symbol in self._spec.symbols)
