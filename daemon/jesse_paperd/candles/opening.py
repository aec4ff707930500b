"""Opens the candles of a session: a replay's files or the live candle store. The seam for further sources."""

from __future__ import annotations

from jesse_paperd.candles.live import LiveCandles
from jesse_paperd.candles.replayed import Candles, ReplayedCandles
from jesse_paperd.core.layout import Layout
from jesse_paperd.records.spec import SessionSpec


def open_candles(layout: Layout, spec: SessionSpec) -> Candles:
    """The candles of a session."""
    return ReplayedCandles(layout, spec) if spec.candle_files else LiveCandles(layout, spec)
