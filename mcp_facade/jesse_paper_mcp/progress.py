"""What can be said about a call while it lasts, for clients that asked for `notifications/progress`.

The call itself stays one request. Word of its sessions is had by looking at them beside it, so nothing is kept of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

from jesse_paper import protocol as p
from jesse_paper.errors import PaperError

#: Progress interval: short enough to be seen, long enough to cost little.
EVERY_SECONDS = 2.0
_AT_ONCE = 0.001


class Progress(NamedTuple):
    """How far a call is.

    Attributes:
        progress: seconds that it lasts already.
        total: seconds that it lasts at most, where its arguments say so.
        message: for people.
    """

    progress: float
    total: float | None
    message: str


def of(operation: p.Operation, seconds: float, ask: Callable[[p.Operation], Any]) -> Progress:
    """How far an operation is that began so many seconds ago.

    Args:
        ask: puts an operation to the daemon.
    """
    total = operation.timeout_seconds if isinstance(operation, p.PaperWait) else None
    ids = getattr(operation, "session_ids", None) or [getattr(operation, "session_id", None)]
    told = "still at work"
    if None not in ids:
        with contextlib.suppress(PaperError):  # the call itself says what is wrong
            told = "; ".join(map(_line, ask(p.PaperWait(session_ids=ids, timeout_seconds=_AT_ONCE)).sessions))
    return Progress(seconds, total, f"{seconds:.0f} s: {told}")


def _line(row: p.SessionRow) -> str:
    parts = [f"{row.session_id} {row.status}"]
    if row.total_trades is not None:
        parts.append(f"{row.total_trades} trades")
    if row.last_candle:
        parts.append(f"candles until {row.last_candle}")
    return ", ".join(parts)
