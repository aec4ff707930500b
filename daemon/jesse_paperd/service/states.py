"""The state of a session: one of the protocol's six, told by one function from what registry, process and journal say.

starting → running → stopping → stopped
    ↑↓         ↑↓                    failed: the strategy failed, or the daemon gave up restarting the process
    restarting: there should be a process, and there is none
"""

from __future__ import annotations

from jesse_paper.protocol import SessionState
from jesse_paperd.records.journal import Outcome, Progress
from jesse_paperd.records.registry import Record

#: States that a session does not leave by itself.
ENDED: frozenset[SessionState] = frozenset({"stopped", "failed"})


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
