"""The daemon's side of the zygote: start it, ask it for forks, have another one when it died."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jesse_paperd.processes.identity import Identity, boot_id
from jesse_paperd.processes.launcher import EngineUnavailable, LaunchInterrupted
from jesse_paperd.processes.zygote_main import PACKET

log = logging.getLogger(__name__)

#: Importing takes seconds, on a busy machine some tens of them; a fork takes milliseconds. What takes longer is stuck.
_READY_SECONDS = 180.0
_FORK_SECONDS = 30.0
#: A fork's death is known here a moment before its parent, the zygote, says how it died.
_EXIT_SECONDS = 2.0
_ENDS_KEPT = 1_000


class Zygote:
    """Keeps a zygote process running while one is needed.

    Args:
        module: what it imports; `main(arguments)` of it runs in each fork.
        folder: its working directory.
        environment: its whole environment.
    """

    def __init__(self, module: str, folder: Path, environment: dict[str, str]) -> None:
        self._module = module
        self._folder = folder
        self._environment = environment
        self._current: _Process | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        return self._current.popen.pid if self._current is not None and not self._current.gone else None

    @property
    def state(self) -> str:
        """`warming`, `ready` or `unavailable`."""
        current = self._current
        if current is None or not current.ready.done():
            return "warming"
        if isinstance(current.ready.exception(), EngineUnavailable):
            return "unavailable"
        return "warming" if current.gone else "ready"

    @property
    def problem(self) -> EngineUnavailable | None:
        """Why it is `unavailable`; None when it is not."""
        problem = self._current.ready.exception() if self._current is not None and self.state != "warming" else None
        return problem if isinstance(problem, EngineUnavailable) else None

    @property
    def version(self) -> str | None:
        """The engine's version, once it is ready."""
        return self._current.ready.result() if self._current is not None and self.state == "ready" else None

    def start(self) -> None:
        """Start the process, unless it runs; `fork` waits until it is ready."""
        self._living()

    async def fork(
        self, arguments: dict[str, Any], log_file: Path, title: str, limits: dict[str, tuple[int, int]]
    ) -> Identity:
        """Fork a session; its identity, which may be of a process that is dead already.

        Args:
            title: what `ps` shows.
            limits: resource limits by the name of their constant, as (soft, hard).

        Raises:
            EngineUnavailable, LaunchInterrupted
        """
        process = self._living()
        try:
            await asyncio.wait_for(asyncio.shield(process.ready), _READY_SECONDS)
            request = {"arguments": arguments, "log": str(log_file), "title": title, "limits": limits}
            return await asyncio.wait_for(process.ask(request), _FORK_SECONDS)
        except TimeoutError:
            process.hang_up(LaunchInterrupted("the zygote hangs"))
            raise LaunchInterrupted("the zygote hangs") from None

    async def exit_status(self, identity: Identity) -> int | None:
        """How a fork that has ended did so: its exit status, or the signal as a negative number.

        None when that is not known, as of the forks of an earlier zygote.
        """
        if self._current is None or identity not in self._current.ends:
            return None
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(asyncio.shield(self._current.ends[identity]), _EXIT_SECONDS)
        return None

    def close(self) -> None:
        """Let it end."""
        self._closed = True
        if self._current is not None:
            self._current.hang_up(LaunchInterrupted("the daemon is shutting down"))

    def _living(self) -> _Process:
        if self._current is None or self._current.gone:
            self._current = _Process(self._module, self._folder, self._environment, self._replace)
        return self._current

    def _replace(self) -> None:
        """A ready zygote exited; start a replacement so that the next session start does not pay for the import."""
        if not self._closed:
            self.start()


class _Process:
    """One zygote process, and what it was asked and has not answered.

    Args:
        on_end: called once it has ended, if it had been ready.
    """

    def __init__(self, module: str, folder: Path, environment: dict[str, str], on_end: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[str | None] = loop.create_future()
        # Nobody may be waiting for it when it fails: the state tells.
        self.ready.add_done_callback(lambda ready: ready.exception())
        self.gone = False
        self._on_end = on_end
        self._asked: dict[int, asyncio.Future[Identity]] = {}
        #: How each fork ended: futures of the living, and of the latest dead.
        self.ends: dict[Identity, asyncio.Future[int | None]] = {}
        self._last_id = 0
        self._sending = asyncio.Lock()
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.setblocking(False)
        with theirs:
            arguments = (str(theirs.fileno()), module, str(os.getpid()))
            self.popen = subprocess.Popen(
                [sys.executable, "-P", "-m", "jesse_paperd.processes.zygote_main", *arguments],
                cwd=folder,
                env=environment,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        loop.add_reader(self._channel, self._on_packet)

    async def ask(self, request: dict[str, Any]) -> Identity:
        """Ask it to fork."""
        loop = asyncio.get_running_loop()
        async with self._sending:
            if self.gone:
                raise LaunchInterrupted("the zygote died")
            self._last_id += 1
            reply: asyncio.Future[Identity] = loop.create_future()
            self._asked[self._last_id] = reply
            try:
                await loop.sock_sendall(self._channel, json.dumps({"id": self._last_id, **request}).encode())
            except OSError as error:
                self.hang_up(LaunchInterrupted(f"the zygote died: {error}"))
        return await reply

    def hang_up(self, reason: Exception) -> None:
        """Close the channel: fail all waiters with the reason, and kill the process if it still runs."""
        if self.gone:
            return
        self.gone = True
        asyncio.get_running_loop().remove_reader(self._channel)
        self._channel.close()
        was_ready = self.ready.done() and self.ready.exception() is None
        for end in self.ends.values():
            if not end.done():
                end.set_result(None)  # nobody will tell
        waiting: list[asyncio.Future[Any]] = [self.ready, *self._asked.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(reason)
        # It would leave by itself, were it not amid an import or frozen. It is our child, so the pid is still its own.
        self.popen.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(timeout=1)
        if was_ready:
            self._on_end()

    def _on_packet(self) -> None:
        try:
            packet = self._channel.recv(PACKET)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if not packet:
            log.warning("the zygote ended")
            self.hang_up(LaunchInterrupted("the zygote died"))
            return
        message = json.loads(packet)
        if "ready" in message:
            self.ready.set_result(message["version"])
        elif "failed" in message:
            log.error("the zygote failed: %s", message["failed"])
            self.ready.set_exception(EngineUnavailable(message["failed"], message["hint"]))
        elif "ended" in message:
            end = self.ends.get(Identity(message["ended"], message["start_time"], boot_id()))
            if end is not None and not end.done():
                end.set_result(message["status"])
        else:
            identity = Identity(message["pid"], message["start_time"], boot_id())
            self._remember(identity)
            reply = self._asked.pop(message["id"], None)
            if reply is not None and not reply.done():
                reply.set_result(identity)

    def _remember(self, identity: Identity) -> None:
        """Expect the end of a fork; forget the oldest known ends."""
        self.ends[identity] = asyncio.get_running_loop().create_future()
        if len(self.ends) > _ENDS_KEPT:
            done = [known for known, end in self.ends.items() if end.done()]
            for known in done[: len(self.ends) - _ENDS_KEPT]:
                del self.ends[known]
