"""Breaking things on purpose, and telling whether anything was lost."""

from __future__ import annotations

import atexit
import contextlib
import functools
import gzip
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from jesse_paper import protocol as wire
from jesse_paperd.records.journal import EquityRun, OrderRow, PositionRow, Progress, TradeRow
from tests.support.daemon import SPOT_CANDLES, Daemon, eventually

#: Restarts follow within a second and are not given up for hundreds of deaths.
IMPATIENT = """
stalled_seconds = 5
stop_seconds = 2
[restart]
limit = 1000
first_seconds = 0.05
longest_seconds = 0.5
"""
#: Candles a second, for a session that should still run when it is looked at.
PACED = 60 * 1500.0


@functools.cache
def short_candles(days: int = 8, source: Path = SPOT_CANDLES) -> Path:
    """The first days of an example's candles. They are for DayTrader at 15m, whose warm-up takes 2.5 of them."""
    folder = tempfile.mkdtemp(prefix="jp-candles-", dir="/tmp")
    atexit.register(shutil.rmtree, folder)
    path = Path(folder) / f"{days}-days.csv"
    with gzip.open(source, "rt") as lines:
        path.write_text("".join(line for _, line in zip(range(1 + days * 1440), lines, strict=False)))
    return path


def start_trading(daemon: Daemon, session_id: str, **arguments: Any) -> None:
    """Start a session that trades a few dozen times in a few seconds."""
    defaults = {"strategy": "DayTrader", "timeframe": "15m", "feed": f"replay:{short_candles()}", "speed": PACED}
    daemon.start_session(session_id=session_id, **{**defaults, **arguments})


def waits(daemon: Daemon, session_id: str, reason: str) -> wire.Status:
    """Its status once it is not running for a reason with these words."""

    def status() -> wire.Status | None:
        found = daemon.status(session_id)
        return found if found.status == "restarting" and reason in found.health.reasons[0] else None

    return eventually(f"{session_id} waits: {reason}", status)


_FACTS = {
    "orders": f"SELECT {', '.join(OrderRow.__struct_fields__)} FROM orders ORDER BY seq",
    "trades": f"SELECT {', '.join(TradeRow.__struct_fields__)} FROM trades ORDER BY n",
    "positions": f"SELECT {', '.join(PositionRow.__struct_fields__)} FROM positions ORDER BY symbol",
    "equity": f"SELECT {', '.join(EquityRun.__struct_fields__)} FROM equity ORDER BY first_at",
    "daily_balance": "SELECT at, balance FROM daily_balance ORDER BY at",
    "progress": f"SELECT {', '.join(each.name for each in fields(Progress))} FROM progress",
    "events": "SELECT at, kind, detail FROM events WHERE kind NOT IN ('started', 'restarted') ORDER BY seq",
    "logs": "SELECT at, level, message FROM logs ORDER BY seq",
}


def facts_of(journal: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that a journal tells of the market and the account: every row, every digit."""
    with contextlib.closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as db:
        return {table: db.execute(query).fetchall() for table, query in _FACTS.items()}


def assert_nothing_was_lost(daemon: Daemon, disturbed: str, undisturbed: str) -> None:
    """Two sessions with the same spec have the same journal, whatever befell one of them."""
    one, other = (facts_of(daemon.layout.session(name).journal) for name in (disturbed, undisturbed))
    assert one["trades"], "a session without trades shows nothing"
    for table, rows in other.items():
        assert one[table] == rows, table


def children(pid: int) -> dict[int, str]:
    """The living children of a process, with their command lines."""
    found = {}
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            stat = (folder / "stat").read_text()
            state, parent = stat[stat.rindex(")") + 2 :].split()[:2]
            if int(parent) == pid and state not in "ZX":
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def zygote_of(daemon: Daemon) -> int:
    """The pid of the daemon's zygote."""
    assert daemon.process is not None
    (pid,) = (pid for pid, command in children(daemon.process.pid).items() if "zygote_main" in command)
    return pid


@contextlib.contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """These processes stand still meanwhile."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def no_file_may_grow(*pids: int, beyond: int) -> Iterator[None]:
    """To these processes, and those they fork, every disk is full for files of this size: a quota's double."""
    hard = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE)[1] for pid in pids}
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (beyond, hard[pid]))
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard[pid], hard[pid]))


def can_mount() -> bool:
    """Whether this user may mount file systems: root may, where the sandbox lets it."""
    folder = Path(tempfile.mkdtemp(prefix="jp-mount-", dir="/tmp"))
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True, check=False)
        if done.returncode == 0:
            subprocess.run(["umount", folder], check=True)
        return done.returncode == 0
    except FileNotFoundError:
        return False
    finally:
        folder.rmdir()


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """An empty file system of this size in the place of an empty folder."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextlib.contextmanager
def read_only(path: Path) -> Iterator[None]:
    """A file that nobody can write to. Root's rights pass over a mode, so for root it is mounted read-only."""
    if os.geteuid() != 0:
        mode = path.stat().st_mode
        path.chmod(0o400)
        yield
        path.chmod(mode)
        return
    subprocess.run(["mount", "--bind", path, path], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", path], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)
