"""The sessions' journals as the daemon reads them: one running state each, kept between questions.

Questions run in worker threads; a lock a session keeps its state to one at a time. Dropping a state changes no answer.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterator

from jesse_paperd.analytics.state import LedgerState
from jesse_paperd.store.journal import JournalReader
from jesse_paperd.store.layout import Layout
from jesse_paperd.wire.errors import PaperError

#: States kept; the least recently asked are dropped. One of a year-old session is about 1 MB.
_KEPT = 300


class Ledger:
    """A session's journal and what is known of it."""

    def __init__(self, reader: JournalReader, starting_balance: float, file: os.stat_result | None) -> None:
        self.reader = reader
        self.file = file
        self.state = LedgerState(reader, starting_balance)
        self.lock = threading.Lock()


class Ledgers:
    """The ledgers by session id; for any thread."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._ledgers: OrderedDict[str, Ledger] = OrderedDict()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def read(self, session_id: str, starting_balance: float) -> Iterator[Ledger]:
        """The ledger of a session, up to date, for this thread alone.

        Raises:
            PaperError: `storage_failed` when the journal cannot be read.
        """
        ledger = self._get(session_id, starting_balance)
        with ledger.lock:
            try:
                ledger.state.refresh()
                yield ledger
            except sqlite3.Error as error:
                self.drop(session_id)
                raise PaperError(
                    "storage_failed",
                    f"the journal of session {session_id} cannot be read: {error}",
                    "restore sessions/<id>/journal.sqlite from a backup, or see docs/operations.md",
                ) from error

    def drop(self, session_id: str) -> None:
        """Forget what is known of a session."""
        with self._lock:
            self._ledgers.pop(session_id, None)

    def _get(self, session_id: str, starting_balance: float) -> Ledger:
        with self._lock:
            journal = self._layout.session(session_id).journal
            try:
                file = journal.stat()
            except FileNotFoundError:
                return Ledger(JournalReader.of_nothing(), starting_balance, None)
            ledger = self._ledgers.get(session_id)
            # A journal that was restored from a backup is another file.
            if ledger is None or ledger.file is None or not os.path.samestat(ledger.file, file):
                ledger = self._ledgers[session_id] = Ledger(JournalReader(journal), starting_balance, file)
                if len(self._ledgers) > _KEPT:
                    self._ledgers.popitem(last=False)
            self._ledgers.move_to_end(session_id)
            return ledger
