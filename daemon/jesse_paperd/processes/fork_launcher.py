"""Session processes on this machine: forks of the zygote, each the holder of its session's lease.

A process is proven to be a session's by the lease (processes/lease.py) and watched through a pidfd, which can never
come to mean another process (processes/identity.py).
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from jesse_paperd.core.layout import Layout
from jesse_paperd.processes import doorbell, identity, lease
from jesse_paperd.processes.identity import Identity
from jesse_paperd.processes.launcher import End, EngineUnavailable, Usage
from jesse_paperd.processes.zygote import Zygote


class ForkedProcess:
    """A process of this machine, and a descriptor of exactly that one.

    Args:
        pidfd: None when it was dead before it could be watched.
        lease_file: its session's lease; None for a verification, which has none.
    """

    def __init__(self, known: Identity, pidfd: int | None, zygote: Zygote, lease_file: Path | None) -> None:
        self._identity = known
        self._pidfd = pidfd
        self._zygote = zygote
        self._lease = lease_file

    @property
    def pid(self) -> int:
        return self._identity.pid

    async def died(self) -> None:
        if self._pidfd is None:
            return
        loop = asyncio.get_running_loop()
        dead = loop.create_future()
        loop.add_reader(self._pidfd, lambda: None if dead.done() else dead.set_result(None))
        try:
            await dead
        finally:
            loop.remove_reader(self._pidfd)

    async def how_it_ended(self) -> End:
        identity.kill_group(self._identity)
        status = await self._zygote.exit_status(self._identity)
        words = lease.last_words(self._lease, self._identity) if self._lease is not None else None
        code, reason = words or ("", _in_words(status))
        return End(self.pid, status, code, reason)

    def send_signal(self, number: signal.Signals) -> bool:
        return self._pidfd is not None and identity.send_signal(self._pidfd, number)

    def usage(self) -> Usage | None:
        used = identity.usage(self.pid)
        return None if used is None else Usage(*used)

    def silence(self) -> float | None:
        return lease.silence(self._lease) if self._lease is not None else None

    def is_frozen(self) -> bool:
        return identity.state(self.pid) == "T"

    def turn_seconds(self) -> float | None:
        return lease.turn_seconds(self._lease) if self._lease is not None else None

    def close(self) -> None:
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None


class ForkLauncher:
    """Launches sessions by forking the zygote.

    Args:
        limits: of each process, by the name of their constant, as (soft, hard).
    """

    def __init__(self, layout: Layout, zygote: Zygote, limits: dict[str, tuple[int, int]]) -> None:
        self._layout = layout
        self._zygote = zygote
        self._limits = limits

    @property
    def state(self) -> str:
        return self._zygote.state

    @property
    def problem(self) -> EngineUnavailable | None:
        return self._zygote.problem

    @property
    def engine_version(self) -> str | None:
        return self._zygote.version

    def start(self) -> None:
        self._zygote.start()

    def adopt(self, session_id: str) -> ForkedProcess | None:
        file = self._layout.session(session_id).lease
        known = lease.proven_holder(file)
        pidfd = identity.watch(known) if known is not None else None
        return None if known is None or pidfd is None else ForkedProcess(known, pidfd, self._zygote, file)

    async def launch(self, session_id: str, predecessor: str) -> ForkedProcess:
        files = self._layout.session(session_id)
        arguments = {"home": str(self._layout.home), "session_id": session_id, "predecessor": predecessor}
        return await self._fork(arguments, files.log, f"jesse-paper session {session_id}", files.lease)

    async def launch_verification(self, session_id: str, journal: Path, result: Path, log: Path) -> ForkedProcess:
        arguments = {
            "home": str(self._layout.home),
            "session_id": session_id,
            "verify": str(journal),
            "result": str(result),
        }
        return await self._fork(arguments, log, f"jesse-paper verify {session_id}", None)

    def wake(self, session_id: str) -> None:
        doorbell.ring(self._layout.session(session_id).doorbell)

    def vacant(self, session_id: str) -> lease.Lease:
        return lease.Lease(self._layout.session(session_id).lease)

    def close(self) -> None:
        self._zygote.close()

    async def _fork(self, arguments: dict[str, str], log: Path, title: str, lease_file: Path | None) -> ForkedProcess:
        known = await self._zygote.fork(arguments, log, title, self._limits)
        return ForkedProcess(known, identity.watch(known), self._zygote, lease_file)


def _in_words(status: int | None) -> str:
    """The end of a process that left no word.

    Args:
        status: its exit status, or the signal as a negative number; None when it is not known.
    """
    if status is None:
        return "its process died"
    if status >= 0:
        return f"its process ended with exit status {status}"
    name = signal.Signals(-status).name if -status in set(signal.Signals) else "unknown"
    guess = ": perhaps by the kernel, for want of memory" if -status == signal.SIGKILL else ""
    return f"its process was killed by signal {-status} ({name}){guess}"
