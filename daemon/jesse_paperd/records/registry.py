"""The registry: what is meant to run. Written by the daemon alone; sessions read their spec and intents from it.

Writes wait for the disk, and for whoever has locked the file: they are for a thread (`Workers.write`). Reads wait for
nobody, over a connection of their own.

A request's effect and the mark that it was made stand in one transaction, and so do its end and its reply: a retry
of the same request id finds either nothing, or the effect to wait for, or the answer. A request that failed before it
had an effect leaves nothing: sent again, it is tried again.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import zlib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from jesse_paper.errors import PaperError
from jesse_paper.protocol import Answer, Operation, Reply, Stopped
from jesse_paperd.core.minutes import DAY
from jesse_paperd.core.sqlite import lenient_text, open_reader, open_writer, transaction
from jesse_paperd.records.copies import Copies
from jesse_paperd.records.journal import LeverageChange
from jesse_paperd.records.record import ProcessEnd, Record, damaged, now_ms
from jesse_paperd.records.spec import SessionSpec

_PROCESS_ENDS = """
CREATE TABLE process_ends (             -- how session processes ended that had not ended their session
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
    at         INTEGER NOT NULL,        -- wall clock
    pid        INTEGER NOT NULL,
    status     INTEGER,                 -- exit status, or the signal as a negative number; NULL: not known
    code       TEXT NOT NULL,           -- of the error that it left as its last word, or empty
    reason     TEXT NOT NULL
);
CREATE INDEX process_ends_by_session ON process_ends (session_id, seq);
"""

#: An intent counts from a candle on, which is kept so that a session whose journal is lost comes to the same again.
_INTENTS_COUNT_FROM = "ALTER TABLE intents ADD COLUMN at INTEGER;"

#: A row's checksum finds a flipped bit, its revision an older copy; `stop_at` lets a repaired session end where it had.
_ROWS_ARE_SEALED = """
ALTER TABLE sessions ADD COLUMN stop_at INTEGER;
ALTER TABLE sessions ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN checksum INTEGER;
"""

VERSION = 4
#: Version → the SQL that makes the next one of it. `SCHEMA` is always the newest.
MIGRATIONS: dict[int, str] = {1: _PROCESS_ENDS, 2: _INTENTS_COUNT_FROM, 3: _ROWS_ARE_SEALED}

SCHEMA = (
    """
