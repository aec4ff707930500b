"""The sessions by id: what the registry has of each, what its process does, and its line in a list."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paper.validation import did_you_mean
from jesse_paperd.records.record import Record
from jesse_paperd.records.registry import Registry
from jesse_paperd.service.feed_process import FeedKeeper
from jesse_paperd.service.manager import SessionManager
from jesse_paperd.service.process_view import ProcessView
from jesse_paperd.service.session_data import SessionData
from jesse_paperd.service.views import status
from jesse_paperd.service.workers import Workers

log = logging.getLogger(__name__)

#: A look at a session serves all who wait for it within so many seconds.
_LOOK_SECONDS = 0.05
_LOOKS_KEPT = 10_000


class Directory:
    """Finds sessions.

    Args:
        stalled_seconds: a process whose last sign of life is older is reported.
    """

    def __init__(
        self,
        registry: Registry,
        manager: SessionManager,
        feed: FeedKeeper,
        data: SessionData,
        workers: Workers,
        stalled_seconds: float,
    ) -> None:
        self._registry = registry
        self._manager = manager
        self._feed = feed
        self._data = data
        self._workers = workers
        self._stalled_seconds = stalled_seconds
        #: When each session was looked at for those who wait, and where it stood.
        self._looked: dict[str, tuple[float, status.Standing]] = {}

    def record(self, session_id: str) -> Record:
        """What the registry has of a session.

        Raises:
            PaperError: `session_not_found`, with the ids that there are.
        """
        record = self._registry.get(session_id)
        if record is None:
            known = [r.session_id for r in self._registry.all()]
            meant = did_you_mean(session_id, known).strip()
            newest = f"the newest are: {', '.join(known[:10])}" if known else "there are none: paper_start starts one"
            hint = " ".join(filter(None, (meant, newest)))
            raise PaperError("session_not_found", f"no session has the id {session_id!r}", hint)
        return record

    def view(self, session_id: str) -> ProcessView:
        """A session's process and feed as they are now."""
        run = self._manager.run_of(session_id)
        if run is None:
            return ProcessView()
        next_try = run.next_try if run.next_try is not None and run.next_try > time.time() else None
        record = self._registry.get(session_id)
        markets = self._feed.states_of(record.spec) if record is not None else []
        trouble = self._feed.trouble_of(record.spec) if record is not None and record.spec.live_from is not None else ""
        return ProcessView(
            run.process,
            run.reason,
            next_try,
            tuple(markets),
            trouble,
            self._feed.down_since,
            stalled_seconds=self._stalled_seconds,
        )

    def full_view(self, session_id: str) -> ProcessView:
        """The same, with how earlier processes of the session ended."""
        return replace(self.view(session_id), ends=tuple(self._registry.process_ends(session_id)))

    async def rows(self, records: list[Record]) -> list[wire.SessionRow]:
        """A line for each session."""

        def rows(listed: list[tuple[Record, ProcessView]]) -> list[wire.SessionRow]:
            return [self._row(record, view) for record, view in listed]

        # What was given up is told with the time of its last process's end.
        views = [self.full_view(r.session_id) if r.failure is not None else self.view(r.session_id) for r in records]
        return await self._workers.read_at_once(rows, list(zip(records, views, strict=True)))

    def _row(self, record: Record, view: ProcessView) -> wire.SessionRow:
        """A session's line, whatever its files hold: the others should not lack theirs for it."""
        try:
            return status.row(self._data, record, view)
        except Exception as error:
            log.exception("session %s cannot be listed", record.session_id)
            told = error.message if isinstance(error, PaperError) else f"its files cannot be read: {error}"
            return status.unreadable_row(record.session_id, told, record)

    def damaged_rows(self) -> list[wire.SessionRow]:
        """A line for each session whose row of the registry is damaged."""
        return [status.unreadable_row(session_id, why) for session_id, why in self._registry.damaged.items()]

    async def rows_of(self, session_ids: list[str]) -> list[wire.SessionRow]:
        """A line for each of these sessions.

        Raises:
            PaperError: `session_not_found`.
        """
        return await self.rows([self.record(session_id) for session_id in session_ids])

    async def standings(self, session_ids: list[str]) -> dict[str, status.Standing]:
        """Where sessions stand, as of a moment ago: however many wait for a session, it is looked at once.

        Raises:
            PaperError: `session_not_found`.
        """
        now = time.monotonic()
        views = {session_id: (self.record(session_id), self.view(session_id)) for session_id in session_ids}
        known = {s: self._looked[s][1] for s in views if s in self._looked and now - self._looked[s][0] < _LOOK_SECONDS}
        missing = [session_id for session_id in views if session_id not in known]

        def look() -> list[status.Standing]:
            return [status.standing(self._data, *views[session_id]) for session_id in missing]

        found = dict(zip(missing, await self._workers.read(look), strict=True))
        if len(self._looked) > _LOOKS_KEPT:
            self._looked.clear()
        self._looked.update({session_id: (now, standing) for session_id, standing in found.items()})
        return known | found
