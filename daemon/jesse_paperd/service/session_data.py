"""What is there to read of a session: its journal with its track record, and its candles. For worker threads."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from jesse_paper.errors import PaperError
from jesse_paperd.candles.opening import open_candles
from jesse_paperd.core.layout import Layout
from jesse_paperd.core.minutes import Rows
from jesse_paperd.core.sqlite import UNREADABLE
from jesse_paperd.records.journal import JournalReader, LeverageChange, Outcome, Progress
from jesse_paperd.records.record import Record
from jesse_paperd.service.journals import Journals, JournalView

Found = TypeVar("Found")


class SessionData:
    """The data of the home's sessions."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._journals = Journals(layout)
        #: Replayed candles in all, by session: a file of them never changes.
        self._totals: dict[str, int | None] = {}

    def read(self, record: Record) -> AbstractContextManager[JournalView]:
        """A session's journal as it is now, for this thread alone.

        Raises:
            PaperError: `storage_failed` when it cannot be read.
        """
        return self._journals.read(record.session_id, record.spec.starting_balance)

    def progress(self, session_id: str) -> Progress | None:
        """How far a session is, or None while it has no journal or it cannot be read."""
        return self._glance(session_id, JournalReader.progress)

    def outcome(self, session_id: str) -> Outcome | None:
        """How a session ended, or None while it has not or its journal cannot be read."""
        return self._glance(session_id, JournalReader.outcome)

    def is_warm(self, session_id: str) -> bool:
        """Whether a session has loaded its strategy and its warm-up, so that it only waits for candles."""
        return "started" in (self._glance(session_id, JournalReader.event_counts) or ())

    def leverage_changes(self, session_id: str) -> list[LeverageChange]:
        """The leverages that a session has taken, in their order."""
        return self._glance(session_id, JournalReader.leverage_changes) or []

    def _glance(self, session_id: str, ask: Callable[[JournalReader], Found]) -> Found | None:
        """What a journal says at one look, without its track record; None when it cannot be read."""
        path = self._layout.session(session_id).journal
        with contextlib.suppress(PaperError, *UNREADABLE), contextlib.closing(JournalReader(path)) as reader:
            return ask(reader)
        return None

    def total(self, record: Record) -> int | None:
        """How many candles a replay trades in all; None for a live session, or when its file cannot be read."""
        if record.spec.candle_files and record.session_id not in self._totals:
            with contextlib.suppress(PaperError):
                self._totals[record.session_id] = open_candles(self._layout, record.spec).total()
        return self._totals.get(record.session_id)

    def traded_candles(self, record: Record, progress: Progress | None) -> dict[str, Rows]:
        """The candles that a session traded, by symbol: none while there are none or they cannot be read any more."""
        if progress is not None and progress.last_candle is not None:
            with contextlib.suppress(PaperError):
                return open_candles(self._layout, record.spec).upto(0, progress.last_candle, 10**9)
        return {}

    def forget(self, session_id: str) -> None:
        """Keep nothing of a session that was removed."""
        self._totals.pop(session_id, None)
        self._journals.drop(session_id)
