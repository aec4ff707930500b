"""Opens the candles of a session: a replay's files, or the live candle store. The seam for further sources."""

from __future__ import annotations

from jesse_paperd.store.candles import Candles, ReplayedCandles
from jesse_paperd.store.layout import Layout
from jesse_paperd.store.spec import SessionSpec
from jesse_paperd.wire.errors import PaperError


def open_candles(layout: Layout, spec: SessionSpec) -> Candles:
    """The candles of a session."""
    if spec.candle_files:
        return ReplayedCandles(layout, spec)
    raise PaperError("feed_unavailable", "this daemon has no live feed", "use feed='replay:/path/to/candles.csv.gz'")
