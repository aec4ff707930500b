"""Room for sessions: how many may run at once, and the candles of those that are being started."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from jesse_paper.errors import PaperError
from jesse_paperd.core.layout import Layout
from jesse_paperd.records.registry import Registry
from jesse_paperd.service.maintenance import sweep_candle_files
from jesse_paperd.service.manager import SessionManager


class Capacity:
    """Keeps the limit of running sessions, and the candles that are needed.

    Args:
        limit: how many sessions may run at once.
    """

    def __init__(self, layout: Layout, registry: Registry, manager: SessionManager, limit: int) -> None:
        self._layout = layout
        self._registry = registry
        self._manager = manager
        self._limit = limit
        #: Sessions that will run, once what must be done before is done; and those whose candles may come meanwhile.
        self._coming = 0
        self._arriving = 0

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place among the sessions that may run at once, until this one runs or it is clear that it will not.

        Raises:
            PaperError: `too_many_sessions`.
        """
        taken = self._manager.running() + self._coming
        if taken >= self._limit:
            raise PaperError(
                "too_many_sessions",
                f"{taken} sessions run, which is the limit",
                "stop one with paper_stop, or raise limits.sessions in the daemon's configuration",
            )
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1

    @contextlib.contextmanager
    def arrival(self) -> Iterator[None]:
        """While this is held, no candles are swept: some may belong to a session that has no record yet."""
        self._arriving += 1
        try:
            yield
        except BaseException:
            self._arriving -= 1
            self.sweep()
            raise
        self._arriving -= 1

    def sweep(self) -> None:
        """Delete candles that no session needs."""
        if not self._arriving:
            sweep_candle_files(self._layout, self._registry.all())
