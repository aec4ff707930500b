"""What takes disk space, and what is deleted by itself: candles that nobody needs, sessions that ended long ago."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from jesse_paper import protocol as wire
from jesse_paperd.core.layout import Layout
from jesse_paperd.core.minutes import DAY
from jesse_paperd.records.record import Record

_MB = 1_000_000
_GRACE_SECONDS = 86_400.0
_LEFTOVERS = ("candles/files/*.part", "archives/.*", "run/verify-*", "sessions/*/record.json.new", "*.sqlite.new")


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


def sweep_candle_files(layout: Layout, records: list[Record]) -> None:
    """Delete replay files that no session needs. Not for while one is being started: it has no record yet."""
    needed = {layout.candle_file(digest) for record in records for digest in record.spec.candle_files.values()}
    for path in {*layout.candle_files.glob("*.npy"), *layout.candle_files.glob("*.part")} - needed:
        with contextlib.suppress(OSError):
            path.unlink()


class Retention:
    """Decides which sessions ended long enough ago to be deleted.

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
        expired = [session_id for session_id, at in ended.items() if now_ms - at > self._days * DAY]
        self._expired = {session_id: self._expired.get(session_id, monotonic) for session_id in expired}
        return [session_id for session_id, since in self._expired.items() if monotonic - since >= _GRACE_SECONDS]


def sweep_leftovers(layout: Layout) -> int:
    """Delete what refused or interrupted work has left behind; the bytes that this freed. For a worker thread.

    Only what is older than a day goes: younger files may be somebody's who is at work.
    """
    freed = 0
    for pattern in (
        "candles/files/*.part",
        "archives/.*",
        "run/verify-*",
        "sessions/*/record.json.new",
        "*.sqlite.new",
    ):
        for path in layout.home.glob(pattern):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _GRACE_SECONDS:
                    freed += bytes_in(path) if path.is_dir() else path.stat().st_size
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return freed
