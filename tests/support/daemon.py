"""A real daemon in a home of its own, for tests that look at the product from outside."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from jesse_paper import protocol as wire
from jesse_paper.client import DaemonClient
from jesse_paper.errors import PaperError
from jesse_paperd.core.layout import Layout
from jesse_paperd.processes import lease
from jesse_paperd.processes.identity import send_signal, watch

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SPOT_CANDLES = EXAMPLES / "candles" / "binance-BTC-USDT-1m-2024-12.csv.gz"
FUTURES_CANDLES = EXAMPLES / "candles" / "binance-perp-BTC-USDT-1m-2025-05.csv.gz"
ETHER_CANDLES = EXAMPLES / "candles" / "binance-perp-ETH-USDT-1m-2025-05.csv.gz"

Value = TypeVar("Value")


#: No test asserts how long something takes; on a busy machine importing the engine alone takes most of a minute.
PATIENCE = 180.0


def eventually(what: str, condition: Callable[[], Value], seconds: float = PATIENCE) -> Value:
    """The first true value of a condition, within a bound that only a defect reaches."""
    deadline = time.monotonic() + seconds
    value = condition()
    while not value:
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: still not so after {seconds:g} s; last seen: {value!r}")
        time.sleep(0.02)
        value = condition()
    return value


_PASSED_ON = ["TRAPS", "FAST_FEED", "DEFECT", "CLOCK_SHIFT"]


class Daemon:
    """A daemon process and a client of it.

    The home has a short path, since a socket's path is limited, and goes away with everything that runs in it.
    """

    #: What the daemon's interpreter runs.
    program = "from jesse_paperd.app import main; main()"

    def __init__(self, project: Path = EXAMPLES, config: str = "", home_name: str = "") -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="jp-", dir="/tmp"))
        self.home = self._folder / home_name
        self.home.mkdir(exist_ok=True)
        self.layout = Layout(self.home)
        self.project = project
        if config:
            (self.home / "config.toml").write_text(config)
        self.endpoint = f"ipc://{self.home}/run/daemon.sock"
        self.environment = {
            **os.environ,
            "JESSE_PAPER_HOME": str(self.home),
            "JESSE_PAPER_PROJECT": str(project),
            "JESSE_PAPER_ENDPOINT": self.endpoint,
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.client = DaemonClient(self.endpoint)

    def start(self) -> Daemon:
        """Start it and wait until it answers."""
        self.process = self.spawn()
        eventually("the daemon answers", self.answers)
        return self

    def ready(self) -> Daemon:
        """Wait until its engine is imported: from then on a start takes milliseconds."""
        eventually("the engine is ready", lambda: self.call(wire.Ping()).engine != "warming", PATIENCE)
        return self

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start one more daemon process on this home, without waiting."""
        self._pass_on()
        with (self.home / "output").open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-c", self.program],
                env=self.environment,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def _pass_on(self) -> None:
        """Let the doubles in a session's process see what they are told by; a strategy sees little else."""
        names = [name for name in _PASSED_ON if name in self.environment]
        if not names:
            return
        file = self.home / "config.toml"
        config = file.read_text() if file.exists() else ""
        if "session_environment" not in config:
            file.write_text(f"session_environment = {names!r}\n{config}")

    def output(self) -> str:
        """What the daemons of this home have printed so far."""
        output = self.home / "output"
        return output.read_text(errors="replace") if output.exists() else ""

    def answers(self) -> bool:
        try:
            self.client.call(wire.Ping(), timeout=2)
        except PaperError:
            return False
        return True

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        """End the daemon alone by a signal; its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(20)

    def restart(self, number: signal.Signals = signal.SIGKILL) -> None:
        self.kill(number)
        self.start()

    def call(self, body: wire.Operation, request_id: str | None = None, timeout: float = 60) -> Any:
        return self.client.call(body, request_id=request_id, timeout=timeout)

    def start_session(self, **arguments: Any) -> wire.Started:
        """Start a session of SMACrossover on the example's spot candles, unless told otherwise."""
        defaults: dict[str, Any] = {
            "strategy": "SMACrossover",
            "symbol": "BTC-USDT",
            "feed": f"replay:{SPOT_CANDLES}",
        }
        return self.call(wire.PaperStart(**{**defaults, **arguments}))

    def status(self, session_id: str) -> wire.Status:
        return self.call(wire.PaperStatus(session_id=session_id))

    def trades(self, session_id: str) -> list[wire.Trade]:
        return self.call(wire.PaperGetTrades(session_id=session_id, limit=1000)).trades

    def stop_session(self, session_id: str) -> wire.Stopped:
        return self.call(wire.PaperStop(session_id=session_id))

    def ended(self, session_id: str, seconds: float = PATIENCE) -> wire.Status:
        """Wait for a session's end."""
        return eventually(
            f"session {session_id} has ended",
            lambda: (s := self.status(session_id)).status in ("stopped", "failed") and s,
            seconds,
        )

    def session_pids(self) -> dict[str, int]:
        """The living session processes, by session id."""
        found = {}
        for folder in self.layout.sessions.iterdir() if self.layout.sessions.exists() else ():
            identity = lease.proven_holder(folder / "lease")
            if identity is not None:
                found[folder.name] = identity.pid
        return found

    def close(self) -> None:
        """End everything that runs in this home, by identity, and remove it."""
        self.client.close()
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(15)
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait(5)
        for folder in self.layout.sessions.iterdir() if self.layout.sessions.is_dir() else ():
            identity = lease.proven_holder(folder / "lease")
            descriptor = watch(identity) if identity is not None else None
            if descriptor is not None:
                send_signal(descriptor, signal.SIGKILL)
                os.close(descriptor)
        shutil.rmtree(self._folder, ignore_errors=True)


@contextlib.contextmanager
def running_daemon(project: Path = EXAMPLES, config: str = "", home_name: str = "") -> Iterator[Daemon]:
    daemon = Daemon(project, config, home_name)
    try:
        yield daemon.start().ready()
    except BaseException:
        sys.stderr.write((daemon.home / "output").read_text(errors="replace")[-8000:])
        raise
    finally:
        daemon.close()


class Project:
    """A Jesse project of a test's own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "strategies").mkdir(parents=True, exist_ok=True)

    def add(self, name: str, source: str) -> None:
        folder = self.root / "strategies" / name
        folder.mkdir(exist_ok=True)
        (folder / "__init__.py").write_text(source)

    def add_example(self, name: str) -> None:
        shutil.copytree(EXAMPLES / "strategies" / name, self.root / "strategies" / name)


def strategy_source(name: str, *, should_long: str = "return False", extra: str = "", top: str = "") -> str:
    """A small strategy: buys one hundredth of its balance when `should_long` says so."""
    return f"""\
{top}
from jesse.strategies import Strategy

class {name}(Strategy):
    def should_long(self):
        {should_long}

    def go_long(self):
        self.buy = self.balance / self.price / 100, self.price

{extra}
"""
