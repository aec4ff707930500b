"""What every candle must be, wherever it comes from."""

from __future__ import annotations


def fault_of(open_: float, high: float, low: float, close: float, volume: float) -> str:
    """What is wrong with a candle's finite numbers, in words; empty: nothing."""
    if low <= 0:
        return "a price that is not above 0"
    if high < max(open_, close) or low > min(open_, close):
        return "an open or close outside low and high"
    return "a negative volume" if volume < 0 else ""
