"""From a request to its handler: a question is answered, a mutation is done once, however often it is sent."""

from __future__ import annotations

from typing import Any

from jesse_paper import protocol as wire
from jesse_paperd.config import Config
from jesse_paperd.core.layout import Layout
from jesse_paperd.processes.launcher import SessionLauncher
from jesse_paperd.records.registry import Registry
from jesse_paperd.service.capacity import Capacity
from jesse_paperd.service.directory import Directory
from jesse_paperd.service.feed_process import FeedKeeper
from jesse_paperd.service.handlers.changing import ChangeHandlers
from jesse_paperd.service.handlers.daemon import DaemonHandlers
from jesse_paperd.service.handlers.handler import Handler, operations_of
from jesse_paperd.service.handlers.results import ResultHandlers
from jesse_paperd.service.handlers.starting import StartHandlers
from jesse_paperd.service.handlers.status import StatusHandlers
from jesse_paperd.service.handlers.storage import StorageHandlers
from jesse_paperd.service.handlers.strategies import StrategyHandlers
from jesse_paperd.service.handlers.verification import VerificationHandlers
from jesse_paperd.service.manager import SessionManager
from jesse_paperd.service.serial import Lines, Requests
from jesse_paperd.service.session_data import SessionData
from jesse_paperd.service.verification import Verifier
from jesse_paperd.service.workers import Workers

KINDS: tuple[type, ...] = (
    ChangeHandlers,
    DaemonHandlers,
    ResultHandlers,
    StartHandlers,
    StatusHandlers,
    StorageHandlers,
    StrategyHandlers,
    VerificationHandlers,
)

_handled = sorted(operation.__name__ for kind in KINDS for operation in operations_of(kind))
if _handled != (_declared := sorted(known.operation.__name__ for known in wire.OPERATIONS.values())):
    raise TypeError(f"each operation has exactly one handler; declared: {_declared}, handled: {_handled}")


class Dispatcher:
    """Answers requests."""

    def __init__(
        self,
        config: Config,
        layout: Layout,
        registry: Registry,
        manager: SessionManager,
        launcher: SessionLauncher,
        feed: FeedKeeper,
        data: SessionData,
        workers: Workers,
    ) -> None:
        self._requests = Requests(registry)
        self._verifier = Verifier(layout, launcher, config.limits.verify_seconds)
        directory = Directory(registry, manager, feed, data, workers, config.stalled_seconds)
        capacity = Capacity(layout, registry, manager, config.limits.sessions)
        lines = Lines()
        self._status = StatusHandlers(registry, manager, directory, data, workers)
        self._storage = StorageHandlers(
            layout,
            registry,
            manager,
            directory,
            data,
            capacity,
            lines,
            workers,
            self._verifier,
            config.retention_days,
        )
        self._handlers = _bound(
            self._status,
            self._storage,
            StartHandlers(config, layout, registry, manager, launcher, directory, data, capacity, lines, workers),
            ChangeHandlers(layout, registry, manager, directory, data, lines, workers),
            ResultHandlers(directory, data, workers),
            StrategyHandlers(config.project, workers),
            VerificationHandlers(directory, self._verifier),
            DaemonHandlers(config, layout, registry, manager, launcher, feed, directory, workers),
        )

    async def handle(self, body: wire.Operation, request_id: str) -> wire.Answer:
        """Answer one request.

        Args:
            request_id: the envelope's id; the same id of a changing request gets the first answer again.

        Raises:
            PaperError: why it was not done.
        """
        handler = self._handlers[type(body)]
        if isinstance(body, wire.Mutation):
            return await self._requests.once(request_id, body, lambda: handler(body, request_id))
        return await handler(body, request_id)

    async def retain(self) -> None:
        """Delete sessions that ended long ago, as configured. Does not return."""
        await self._storage.retain()

    def end_waits(self) -> None:
        """Answer those who wait: the daemon is about to end."""
        self._status.end_waits()

    async def close(self) -> None:
        """End what is under way: the next daemon goes on with what was asked, and verifications are asked for again."""
        await self._requests.close()
        await self._verifier.close()


def _bound(*groups: Any) -> dict[type[wire.Operation], Handler]:
    return {
        operation: getattr(group, method)
        for group in groups
        for operation, method in operations_of(type(group)).items()
    }
