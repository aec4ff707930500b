"""Is what is kept of a session what was written? Reads all of it, so it is for a worker thread."""

from __future__ import annotations

import contextlib

from jesse_paper.errors import PaperError
from jesse_paperd.candles.replayed import check_candle_file
from jesse_paperd.core.layout import Layout
from jesse_paperd.core.sqlite import UNREADABLE
from jesse_paperd.records.journal import JournalReader
from jesse_paperd.records.record import Record
from jesse_paperd.service.views.health import disagreement
from jesse_paperd.strategies.snapshot import digest_of


def problems_of(layout: Layout, record: Record) -> list[str]:
    """What is wrong with a session's files, in words; empty: nothing."""
    files = layout.session(record.session_id)
    found: list[str] = []
    if files.journal.exists():
        try:
            with contextlib.closing(JournalReader(files.journal)) as reader:
                reader.check()
                found += filter(None, [disagreement(record, reader)])
        except PaperError as error:
            found.append(error.message)
        except UNREADABLE as error:
            found.append(f"the journal cannot be read: {error}")
    elif record.ended_at is not None:
        found.append("its journal is gone")
    for symbol, digest in record.spec.candle_files.items():
        try:
            check_candle_file(layout.candle_file(digest))
        except PaperError as error:
            found.append(f"{symbol}: {error.message}")
    try:
        if digest_of(files.strategy) != record.spec.strategy_digest:
            found.append("the snapshot of its strategy is damaged")
    except (OSError, PaperError) as error:
        found.append(f"the snapshot of its strategy cannot be read: {error}")
    return found
