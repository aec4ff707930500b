"""Opening SQLite databases: one writer each, everyone else read-only."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from jesse_paperd.wire.errors import PaperError


def open_writer(path: Path, schema: str, version: int) -> sqlite3.Connection:
    """Open a database for its one writer, making it with `schema` when it is new.

    WAL with `synchronous=NORMAL` loses nothing acknowledged when a process is killed; what a power cut may take
    from the end of a journal is replayed from the candles.

    Raises:
        PaperError: `storage_failed` when it is damaged, unreadable or of a newer version.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if found == 0:
            db.executescript(f"BEGIN; {schema}; PRAGMA user_version={version}; COMMIT")
    except (OSError, sqlite3.Error) as error:
        raise PaperError("storage_failed", f"{path} cannot be opened: {error}") from error
    if found > version:
        db.close()
        raise PaperError(
            "storage_failed",
            f"{path} was written by a newer version (schema {found}, this one knows {version})",
            "start the newer jesse-paperd",
        )
    return db


def open_reader(path: Path) -> sqlite3.Connection:
    """Open a database read-only, for a process that is not its writer.

    Raises:
        PaperError: `storage_failed` when it is not there or cannot be read.
    """
    try:
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA query_only=1")
        db.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error as error:
        raise PaperError("storage_failed", f"{path} cannot be read: {error}") from error
    return db