CREATE TABLE sessions (
    session_id TEXT PRIMARY KEY,
    spec       TEXT NOT NULL,           -- JSON of SessionSpec
    arguments  TEXT NOT NULL,           -- JSON of the request that started it, for comparison
    created_at INTEGER NOT NULL,
    desired    TEXT NOT NULL,           -- running, stopped
    notes      TEXT,
    failure    TEXT,                    -- why the daemon gave up on it
    ended_at   INTEGER,                 -- wall clock, once it ended
    final      TEXT,                    -- JSON of the reply to paper_stop, once it ended
    stop_at    INTEGER,                 -- market time at which it is to end; NULL: as things come
    revision   INTEGER NOT NULL DEFAULT 0,  -- how often this row was written
    checksum   INTEGER                  -- CRC-32 of all before it; NULL: of a version that kept none
);
CREATE INDEX sessions_by_age ON sessions (created_at);
CREATE TABLE intents (                  -- changes asked of a running session, in order
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
    leverage   INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    at         INTEGER                  -- market time from which it counts; NULL: no session process has taken it yet
);
CREATE INDEX intents_by_session ON intents (session_id, seq);
CREATE TABLE requests (                 -- mutating requests by their idempotency key
    request_id TEXT PRIMARY KEY,
    digest     TEXT NOT NULL,           -- of the request's body
    session_id TEXT NOT NULL,
    reply      BLOB,                    -- MessagePack, once answered
    created_at INTEGER NOT NULL
);
CREATE INDEX requests_by_age ON requests (created_at);
"""
    + _PROCESS_ENDS
)

#: A request id is remembered this long, far longer than any client retries; and so many of them whatever the clock
#: says, which someone may set forward.
REQUESTS_KEPT_MS = 7 * DAY
REQUESTS_KEPT = 1000
#: So many ends of processes are kept of a session, the latest.
ENDS_KEPT = 20
#: No other program should write the registry; one that has it open for writing is not waited for longer.
_BUSY_MILLISECONDS = 250


# The columns of a table are the fields of its row.
_RECORD, _END = (tuple(each.name for each in fields(row)) for row in (Record, ProcessEnd))
_COLUMNS = ", ".join(_RECORD)


ROW = f"SELECT session_id, {_COLUMNS}, revision, checksum FROM sessions"


class DamagedRow(Exception):
    """A row of the registry is not what was written."""


def record_of(row: tuple[Any, ...]) -> Record:
    """The record in a row of `ROW`.

    Raises:
        DamagedRow: saying what is wrong with it.
    """
    session_id, spec, *values = row[:-2]
    if row[-1] is not None and row[-1] != _checksum(row[:-1]):
        raise DamagedRow(f"the registry's row of session {session_id!r} is damaged: its checksum is another")
    try:
        record = Record(msgspec.json.decode(spec, type=SessionSpec), *values)
    except (msgspec.MsgspecError, UnicodeError, TypeError) as error:
        raise DamagedRow(f"the registry's row of session {session_id!r} is damaged: {error}") from error
    if record.session_id != session_id:
        raise DamagedRow(f"the registry's row of session {session_id!r} is damaged: its spec has another id")
    return record


def _request(db: sqlite3.Connection, request_id: str, body: Operation) -> tuple[bytes | None] | None:
    """The reply of a request that was made before; None within it while it has none."""
    row = db.execute("SELECT digest, reply FROM requests WHERE request_id = ?", (request_id,)).fetchone()
    if row is not None and row[0] not in (_digest(body), _first_digest(body)):
        raise reused(request_id)
    return row and (row[1],)


def _checksum(row: tuple[Any, ...]) -> int:
    return zlib.crc32(repr(row).encode(errors="backslashreplace"))


class Registry:
    """The writing side, held by the daemon alone."""

    def __init__(self, path: Path, copies: Copies | None = None) -> None:
        self._copies = copies
        self._db = open_writer(path, SCHEMA, VERSION, MIGRATIONS)
        try:
            self._reader = open_reader(path, VERSION)
        except BaseException:
            self._db.close()
            raise
        self._db.text_factory = self._reader.text_factory = lenient_text
        #: Sessions whose row cannot be read, each with the reason, as of the last `all`.
        self.damaged: dict[str, str] = {}
        #: What was wrong with it when it was opened, for the daemon's health.
        self.notes: list[str] = []
        # Intent is worth a power cut's safety: a start is acknowledged only when it is on the disk.
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("PRAGMA foreign_keys=1")
        # Whoever holds a lock on it is not waited for, but said.
        self._db.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")

    def close(self) -> None:
        self._reader.close()
        self._db.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing.

        Raises:
            PaperError: `storage_failed` when it cannot be written, `busy` while another program has locked it; then
                nothing is.
        """
        try:
            with transaction(self._db):
                yield self._db
        except sqlite3.Error as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                raise PaperError(
                    "busy",
                    "another program has locked the registry of the daemon's home; nothing was done",
                    "end what writes registry.sqlite, a SQLite shell for instance, and try again",
                ) from error
            raise PaperError(
                "storage_failed", f"the registry cannot be written: {error}", "see to the disk of the daemon's home"
            ) from error

    @contextlib.contextmanager
    def _changing(self, session_id: str) -> Iterator[sqlite3.Connection]:
        """A change of a session's row, which is sealed with it; its copy follows."""
        with self._transaction() as db:
            yield db
            db.execute("UPDATE sessions SET revision = revision + 1 WHERE session_id = ?", (session_id,))
            row = db.execute(f"{ROW} WHERE session_id = ?", (session_id,)).fetchone()
            if row is not None:
                db.execute("UPDATE sessions SET checksum = ? WHERE session_id = ?", (_checksum(row[:-1]), session_id))
        if row is not None and self._copies is not None:
            self._copies.write(record_of((*row[:-1], None)), row[-2])

    # Requests

    def reply_to(self, request_id: str, body: Operation) -> Reply | None:
        """The reply of this request, if it was made before and answered.

        Raises:
            PaperError: `request_id_reused` when the id came with another body.
        """
        known = _request(self._reader, request_id, body)
        with contextlib.suppress(msgspec.MsgspecError):  # a damaged one is as good as none: its effect is still found
            return msgspec.msgpack.decode(known[0], type=Reply) if known is not None and known[0] is not None else None
        return None

    def answer(self, request_id: str, body: Operation, reply: Answer) -> None:
        """Keep the reply of a request, unless that very one was kept together with its effect."""
        known = _request(self._db, request_id, body)
        if known is None or known[0] != msgspec.msgpack.encode(reply):
            with self._transaction():
                self._mark(request_id, body, reply.session_id, reply)  # type: ignore[attr-defined]

    def session_of(self, request_id: str) -> str | None:
        """The session that a request was about, if it had an effect before."""
        row = self._reader.execute("SELECT session_id FROM requests WHERE request_id = ?", (request_id,)).fetchone()
        return row[0] if row else None

    def _mark(self, request_id: str, body: Operation, session_id: str, reply: Answer | None = None) -> None:
        encoded = None if reply is None else msgspec.msgpack.encode(reply)
        if _request(self._db, request_id, body) is not None:
            # A daemon was cut off amid it, and this is the retry; or its effect came first.
            self._db.execute(
                "UPDATE requests SET session_id = ?, reply = ? WHERE request_id = ?", (session_id, encoded, request_id)
            )
            return
        self._db.execute(
            "DELETE FROM requests WHERE created_at < ? AND rowid < (SELECT max(rowid) FROM requests) - ?",
            (now_ms() - REQUESTS_KEPT_MS, REQUESTS_KEPT),
        )
        self._db.execute(
            "INSERT INTO requests VALUES (?, ?, ?, ?, ?)", (request_id, _digest(body), session_id, encoded, now_ms())
        )

    # Effects

    def add(self, spec: SessionSpec, arguments: str, notes: str | None, request_id: str, body: Operation) -> None:
        """A session that is meant to run."""
        with self._changing(spec.session_id):
            self._db.execute(
                "INSERT INTO sessions (session_id, spec, arguments, created_at, desired, notes) "
                "VALUES (?, ?, ?, ?, 'running', ?)",
                (spec.session_id, msgspec.json.encode(spec).decode(), arguments, spec.created_at, notes),
            )
            self._mark(request_id, body, spec.session_id)

    def restore(self, record: Record, changes: list[LeverageChange], request_id: str, body: Operation) -> None:
        """A session as it was when it was archived.

        Args:
            changes: the leverages that it has taken. Later intents are numbered after theirs, or they would pass for
                taken.
        """
        with self._changing(record.session_id):
            self._db.execute(
                f"INSERT INTO sessions (session_id, {_COLUMNS}) VALUES (?{', ?' * len(_RECORD)})",
                (record.session_id, *({**vars(record), "spec": msgspec.json.encode(record.spec).decode()}).values()),
            )
            self._db.executemany(
                "INSERT OR IGNORE INTO intents (seq, session_id, leverage, created_at, at) VALUES (?, ?, ?, ?, ?)",
                [(c.seq, record.session_id, c.leverage, now_ms(), c.at) for c in changes],
            )
            self._mark(request_id, body, record.session_id)

    def remove(self, session_id: str, request: tuple[str, Operation, Reply] | None = None) -> None:
        """Forget a session, and the requests about it that had no answer: sent again, they find it gone.

        Args:
            request: the one that asked for this, and its reply.
        """
        with self._transaction():
            self._db.execute("DELETE FROM requests WHERE session_id = ? AND reply IS NULL", (session_id,))
            self._db.execute("DELETE FROM sessions WHERE session_id = ?", (session_id,))
            if request is not None:
                request_id, body, reply = request
                self._mark(request_id, body, session_id, reply)

    def want_stopped(self, session_id: str, request_id: str, body: Operation) -> None:
        """A session that is meant to end."""
        with self._changing(session_id):
            self._db.execute("UPDATE sessions SET desired = 'stopped' WHERE session_id = ?", (session_id,))
            self._mark(request_id, body, session_id)

    def update(
        self,
        session_id: str,
        notes: str | None,
        leverage: int | None,
        request_id: str,
        body: Operation,
        reply: Reply,
    ) -> None:
        """Change the notes, ask for a leverage, or both; None leaves a field as it is."""
        with self._changing(session_id):
            if notes is not None:
                self._db.execute("UPDATE sessions SET notes = ? WHERE session_id = ?", (notes, session_id))
            if leverage is not None:
                self._db.execute(
                    "INSERT INTO intents (session_id, leverage, created_at) VALUES (?, ?, ?)",
                    (session_id, leverage, now_ms()),
                )
            self._mark(request_id, body, session_id, reply)

    def note_taken(self, changes: list[LeverageChange]) -> None:
        """Record the time from which a session's taken intents count. A recorded time never changes."""
        with self._transaction() as db:
            taken = [(change.at, change.seq) for change in changes]
            db.executemany("UPDATE intents SET at = ? WHERE seq = ? AND at IS NULL", taken)

    def with_untaken_intents(self) -> list[str]:
        """The sessions, not yet ended, with an intent whose time is not recorded."""
        rows = self._reader.execute(
            "SELECT DISTINCT session_id FROM intents JOIN sessions USING (session_id)"
            " WHERE at IS NULL AND ended_at IS NULL"
        )
        return [row[0] for row in rows]

    def revive(self, session_id: str, request_id: str, body: Operation) -> None:
        """A session that was given up is meant to run again."""
        with self._changing(session_id):
            self._db.execute(
                "UPDATE sessions SET failure = NULL, desired = 'running', ended_at = NULL, final = NULL"
                " WHERE session_id = ?",
                (session_id,),
            )
            self._mark(request_id, body, session_id)

    def begin_again(self, session_id: str, stop_at: int | None, request_id: str, body: Operation) -> None:
        """A session is meant to run once more from its beginning, with nothing in its journal.

        Args:
            stop_at: the market time at which it is to end as one that was stopped; None: as things come.
        """
        with self._changing(session_id) as db:
            db.execute(
                "UPDATE sessions SET failure = NULL, desired = 'running', ended_at = NULL, final = NULL, stop_at = ?"
                " WHERE session_id = ?",
                (stop_at, session_id),
            )
            self._mark(request_id, body, session_id)

    def fail(self, session_id: str, reason: str) -> None:
        """The daemon gives up on a session."""
        with self._changing(session_id) as db:
            db.execute("UPDATE sessions SET failure = ? WHERE session_id = ?", (reason, session_id))

    def end(self, session_id: str, ended_at: int, final: Stopped) -> None:
        """A session ended: its final answer, given again to every further stop."""
        with self._changing(session_id) as db:
            db.execute(
                "UPDATE sessions SET desired = 'stopped', ended_at = ?, final = ? WHERE session_id = ?",
                (ended_at, msgspec.json.encode(final).decode(), session_id),
            )

    def note_end(self, session_id: str, end: ProcessEnd) -> None:
        """Keep how a session's process ended; the earliest are forgotten."""
        with self._transaction() as db:
            db.execute(
                "INSERT INTO process_ends (session_id, at, pid, status, code, reason) VALUES (?, ?, ?, ?, ?, ?)",
                (session_id, end.at, end.pid, end.status, end.code, end.reason),
            )
            db.execute(
                "DELETE FROM process_ends WHERE session_id = ? AND seq NOT IN "
                "(SELECT seq FROM process_ends WHERE session_id = ? ORDER BY seq DESC LIMIT ?)",
                (session_id, session_id, ENDS_KEPT),
            )

    # Queries

    def process_ends(self, session_id: str) -> list[ProcessEnd]:
        """How the session's processes ended, oldest first, as far as it is kept."""
        rows = self._reader.execute(
            "SELECT at, pid, status, code, reason FROM process_ends WHERE session_id = ? ORDER BY seq", (session_id,)
        )
        return [ProcessEnd(*row) for row in rows]

    def get(self, session_id: str) -> Record | None:
        """A session's row, or None where there is none.

        Raises:
            PaperError: `damaged`.
        """
        row = self._reader.execute(f"{ROW} WHERE session_id = ?", (session_id,)).fetchone()
        try:
            return record_of(row) if row else None
        except DamagedRow as error:
            raise damaged(str(error)) from error

    def all(self) -> list[Record]:
        """Every session whose row can be read, newest first; the others are in `damaged`."""
        found: list[Record] = []
        unreadable: dict[str, str] = {}
        for row in self._reader.execute(f"{ROW} ORDER BY created_at DESC, rowid DESC"):
            try:
                found.append(record_of(row))
            except DamagedRow as error:
                unreadable[str(row[0])] = str(error)
        self.damaged = unreadable
        return found

    def write_copy(self, session_id: str) -> None:
        """Write a session's copy again, once its folder is in its place."""
        row = self._db.execute(f"{ROW} WHERE session_id = ?", (session_id,)).fetchone()
        if row is not None and self._copies is not None:
            self._copies.write(record_of(row), row[-2])

    def revision_of(self, session_id: str) -> int:
        """How often a session's row was written; 0 where there is none."""
        row = self._reader.execute("SELECT revision FROM sessions WHERE session_id = ?", (session_id,)).fetchone()
        return int(row[0]) if row else 0

    def problem(self) -> str:
        """What SQLite finds wrong with the file; empty: nothing."""
        try:
            found = self._db.execute("PRAGMA integrity_check(1)").fetchone()[0]
            self.all()
        except (sqlite3.Error, TypeError, ValueError) as error:
            return str(error)
        return "" if found == "ok" else str(found)

    def adopt(self, record: Record) -> None:
        """Take a session's row from its copy: in the place of a damaged or older one, or of one that is gone."""
        values = {**vars(record), "spec": msgspec.json.encode(record.spec).decode()}
        with self._changing(record.session_id) as db:
            names = ("session_id", *_RECORD)
            changes = ", ".join(f"{name} = excluded.{name}" for name in _RECORD)
            db.execute(
                f"INSERT INTO sessions ({', '.join(names)}) VALUES (?{', ?' * len(_RECORD)})"
                f" ON CONFLICT (session_id) DO UPDATE SET {changes}",
                (record.session_id, *values.values()),
            )

    def latest_leverage(self, session_id: str) -> int | None:
        """The leverage asked for last, or None when none was."""
        row = self._reader.execute(
            "SELECT leverage FROM intents WHERE session_id = ? ORDER BY seq DESC LIMIT 1", (session_id,)
        ).fetchone()
        return row[0] if row else None

    def unended(self) -> list[Record]:
        """The sessions that have not ended and were not given up, oldest first."""
        return [record for record in reversed(self.all()) if record.ended_at is None and record.failure is None]


