"""Opening a registry that may be damaged, older than the sessions beside it, or gone.

What can be read of it is kept. Rows that are damaged or missing, and rows older than the session's own copy
(records/copies.py), come from the copies. A file that SQLite itself cannot read is put aside and made anew.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from pathlib import Path

from jesse_paper.errors import PaperError
from jesse_paperd.core.layout import Layout
from jesse_paperd.core.sqlite import connect_read_only, lenient_text
from jesse_paperd.records import registry as registry_module
from jesse_paperd.records.copies import Copies
from jesse_paperd.records.record import Record
from jesse_paperd.records.registry import DamagedRow, Registry, record_of

log = logging.getLogger(__name__)


def open_registry(layout: Layout) -> Registry:
    """The registry, made when the home is new, and mended where it must be; its `notes` say what was done.

    Raises:
        PaperError: `storage_failed` when it cannot be opened, is of a newer version, or is gone while there are
            sessions without a copy of their row.
    """
    copies = Copies(layout)
    if not layout.registry.exists():
        return _without_file(layout, copies)
    try:
        registry = Registry(layout.registry, copies)
        if problem := registry.problem():
            registry.close()
    except PaperError as error:
        if not _is_damaged(layout.registry):
            raise
        problem = error.message
    except (sqlite3.Error, ValueError, TypeError) as error:
        problem = str(error)
    if problem:
        registry = _made_anew(layout, copies, problem)
    try:
        _take_from_copies(registry, copies)
    except PaperError as error:
        if not isinstance(error.__cause__, sqlite3.DatabaseError) or "malformed" not in error.message:
            raise
        # What could be read cannot be written: its pages contradict each other.
        registry.close()
        registry = _made_anew(layout, copies, error.message)
        _take_from_copies(registry, copies)
    for note in registry.notes:
        log.warning("%s", note)
    return registry


def _without_file(layout: Layout, copies: Copies) -> Registry:
    without = [
        journal.parent.name
        for journal in layout.sessions.glob("*/journal.sqlite")
        if not journal.parent.name.startswith(".") and copies.read(journal.parent.name) is None
    ]
    if without:
        raise PaperError(
            "storage_failed",
            f"{layout.registry} is gone, though there are sessions in {layout.sessions}",
            "restore it from a backup; or move the sessions away to begin anew",
        )
    registry = Registry(layout.registry, copies)
    _take_from_copies(registry, copies)
    return registry


def _made_anew(layout: Layout, copies: Copies, problem: str) -> Registry:
    """Put a file aside that cannot be read as it should, and make another with the rows that can."""
    rows = _readable_rows(layout.registry)
    aside = layout.registry.with_name(f"{layout.registry.stem}.damaged-{time.strftime('%Y%m%dT%H%M%S')}.sqlite")
    for suffix in ("", "-wal", "-shm"):
        part = layout.registry.with_name(layout.registry.name + suffix)
        with contextlib.suppress(FileNotFoundError):
            part.rename(aside.with_name(aside.name + suffix))
    registry = Registry(layout.registry, copies)
    for record in rows:
        registry.adopt(record)
    registry.notes.append(
        f"the registry was damaged ({problem}) and was made anew with {len(rows)} rows of it; the old file is {aside}"
    )
    return registry


def _readable_rows(path: Path) -> list[Record]:
    """The rows that can still be read, one by one: a damaged page takes only its own."""
    found: dict[str, Record] = {}
    with contextlib.suppress(sqlite3.Error, ValueError), contextlib.closing(connect_read_only(path)) as db:
        db.text_factory = lenient_text
        last = db.execute("SELECT max(rowid) FROM sessions").fetchone()[0] or 0
        for rowid in range(1, min(last, 1_000_000) + 1):
            with contextlib.suppress(sqlite3.Error, DamagedRow, TypeError, ValueError):
                row = db.execute(f"{registry_module.ROW} WHERE rowid = ?", (rowid,)).fetchone()
                if row is not None:
                    record = record_of(row)
                    found[record.session_id] = record
    return list(found.values())


def _take_from_copies(registry: Registry, copies: Copies) -> None:
    """Take what the registry lacks or has an older version of; give those a copy that have none."""
    known = {record.session_id: record for record in registry.all()}
    taken, whole = [], set()
    for record, revision in copies.all():
        whole.add(record.session_id)
        if record.session_id not in known or revision > registry.revision_of(record.session_id):
            registry.adopt(record)
            taken.append(record.session_id)
    if taken:
        registry.notes.append(
            f"the registry had no row, a damaged or an older one of {len(taken)} sessions, which came from the copies "
            f"in their folders: {', '.join(sorted(taken)[:10])}"
        )
    for session_id, record in known.items():
        if session_id not in whole:
            copies.write(record, registry.revision_of(session_id))
    registry.all()


def _tables(db: sqlite3.Connection) -> dict[str, set[str]]:
    """The columns of each table."""
    names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {name: {column[1] for column in db.execute(f"PRAGMA table_info({name})")} for name in names}


def _is_damaged(path: Path) -> bool:
    """Whether a file that cannot be opened is at fault itself, and not the disk, its permissions or its age."""
    try:
        with contextlib.closing(connect_read_only(path)) as db:
            if db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                return True
            # It says that it is of another version, and yet has the very tables of this one.
            with contextlib.closing(sqlite3.connect(":memory:")) as ours:
                ours.executescript(registry_module.SCHEMA)
                return _tables(db) == _tables(ours)
    except UnicodeError:
        return True
    except sqlite3.DatabaseError as error:
        return not isinstance(error, sqlite3.OperationalError) or "malformed" in str(error)
