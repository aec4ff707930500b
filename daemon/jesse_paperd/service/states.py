"""The states of a session: the protocol's six, where each may lead, and the one function that tells which it is in.

    starting → running → stopping → stopped
        ↑↓         ↑↓        ↓
        restarting ──────→ failed: the strategy failed, or the daemon gave up restarting the process

`restarting`: there should be a process, and there is none. From every state that is not an end a session may go to
`stopping` or `failed`; from an end it goes nowhere (`TRANSITIONS`).
"""

from __future__ import annotations

from jesse_paper.protocol import SessionState
from jesse_paperd.records.journal import Outcome, Progress
from jesse_paperd.records.record import Record

#: Where a session may go from each state.
TRANSITIONS: dict[SessionState, frozenset[SessionState]] = {
    "starting": frozenset({"running", "restarting", "stopping", "failed"}),
    "running": frozenset({"restarting", "stopping", "failed"}),
    "restarting": frozenset({"starting", "running", "stopping", "failed"}),
    "stopping": frozenset({"stopped", "failed"}),
    "stopped": frozenset(),
    "failed": frozenset(),
}


def state_of(
    record: Record, has_process: bool, trouble: str, progress: Progress | None, outcome: Outcome | None
) -> SessionState:
    """The session's state.

    Args:
        has_process: a process of it lives.
        trouble: why it has none, if that was not meant; or empty.
        progress, outcome: what its journal says.
    """
    if record.failure is not None or (outcome is not None and outcome.reason == "failed"):
        return "failed"
    if record.ended_at is not None:
        return "stopped"
    if record.desired == "stopped" or outcome is not None:
        return "stopping"
    if not has_process and trouble:
        return "restarting"
    return "running" if progress is not None and progress.phase == "running" else "starting"
