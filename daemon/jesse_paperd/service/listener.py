"""The ROUTER socket, and what clients may take of the daemon through it: memory and descriptors.

libzmq has a bound for a frame but none for a message, and ends the process when a local socket has no descriptor for a
connection. So both are counted here: a socket that holds too much for its clients is made anew, which ends all
connections and costs each client a retry; and while there are too many connections no other is taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq
import zmq.asyncio
from zmq.utils.monitor import parse_monitor_message

from jesse_paper.endpoint import socket_file
from jesse_paper.errors import PaperError

log = logging.getLogger(__name__)

#: No request of the protocol comes near it; a longer one closes its connection.
_MAX_REQUEST = 1_048_576
#: Replies that are kept for a client which does not read; further ones are dropped.
_UNREAD_REPLIES = 32
#: How much the process may grow before it is put down to what is held for clients.
_HELD_BYTES = 512 * 2**20
_LOOK_MILLISECONDS = 250
#: Of the process's descriptors connections may have a quarter, and never more than these: some come before their number
#: is noticed.
_MOST_CONNECTIONS = 4_000
_SHARE_OF_DESCRIPTORS = 4
#: A connection that has not said what it is by then is closed.
_HANDSHAKE_MILLISECONDS = 5_000
_BIND_SECONDS = 5.0
_REFUSALS_LOGGED_SECONDS = 60.0
_EVENTS_AT_ONCE = 256
_EVENTS = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED
_PAGE = resource.getpagesize()


class Listener:
    """Receives and sends messages on an endpoint, with bounds on what clients can make it hold.

    Args:
        prepare: sets a new socket's options before it is bound, such as its keys.

    Raises:
        PaperError: `invalid_argument` when the endpoint cannot be bound.
    """

    def __init__(self, context: zmq.asyncio.Context, endpoint: str, prepare: Callable[[zmq.Socket[Any]], None]) -> None:
        self._context = context
        self._endpoint = endpoint
        self._prepare = prepare
        self._most = min(_MOST_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // _SHARE_OF_DESCRIPTORS)
        #: The descriptors of the connections that there are.
        self._connections: set[int] = set()
        self._refused_at = -_REFUSALS_LOGGED_SECONDS
        self._usual_bytes = _resident_bytes()
        self._open()
        self._bind()

    async def receive(self) -> list[zmq.Frame]:
        """The next message."""
        while True:
            try:
                return await self._socket.recv_multipart(copy=False)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                # The socket was closed under this call, to be made anew.

    async def send(self, frames: list[bytes]) -> None:
        """Send a message to the client that its first frame names; nothing where that one has gone."""
        await self._socket.send_multipart(frames)

    async def come(self) -> bool:
        """Whether a message has come that was not received."""
        return bool(await self._socket.poll(0))

    async def keep_bounds(self) -> None:
        """Count what clients take, and see to it that it stays within bounds. Does not return."""
        while True:
            await self._note_events(_LOOK_MILLISECONDS)
            await self._bound_memory()

    async def _note_events(self, milliseconds: int) -> None:
        """Take what the socket tells of its connections, waiting at most so long for it."""
        if not await self._monitor.poll(milliseconds):
            return
        told: zmq.Socket[bytes] = zmq.Socket.shadow(self._monitor)
        with contextlib.suppress(zmq.Again):
            for _ in range(_EVENTS_AT_ONCE):
                event = parse_monitor_message(told.recv_multipart(zmq.NOBLOCK))
                if event["event"] == zmq.EVENT_CLOSED:
                    self._is_bound = False
                elif event["event"] == zmq.EVENT_DISCONNECTED:
                    self._connections.discard(event["value"])
                elif len(self._connections) < self._most:
                    self._connections.add(event["value"])
                else:
                    self._refuse(event["value"])

    def _refuse(self, descriptor: int) -> None:
        """End a connection that is one too many; libzmq sees that, and closes it."""
        now = time.monotonic()
        if now - self._refused_at > _REFUSALS_LOGGED_SECONDS:
            log.warning("there are %d connections: no others are taken until some end", len(self._connections))
            self._refused_at = now
        # It may be gone already, and its number another's: only what is connected to the endpoint is ended.
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connection:
            name = connection.getsockname()
            if self._endpoint.endswith(name if isinstance(name, str) else f":{name[1]}"):
                connection.shutdown(socket.SHUT_RDWR)

    async def _bound_memory(self) -> None:
        now = _resident_bytes()
        self._usual_bytes = min(self._usual_bytes, now)
        if now - self._usual_bytes < _HELD_BYTES:
            return
        log.warning("%d MiB are held for clients: all connections are closed", (now - self._usual_bytes) >> 20)
        await self._unbind()
        self._close()
        self._open()
        await self._bind_again()
        await asyncio.sleep(1)  # it is given back by another thread
        self._usual_bytes = _resident_bytes()

    def _open(self) -> None:
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, _MAX_REQUEST)
        self._socket.setsockopt(zmq.SNDHWM, _UNREAD_REPLIES)
        self._socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MILLISECONDS)
        self._prepare(self._socket)
        self._monitor = self._socket.get_monitor_socket(_EVENTS)
        self._connections.clear()

    def _close(self) -> None:
        self._socket.disable_monitor()
        self._monitor.close(linger=0)
        self._socket.close(linger=0)

    def _bind(self) -> None:
        file = socket_file(self._endpoint)
        if file is not None and file.exists() and not file.is_socket():
            # ZeroMQ would delete whatever is there.
            raise PaperError(
                "invalid_argument",
                f"the endpoint {self._endpoint} cannot be bound: {file} exists and is not a socket",
                "name another endpoint, or move that file away",
            )
        try:
            self._socket.bind(self._endpoint)
        except zmq.ZMQError as error:
            raise PaperError("invalid_argument", f"the endpoint {self._endpoint} cannot be bound: {error}") from error
        if file is not None:
            file.chmod(0o600)
        self._is_bound = True

    async def _unbind(self) -> None:
        """Take no more connections. It has happened when the socket says so: the file is deleted by another thread."""
        self._socket.unbind(self._endpoint)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_BIND_SECONDS):
                while self._is_bound:
                    await self._note_events(_LOOK_MILLISECONDS)
        self._is_bound = False

    async def _bind_again(self) -> None:
        """Bind the endpoint that was let go of: until then its port may be taken for a moment.

        Raises:
            PaperError: `invalid_argument` when it cannot be had; then nothing can be asked of the daemon.
        """
        deadline = asyncio.get_running_loop().time() + _BIND_SECONDS
        while True:
            try:
                return self._bind()
            except PaperError:
                if asyncio.get_running_loop().time() > deadline:
                    raise
            await asyncio.sleep(0.01)


def _resident_bytes() -> int:
    """What this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
