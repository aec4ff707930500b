"""The protocol's stdin and stdout, out of reach of everybody else.

stdout belongs to the protocol: one stray `print`, of a library or a child process, ends the client's session. So
before anything else is imported the real streams move to descriptors of their own; descriptor 0 then reads nothing,
and what is written to descriptor 1 comes out on stderr, which clients keep as the server's log.
"""

from __future__ import annotations

import io
import os
import select
from typing import NamedTuple


class Output:
    """Writes to a descriptor that a client reads at its own pace.

    The SDK hands every line to a thread, twice, which takes longer than writing it where the client keeps up.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._ready = select.poll()
        self._ready.register(descriptor, select.POLLOUT)

    def write_now(self, text: str) -> memoryview:
        """Write what can be written without waiting; the rest."""
        rest = memoryview(text.encode())
        while rest and self._ready.poll(0):
            # A pipe that is ready takes this much without blocking, on every POSIX system.
            rest = rest[os.write(self._descriptor, rest[: select.PIPE_BUF]) :]
        return rest

    def write_rest(self, rest: memoryview) -> None:
        """Write all of it, waiting for the reader."""
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]


class Streams(NamedTuple):
    """The protocol's streams."""

    stdin: io.TextIOWrapper
    stdout: Output


def take_stdio() -> Streams:
    """Take the standard streams for the protocol. Call it once, first of all."""
    stdin, stdout = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return Streams(
        io.TextIOWrapper(os.fdopen(stdin, "rb"), encoding="utf-8", errors="replace"),
        Output(stdout),
    )
