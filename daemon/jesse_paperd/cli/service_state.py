"""What systemd or supervisord says of the daemon."""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
import xmlrpc.client
from pathlib import Path
from typing import Any, NamedTuple

_SECONDS = 5.0


class ServiceState(NamedTuple):
    """Which manager has the daemon, what it calls the state, and what to do if it does not run."""

    manager: str
    state: str
    runs: bool
    mend: str


def service_state(home: Path) -> ServiceState | None:
    """The manager that has been told of the daemon; None where there is none."""
    return _systemd("--user") or _systemd("--system") or _supervisord(home / "supervisor.sock")


def _systemd(scope: str) -> ServiceState | None:
    if not shutil.which("systemctl"):
        return None
    asked = ["systemctl", scope, "show", "jesse-paperd", "--property=LoadState", "--property=ActiveState"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        return None
    told = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    if told.get("LoadState") != "loaded":
        return None
    state = told.get("ActiveState", "unknown")
    mend = f"systemctl {scope} start jesse-paperd; why it ended: journalctl {scope} -u jesse-paperd"
    return ServiceState(f"systemd {scope}", state, state in ("active", "reloading"), mend)


def _supervisord(file: Path) -> ServiceState | None:
    if not file.exists():
        return None
    again = f"supervisord -c {file.with_name('supervisord.conf')}"
    server = xmlrpc.client.ServerProxy("http://localhost", transport=_Local(file))
    try:
        told: Any = server.supervisor.getProcessInfo("jesse-paperd")
    except (OSError, http.client.HTTPException):
        return ServiceState("supervisord", f"does not answer on {file}", False, again)
    except xmlrpc.client.Fault as fault:
        return ServiceState("supervisord", fault.faultString, False, f"its configuration has no jesse-paperd: {again}")
    control = f"supervisorctl -s unix://{file}"
    mend = f"{control} start jesse-paperd; why it ended: {control} tail jesse-paperd"
    return ServiceState("supervisord", told["statename"], told["statename"] in ("RUNNING", "STARTING"), mend)


class _Local(xmlrpc.client.Transport):
    """XML-RPC over a socket file."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file

    def make_connection(self, host: Any) -> http.client.HTTPConnection:  # noqa: ARG002 (the base class's signature)
        connection = http.client.HTTPConnection("localhost", timeout=_SECONDS)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(_SECONDS)
        connection.sock.connect(str(self._file))
        return connection
