"""Where the daemon is to be found: environment, then defaults. The same answer for daemon, façade and CLI."""

from __future__ import annotations

import os
from pathlib import Path


def default_home() -> Path:
    """The daemon's home directory: `JESSE_PAPER_HOME`, else `~/.jesse-paper`."""
    return Path(os.environ.get("JESSE_PAPER_HOME") or "~/.jesse-paper").expanduser().absolute()


def default_endpoint(home: Path | None = None) -> str:
    """The daemon's ZeroMQ endpoint: `JESSE_PAPER_ENDPOINT`, else the socket in the home's run directory."""
    return os.environ.get("JESSE_PAPER_ENDPOINT") or f"ipc://{(home or default_home()) / 'run' / 'daemon.sock'}"
