"""What must not happen twice, and what must not happen amid something else.

A request that changes something is done once, however often it is sent: by its id, in memory while it is under way and
in the registry afterwards. Changes of one session come one after the other, by the session's id.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from weakref import WeakValueDictionary

from jesse_paper.errors import PaperError
from jesse_paper.protocol import Answer, Operation
from jesse_paperd.records.registry import Registry, reused
from jesse_paperd.service.workers import Workers

log = logging.getLogger(__name__)


class Requests:
    """Changing requests by their id.

    Whoever sends the same request again, while it is under way or later, gets the first one's answer. One that failed
    is tried again when it is sent again.
    """

    def __init__(self, registry: Registry, workers: Workers) -> None:
        self._registry = registry
        self._workers = workers
        self._under_way: dict[str, tuple[Operation, asyncio.Task[Answer]]] = {}

    async def once(self, request_id: str, body: Operation, do: Callable[[], Awaitable[Answer]]) -> Answer:
        """Do a request unless it was done before; the answer.

        It is done to its end, whether or not anybody still waits for the answer.

        Raises:
            PaperError: `request_id_reused` when the id came with another body, and whatever `do` raises.
        """
        asked, task = self._under_way.get(request_id, (body, None))
        if asked != body:
            raise reused(request_id)
        if task is None:
            known = self._registry.reply_to(request_id, body)
            if known is not None:
                return known
            task = asyncio.create_task(self._do(request_id, body, do))
            self._under_way[request_id] = body, task
            task.add_done_callback(lambda done: self._forget(request_id, done))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Let go of what is under way: its intent is in the registry, and the next daemon goes on."""
        tasks = [task for _, task in self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _do(self, request_id: str, body: Operation, do: Callable[[], Awaitable[Answer]]) -> Answer:
        answer = await do()
        try:
            await self._workers.write(self._registry.answer, request_id, body, answer)
        except PaperError as error:
            # It is done, and that is what counts; a retry finds the effect instead of the answer.
            log.error("the answer to request %s could not be kept: %s", request_id, error.message)
        return answer

    def _forget(self, request_id: str, done: asyncio.Task[Answer]) -> None:
        del self._under_way[request_id]
        if not done.cancelled():
            done.exception()  # whoever asked may be gone


class Lines:
    """A queue for each session, in which its changes wait for each other, first come first served.

    A place in it is held to look and to act, never to wait for a process: a stop need not wait for a slow start.
    """

    def __init__(self) -> None:
        #: A lock lasts for as long as someone holds it or waits for it.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def of(self, session_id: str) -> AsyncIterator[None]:
        """Hold a session's place in its line."""
        lock = self._locks.setdefault(session_id, asyncio.Lock())
        async with lock:
            yield

    def is_busy(self, session_id: str) -> bool:
        """Whether anybody is changing this session or waits to."""
        return session_id in self._locks
