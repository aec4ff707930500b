"""What the registry has of a session."""

from __future__ import annotations

import time
from dataclasses import dataclass

from jesse_paper.errors import PaperError
from jesse_paperd.records.spec import SessionSpec


@dataclass(frozen=True)
class Record:
    """A row of `sessions`."""

    spec: SessionSpec
    arguments: str
    created_at: int
    desired: str
    notes: str | None
    failure: str | None
    ended_at: int | None
    final: str | None
    stop_at: int | None = None

    @property
    def session_id(self) -> str:
        return self.spec.session_id


@dataclass(frozen=True)
class ProcessEnd:
    """How a session's process ended that had not ended its session. `at` is wall-clock milliseconds.

    `status` is the exit status, or the signal as a negative number; None where it is not known. `code` is that of the
    error which it left as its last word, or empty.
    """

    at: int
    pid: int
    status: int | None
    code: str
    reason: str


def damaged(what: str) -> PaperError:
    """The error of something stored that is not what was written."""
    return PaperError(
        "damaged", what, "jesse-paper doctor says what is damaged; jesse-paper repair SESSION makes a journal anew"
    )


def now_ms() -> int:
    """The wall clock in milliseconds UTC."""
    return time.time_ns() // 1_000_000
