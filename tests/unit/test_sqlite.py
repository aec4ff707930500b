"""Transactions that fail: what went wrong first is what is told."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from jesse_paperd.candles.store import Candle, CandleStore
from jesse_paperd.core.sqlite import open_writer, transaction
from jesse_paperd.records.journal import Facts, Journal, JournalReader, Progress

SCHEMA = "CREATE TABLE t (n INTEGER PRIMARY KEY)"


def test_an_error_after_which_sqlite_has_rolled_back_is_told_as_it_is(tmp_path: Path) -> None:
    db = open_writer(tmp_path / "t.sqlite", SCHEMA, 1)
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"), transaction(db):  # noqa: PT012
        db.execute("INSERT INTO t VALUES (1)")
        db.execute("INSERT OR ROLLBACK INTO t VALUES (1)")
    with transaction(db):
        db.execute("INSERT INTO t VALUES (2)")
    assert db.execute("SELECT n FROM t").fetchall() == [(2,)]
    db.close()


def test_a_writer_that_cannot_write_says_why_in_every_database(tmp_path: Path) -> None:
    """A quota of pages is a full disk to SQLite, which then rolls back by itself."""
    store = CandleStore(tmp_path / "candles.sqlite")
    store._db.execute("PRAGMA max_page_count = 20")
    candles = [Candle(n * 60_000, 1.0, 2.0, 0.5, 1.5, 10.0) for n in range(20_000)]
    with pytest.raises(sqlite3.OperationalError, match="full"):
        store.commit("BTC-USDT", 0, 20_000 * 60_000, candles, [], 0)
    store.close()
    journal = Journal(tmp_path / "journal.sqlite")
    journal._db.execute("PRAGMA max_page_count = 40")
    with pytest.raises(Exception, match="full"):
        journal.commit(Facts(logs=[(0, "info", "x" * 1000)] * 1000), Progress())
    journal.commit(Facts(), Progress(candles=3))
    journal.close()


def test_an_error_amid_a_snapshot_is_told_as_it_is(tmp_path: Path) -> None:
    Journal(tmp_path / "journal.sqlite").close()
    reader = JournalReader(tmp_path / "journal.sqlite")
    with pytest.raises(LookupError), reader.snapshot():  # noqa: PT012
        reader._db.execute("ROLLBACK")
        raise LookupError
    reader.close()


def test_a_restored_database_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    open_writer(path, SCHEMA, 1).close()
    path.chmod(0o644)
    open_writer(path, SCHEMA, 1).close()
    assert path.stat().st_mode & 0o777 == 0o600
