"""A process's standard output and error as a file of bounded size that never raises.

A session may run for months and its strategy may print; and a disk that is full must not turn a `print` into a
strategy's failure.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from pathlib import Path


class LogFile(io.TextIOBase):
    """Takes the place of both standard streams. Beyond `limit` bytes the file becomes `<name>.1`, replacing that."""

    def __init__(self, path: Path, limit: int = 5 * 2**20) -> None:
        self._path = path
        self._limit = limit
        # Reentrant: a signal's handler may write while the program does.
        self._lock = threading.RLock()
        self._size = 0
        self._open()

    def write(self, text: str) -> int:
        data = text.encode(errors="replace")
        with self._lock, contextlib.suppress(OSError):
            self._size += os.write(1, data)
            if self._size > self._limit:
                self._path.rename(self._path.with_name(f"{self._path.name}.1"))
                self._open()
        return len(text)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return 1

    def _open(self) -> None:
        """Have descriptors 1 and 2 mean the file, for what writes past Python as well."""
        log = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = os.fstat(log).st_size
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)


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
