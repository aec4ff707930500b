"""Archives: one file with all of a session but a live one's candles, and how it is brought back.

    <id>/session.json       its row of the registry (`Record`)
    <id>/journal.sqlite     its journal, of one moment
    <id>/log, log.1         its log, where it has one
    <id>/strategy/…         the strategy as it was
    <id>/candles/<digest>.npy   a replay's candles

An archive that is brought back may come from anywhere: nothing of it is in its place before all of it was checked.
"""

from __future__ import annotations

import contextlib
import filecmp
import gzip
import os
import re
import shutil
import sqlite3
import stat
import tarfile
import tempfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO

import msgspec
import numpy as np

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paperd.candles.replayed import keep_candles
from jesse_paperd.core.layout import Layout, SessionFiles
from jesse_paperd.core.minutes import MINUTE
from jesse_paperd.core.sqlite import copy_database, open_reader
from jesse_paperd.feed.exchanges import resolve
from jesse_paperd.records.journal import VERSION, Journal, LeverageChange
from jesse_paperd.records.record import Record
from jesse_paperd.records.spec import RouteSpec, SessionSpec, jesse_timeframe
from jesse_paperd.service.process_view import ProcessView
from jesse_paperd.service.session_data import SessionData
from jesse_paperd.service.views.status import row, status
from jesse_paperd.strategies.snapshot import digest_of

_SESSION, _CANDLES = "session.json", "candles"
_MEMBER = re.compile(r"session\.json|journal\.sqlite|log|log\.1|candles/[0-9a-f]{64}\.npy|strategy/.+")
_SESSION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_STRATEGY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: What is far beyond any archive of ours: files in one, bytes of a row, of one read (headers come in one).
_MOST_FILES = 100_000
_LONGEST_ROW = 2**22
#: The end of the year 9999, in milliseconds: the last that can be written.
_END_OF_TIME = 253_402_300_800_000
_LONGEST_READ = 2**20
#: Left free on the disk whatever an archive holds, for the sessions that run.
_LEFT_FREE = 200_000_000


# ── Packing ────────────────────────────────────────────────────────────────────────────────────────────────────────


def gather(layout: Layout, record: Record) -> tempfile.TemporaryDirectory[str]:
    """A copy of all that goes into a session's archive, of one moment: the session may go on, or go.

    Raises:
        PaperError: `storage_failed`.
    """
    files = layout.session(record.session_id)
    folder = tempfile.TemporaryDirectory(dir=layout.archives, prefix=".")
    root = Path(folder.name) / record.session_id
    try:
        root.mkdir(mode=0o700)
        (root / _SESSION).write_bytes(msgspec.json.format(msgspec.json.encode(record)))
        copy_database(files.journal, root / files.journal.name, VERSION)
        for path in (files.log, files.log.with_name("log.1")):
            if path.exists():
                shutil.copyfile(path, root / path.name)
        if files.strategy.exists():
            shutil.copytree(files.strategy, root / files.strategy.name)
        for digest in record.spec.candle_files.values():
            path = layout.candle_file(digest)
            (root / _CANDLES).mkdir(exist_ok=True)
            with contextlib.suppress(FileExistsError):  # of two symbols
                os.link(path, root / _CANDLES / path.name)
    except BaseException as error:
        folder.cleanup()
        if isinstance(error, OSError | sqlite3.Error):
            raise _unpackable(record.session_id, error) from error
        raise
    return folder


def pack(layout: Layout, session_id: str, folder: tempfile.TemporaryDirectory[str]) -> wire.Archived:
    """Pack what was gathered into `archives/<id>.tar.gz`, whole or not at all.

    Raises:
        PaperError: `storage_failed`.
    """
    target = layout.archives / f"{session_id}.tar.gz"
    packed = Path(folder.name) / target.name
    with folder:
        try:
            with tarfile.open(packed, "w:gz", compresslevel=6) as tar:
                tar.add(Path(folder.name) / session_id / _SESSION, f"{session_id}/{_SESSION}")
                tar.add(Path(folder.name) / session_id, session_id, filter=_but_the_row)
            packed.rename(target)
            size = target.stat().st_size
        except (OSError, tarfile.TarError) as error:
            raise _unpackable(session_id, error) from error
    return wire.Archived(session_id=session_id, path=str(target), size_mb=size / 1_000_000)


