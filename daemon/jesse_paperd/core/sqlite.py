"""Opening SQLite databases: one writer each, everyone else read-only.

The schema's version is SQLite's `user_version`. A writer brings an older database up to date by the migrations it is
given; nobody guesses at a newer one.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from jesse_paper.errors import PaperError

#: Bytes 60 to 63 of the file's header: https://www.sqlite.org/fileformat.html#user_version
_USER_VERSION = slice(60, 64)


#: What reading a damaged database raises: SQLite's own words for it may be no UTF-8 either.
UNREADABLE = (sqlite3.Error, UnicodeError)

#: What makes the next version of a database: SQL statements, or a function within the transaction.
Migration = str | Callable[[sqlite3.Connection], None]


def open_writer(
    path: Path, schema: str, version: int, migrations: Mapping[int, Migration] | None = None
) -> sqlite3.Connection:
    """Open a database for its one writer, making it with `schema` when it is not there.

    WAL with `synchronous=NORMAL` loses nothing acknowledged when a process is killed; what a power cut may take
    from the end of a journal is replayed from the candles.

    Args:
        migrations: version → what makes the next version of it: SQL, or a function. They are done in one transaction.

    Raises:
        PaperError: `storage_failed` when it is damaged, unreadable, of a newer version or of one without migration.
    """
    try:
        if not path.exists() or path.stat().st_size == 0:
            _create(path, schema, version)
        if path.stat().st_mode & 0o077:  # restored from a backup
            path.chmod(0o600)
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise PaperError("storage_failed", f"{path} cannot be made: {error}") from error
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        _migrate(db, path, version, migrations or {})
    except UNREADABLE as error:
        db.close()
        raise PaperError("storage_failed", f"{path} cannot be opened: {error}") from error
    except BaseException:
        db.close()
        raise
    return db


def open_reader(path: Path, version: int | None = None) -> sqlite3.Connection:
    """Open a database read-only, for a process that is not its writer.

    Args:
        version: the schema that is understood; None takes every one.

    Raises:
        PaperError: `storage_failed` when it is not there, cannot be read or is of another version.
    """
    try:
        db = connect_read_only(path)
        try:
            db.execute("PRAGMA query_only=1")
            found = db.execute("PRAGMA user_version").fetchone()[0]
        except BaseException:
            db.close()
            raise
    except UNREADABLE as error:
        raise PaperError("storage_failed", f"{path} cannot be read: {error}") from error
    if version is not None and found != version:
        db.close()
        if found > version:
            raise _too_new(path, found, version)
        raise PaperError(
            "storage_failed",
            f"{path} is of an older version (schema {found}, this one reads {version})",
            "its writer brings it up to date when it opens it: restart jesse-paperd",
        )
    return db


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection that can write nothing, to a database that is there.

    Raises:
        sqlite3.Error: it is not there.
    """
    # As a URI, in which `#`, `?` and `%` of a path mean something else unless they are quoted.
    uri = f"{path.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)


def lenient_text(raw: bytes) -> str:
    """A `text_factory` for what may be damaged: checksums find a flipped bit, one bad byte should not hide a table."""
    return raw.decode(errors="surrogateescape")


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All or nothing. The original error is raised, even where SQLite has rolled back by itself or cannot."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            if db.in_transaction:
                db.execute("ROLLBACK")
        raise


def copy_database(source: Path, target: Path, version: int) -> None:
    """A consistent copy of a database that may be written meanwhile.

    Raises:
        PaperError: `storage_failed` as `open_reader`.
        OSError, sqlite3.Error: when it cannot be copied.
    """
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    with (
        contextlib.closing(open_reader(source, version)) as reader,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        reader.backup(copy)


def schema_version(path: Path) -> int:
    """The version of a database's schema, without opening it; 0 when there is none."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        return int.from_bytes(file.read(64)[_USER_VERSION])
    return 0


def _create(path: Path, schema: str, version: int) -> None:
    """Make a database whole under another name first: no reader ever sees one without tables."""
    if (log := path.with_name(f"{path.name}-wal")).exists() and log.stat().st_size:
        raise PaperError(
            "storage_failed",
            f"{path} is gone or empty, but what was last written to it is still in {log.name}",
            "restore it from a backup, together with that file; or move that file away to begin anew",
        )
    new = path.with_name(f"{path.name}.new")
    for suffix in ("", "-wal", "-shm"):  # of an attempt that was cut off
        path.with_name(f"{new.name}{suffix}").unlink(missing_ok=True)
    os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    db = sqlite3.connect(new, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.executescript(f"BEGIN; {schema}; PRAGMA user_version={version}; COMMIT")
    finally:
        db.close()
    new.rename(path)


def _migrate(db: sqlite3.Connection, path: Path, version: int, migrations: Mapping[int, Migration]) -> None:
    found = db.execute("PRAGMA user_version").fetchone()[0]
    if found == version:
        return
    if found > version:
        raise _too_new(path, found, version)
    steps = range(found, version)
    if not set(steps) <= migrations.keys():
        raise PaperError("storage_failed", f"{path} is of schema {found}, which this version knows nothing of")
    with transaction(db):
        for step in steps:
            migration = migrations[step]
            if callable(migration):
                migration(db)
            else:
                for statement in _statements(migration):
                    db.execute(statement)
        db.execute(f"PRAGMA user_version={version}")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that the file's header tells it as well


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, which `executescript` would not run within a transaction."""
    statement = ""
    for part in script.split(";"):
        statement += f"{part};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _too_new(path: Path, found: int, known: int) -> PaperError:
    return PaperError(
        "storage_failed",
        f"{path} was written by a newer version (schema {found}, this one knows {known})",
        "start the newer jesse-paperd",
    )
