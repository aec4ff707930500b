"""What tests of several kinds share."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What tests have counted (`record_property("counted", …)`), for whoever reads the run."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, value in report.user_properties:
                if name == "counted":
                    terminalreporter.write_line(f"{report.nodeid.split('::')[-1]}:\n{value}")


@pytest.fixture
def short_home() -> Iterator[Path]:
    """An empty directory with a short path: a socket's path has at most 107 bytes, and pytest's are long."""
    path = Path(tempfile.mkdtemp(prefix="jp-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def endpoint(short_home: Path) -> str:
    """An endpoint that nobody has bound."""
    return f"ipc://{short_home}/daemon.sock"


@pytest.fixture
def socket_left_behind(short_home: Path) -> None:
    """The socket file of a daemon that was killed: it is there, and nobody listens."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(short_home / "daemon.sock"))
