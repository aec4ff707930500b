"""The daemon itself: identity and health."""

from __future__ import annotations

import os

import jesse_paperd
from jesse_paper import protocol as wire
from jesse_paper.rfc3339 import to_text
from jesse_paperd.service.daemon_health import daemon_health
from jesse_paperd.service.handlers.handler import handles
from jesse_paperd.service.parts import Parts


@handles(wire.Ping)
async def ping(parts: Parts, _body: wire.Ping, _request_id: str) -> wire.Pong:
    return wire.Pong(
        version=jesse_paperd.__version__,
        pid=os.getpid(),
        started_at=to_text(parts.started_at),
        home=parts.config.home,
        project=parts.config.project,
        engine=parts.launcher.state,
        sessions=parts.manager.running(),
        jesse_version=parts.launcher.engine_version,
    )


@handles(wire.PaperHealth)
async def health(parts: Parts, _body: wire.PaperHealth, _request_id: str) -> wire.DaemonHealth:
    rows = await parts.directory.rows(parts.registry.all())
    rows += parts.directory.damaged_rows()
    return await parts.workers.read_at_once(
        daemon_health, parts.layout, parts.launcher, parts.feed, parts.started_at, rows, parts.registry.notes
    )
