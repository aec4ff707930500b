"""What every candle must be, wherever it comes from."""

from __future__ import annotations

#: Far above any price or volume there is, and far below where the arithmetic of an account loses its digits.
HIGHEST_PRICE, LARGEST_VOLUME = 1e12, 1e18
#: The year 2100 in milliseconds: times in microseconds lie beyond it.
END_OF_TIME = 4_102_444_800_000


def fault_of(open_: float, high: float, low: float, close: float, volume: float) -> str:
    """What is wrong with a candle's finite numbers, in words; empty: nothing."""
    if low <= 0:
        return "a price that is not above 0"
    if high < max(open_, close) or low > min(open_, close):
        return "an open or close outside low and high"
    if high > HIGHEST_PRICE:
        return f"a price above {HIGHEST_PRICE:g}"
    if volume > LARGEST_VOLUME:
        return f"a volume above {LARGEST_VOLUME:g}"
    return "a negative volume" if volume < 0 else ""