class LeverageIntent(NamedTuple):
    """A leverage that was asked for.

    Attributes:
        at: the market time from which it counts; None while no session process has taken it.
    """

    seq: int
    leverage: int
    at: int | None


class Intents(Protocol):
    """What is asked of a session."""

    def wants_stop(self) -> bool:
        """Whether the session should end."""

    def leverages(self, after: int, /) -> list[LeverageIntent]:
        """The leverages that were asked for after this sequence number, in their order."""

    def stop_at(self) -> int | None:
        """The market time at which the session should end; None: as things come."""


class RegistryIntents:
    """What a session process reads of the registry: its spec and what is asked of it."""

    def __init__(self, path: Path, session_id: str) -> None:
        self._db = open_reader(path, VERSION)
        self._session_id = session_id

    def spec(self) -> SessionSpec:
        row = self._db.execute("SELECT spec FROM sessions WHERE session_id = ?", (self._session_id,)).fetchone()
        if row is None:
            raise PaperError("session_not_found", f"the registry has no session {self._session_id!r}")
        try:
            return msgspec.json.decode(row[0], type=SessionSpec)
        except msgspec.MsgspecError as error:
            raise damaged(f"the registry's row of session {self._session_id!r} is damaged: {error}") from error

    def wants_stop(self) -> bool:
        """Whether the session should end.

        Raises:
            PaperError: `session_not_found` when it is not in the registry any more: it need not end for that.
        """
        row = self._db.execute("SELECT desired FROM sessions WHERE session_id = ?", (self._session_id,)).fetchone()
        if row is None:
            raise PaperError("session_not_found", f"the registry no longer has session {self._session_id!r}")
        return bool(row[0] == "stopped")

    def leverages(self, after: int) -> list[LeverageIntent]:
        """The leverages that were asked for after this sequence number, in their order."""
        rows = self._db.execute(
            "SELECT seq, leverage, at FROM intents WHERE session_id = ? AND seq > ? ORDER BY seq",
            (self._session_id, after),
        )
        return [LeverageIntent(*row) for row in rows]

    def stop_at(self) -> int | None:
        """The market time at which the session should end; None: as things come."""
        row = self._db.execute("SELECT stop_at FROM sessions WHERE session_id = ?", (self._session_id,)).fetchone()
        return row[0] if row is not None else None

    def close(self) -> None:
        self._db.close()


