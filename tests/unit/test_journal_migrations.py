"""Journals of earlier schemas: what they say stays what it was, and damage stays damage."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from jesse_paper.errors import PaperError
from jesse_paperd.records.journal import _SEALED, Facts, Journal, JournalReader, Progress
from jesse_paperd.records.seals import seal_of

PROGRESS = Progress(phase="running", started_at=0, first_candle=0, last_candle=60_000, last_close=42.5, candles=2)


def of_schema_2(path: Path) -> None:
    """A journal as the version before several routes wrote it: without `closes`, its row sealed without it."""
    journal = Journal(path)
    journal.commit(Facts(logs=[(0, "info", "a line")]), PROGRESS)
    journal.close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE progress DROP COLUMN closes")
        names = ", ".join(name for name in _SEALED["progress"] if name != "closes")
        row = db.execute(f"SELECT {names} FROM progress").fetchone()
        db.execute("UPDATE progress SET seal = ?", (seal_of(row),))
        db.execute("PRAGMA user_version = 2")
        db.commit()


def test_a_journal_of_schema_2_says_the_same_in_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    of_schema_2(path)
    Journal(path).close()
    with contextlib.closing(JournalReader(path)) as reader:
        assert reader.progress() == PROGRESS
        assert PROGRESS.close_of("BTC-USDT") == 42.5
        assert [line[-1] for line in reader.logs()] == ["a line"]


def test_what_was_damaged_before_a_migration_is_told_after_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    of_schema_2(path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE progress SET last_close = 43.5")
        db.commit()
    Journal(path).close()
    with contextlib.closing(JournalReader(path)) as reader, pytest.raises(PaperError) as caught:
        reader.progress()
    assert caught.value.code == "damaged"
