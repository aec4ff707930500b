"""Which process is it? A pid alone does not identify a process: it is used again after its process died.

Pid + kernel start time + boot id name one process for ever. The start time comes from /proc/<pid>/stat, field 22,
in clock ticks since boot. `watch` opens a pidfd and then compares again, so that the descriptor is proven to be of
the very process; signals go through it and can never reach another one.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
from pathlib import Path
from typing import NamedTuple


class Identity(NamedTuple):
    """One process, for ever."""

    pid: int
    start_time: int
    boot_id: str


@functools.cache
def boot_id() -> str:
    """The kernel's id of this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def identify(pid: int) -> Identity | None:
    """The identity of a living process, or None when there is none (a zombie is dead)."""
    stat = _stat(pid)
    return None if stat is None or stat[0] in "ZX" else Identity(pid, stat[1], boot_id())


def state(pid: int) -> str:
    """The kernel's one-letter state of a process: `T` is stopped, empty is gone."""
    stat = _stat(pid)
    return stat[0] if stat else ""


def usage(pid: int) -> tuple[float, int] | None:
    """(CPU seconds, resident bytes) of a process, or None when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat[stat.rindex(")") + 2 :].split()
    ticks = int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE")


def watch(identity: Identity) -> int | None:
    """A pidfd of exactly this process, or None when it is gone. Readable means dead; close it yourself.

    Raises:
        OSError: when the kernel cannot say, such as for want of descriptors: that is not the same as gone.
    """
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return None
    if identify(identity.pid) != identity:
        os.close(descriptor)
        return None
    return descriptor


def kill_group(leader: Identity) -> int:
    """End what a dead leader of a process session has left behind; how many there were.

    The kernel gives a session's number to no other process while anyone is in it, so whoever is in it is the leader's.
    """
    killed = 0
    if identify(leader.pid) not in (None, leader):
        return killed
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or folder.name == str(leader.pid):
            continue
        pid = int(folder.name)
        if _session_of(pid) != leader.pid or (known := identify(pid)) is None:
            continue
        with contextlib.suppress(OSError):
            descriptor = watch(known)
            if descriptor is not None:
                killed += send_signal(descriptor, signal.SIGKILL)
                os.close(descriptor)
    return killed


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def send_signal(descriptor: int, number: signal.Signals) -> bool:
    """Signal the process behind a pidfd; False when it is already dead."""
    try:
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    return True


def _stat(pid: int) -> tuple[str, int] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command may hold spaces and parentheses: fields count from the last one.
    fields = text[text.rindex(")") + 2 :].split()
    return fields[0], int(fields[19])
