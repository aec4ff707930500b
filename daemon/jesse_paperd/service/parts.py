"""The parts of the running service, put together once. Handlers work with them."""

from __future__ import annotations

from dataclasses import dataclass

from jesse_paperd.config import Config
from jesse_paperd.core.layout import Layout
from jesse_paperd.processes.launcher import SessionLauncher
from jesse_paperd.records.registry import Registry
from jesse_paperd.service.capacity import Capacity
from jesse_paperd.service.directory import Directory
from jesse_paperd.service.feed_process import FeedKeeper
from jesse_paperd.service.manager import SessionManager
from jesse_paperd.service.serial import Lines
from jesse_paperd.service.session_data import SessionData
from jesse_paperd.service.verifier import Verifier
from jesse_paperd.service.waiting import Waits
from jesse_paperd.service.workers import Workers


@dataclass(frozen=True)
class Parts:
    """Each part once. `started_at` is when the daemon started, in wall-clock milliseconds."""

    config: Config
    layout: Layout
    registry: Registry
    launcher: SessionLauncher
    manager: SessionManager
    feed: FeedKeeper
    data: SessionData
    workers: Workers
    directory: Directory
    capacity: Capacity
    lines: Lines
    verifier: Verifier
    waits: Waits
    started_at: int
