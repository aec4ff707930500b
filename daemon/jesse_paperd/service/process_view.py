"""What the daemon knows of a session's process and of its candles' feed at one moment."""

from __future__ import annotations

from dataclasses import dataclass

from jesse_paper.protocol import SessionState
from jesse_paperd.feed.messages import MarketState
from jesse_paperd.processes.launcher import SessionProcess
from jesse_paperd.records.journal import Outcome, Progress
from jesse_paperd.records.record import ProcessEnd, Record
from jesse_paperd.service.states import state_of


@dataclass(frozen=True)
class ProcessView:
    """A session's process and feed; of a session without a daemon, nothing.

    `reason` says why there is no process, `next_try` (seconds, wall clock) when there will be. `feed_trouble` says why
    its candles cannot be had now, `feed_down_since` (milliseconds) that the feed process is down. `ends` tells how
    earlier processes ended. A process with a sign of life older than `stalled_seconds` is stalled.
    """

    process: SessionProcess | None = None
    reason: str = ""
    next_try: float | None = None
    markets: tuple[MarketState, ...] = ()
    feed_trouble: str = ""
    feed_down_since: int | None = None
    ends: tuple[ProcessEnd, ...] = ()
    stalled_seconds: float = 0.0

    def state_of(self, record: Record, progress: Progress | None, outcome: Outcome | None) -> SessionState:
        """The session's state, with what its journal says."""
        return state_of(record, self.process is not None, self.reason, progress, outcome)
