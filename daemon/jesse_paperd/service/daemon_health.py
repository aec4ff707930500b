"""The daemon's own health: engine, feed, sessions by state, disk."""

from __future__ import annotations

import shutil
from collections import Counter

import jesse_paperd
from jesse_paper import protocol as wire
from jesse_paper.rfc3339 import to_text
from jesse_paperd.core.layout import Layout
from jesse_paperd.core.minutes import MINUTE
from jesse_paperd.processes.launcher import SessionLauncher
from jesse_paperd.service.feed_process import FeedKeeper
from jesse_paperd.service.maintenance import bytes_in

_MB = 1_000_000


def daemon_health(
    layout: Layout,
    launcher: SessionLauncher,
    feed: FeedKeeper,
    started_at: int,
    rows: list[wire.SessionRow],
    notes: list[str],
) -> wire.DaemonHealth:
    """The health as it is now. Walks the home directory, so it is for a worker thread."""
    free = shutil.disk_usage(layout.home).free / _MB
    reasons = []
    if problem := launcher.problem:
        reasons.append(f"the engine cannot start, so sessions that run go on, and none can be started: {problem}")
    if feed.down_since is not None:
        reasons.append(f"the feed process is down since {to_text(feed.down_since)}")
    reasons += [f"{e.exchange}: {e.reason}" for e in feed.exchanges.values() if e.state != "up" and e.reason]
    reasons += [
        f"{m.exchange} {m.symbol}: {m.reason}" for m in feed.markets.values() if m.state in ("stale", "refused")
    ]
    if free < wire.LOW_DISK_MB:
        reasons.append(f"only {free:.0f} MB of disk are free at {layout.home}")
    reasons += notes
    reasons += [f"session {row.session_id} cannot be read: {row.error}" for row in rows if row.health == "unreadable"]
    counts = Counter(row.status for row in rows)
    return wire.DaemonHealth(
        state="degraded" if reasons else "ok",
        version=jesse_paperd.__version__,
        started_at=to_text(started_at),
        engine=launcher.state,
        sessions=dict(sorted(counts.items())),
        reasons=reasons[:20],
        jesse_version=launcher.engine_version,
        feed="idle" if feed.pid is None and feed.down_since is None else "down" if feed.pid is None else "running",
        exchanges=[
            wire.FeedExchange(
                exchange=e.exchange,
                state=e.state,
                reason=e.reason,
                retry_at=to_text(e.retry_at) if e.retry_at is not None else None,
                clock_offset_ms=e.clock_offset_ms,
                markets=e.markets,
                requests=e.requests,
                failures=e.failures,
                weight_last_minute=e.weight_last_minute,
                weight_limit=e.weight_limit,
            )
            for e in feed.exchanges.values()
        ],
        markets=[
            wire.FeedMarket(
                exchange=m.exchange,
                symbol=m.symbol,
                state=m.state,
                reason=m.reason,
                last_final=to_text(m.upto - MINUTE) if m.upto else None,
                behind_since=to_text(m.behind_since) if m.behind_since is not None else None,
                sessions=feed.sessions_on(m.exchange, m.symbol),
                gap_minutes=m.gap_minutes,
                revisions=m.revisions,
                stale_times=m.stale_times,
            )
            for m in list(feed.markets.values())[:200]
        ],
        disk_used_mb=round(bytes_in(layout.home) / _MB, 3),
        disk_free_mb=round(free, 3),
        engine_problem=str(problem or ""),
        engine_remedy=problem.hint if problem else "",
    )
