"""Requests in, replies out; every request is a task of its own, so that none waits for another."""

from __future__ import annotations

import asyncio
import logging
import uuid

import zmq
import zmq.asyncio

from jesse_paper import protocol as wire
from jesse_paper.codec import BadRequest, decode_request, encode_reply, failure
from jesse_paper.errors import PaperError
from jesse_paper.protocol import Answer
from jesse_paper.roles import Role, may, role_for
from jesse_paperd.config import Config
from jesse_paperd.service.client_keys import ClientKeys
from jesse_paperd.service.dispatcher import Dispatcher
from jesse_paperd.service.lanes import Lanes
from jesse_paperd.service.listener import Listener
from jesse_paperd.service.waiting import Waits

log = logging.getLogger(__name__)

#: Frames of a request: routing ids, the delimiter, the request. More are nobody's.
_MOST_FRAMES = 8


class Server:
    """Serves requests on the configured endpoint until it is closed."""

    def __init__(self, config: Config, dispatcher: Dispatcher, waits: Waits) -> None:
        self._dispatcher = dispatcher
        self._waits = waits
        self._context = zmq.asyncio.Context()
        self._keys = ClientKeys(self._context, config)
        self._listener = Listener(self._context, config.endpoint, self._keys.guard)
        self._tasks: set[asyncio.Task[None]] = set()
        self._lanes = Lanes()
        self._closing = False

    async def serve(self) -> None:
        """Receive until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listener.keep_bounds())
            while True:
                self._begin(await self._listener.receive())

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
        while await self._listener.come():  # nobody serves any more: what has come is refused, not left in silence
            self._begin(await self._listener.receive())
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_seconds)
        for task in self._tasks:
            task.cancel()
        self._keys.close()
        self._context.destroy(linger=200)

    async def _answer(self, frames: list[zmq.Frame]) -> None:
        # [routing id, empty, request]: a DEALER may leave the empty delimiter out.
        *envelope, frame = frames
        reply = await self._reply(frame.bytes, self._keys.role_of(frame))
        try:
            await self._listener.send([*(part.bytes for part in envelope), reply])
        except zmq.ZMQError as error:
            log.info("a client left before its answer: %s", error)

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
