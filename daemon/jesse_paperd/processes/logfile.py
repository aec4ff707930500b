"""A process's standard output and error as a file of bounded size that never raises.

A session may run for months and its strategy may print; and a disk that is full must not turn a `print` into a
strategy's failure. What the process starts writes through a pipe, so that its output is bounded as well; the pipe is
made when the first child is.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from pathlib import Path

#: What Python tells of before another process begins: https://docs.python.org/3/library/audit_events.html
_BIRTHS = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system"})


class LogFile(io.TextIOBase):
    """Takes the place of both standard streams. Beyond `limit` bytes the file becomes `<name>.1`, replacing that."""

    def __init__(self, path: Path, limit: int = 5 * 2**20) -> None:
        self._path = path
        self._limit = limit
        # Reentrant: a signal's handler may write while the program does.
        self._lock = threading.RLock()
        self._size = 0
        self._owner = os.getpid()
        self._has_pipe = False
        #: The file itself, also once descriptors 1 and 2 are a pipe.
        self.descriptor = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        self._open()
        sys.addaudithook(self._look_for_children)

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._put(text.encode(errors="replace"))
        return len(text)

    def _put(self, data: bytes) -> None:
        if os.getpid() != self._owner:  # a fork of this process
            os.write(1, data)
            return
        with self._lock:
            self._size += os.write(self.descriptor, data)
            if self._size > self._limit:
                self._path.rename(self._path.with_name(f"{self._path.name}.1"))
                self._open()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return 1

    def _open(self) -> None:
        """Have descriptors 1 and 2 mean the file, for what writes past Python as well, unless they are the pipe."""
        log = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = os.fstat(log).st_size
        os.dup2(log, self.descriptor, inheritable=False)
        if not self._has_pipe:
            os.dup2(log, 1)
            os.dup2(log, 2)
        os.close(log)

    def _look_for_children(self, event: str, _arguments: tuple[object, ...]) -> None:
        if event in _BIRTHS and not self._has_pipe and os.getpid() == self._owner:
            with self._lock, contextlib.suppress(OSError):
                self._make_pipe()

    def _make_pipe(self) -> None:
        reader, writer = os.pipe()
        self._has_pipe = True
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        os.close(writer)
        threading.Thread(target=self._drain, args=(reader,), name="output of children", daemon=True).start()

    def _drain(self, reader: int) -> None:
        while data := os.read(reader, 65_536):
            with contextlib.suppress(OSError):
                self._put(data)


def descriptor_of_crashes() -> int:
    """Where a process that dies can still write: the log file itself, since nobody reads the pipe then."""
    return sys.stderr.descriptor if isinstance(sys.stderr, LogFile) else 2


def redirect_output(path: Path) -> None:
    """Have everything that this process prints go into a log file, and what it reads be empty."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)
    # What a fork has inherited in these buffers is its parent's to write.
    sys.stdout.flush()
    sys.stderr.flush()
    # Without space even for an empty file the work goes on without a log.
    with contextlib.suppress(OSError):
        sys.stdout = sys.stderr = LogFile(path)
