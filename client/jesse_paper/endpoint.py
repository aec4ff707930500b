"""Where the daemon is to be found: environment, then defaults. The same answer for daemon, façade and CLI."""

from __future__ import annotations

import os
from pathlib import Path

from jesse_paper.errors import PaperError

#: Bytes of a local socket's path: the kernel's limit.
LONGEST_PATH = 107


def default_home() -> Path:
    """The daemon's home directory: `JESSE_PAPER_HOME`, else `~/.jesse-paper`."""
    return Path(os.environ.get("JESSE_PAPER_HOME") or "~/.jesse-paper").expanduser().absolute()


def default_endpoint(home: Path | None = None) -> str:
    """The daemon's ZeroMQ endpoint: `JESSE_PAPER_ENDPOINT`, else the socket in the home's run directory."""
    return os.environ.get("JESSE_PAPER_ENDPOINT") or f"ipc://{(home or default_home()) / 'run' / 'daemon.sock'}"


def socket_file(endpoint: str) -> Path | None:
    """The file behind a local endpoint, `ipc:///path`; None for `tcp://host:port`.

    Raises:
        PaperError: `invalid_argument` for anything else.
    """
    transport, _, address = endpoint.partition("://")
    if transport == "tcp":
        port = address.rpartition(":")[2]
        if ":" in address and port.isdecimal() and 0 < int(port) < 65_536:
            return None
    if transport != "ipc" or not address.startswith("/"):
        reason = "it must be ipc:///path or tcp://host:port, with a port from 1 to 65535"
        if transport == "ipc" and address.startswith("@"):
            reason = "an abstract socket has no permissions, so every user of this machine could use it"
        raise PaperError(
            "invalid_argument",
            f"endpoint {endpoint!r} cannot be used: {reason}.",
            "Leave it out for the daemon of this user, or write ipc:// and an absolute path.",
        )
    if len(os.fsencode(address)) > LONGEST_PATH:
        raise PaperError(
            "invalid_argument",
            f"endpoint {endpoint!r} is too long: a socket's path has at most {LONGEST_PATH} bytes.",
            "Choose a shorter home (JESSE_PAPER_HOME) or endpoint (JESSE_PAPER_ENDPOINT).",
        )
    return Path(address)
