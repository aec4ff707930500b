"""The protocol's stdin and stdout, out of reach of everybody else.

stdout belongs to the protocol: one stray `print`, of a library or a child process, ends the client's session. So
before anything else is imported the real streams move to descriptors of their own; descriptor 0 then reads nothing,
and what is written to descriptor 1 comes out on stderr, which clients keep as the server's log.
"""

from __future__ import annotations

import io
import os
from typing import NamedTuple


class Streams(NamedTuple):
    """The protocol's text streams."""

    stdin: io.TextIOWrapper
    stdout: io.TextIOWrapper


def take_stdio() -> Streams:
    """Take the standard streams for the protocol. Call it once, first of all."""
    stdin, stdout = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return Streams(
        io.TextIOWrapper(os.fdopen(stdin, "rb"), encoding="utf-8", errors="replace"),
        io.TextIOWrapper(os.fdopen(stdout, "wb"), encoding="utf-8"),
    )
