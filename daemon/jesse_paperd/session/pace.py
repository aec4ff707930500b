"""When a replayed candle is due: at once, or as in real time, so many times faster."""

from __future__ import annotations

import time
from typing import Literal


class Pace:
    """The pace of one run of a session, from its first candle on.

    Args:
        speed: `max`, or a multiple of real time.
    """

    def __init__(self, speed: Literal["max"] | float) -> None:
        self.unlimited = speed == "max"
        self._speed = 1.0 if speed == "max" else float(speed)
        self._origin: tuple[float, int] | None = None

    def seconds_until(self, candle: int) -> float:
        """Seconds until a candle is due, by its open time; negative when it is overdue, 0 at full speed."""
        if self.unlimited:
            return 0.0
        now = time.monotonic()
        if self._origin is None:
            self._origin = (now, candle)
        began, first = self._origin
        return began + (candle - first) / 1000 / self._speed - now

    def latest_due(self, candle: int) -> int:
        """The open time up to which candles are due by now, given one that is."""
        assert self._origin is not None
        began, first = self._origin
        return max(candle, first + int((time.monotonic() - began) * 1000 * self._speed))
