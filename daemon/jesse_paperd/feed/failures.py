"""How a request to an exchange fails, and how long to wait after failures."""

from __future__ import annotations

import random
from typing import Literal

#: unreachable   refused, dropped, or not found
#: timeout       no answer in time
#: unavailable   it answered that it cannot (5xx)
#: limited       it told us to ask less (429)
#: banned        it refuses this address (418, 403, 451)
#: malformed     the answer makes no sense
#: unknown       it has no such pair
#: rejected      it answered with another error
Failure = Literal["unreachable", "timeout", "unavailable", "limited", "banned", "malformed", "unknown", "rejected"]


class RequestFailed(Exception):
    """A request that failed, by the kind of failure that decides what happens next."""

    def __init__(self, kind: Failure, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        #: Seconds that the exchange told us to wait.
        self.retry_after = retry_after


def backoff(failures: int, longest: float, chance: random.Random) -> float:
    """Seconds to wait after this many failures in a row: 1, 2, 4, … up to `longest`, each ± half, so that many who
    failed together do not come back together."""
    return min(longest, 2.0 ** min(failures - 1, 16)) * chance.uniform(0.5, 1.5)
