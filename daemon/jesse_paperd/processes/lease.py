"""A session's lease: a file that its process holds locked for its whole life and stamps as a heartbeat.

The lock (flock, released by the kernel at death) makes a second process for the session impossible. The content
is the holder's identity, so that another process can find and prove it, and its last words when it had to leave.
The modification time is the heartbeat, on the monotonic clock: setting the wall clock looks like no stall.
What it cannot know: a holder that was frozen still holds it, so a fresh lock never proves progress.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import struct
import time
from pathlib import Path
from typing import Any
from weakref import WeakSet

from jesse_paperd.processes.identity import Identity, identify
from jesse_paperd.processes.launcher import ProcessLives

#: The content always has this length: writing it anew is whole to a reader, and needs no space of a full disk.
_LENGTH = 4096
#: Behind it: when the strategy's turn began, in nanoseconds of the monotonic clock; 0: it has none.
_TURN = struct.Struct("<Q")
_LONGEST_WORDS = 600


class LeaseHeld(ProcessLives):
    """Another living process holds the lease."""


#: A process that a strategy forks shares its locks, and would hold them beyond this one's death. What is once
#: registered to be done at a fork stays registered: so it is one function, for whatever leases there are.
_held: WeakSet[Lease] = WeakSet()


def _release_all() -> None:
    for lease in list(_held):
        lease.release()


os.register_at_fork(after_in_child=_release_all)


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
        _held.add(self)
        me = identify(os.getpid())
        assert me is not None
        self._identity = me
        self._write({})
        self.turn(begins=False)
        self.beat()

    def beat(self) -> None:
        """Stamp the heartbeat."""
        now = time.monotonic_ns()
        # A disk on which even this fails shows as what it is: no sign of life.
        with contextlib.suppress(OSError):
            os.utime(self._fd, ns=(now, now))

    def turn(self, begins: bool) -> None:
        """Stamp that the strategy's code begins to work, or has done a candle; or that it works no more."""
        with contextlib.suppress(OSError):
            os.pwrite(self._fd, _TURN.pack(time.monotonic_ns() if begins else 0), _LENGTH)

    def leave_word(self, code: str, message: str) -> None:
        """Say why this process leaves before its work is done; also on a full disk."""
        with contextlib.suppress(OSError):
            self._write({"code": code, "message": message[:_LONGEST_WORDS]})

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _write(self, words: dict[str, str]) -> None:
        content = json.dumps({**self._identity._asdict(), **words}, ensure_ascii=False)
        os.pwrite(self._fd, content.encode(errors="replace").ljust(_LENGTH), 0)


def holder(path: Path) -> Identity | None:
    """The identity written in a lease, proven or not: None when there is none or it is not readable as one."""
    content = _read(path)
    identity = Identity(*(content.get(name) for name in Identity._fields))  # type: ignore[arg-type]
    return identity if list(map(type, identity)) == [int, int, str] else None


def proven_holder(path: Path) -> Identity | None:
    """The living process that holds a lease: the one written in it, if the kernel says that it has the lock.

    A lease that names a process which does not hold it (stale, copied or forged) proves nothing, and None comes back:
    what is not proven to be a session of ours is never signalled.
    """
    identity = holder(path)
    if identity is None or identify(identity.pid) != identity:
        return None
    return identity if _has_locked(identity.pid, path) else None


def last_words(path: Path, identity: Identity) -> tuple[str, str] | None:
    """(code, message) that this process left in the lease; None when it left no word, or never had the lease."""
    content = _read(path)
    if holder(path) != identity or "code" not in content:
        return None
    return str(content["code"]), str(content.get("message", ""))


def silence(path: Path) -> float | None:
    """Seconds since the last heartbeat, or None when there is no lease."""
    try:
        return max(0.0, (time.monotonic_ns() - path.stat().st_mtime_ns) / 1e9)
    except FileNotFoundError:
        return None


def turn_seconds(path: Path) -> float | None:
    """Seconds for which the strategy's code has been at work without a candle done; None while it is not."""
    try:
        with path.open("rb") as file:
            file.seek(_LENGTH)
            (began,) = _TURN.unpack(file.read(_TURN.size))
    except (OSError, struct.error):
        return None
    return (time.monotonic_ns() - began) / 1e9 if began else None


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes()[:_LENGTH])
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _has_locked(pid: int, path: Path) -> bool:
    """Whether one of a process's descriptors is of this file and has it locked.

    /proc/<pid>/fdinfo tells the locks of each; /proc/locks would need device numbers, which some file systems give
    differently to different questions.
    """
    try:
        file = path.stat()
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False
    for descriptor in descriptors:
        with contextlib.suppress(OSError):  # closed meanwhile
            if os.path.samestat(descriptor.stat(), file):
                locks = Path(f"/proc/{pid}/fdinfo/{descriptor.name}").read_text()
                if any(line.startswith("lock:") and "FLOCK" in line for line in locks.splitlines()):
                    return True
    return False
