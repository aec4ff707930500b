"""The exchange's clock, as measured: candles are timed by it, never by the local one."""

from __future__ import annotations

from collections.abc import Callable

#: Seconds after which a measurement is repeated.
REPEAT_AFTER = 600.0
#: Milliseconds by which the local clock may move against the monotonic one before it counts as set anew.
JUMP = 500


class VenueClock:
    """Local clock plus the measured offset.

    The best measurement wins: the offset lies within half of what the request took. A new one replaces it when it is
    as good, when the old one has aged, or when the local clock was set (or the machine slept) in between.
    """

    def __init__(self, local: Callable[[], int], monotonic: Callable[[], float]) -> None:
        """Take the local clock in milliseconds UTC, and one in seconds that nobody sets."""
        self._local = local
        self._monotonic = monotonic
        self._measured_at: float | None = None
        self._base = 0.0
        #: Exchange's clock minus the local one, and how wrong that may be; milliseconds, None before a measurement.
        self.offset: int | None = None
        self.uncertainty: int | None = None

    def now(self) -> int:
        """Milliseconds UTC by the exchange's clock; by the local one before the first measurement."""
        return self._local() + (self.offset or 0)

    def local(self) -> int:
        """Milliseconds UTC by the local clock."""
        return self._local()

    def due(self) -> bool:
        """Whether it should be measured now."""
        if self._measured_at is None or self.jumped():
            return True
        poor = self.uncertainty is not None and self.uncertainty > 1_000
        return self._monotonic() - self._measured_at > (REPEAT_AFTER / 10 if poor else REPEAT_AFTER)

    def jumped(self) -> bool:
        """Whether the local clock was set since the measurement, or the machine slept."""
        return self._measured_at is not None and abs(self._local() - self._monotonic() * 1000 - self._base) > JUMP

    def learn(self, sent: int, received: int, theirs: int, resolution: int = 1) -> None:
        """Take a measurement.

        Args:
            sent, received: local clock around the request.
            theirs: the exchange's time in the reply, rounded down to `resolution` milliseconds.
        """
        uncertainty = (received - sent + resolution) // 2
        if self.uncertainty is None or uncertainty <= self.uncertainty or self.due():
            self.offset = theirs + resolution // 2 - (sent + received) // 2
            self.uncertainty = uncertainty
            self._measured_at = self._monotonic()
            self._base = self._local() - self._measured_at * 1000
