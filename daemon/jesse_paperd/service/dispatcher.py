"""From a request to its handler: a question is answered, a mutation is done once, however often it is sent."""

from __future__ import annotations

from jesse_paper import protocol as wire
from jesse_paperd.service import handlers  # noqa: F401 - registers them
from jesse_paperd.service.handlers.handler import HANDLERS
from jesse_paperd.service.parts import Parts
from jesse_paperd.service.serial import Requests


class Dispatcher:
    """Answers requests."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._requests = Requests(parts.registry, parts.workers)

    async def handle(self, body: wire.Operation, request_id: str) -> wire.Answer:
        """Answer one request.

        Args:
            request_id: the envelope's id; the same id of a changing request gets the first answer again.

        Raises:
            PaperError: why it was not done.
        """
        handler = HANDLERS[type(body)]
        if isinstance(body, wire.Mutation):
            return await self._requests.once(request_id, body, lambda: handler(self._parts, body, request_id))
        return await handler(self._parts, body, request_id)

    async def close(self) -> None:
        """End what is under way: the next daemon goes on with what was asked, and verifications are asked for again."""
        await self._requests.close()
        await self._parts.verifier.close()
