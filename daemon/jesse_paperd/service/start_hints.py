"""What the answer to a start says beside the session's state: what has happened, and what to call next."""

from __future__ import annotations

from jesse_paper.errors import PaperError
from jesse_paper.protocol import SessionState
from jesse_paperd.records.journal import Outcome
from jesse_paperd.records.record import Record

_RESULTS = "paper_get_metrics, paper_get_trades and paper_get_equity show what it did"


def hint_of_start(
    record: Record, status: SessionState, outcome: Outcome | None, already_existed: bool, reason: str, trouble: str
) -> str:
    """The hint beside a session that was asked for, with what is doubtful about how it was started.

    Args:
        already_existed: nothing was started, since it was there.
        reason: why it has no process, or empty.
        trouble: why its candles cannot be had now, or empty.
    """
    told = _state_hint(record, status, outcome, already_existed, reason, trouble)
    return "; ".join(filter(None, (told, *record.spec.warnings)))


def _state_hint(
    record: Record, status: SessionState, outcome: Outcome | None, already_existed: bool, reason: str, trouble: str
) -> str:
    if status == "failed":
        return f"it failed: {_failure(record, outcome)}; see paper_status"
    if status in ("stopped", "stopping"):
        why = "has traded all its candles" if outcome is not None and outcome.reason == "feed_ended" else "was stopped"
        if not already_existed:
            return f"it {why}: {_RESULTS}"
        return f"it was there already and {why}, so nothing was started: {_RESULTS}; paper_restart starts another one"
    if status == "running":
        return ""
    if reason:
        return f"it is not running yet: ask paper_status in a moment ({reason})"
    if trouble:
        return (
            f"it does not trade yet, since its candles cannot be had now: {trouble}. It is kept, and goes on trying: "
            "paper_status shows when it trades, paper_stop ends it"
        )
    if record.spec.live_from is not None:
        return "it trades from the next candle on, once it is warm: paper_status shows how far it is"
    return "it is not running yet: ask paper_status in a moment"


def failed_before(record: Record, outcome: Outcome | None) -> PaperError:
    """The refusal of a start under the id of a session that has failed: as an answer it would look like a success."""
    hint = "paper_restart starts another one with the same settings"
    if record.failure is not None and record.ended_at is None and outcome is None:
        hint += ", or goes on with this one ('continue')"
    return PaperError(
        "session_ended",
        f"session {record.session_id!r} exists already and has failed: {_failure(record, outcome)}; "
        "nothing was started",
        f"once that is fixed, {hint}; paper_delete_session frees its id",
    )


def _failure(record: Record, outcome: Outcome | None) -> str:
    return outcome.error if outcome is not None else record.failure or "for a reason that is not known"
