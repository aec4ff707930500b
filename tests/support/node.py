"""Node and the MCP clients of others, as tests/clients/package.json pins them."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

CLIENTS = Path(__file__).resolve().parents[1] / "clients"


def environment_with_clients() -> dict[str, str]:
    """An environment with the pinned Node and the clients, installed once per checkout; skips the test without npm."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm, which gets the Node that the clients want")
    bin_folder = CLIENTS / "node_modules" / ".bin"
    stamp = CLIENTS / "node_modules" / ".package-lock.json"
    with (CLIENTS / "package.json").open() as wanted:
        fcntl.flock(wanted, fcntl.LOCK_EX)  # tests of another process may want them too
        if not stamp.exists() or stamp.stat().st_mtime < os.fstat(wanted.fileno()).st_mtime:
            install = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock"]
            done = subprocess.run(install, cwd=CLIENTS, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                pytest.skip(f"npm cannot install the clients: {done.stderr.strip()[-500:]}")
            stamp.touch()
    return {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