def _but_the_row(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """The row comes first, by itself."""
    return None if member.name.endswith(f"/{_SESSION}") and member.name.count("/") == 1 else member


def _unpackable(session_id: str, error: Exception) -> PaperError:
    return PaperError("storage_failed", f"session {session_id} cannot be archived: {error}")


# ── Bringing back ──────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Unpacked:
    """An archive's content, checked, beside its place. `record` is what the registry shall have of it."""

    record: Record
    leverage_changes: list[LeverageChange]
    folder: tempfile.TemporaryDirectory[str]

    @property
    def files(self) -> SessionFiles:
        """Where the session's files are."""
        return Layout(Path(self.folder.name)).session(self.record.session_id)


def unpack(layout: Layout, path: Path) -> Unpacked:
    """Read an archive and check all that is in it; its candles are kept in the home from here on.

    Raises:
        PaperError: `invalid_argument` where it is not an archive, damaged or not to be trusted; `storage_failed` where
            it cannot be read or there is no room for it.
    """
    folder = tempfile.TemporaryDirectory(dir=layout.archives, prefix=".")
    beside = Layout(Path(folder.name))
    try:
        with _opened(path) as file:
            _extract(file, beside.sessions, shutil.disk_usage(layout.archives).free - _LEFT_FREE)
        (root,) = beside.sessions.iterdir()
        record = _record(root)
        _check_journal(root / "journal.sqlite")
        _check_answers(beside, record)
        changes = SessionData(beside).leverage_changes(record.session_id)
        return Unpacked(replace(record, spec=_keep_candles(layout, record.spec, root / _CANDLES)), changes, folder)
    except BaseException as error:
        folder.cleanup()
        if isinstance(error, _DAMAGE):
            raise PaperError(
                "invalid_argument",
                f"path: {path} is not an archive of a session, or it is damaged: {error}",
                "jesse-paper archive makes them; an earlier copy of it may be whole",
            ) from error
        if isinstance(error, OSError):
            raise PaperError(
                "storage_failed", f"the archive {path} cannot be read: {error.strerror or error}"
            ) from error
        raise


class _Untrusted(Exception):
    """An archive holds something that an archive never holds."""


_DAMAGE = (
    *(_Untrusted, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError),
    *(msgspec.MsgspecError, ValueError, RecursionError),
)


class _Measured(gzip.GzipFile):
    """The archive's gzip stream, with bounded reads: our headers are never megabytes long."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= _LONGEST_READ:
            raise _Untrusted("it has a header of more than a mebibyte")
        return super().read(size)


def _opened(path: Path) -> IO[bytes]:
    """Open an archive, refusing one that others could have written: the strategy in it will be run.

    Raises:
        PaperError: `invalid_argument`.
    """
    if not path.is_absolute():
        raise PaperError("invalid_argument", f"path: {path} is relative; the daemon's working directory is another one")
    # Opening a named pipe would wait for its writer: only regular files are opened.
    try:
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except OSError as error:
        raise PaperError("invalid_argument", f"path: {path} cannot be read: {error.strerror}") from error
    status = os.fstat(file.fileno())
    wrong = ""
    if not stat.S_ISREG(status.st_mode):
        wrong = "is not a regular file"
    elif status.st_uid not in (os.geteuid(), 0) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        wrong = "belongs to another user, or others may write it; it holds a strategy, which runs as the daemon's user"
    if wrong:
        file.close()
        raise PaperError(
            "invalid_argument", f"path: {path} {wrong}", "copy it as the daemon's user and restore the copy"
        )
    return file


def _extract(file: IO[bytes], sessions: Path, room: int) -> None:
    """Write an archive's files below `sessions`, each where one of ours has its own, and nothing else."""
    seen: set[str] = set()
    session_id = ""
    with _Measured(fileobj=file) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
        for member in tar:
            parts = PurePosixPath(member.name).parts or ("",)
            session_id = session_id or parts[0]
            if not _SESSION_ID.fullmatch(parts[0]) or parts[0] != session_id:
                raise _Untrusted(f"{member.name[:100]!r} lies outside of one session's folder")
            inside = "/".join(parts[1:])
            if ".." in parts or member.name != "/".join(parts):
                raise _Untrusted(f"{member.name[:100]!r} is not a plain path")
            if member.isdir():
                continue
            if not member.isreg() or member.issparse() or member.size < 0:
                raise _Untrusted(f"{member.name[:100]!r} is not a regular file")
            if not _MEMBER.fullmatch(inside) or inside in seen:
                raise _Untrusted(f"{member.name[:100]!r} is not a file of an archive, or it is there twice")
            seen.add(inside)
            room -= member.size
            if len(seen) > _MOST_FILES:
                raise _Untrusted(f"it has more than {_MOST_FILES:,} files")
            if room < 0:
                raise PaperError(
                    "storage_failed", "there is not enough room on the disk for what the archive holds", "make room"
                )
            target = sessions / session_id / inside
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            source = tar.extractfile(member)
            assert source is not None
            with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as copy:
                shutil.copyfileobj(source, copy, 2**16)
            if target.stat().st_size != member.size:
                raise _Untrusted(f"it ends amid {member.name[:100]!r}")
        while stream.read(_LONGEST_READ):  # to its end, where its checksum is
            pass
    if not {"session.json", "journal.sqlite"} <= seen:
        raise _Untrusted("it has no session.json or no journal.sqlite")


def _record(root: Path) -> Record:
    """The row of the registry that an archive has, with every value that a request could have had."""
    file = root / _SESSION
    if file.stat().st_size > _LONGEST_ROW:
        raise _Untrusted("its session.json is too long")
    record = msgspec.json.decode(file.read_bytes(), type=Record)
    arguments = msgspec.json.decode(record.arguments, type=wire.PaperStart)
    spec = record.spec
    looks = tuple((route.symbol, jesse_timeframe(route.timeframe)) for route in arguments.data_routes)
    if arguments.contradictions(arguments.given()):
        raise _Untrusted("its session is not one that could be asked for")
    routes = tuple(
        RouteSpec(route.symbol, route.strategy, jesse_timeframe(route.timeframe), route.hyperparameters)
        for route in arguments.all_routes()
    )
    told = (
        routes, arguments.exchange,
        arguments.starting_balance, arguments.leverage, arguments.leverage_mode, arguments.fee,
        arguments.warmup_candles, arguments.speed, arguments.gap_policy, looks,
    )  # fmt: skip
    kept = (
        spec.routes, spec.exchange, spec.starting_balance, spec.leverage,
        spec.leverage_mode, spec.fee, spec.warmup_candles, spec.speed, spec.gap_policy, spec.data_routes,
    )  # fmt: skip
    if told != kept or resolve(spec.exchange, spec.leverage).name != spec.market:
        raise _Untrusted("its session is not the one that was asked for")
    times = (record.created_at, record.ended_at or 0, spec.live_from or 0)
    if record.created_at != spec.created_at or not all(0 <= time < _END_OF_TIME for time in times):
        raise _Untrusted("its times are none")
    if spec.session_id != root.name or not all(_STRATEGY.fullmatch(r.strategy) for r in routes):
        raise _Untrusted("its session has another id, or a strategy's name that is none")
    if record.desired not in ("running", "stopped") or (record.final is None) != (record.ended_at is None):
        raise _Untrusted("its session is neither running nor ended")
    if record.final is not None and msgspec.json.decode(record.final, type=wire.Stopped).session_id != spec.session_id:
        raise _Untrusted("its final answer is another session's")
    if bool(spec.candle_files) == (spec.live_from is not None) or (
        spec.candle_files and set(spec.candle_files) != set(spec.symbols)
    ):
        raise _Untrusted("its candles are not those of its symbols")
    if (root / "strategy").is_dir() and digest_of(root / "strategy") != spec.strategy_digest:
        raise _Untrusted("its strategy is not the one that the session was started with")
    return record


def _check_journal(path: Path) -> None:
    """Migrate a journal, and check that it has a journal's tables and nothing else: no triggers, no views."""
    try:
        Journal(path).close()
        with tempfile.TemporaryDirectory() as folder:
            sound = Path(folder) / "journal.sqlite"
            Journal(sound).close()
            expected, found = _objects(sound), _objects(path)
    except (PaperError, sqlite3.Error) as error:
        raise _Untrusted(f"its journal cannot be read: {error}") from error
    if expected != found:
        raise _Untrusted("its journal has not the tables of one")


def _check_answers(beside: Layout, record: Record) -> None:
    """Check that the session can be listed: one that cannot would break every list it is in."""
    data, view = SessionData(beside), ProcessView()
    try:
        msgspec.json.encode((row(data, record, view), status(data, record, view, None)))
    except Exception as error:
        raise _Untrusted(f"its journal cannot be read: {error}") from error
    finally:
        data.forget(record.session_id)


def _objects(path: Path) -> set[tuple[str, str]]:
    with contextlib.closing(open_reader(path, VERSION)) as db:
        if db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise _Untrusted("its journal is damaged")
        return set(db.execute("SELECT type, name FROM sqlite_master").fetchall())


def _keep_candles(layout: Layout, spec: SessionSpec, folder: Path) -> SessionSpec:
    """Keep an archive's candles in the home; the spec that names them there.

    A replay's file is named by the digest of the file that it was parsed from, which cannot be checked any more: where
    the home does not have the very same, its name is made of its own content: no later session takes it for another.
    """
    kept = {}
    for symbol, digest in spec.candle_files.items():
        path = folder / f"{digest}.npy"
        if not re.fullmatch(r"[0-9a-f]{64}", digest) or not path.is_file():
            raise _Untrusted(f"the candles of {symbol} are missing")
        known = layout.candle_file(digest)
        if known.exists() and filecmp.cmp(known, path, shallow=False):
            kept[symbol] = digest
            continue
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
        if rows.dtype != np.float64 or rows.ndim != 2 or rows.shape[1] != 6 or not len(rows):
            raise _Untrusted(f"the candles of {symbol} are none")
        times = rows[:, 0]
        if not np.isfinite(rows).all() or (times % MINUTE).any() or (np.diff(times) <= 0).any():
            raise _Untrusted(f"the candles of {symbol} are out of order")
        kept[symbol] = keep_candles(layout, rows)
    shutil.rmtree(folder, ignore_errors=True)
    return msgspec.structs.replace(spec, candle_files=kept)
