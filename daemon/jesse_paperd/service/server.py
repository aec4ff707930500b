"""The ROUTER socket: frames in, frames out; every request is a task of its own, so that none waits for another."""

from __future__ import annotations

import asyncio
import logging
import uuid

import zmq
import zmq.asyncio
from zmq.auth.asyncio import AsyncioAuthenticator

from jesse_paper.codec import BadRequest, decode_request, encode_reply, failure
from jesse_paper.endpoint import socket_file
from jesse_paper.errors import PaperError
from jesse_paper.protocol import Answer
from jesse_paperd.config import Config
from jesse_paperd.service.dispatcher import Dispatcher
from jesse_paperd.service.waiting import Waits

log = logging.getLogger(__name__)

#: No request of the protocol comes near it; a longer one closes its connection.
_MAX_REQUEST = 1_048_576
#: Requests worked on at once; further ones wait in ZeroMQ's queue.
_MAX_CONCURRENT = 256


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
        if config.endpoint.startswith("tcp://"):
            self._authenticate(config)
        self._bind(config.endpoint)
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(_MAX_CONCURRENT)
        self._closing = False

    async def serve(self) -> None:
        """Receive until cancelled."""
        while True:
            await self._slots.acquire()
            self._begin(await self._socket.recv_multipart())

    def _begin(self, frames: list[bytes]) -> None:
        task = asyncio.create_task(self._answer(frames))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._slots.release())

    async def close(self, grace_seconds: float) -> None:
        """Answer what is under way or has come, at most so long, and free the socket."""
        self._closing = True
        self._waits.end()
        while await self._socket.poll(0):  # nobody serves any more: what has come is refused, not left in silence
            self._begin(await self._socket.recv_multipart())
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_seconds)
        for task in self._tasks:
            task.cancel()
        if self._authenticator is not None:
            self._authenticator.stop()
        self._context.destroy(linger=200)

    async def _answer(self, frames: list[bytes]) -> None:
        # [routing id, empty, request]: a DEALER may leave the empty delimiter out.
        *envelope, frame = frames
        reply = await self._reply(frame)
        try:
            await self._socket.send_multipart([*envelope, reply])
        except zmq.ZMQError as error:
            log.info("a client left before its answer: %s", error)

    async def _reply(self, frame: bytes) -> bytes:
        json, request_id = frame[:1] == b"{", ""
        answer: Answer
        try:
            request = decode_request(frame)
            json, request_id = request.json, request.id
            if self._closing:
                raise PaperError("shutting_down", "the daemon is shutting down; nothing was done", "try again")
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
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            raise PaperError("invalid_argument", f"the endpoint {endpoint} cannot be bound: {error}") from error
        if file := socket_file(endpoint):
            file.chmod(0o600)

    def _authenticate(self, config: Config) -> None:
        """Set up CURVE with a fixed list of client keys; connections with other keys are refused."""
        allowed = {key.encode() for key in config.curve_clients}

        class Listed:
            def callback(self, _domain: str, key: bytes) -> bool:  # the key comes in Z85
                return key in allowed

        self._authenticator = AsyncioAuthenticator(self._context)
        self._authenticator.start()
        self._authenticator.configure_curve_callback(domain="*", credentials_provider=Listed())
        self._socket.curve_server = True
        self._socket.curve_secretkey = config.curve_secret_key.encode()
