"""The ROUTER socket: frames in, frames out; every request is a task of its own, so that none waits for another."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid

import zmq
import zmq.asyncio
from zmq.auth.asyncio import AsyncioAuthenticator

from jesse_paper import protocol as wire
from jesse_paper.codec import BadRequest, decode_request, encode_reply, failure
from jesse_paper.endpoint import socket_file
from jesse_paper.errors import PaperError
from jesse_paper.protocol import Answer
from jesse_paper.roles import Role, may, role_for
from jesse_paperd.config import Config
from jesse_paperd.service.dispatcher import Dispatcher
from jesse_paperd.service.lanes import Lanes
from jesse_paperd.service.waiting import Waits

log = logging.getLogger(__name__)

#: No request of the protocol comes near it; a longer one closes its connection.
_MAX_REQUEST = 1_048_576
#: Frames of a request: routing ids, the delimiter, the request. More are nobody's.
_MOST_FRAMES = 8
#: Replies that are kept for a client which does not read; further ones are dropped.
_UNREAD_REPLIES = 32
_REFUSALS_LOGGED_SECONDS = 60.0
_REFUSALS_KEPT = 1_000


class Server:
    """Serves requests on the configured endpoint until it is closed."""

    def __init__(self, config: Config, dispatcher: Dispatcher, waits: Waits) -> None:
        self._dispatcher = dispatcher
        self._waits = waits
        self._context = zmq.asyncio.Context()
        self._authenticator: AsyncioAuthenticator | None = None
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, _MAX_REQUEST)
        self._socket.setsockopt(zmq.SNDHWM, _UNREAD_REPLIES)
        self._roles: dict[str, Role] = {}
        self._refusals: dict[str, float] = {}
        if config.endpoint.startswith("tcp://"):
            self._authenticate(config)
        self._bind(config.endpoint)
        self._tasks: set[asyncio.Task[None]] = set()
        self._lanes = Lanes()
        self._closing = False

    async def serve(self) -> None:
        """Receive until cancelled."""
        while True:
            self._begin(await self._socket.recv_multipart(copy=False))

    def _begin(self, frames: list[zmq.Frame]) -> None:
        if len(frames) > _MOST_FRAMES:
            log.warning("a message of %d frames was dropped", len(frames))
            return
        task = asyncio.create_task(self._answer(frames))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self, grace_seconds: float) -> None:
        """Answer what is under way or has come, at most so long, and free the socket."""
        self._closing = True
        self._waits.end()
        while await self._socket.poll(0):  # nobody serves any more: what has come is refused, not left in silence
            self._begin(await self._socket.recv_multipart(copy=False))
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_seconds)
        for task in self._tasks:
            task.cancel()
        if self._authenticator is not None:
            self._authenticator.stop()
        self._context.destroy(linger=200)

    async def _answer(self, frames: list[zmq.Frame]) -> None:
        # [routing id, empty, request]: a DEALER may leave the empty delimiter out.
        *envelope, frame = frames
        reply = await self._reply(frame.bytes, self._role_of(frame))
        try:
            await self._socket.send_multipart([*(part.bytes for part in envelope), reply])
        except zmq.ZMQError as error:
            log.info("a client left before its answer: %s", error)

    def _role_of(self, frame: zmq.Frame) -> Role:
        """What the sender may ask. The local socket is this user's alone, who may ask everything."""
        if self._authenticator is None:
            return "admin"
        return self._roles.get(str(frame.get("User-Id")), "read")

    async def _reply(self, frame: bytes, role: Role) -> bytes:
        json, request_id = frame[:1] == b"{", ""
        answer: Answer
        try:
            request = decode_request(frame)
            json, request_id = request.json, request.id
            if self._closing:
                raise PaperError("shutting_down", "the daemon is shutting down; nothing was done", "try again")
            operation = type(request.body)
            if not may(role, operation):
                raise PaperError(
                    "forbidden",
                    f"this client's key has the role {role!r}, and {wire.name_of(operation)} needs "
                    f"{role_for(operation)!r}; nothing was done",
                    "ask whoever runs the daemon for a key with that role (curve_clients in its configuration)",
                )
            async with self._lanes.of(operation):
                answer = await self._dispatcher.handle(request.body, request_id)
        except BadRequest as refused:
            json, request_id = refused.json, refused.id
            answer = failure(refused.error)
        except PaperError as error:
            answer = failure(error)
        except Exception:
            incident = uuid.uuid4().hex[:12]
            log.exception("incident %s", incident)
            answer = failure(
                PaperError(
                    "internal", f"the daemon met a defect (incident {incident})", "its log explains the incident"
                )
            )
        return encode_reply(request_id, answer, json=json)

    def _bind(self, endpoint: str) -> None:
        file = socket_file(endpoint)
        if file is not None and file.exists() and not file.is_socket():
            # ZeroMQ would delete whatever is there.
            raise PaperError(
                "invalid_argument",
                f"the endpoint {endpoint} cannot be bound: {file} exists and is not a socket",
                "name another endpoint, or move that file away",
            )
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            raise PaperError("invalid_argument", f"the endpoint {endpoint} cannot be bound: {error}") from error
        if file is not None:
            file.chmod(0o600)

    def _authenticate(self, config: Config) -> None:
        """CURVE with a fixed list of clients, each with its role; connections with other keys are refused."""
        self._roles = config.client_roles
        roles, refused = self._roles, self._refused

        class Listed:
            def callback(self, _domain: str, key: bytes) -> bool:  # the key comes in Z85
                if key.decode() in roles:
                    return True
                refused(key.decode())
                return False

        self._authenticator = AsyncioAuthenticator(self._context)
        self._authenticator.start()
        self._authenticator.configure_curve_callback(domain="*", credentials_provider=Listed())
        self._socket.curve_server = True
        self._socket.curve_secretkey = config.curve_secret_key.encode()

    def _refused(self, key: str) -> None:
        """Log a refused key, once a minute."""
        now = time.monotonic()
        if now - self._refusals.get(key, -_REFUSALS_LOGGED_SECONDS) >= _REFUSALS_LOGGED_SECONDS:
            if len(self._refusals) >= _REFUSALS_KEPT:
                self._refusals.clear()
            self._refusals[key] = now
            log.warning("a client with the key %s was refused: it is not in curve_clients", key)
