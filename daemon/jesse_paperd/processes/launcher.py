"""Session processes as their supervisor sees them. It needs to know neither the kernel nor the machine.

    SessionLauncher     adopts the process that lives, launches the one that should, wakes it, keeps others away
    └── SessionProcess  one process: its signs of life, its use of the machine, its death and how that came

`ForkLauncher` (fork_launcher.py), with processes on this machine, is the only implementation so far.
"""

from __future__ import annotations

import signal
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol


class EngineUnavailable(Exception):
    """No process can be launched, since the engine cannot be imported; `hint` says what to do, if that is known."""

    def __init__(self, why: str, hint: str = "") -> None:
        super().__init__(why)
        self.hint = hint


class LaunchInterrupted(Exception):
    """What was to launch a process died meanwhile. The process may be there or not; it can be tried again."""


class ProcessLives(Exception):
    """A session has a living process, so nothing else may touch its files."""


class Usage(NamedTuple):
    """What a process has used and holds."""

    cpu_seconds: float
    memory_bytes: int


class End(NamedTuple):
    """How a process ended.

    `status` is the exit status, or the signal as a negative number; None where it is not known. `code` is the error
    code that it left as its last word, or empty.
    """

    pid: int
    status: int | None
    code: str
    reason: str


class SessionProcess(Protocol):
    """A process with a session in it. Any thread may ask; it stays valid after the process died."""

    @property
    def pid(self) -> int:
        """Its number on its machine, to show."""

    async def died(self) -> None:
        """Wait for its death."""

    async def how_it_ended(self) -> End:
        """How it ended, once it is dead. What it has started and left behind is ended too."""

    def send_signal(self, number: signal.Signals) -> bool:
        """Signal exactly this process; False when it is dead."""

    def usage(self) -> Usage | None:
        """What it uses, or None when it is dead."""

    def silence(self) -> float | None:
        """Seconds since its last sign of life, or None when it never gave one."""

    def is_frozen(self) -> bool:
        """Whether it was stopped from outside (SIGSTOP)."""

    def turn_seconds(self) -> float | None:
        """How long the strategy's code has been at work without a candle done; None while it is not."""

    def close(self) -> None:
        """Free what watches it. The process lives on."""


class SessionLauncher(Protocol):
    """Where session processes come from."""

    @property
    def state(self) -> str:
        """`warming`, `ready` or `unavailable`."""

    @property
    def problem(self) -> EngineUnavailable | None:
        """Why it is `unavailable`; None when it is not."""

    @property
    def engine_version(self) -> str | None:
        """Jesse's version, once it is ready."""

    def start(self) -> None:
        """Get ready to launch. Returns at once."""

    def adopt(self, session_id: str) -> SessionProcess | None:
        """The living process of a session, whoever launched it, or None.

        Raises:
            OSError: when that cannot be told.
        """

    async def launch(self, session_id: str, predecessor: str) -> SessionProcess:
        """A new process for a session; it ends by itself if the session has one already.

        Args:
            predecessor: how the last one ended, to be written into the journal; or empty.

        Raises:
            EngineUnavailable, LaunchInterrupted
        """

    async def launch_verification(self, session_id: str, journal: Path, result: Path, log: Path) -> SessionProcess:
        """A process that verifies a session by a copy of its journal and writes what it found to a file.

        Raises:
            EngineUnavailable, LaunchInterrupted
        """

    def wake(self, session_id: str) -> None:
        """Have a session look at its intents and candles now. Where it has no process, nothing happens."""

    def vacant(self, session_id: str) -> AbstractContextManager[Any]:
        """Keep every process away from a session's files.

        Raises:
            ProcessLives: it has one.
        """

    def close(self) -> None:
        """Launch no more. What was launched lives on, but for verifications."""
