"""A doorbell: "look again", never the news itself.

A session binds a datagram socket in its own directory; the daemon and anyone else rings it after writing something
the session reads elsewhere (an intent in the registry, a candle in the store). A lost ring costs a moment, since the
session also looks by itself once a second. Socket paths are limited to 107 bytes and homes are not: the address goes
through a descriptor of the directory.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
from pathlib import Path


class Doorbell:
    """The listener's side."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        with _address(path) as address:
            self._socket.bind(address)
        path.chmod(0o600)

    def wait(self, seconds: float) -> bool:
        """Wait until it rings, at most so long; True when it rang. Rings that came together count once."""
        ready, _, _ = select.select([self._socket], [], [], max(0.0, seconds))
        if not ready:
            return False
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(16)
        return True

    def close(self) -> None:
        self._socket.close()
        self._path.unlink(missing_ok=True)


def ring(path: Path) -> None:
    """Ring a doorbell. A missing listener, or a bell that still rings, is not an error."""
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as bell,
        contextlib.suppress(FileNotFoundError, ConnectionRefusedError, BlockingIOError),
        _address(path) as address,
    ):
        bell.sendto(b"!", address)


@contextlib.contextmanager
def _address(path: Path):  # type: ignore[no-untyped-def]
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
