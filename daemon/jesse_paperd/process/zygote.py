"""The daemon's side of the zygote: start it, ask it for forks, start it again when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from jesse_paperd.process.identity import Identity, boot_id
from jesse_paperd.process.zygote_main import PACKET

log = logging.getLogger(__name__)


class ZygoteUnavailable(Exception):
    """The zygote could not import its module; the text says why."""


class Zygote:
    """Owns the zygote process.

    Args:
        module: what it imports; `main(arguments)` of it runs in each fork.
        folder: its working directory.
        environment: further environment variables.
    """

    def __init__(self, module: str, folder: Path, environment: dict[str, str]) -> None:
        self._module = module
        self._folder = folder
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._ready: asyncio.Future[str | None] | None = None
        self._pending: dict[int, asyncio.Future[Identity]] = {}
        self._next_id = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def state(self) -> str:
        """`warming`, `ready` or `unavailable`."""
        if self._ready is None or not self._ready.done():
            return "warming"
        return "unavailable" if self._ready.cancelled() or self._ready.exception() else "ready"

    @property
    def version(self) -> str | None:
        """The engine's version, once it is ready."""
        return self._ready.result() if self._ready is not None and self.state == "ready" else None

    def start(self) -> None:
        """Start the process; `fork` waits until it is ready."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        # Nobody may be waiting for it when it fails: the state tells.
        self._ready.add_done_callback(lambda f: f.cancelled() or f.exception())
        self._process = subprocess.Popen(
            [sys.executable, "-m", "jesse_paperd.process.zygote_main", str(theirs.fileno()), self._module],
            cwd=self._folder,
            env={**os.environ, **self._environment},
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        self._channel = ours
        loop.add_reader(ours, self._on_packet, ours)

    async def fork(self, arguments: dict[str, Any], log_file: Path, limits: dict[str, int]) -> Identity:
        """Fork a session; its identity.

        Raises:
            ZygoteUnavailable: when the zygote cannot be had.
        """
        if self.pid is None:
            self.start()
        assert self._ready is not None
        await asyncio.shield(self._ready)
        assert self._channel is not None
        self._next_id += 1
        reply: asyncio.Future[Identity] = asyncio.get_running_loop().create_future()
        self._pending[self._next_id] = reply
        packet = json.dumps({"id": self._next_id, "arguments": arguments, "log": str(log_file), "limits": limits})
        try:
            await asyncio.get_running_loop().sock_sendall(self._channel, packet.encode())
        except OSError as error:
            self._pending.pop(self._next_id, None)
            raise ZygoteUnavailable(f"the zygote died: {error}") from error
        return await reply

    def close(self) -> None:
        """Let it end: it leaves on EOF."""
        if self._channel is not None:
            self._hang_up(self._channel, ZygoteUnavailable("the daemon is shutting down"))
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=5)

    def _on_packet(self, channel: socket.socket) -> None:
        try:
            packet = channel.recv(PACKET)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if not packet:
            log.warning("the zygote ended")
            self._hang_up(channel, ZygoteUnavailable("the zygote died"))
            return
        message = json.loads(packet)
        assert self._ready is not None
        if "ready" in message:
            self._ready.set_result(message["version"])
        elif "failed" in message:
            log.error("the zygote failed: %s", message["failed"])
            self._ready.set_exception(ZygoteUnavailable(message["failed"]))
        else:
            reply = self._pending.pop(message["id"], None)
            if reply is not None and not reply.done():
                reply.set_result(Identity(message["pid"], message["start_time"], boot_id()))

    def _hang_up(self, channel: socket.socket, reason: ZygoteUnavailable) -> None:
        asyncio.get_running_loop().remove_reader(channel)
        channel.close()
        if self._channel is channel:
            self._channel = None
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(reason)
        for reply in self._pending.values():
            if not reply.done():
                reply.set_exception(reason)
        self._pending.clear()
        if self._process is not None:
            # It has closed its end; a process that lingers is not waited for here.
            self._process.poll()
