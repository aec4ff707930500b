"""The daemon as a service: what systemd is told, and sessions under a real supervisord."""

from __future__ import annotations

import configparser
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from tests.support.breaking import PACED, start_trading
from tests.support.daemon import EXAMPLES, ROOT, Daemon, eventually

BIN = Path(sys.executable).parent


def jesse_paper(daemon: Daemon, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "jesse-paper", *arguments], env=daemon.environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """A home in which no daemon runs yet."""
    daemon = Daemon()
    yield daemon
    daemon.close()


def test_systemd_is_told_of_readiness_life_and_the_end(daemon: Daemon, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        address = "\0jesse-paper-test-" + daemon.home.name
        systemd.bind(address)
        systemd.settimeout(60)
        daemon.environment |= {"NOTIFY_SOCKET": f"@{address[1:]}", "WATCHDOG_USEC": "300000"}
        daemon.process = daemon.spawn()
        assert systemd.recv(1000).decode() == f"READY=1\nSTATUS=serving {daemon.endpoint}"
        assert daemon.answers()
        for _ in range(3):
            assert systemd.recv(1000) == b"WATCHDOG=1"
        daemon.process.terminate()
        while (said := systemd.recv(1000)) == b"WATCHDOG=1":
            pass
        assert said == b"STOPPING=1"
        assert daemon.process.wait(60) == 0


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("scope", ["--user", "--system"])
def test_the_unit_is_one_that_systemd_takes(daemon: Daemon, tmp_path: Path, scope: str) -> None:
    options = ["--system"] if scope == "--system" else []
    daemon.environment["JESSE_PAPER_HOME"] = str(tmp_path / "a home, 100 % ours")
    printed = jesse_paper(daemon, "service", "install", "--systemd", *options, "--print")
    assert printed.returncode == 0, printed.stderr
    unit = tmp_path / "jesse-paperd.service"
    unit.write_text(printed.stdout)
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    checked = subprocess.run(
        ["systemd-analyze", "verify", scope, "--man=no", unit],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_the_units_sandbox_is_as_tight_as_the_docs_say(daemon: Daemon, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    own, harder = (float(figure) for figure in re.findall(r"exposure (?:of|is) ([\d.]+)", text))
    wall = re.search(r"```ini\n\[Service\]\n(.*?)```", text, re.DOTALL)
    assert wall is not None
    unit = tmp_path / "jesse-paperd.service"
    written = jesse_paper(daemon, "service", "install", "--systemd", "--system", "--print").stdout
    for content, most in (
        (written, own),
        (written.replace("[Install]", f"User=jesse-paper\n{wall[1]}\n[Install]"), harder),
    ):
        unit.write_text(content)
        program = [
            "systemd-analyze",
            "security",
            "--offline=true",
            f"--threshold={round(most * 10)}",
            "--no-pager",
            unit,
        ]
        done = subprocess.run(program, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-300:] + done.stderr


def test_the_user_s_unit_is_written_where_systemd_looks_for_it(daemon: Daemon, tmp_path: Path) -> None:
    daemon.environment["XDG_CONFIG_HOME"] = str(tmp_path)
    done = jesse_paper(daemon, "service", "install", "--systemd")
    unit = tmp_path / "systemd" / "user" / "jesse-paperd.service"
    assert f"made    {unit}" in done.stdout
    assert "systemctl --user enable --now jesse-paperd" in done.stdout
    parsed = configparser.ConfigParser(strict=False, interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment, method-assign]
    parsed.read(unit)
    assert parsed["Service"]["KillMode"] == "process"
    assert parsed["Service"]["Type"] == "notify"
    assert parsed["Service"]["ExecStart"] == f'"{BIN / "jesse-paperd"}"'


def test_a_folder_that_is_no_project_is_refused(daemon: Daemon, tmp_path: Path) -> None:
    done = jesse_paper(daemon, "service", "install", "--supervisord", "--project", str(tmp_path))
    assert done.returncode == 2
    assert "it has no folder strategies/" in done.stderr
    assert not (daemon.home / "supervisord.conf").exists()


def test_the_repository_s_supervisord_conf_is_the_one_that_is_installed(daemon: Daemon) -> None:
    printed = jesse_paper(daemon, "service", "install", "--supervisord", "--print").stdout
    ours = (ROOT / "supervisord.conf").read_text().replace("%(ENV_JESSE_PAPER_HOME)s", str(daemon.home))
    settings = [
        [line for line in text.splitlines() if line and not line.startswith((";", "command=", "environment="))]
        for text in (printed, ours)
    ]
    assert settings[0] == settings[1]


@contextlib.contextmanager
def supervisord(daemon: Daemon, conf: Path) -> Iterator[None]:
    with subprocess.Popen(
        [BIN / "supervisord", "-n", "-c", conf],
        env=daemon.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            eventually("the daemon answers", daemon.answers)
            yield
        finally:
            process.terminate()
            process.wait(60)


@pytest.mark.parametrize("conf", ["the repository's", "the installed"])
def test_sessions_outlive_every_restart_by_supervisord(daemon: Daemon, conf: str) -> None:
    (daemon.home / "log").mkdir(mode=0o700)
    file = ROOT / "supervisord.conf"
    if conf == "the installed":
        file = daemon.home / "supervisord.conf"
        assert jesse_paper(daemon, "service", "install", "--supervisord", "--project", str(EXAMPLES)).returncode == 0
    with supervisord(daemon, file):
        start_trading(daemon, "lives", speed=PACED / 20)
        pid = daemon.session_pids()["lives"]
        for restart in ("restart", "kill"):
            before, candles = daemon.call(wire.Ping()).pid, daemon.status("lives").health.candles
            if restart == "kill":
                os.kill(before, signal.SIGKILL)
            else:
                control = [BIN / "supervisorctl", "-c", file, "restart", "jesse-paperd"]
                subprocess.run(control, env=daemon.environment, check=True, capture_output=True)

            def another(old: int = before) -> bool:
                with contextlib.suppress(PaperError):
                    return daemon.call(wire.Ping(), timeout=2).pid != old
                return False

            eventually("another daemon answers", another)
            status = daemon.status("lives")
            assert (status.health.pid, status.health.restarts) == (pid, 0)
            assert status.health.candles >= candles
    assert daemon.session_pids() == {"lives": pid}, "a session outlives supervisord too"
