"""The daemon itself: identity and health."""

from __future__ import annotations

import os

import jesse_paperd
from jesse_paper import protocol as wire
from jesse_paper.rfc3339 import to_text
from jesse_paperd.config import Config
from jesse_paperd.core.layout import Layout
from jesse_paperd.processes.launcher import SessionLauncher
from jesse_paperd.records.registry import Registry, now_ms
from jesse_paperd.service.daemon_health import daemon_health
from jesse_paperd.service.directory import Directory
from jesse_paperd.service.feed_process import FeedKeeper
from jesse_paperd.service.handlers.handler import handles
from jesse_paperd.service.manager import SessionManager
from jesse_paperd.service.workers import Workers


class DaemonHandlers:
    """Answers questions about the daemon."""

    def __init__(
        self,
        config: Config,
        layout: Layout,
        registry: Registry,
        manager: SessionManager,
        launcher: SessionLauncher,
        feed: FeedKeeper,
        directory: Directory,
        workers: Workers,
    ) -> None:
        self._config = config
        self._layout = layout
        self._registry = registry
        self._manager = manager
        self._launcher = launcher
        self._feed = feed
        self._directory = directory
        self._workers = workers
        self._started_at = now_ms()

    @handles(wire.Ping)
    async def ping(self, _body: wire.Ping, _request_id: str) -> wire.Pong:
        return wire.Pong(
            version=jesse_paperd.__version__,
            pid=os.getpid(),
            started_at=to_text(self._started_at),
            home=self._config.home,
            project=self._config.project,
            engine=self._launcher.state,
            sessions=self._manager.running(),
            jesse_version=self._launcher.engine_version,
        )

    @handles(wire.PaperHealth)
    async def health(self, _body: wire.PaperHealth, _request_id: str) -> wire.DaemonHealth:
        rows = await self._directory.rows(self._registry.all())
        states = [row.status for row in rows]
        return await self._workers.read(
            daemon_health, self._layout, self._launcher, self._feed, self._started_at, states
        )
