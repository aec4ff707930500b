"""Pools of worker threads, so that no question waits for a slow one.

What users name may be large, or on a disk that hangs: nobody who asks for a list or a stop should wait for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")

log = logging.getLogger(__name__)

_THREADS = 4


def _log_failure(done: Future[Any]) -> None:
    if (error := done.exception()) is not None:
        log.error("the registry could not be written: %s", error)


class Workers:
    """Runs functions beside the event loop."""

    def __init__(self) -> None:
        self._readers = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="reader")
        self._urgent = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="urgent")
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer")
        self._loaders = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="loader")

    async def read(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Ask what is in the home: journals and the registry, which are there and quick to read."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, function, *arguments)

    async def read_at_once(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """The same, for what must never wait for other questions: health, lists, states, stops."""
        return await asyncio.get_running_loop().run_in_executor(self._urgent, function, *arguments)

    async def write(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Write the registry, one thing after the other. It is done to its end, though its caller be cancelled."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, function, *arguments)

    def write_soon(self, function: Callable[..., Any], *arguments: Any) -> None:
        """The same, before all that is written later, without waiting for it; what goes wrong is logged."""
        self._writer.submit(function, *arguments).add_done_callback(_log_failure)

    async def load(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Do what may take as long as it likes, such as reading what a user names."""
        return await asyncio.get_running_loop().run_in_executor(self._loaders, function, *arguments)

    def close(self) -> None:
        """Take no more; of what is under way only writing is waited for."""
        for pool in (self._readers, self._urgent, self._loaders):
            pool.shutdown(wait=False, cancel_futures=True)
        self._writer.shutdown(wait=True)
