"""The sessions' journals as the daemon reads them: one running state each, kept between questions.

Questions run in worker threads; a lock a session keeps its state to one at a time. Dropping a state changes no answer.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator

from jesse_paper.errors import PaperError
from jesse_paperd.analytics.track_record import TrackRecord
from jesse_paperd.core.layout import Layout
from jesse_paperd.core.sqlite import UNREADABLE
from jesse_paperd.records.journal import JournalReader

#: States kept; the least recently asked are dropped. One of a year-old session is about 1 MB.
_KEPT = 300


class JournalView:
    """A session's journal, open to read, and its track record up to now."""

    def __init__(self, reader: JournalReader, starting_balance: float, file: os.stat_result | None) -> None:
        self.reader = reader
        self.file = file
        self.track = TrackRecord(reader, starting_balance)
        self.lock = threading.Lock()
        #: The file's structure was looked at, which is done once.
        self.is_sound = False
        #: Nobody is given it any more, and its reader is closed; both under `lock`, but for being asked to retire.
        self.retired = False
        self.closed = False

    def retire(self) -> None:
        """Close the reader: now, or when whoever is reading has done with it."""
        self.retired = True
        self.close_if_retired()

    def close_if_retired(self) -> None:
        """Close the reader of one that is retired, unless somebody has it, who will call this afterwards."""
        if self.retired and self.lock.acquire(blocking=False):
            try:
                self.closed = True
                self.reader.close()
            finally:
                self.lock.release()


class Journals:
    """The journals by session id; for any thread."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._journals: OrderedDict[str, JournalView] = OrderedDict()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def read(self, session_id: str, starting_balance: float) -> Iterator[JournalView]:
        """The journal of a session, up to date, for this thread alone: all that is read of it is of one moment.

        Raises:
            PaperError: `storage_failed` when the journal cannot be read, `damaged` when it is not what was written.
        """
        view = self._take(session_id, starting_balance)
        try:
            if not view.is_sound:
                view.reader.check_structure()
                view.is_sound = True
            with view.reader.snapshot():
                view.track.refresh()
                yield view
        except UNREADABLE as error:
            self.drop(session_id)
            raise PaperError(
                "storage_failed",
                f"the journal of session {session_id} cannot be read: {error}",
                "restore sessions/<id>/journal.sqlite from a backup, or see docs/operations.md",
            ) from error
        finally:
            view.lock.release()
            view.close_if_retired()

    def drop(self, session_id: str) -> None:
        """Forget what is known of a session."""
        with self._lock:
            view = self._journals.pop(session_id, None)
        if view is not None:
            view.retire()

    def _take(self, session_id: str, starting_balance: float) -> JournalView:
        """The journal of a session, locked."""
        while True:
            view = self._get(session_id, starting_balance)
            view.lock.acquire()
            if not view.closed:
                return view
            view.lock.release()  # it was dropped while we waited for it

    def _get(self, session_id: str, starting_balance: float) -> JournalView:
        with self._lock:
            path = self._layout.session(session_id).journal
            try:
                file = path.stat()
            except FileNotFoundError:
                nothing = JournalView(JournalReader.of_nothing(), starting_balance, None)
                nothing.retired = True
                return nothing
            view = self._journals.get(session_id)
            # A journal that was restored from a backup is another file.
            if view is None or view.file is None or not os.path.samestat(view.file, file):
                fresh = JournalView(JournalReader(path), starting_balance, file)
                if view is not None:
                    view.retire()
                view = self._journals[session_id] = fresh
                if len(self._journals) > _KEPT:
                    self._journals.popitem(last=False)[1].retire()
            self._journals.move_to_end(session_id)
            return view