def reused(request_id: str) -> PaperError:
    """The refusal of a request whose id came with another one."""
    return PaperError(
        "request_id_reused",
        f"the request id {request_id!r} was used before for another request",
        "send a fresh id with every new request; repeat an id only to retry the very same request",
    )


def _digest(body: Operation) -> str:
    """What a request asks, whichever version wrote it: a field at its default asks nothing."""
    return hashlib.sha256(msgspec.json.encode(_asked(body), order="sorted")).hexdigest()


def _asked(value: Any) -> Any:
    """A value of a request as plain data; of a struct, its tag and the fields that are not at their default."""
    if isinstance(value, msgspec.Struct):
        defaults = {field.name: field.default for field in msgspec.structs.fields(value)}
        told = {name: _asked(getattr(value, name)) for name in defaults if getattr(value, name) != defaults[name]}
        return {"": value.__struct_config__.tag, **told}
    if isinstance(value, list):
        return [_asked(entry) for entry in value]
    return value


def _first_digest(body: Operation) -> str:
    """The same as version 0.1.0 wrote it, which knew no routes."""
    told = msgspec.to_builtins(body, str_keys=True)
    if not told.get("routes"):
        told.pop("routes", None)
    return hashlib.sha256(msgspec.json.encode(told, order="sorted")).hexdigest()
