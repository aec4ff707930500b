"""A session's lease: a file that its process holds locked for its whole life and stamps as a heartbeat.

The lock (flock, released by the kernel at death) makes a second process for the session impossible. The content
is the holder's identity, so that another process can find and prove it; the modification time is the heartbeat.
What it cannot know: a holder that was frozen still holds it, so a fresh lock never proves progress.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

from jesse_paperd.process.identity import Identity, identify


class LeaseHeld(Exception):
    """Another living process holds the lease."""


class Lease:
    """The holder's side."""

    def __init__(self, path: Path) -> None:
        """Take the lease.

        Raises:
            LeaseHeld: when another process has it.
        """
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise LeaseHeld(f"{path} is held by {holder(path)}") from None
        me = identify(os.getpid())
        assert me is not None
        content = json.dumps(me._asdict()).encode()
        os.pwrite(self._fd, content, 0)
        os.ftruncate(self._fd, len(content))

    def beat(self) -> None:
        """Stamp the heartbeat."""
        os.utime(self._fd)

    def release(self) -> None:
        os.close(self._fd)


def holder(path: Path) -> Identity | None:
    """The identity written in a lease, proven or not: None when there is none or it is not readable as one."""
    try:
        return Identity(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def proven_holder(path: Path) -> Identity | None:
    """The living process that holds a lease: the one written in it, if the kernel says that it has the lock.

    A lease that names a process which does not hold it (stale, copied or forged) proves nothing, and None comes back:
    what is not proven to be a session of ours is never signalled.
    """
    identity = holder(path)
    if identity is None or identify(identity.pid) != identity:
        return None
    try:
        status = path.stat()
        locks = Path("/proc/locks").read_text()
    except OSError:
        return None
    # A line of /proc/locks: "1: FLOCK  ADVISORY  WRITE <pid> <major>:<minor>:<inode> 0 EOF", device numbers in hex.
    file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    held = any(
        fields[1:2] == ["FLOCK"] and fields[4:6] == [str(identity.pid), file]
        for fields in map(str.split, locks.splitlines())
    )
    return identity if held else None


def heartbeat(path: Path) -> float | None:
    """Wall-clock seconds of the last heartbeat, or None when there is no lease."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None
