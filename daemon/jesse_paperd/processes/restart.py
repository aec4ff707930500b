"""When to start a dead session again: a small pure class with four named numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Backoff:
    """Counts the deaths of one session in a row.

    All times are seconds of a monotonic clock, so that setting the wall clock back or forward changes nothing.
    """

    limit: int
    first_seconds: float
    longest_seconds: float
    settled_seconds: float
    deaths: int = 0
    started: float | None = None

    def start(self, now: float) -> None:
        """The session was started."""
        self.started = now

    def died(self, now: float) -> float | None:
        """The session died; seconds to wait before the next start, or None when the limit is reached."""
        if self.started is not None and now - self.started >= self.settled_seconds:
            self.deaths = 0
        self.started = None
        self.deaths += 1
        if self.deaths > self.limit:
            return None
        return float(min(self.longest_seconds, self.first_seconds * 2 ** (self.deaths - 1)))
