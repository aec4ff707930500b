"""Sessions on disk: delete, archive, restore, and what takes how much."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from jesse_paper.operations.operation import Answer, Mutation, Question, declare
from jesse_paper.operations.values import SessionId, SessionState


class Deleted(Answer, tag="deleted", frozen=True):
    """A session that was deleted, and the space that this freed."""

    session_id: str
    freed_mb: float


class PaperDeleteSession(Mutation[Deleted], tag="paper_delete_session", frozen=True):
    """Delete an ended session for good: its journal, its log, its strategy's snapshot. Refused while it runs."""

    session_id: SessionId


declare(
    PaperDeleteSession(session_id="sma"),
    Deleted(session_id="sma", freed_mb=0.517),
)


class Archived(Answer, tag="archived", frozen=True):
    """A session's archive, on the daemon's machine."""

    session_id: str
    path: str
    size_mb: float


class PaperArchiveSession(Mutation[Archived], tag="paper_archive_session", frozen=True):
    """Pack a session, running or ended, into one file in the daemon's home."""

    session_id: SessionId


declare(
    PaperArchiveSession(session_id="sma"),
    Archived(session_id="sma", path="/home/ada/.jesse-paper/archives/sma.tar.gz", size_mb=1.211),
)


class Restored(Answer, tag="restored", frozen=True):
    """A session that was brought back."""

    session_id: str
    status: SessionState
    hint: str = ""


class PaperRestoreSession(Mutation[Restored], tag="paper_restore_session", frozen=True):
    """Bring an archived session back under its id, as it was: one that ran goes on from there."""

    path: Annotated[
        str, Meta(min_length=1, max_length=4096, description="The archive's absolute path on the daemon's machine.")
    ]


declare(
    PaperRestoreSession(path="/home/ada/.jesse-paper/archives/sma.tar.gz"),
    Restored(session_id="sma", status="stopped"),
)


class Repaired(Answer, tag="repaired", frozen=True):
    """A session whose journal is being made anew. `kept` is where the old journal is, or empty where there was none."""

    session_id: str
    status: SessionState
    kept: str = ""
    hint: str = ""


class PaperRepairSession(Mutation[Repaired], tag="paper_repair_session", frozen=True):
    """Make the journal of a session anew, from its spec, its candles and what was asked of it; the old file is kept.

    Refused while the session runs. One that was stopped is stopped again at the same candle.
    """

    session_id: SessionId


declare(
    PaperRepairSession(session_id="sma"),
    Repaired(
        session_id="sma",
        status="running",
        kept="/home/ada/.jesse-paper/sessions/sma/journal.damaged-20261127T080500-000000.sqlite",
        hint="it runs again from its beginning to where it was; paper_verify proves it afterwards",
    ),
)


class DamagedSession(Struct, kw_only=True, frozen=True):
    """A session of which something is not what was written, and what can be done."""

    session_id: str
    problems: list[str]
    remedy: str


class Checked(Answer, tag="checked", frozen=True):
    """What was found when all that is kept was read. `registry` says what is wrong with the registry, if anything."""

    sessions: int
    damaged: list[DamagedSession] = []
    registry: list[str] = []


class PaperCheckFiles(Question[Checked], tag="paper_check_files", frozen=True):
    """Read all that is kept of every session, and say what is not what was written."""


declare(PaperCheckFiles(), Checked(sessions=2))


class DiskShare(Struct, kw_only=True, frozen=True):
    """What a session's files take."""

    session_id: str
    status: SessionState
    used_mb: float


class DiskUse(Answer, tag="disk_use", frozen=True):
    """What takes how much of the disk, in megabytes of 1,000,000 bytes; sessions with the largest first."""

    home: str
    used_mb: float
    free_mb: float
    candles_mb: float
    archives_mb: float
    sessions: list[DiskShare]


class PaperDiskUse(Question[DiskUse], tag="paper_disk_use", frozen=True):
    """What takes how much of the disk in the daemon's home."""


declare(
    PaperDiskUse(),
    DiskUse(
        home="/home/ada/.jesse-paper",
        used_mb=3.159,
        free_mb=81475.432,
        candles_mb=1.935,
        archives_mb=0.0,
        sessions=[
            DiskShare(session_id="sma-2", status="stopped", used_mb=0.517),
            DiskShare(session_id="sma", status="stopped", used_mb=0.517),
        ],
    ),
)
