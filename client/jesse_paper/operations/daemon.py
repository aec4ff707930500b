"""The daemon itself: identity and health."""

from __future__ import annotations

from msgspec import Struct

from jesse_paper.operations.operation import Answer, Question, declare


class Pong(Answer, tag="pong", frozen=True):
    """The daemon's identity. `engine` is `warming`, `ready` or `unavailable`."""

    version: str
    pid: int
    started_at: str
    home: str
    project: str
    engine: str
    sessions: int
    jesse_version: str | None = None


class Ping(Question[Pong], tag="ping", frozen=True):
    """Is the daemon there, and which version is it? Answered with `Pong`."""


declare(
    Ping(),
    Pong(
        version="0.1.0",
        pid=4242,
        started_at="2026-11-27T08:00:00Z",
        home="/home/ada/.jesse-paper",
        project="/home/ada/project",
        engine="ready",
        sessions=0,
        jesse_version="3.5.3",
    ),
)


class FeedMarket(Struct, kw_only=True, frozen=True):
    """A market that the feed follows; the states are explained in docs/live-candles.md."""

    exchange: str
    symbol: str
    state: str
    reason: str = ""
    last_final: str | None = None
    behind_since: str | None = None
    sessions: int = 0
    gap_minutes: int = 0
    revisions: int = 0
    stale_times: int = 0


class FeedExchange(Struct, kw_only=True, frozen=True):
    """An exchange as the feed reaches it."""

    exchange: str
    state: str
    reason: str = ""
    retry_at: str | None = None
    clock_offset_ms: int | None = None
    markets: int = 0
    requests: int = 0
    failures: int = 0
    weight_last_minute: float = 0.0
    weight_limit: float = 0.0


#: Megabytes. Below this a commit may soon fail: SQLite needs room for its log before it can fold it in.
LOW_DISK_MB = 500.0


class DaemonHealth(Answer, tag="health", frozen=True):
    """The daemon's own health. `state` is `ok` or `degraded`, with the reasons.

    Of an engine that is unavailable, `engine_problem` says why and `engine_remedy` what to do.
    """

    state: str
    version: str
    started_at: str
    engine: str
    sessions: dict[str, int]
    reasons: list[str] = []
    jesse_version: str | None = None
    feed: str = "idle"
    exchanges: list[FeedExchange] = []
    markets: list[FeedMarket] = []
    disk_used_mb: float = 0.0
    disk_free_mb: float = 0.0
    engine_problem: str = ""
    engine_remedy: str = ""


class PaperHealth(Question[DaemonHealth], tag="paper_health", frozen=True):
    """The daemon's own health: engine, feed, sessions by state, versions, disk."""


declare(
    PaperHealth(),
    DaemonHealth(
        state="ok",
        version="0.1.0",
        started_at="2026-11-27T08:00:00Z",
        engine="ready",
        sessions={"stopped": 2},
        jesse_version="3.5.3",
        disk_used_mb=3.159,
        disk_free_mb=81475.432,
    ),
)
