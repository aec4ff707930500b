"""What an operator does about disk space: look, archive, delete; and retention, which deletes by itself."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from jesse_paperd.store import journal
from jesse_paperd.store.layout import Layout
from jesse_paperd.store.registry import Record
from jesse_paperd.store.sqlite import open_reader
from jesse_paperd.wire import protocol as wire
from jesse_paperd.wire.errors import PaperError

_MB = 1_000_000
_DAY_MS = 86_400_000
_GRACE_SECONDS = 86_400.0


def bytes_in(folder: Path) -> int:
    """What the files below a folder take."""
    total = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(FileNotFoundError):  # it went away meanwhile
                total += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118
    return total


def disk_use(layout: Layout, states: dict[str, wire.SessionState]) -> wire.DiskUse:
    """What takes how much of the disk. Walks the home directory, so it is for a worker thread."""
    shares = [
        wire.DiskShare(session_id=session_id, status=state, used_mb=bytes_in(layout.session(session_id).root) / _MB)
        for session_id, state in states.items()
    ]
    return wire.DiskUse(
        home=str(layout.home),
        used_mb=bytes_in(layout.home) / _MB,
        free_mb=shutil.disk_usage(layout.home).free / _MB,
        candles_mb=bytes_in(layout.candle_files.parent) / _MB,
        archives_mb=bytes_in(layout.archives) / _MB,
        sessions=sorted(shares, key=lambda share: share.used_mb, reverse=True),
    )


def archive(layout: Layout, record: Record) -> wire.Archived:
    """Pack a session into `archives/<id>.tar.gz`: journal, log, strategy, its row of the registry and its candle files.

    The journal is SQLite's own copy, of one moment, so that the session may run on meanwhile.

    Raises:
        PaperError: `storage_failed`.
    """
    files = layout.session(record.session_id)
    target = layout.archives / f"{record.session_id}.tar.gz"
    try:
        with tempfile.TemporaryDirectory(dir=layout.archives, prefix=".") as folder:
            packed = Path(folder) / target.name
            _copy(files.journal, Path(folder) / "journal.sqlite")
            (Path(folder) / "session.json").write_bytes(msgspec.json.format(msgspec.json.encode(record)))
            with tarfile.open(packed, "w:gz", compresslevel=6) as tar:
                for name in ("session.json", "journal.sqlite"):
                    tar.add(Path(folder) / name, f"{record.session_id}/{name}")
                for path in (files.log, files.log.with_name("log.1"), files.strategy):
                    if path.exists():
                        tar.add(path, f"{record.session_id}/{path.name}")
                for digest in record.spec.candle_files.values():
                    path = layout.candle_file(digest)
                    tar.add(path, f"{record.session_id}/candles/{path.name}")
            packed.rename(target)
    except (OSError, sqlite3.Error, tarfile.TarError) as error:
        raise PaperError("storage_failed", f"{target} cannot be made: {error}") from error
    return wire.Archived(session_id=record.session_id, path=str(target), size_mb=target.stat().st_size / _MB)


def _copy(source: Path, target: Path) -> None:
    with (
        contextlib.closing(open_reader(source, journal.VERSION)) as reader,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        reader.backup(copy)


def sweep_candle_files(layout: Layout, records: list[Record]) -> None:
    """Delete replay files that no session needs. Not for while one is being started: it has no record yet."""
    needed = {layout.candle_file(digest) for record in records for digest in record.spec.candle_files.values()}
    for path in {*layout.candle_files.glob("*.npy"), *layout.candle_files.glob("*.part")} - needed:
        with contextlib.suppress(OSError):
            path.unlink()


class Retention:
    """Which sessions have been ended for long enough to go.

    The ages are by the wall clock, which someone may set forward by mistake: so what has expired is due only once it
    has been so for a day by the monotonic clock, and there is a day in which to set it right.
    """

    def __init__(self, days: float) -> None:
        self._days = days
        self._expired: dict[str, float] = {}

    def due(self, ended: Mapping[str, int], now_ms: int, monotonic: float) -> list[str]:
        """The sessions to delete now. `ended`: the time of each one's end. It remembers what it saw expired."""
        if not self._days:
            return []
        expired = [session_id for session_id, at in ended.items() if now_ms - at > self._days * _DAY_MS]
        self._expired = {session_id: self._expired.get(session_id, monotonic) for session_id in expired}
        return [session_id for session_id, since in self._expired.items() if monotonic - since >= _GRACE_SECONDS]
