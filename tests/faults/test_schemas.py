"""Versions of what is on disk: an older one is brought up to date, a newer one is not guessed at."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from jesse_paper.errors import PaperError
from jesse_paperd.core.sqlite import open_reader, open_writer, schema_version
from jesse_paperd.records import journal
from tests.support.breaking import IMPATIENT, PACED, facts_of, frozen, start_trading, waits, zygote_of
from tests.support.daemon import ROOT, Daemon, eventually, running_daemon

#: Three versions of one database: a column came with the second, another unit with the third.
FIRST = "CREATE TABLE prices (at INTEGER PRIMARY KEY, cents INTEGER NOT NULL)"
THIRD = "CREATE TABLE prices (at INTEGER PRIMARY KEY, price REAL NOT NULL, venue TEXT NOT NULL DEFAULT 'here')"
MIGRATIONS = {
    1: "ALTER TABLE prices ADD COLUMN venue TEXT NOT NULL DEFAULT 'here'",
    2: f"""ALTER TABLE prices RENAME TO old; {THIRD};
           INSERT INTO prices SELECT at, cents / 100.0, venue FROM old; DROP TABLE old""",
}


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """A file as the first version wrote it."""
    path = tmp_path / "prices.sqlite"
    with closing(open_writer(path, FIRST, 1)) as db:
        db.executemany("INSERT INTO prices VALUES (?, ?)", [(n, 100 * n + 50) for n in range(1000)])
    return path


def test_an_older_file_is_brought_up_to_date_with_all_its_rows(older: Path) -> None:
    with closing(open_writer(older, THIRD, 3, MIGRATIONS)) as db:
        rows = db.execute("SELECT * FROM prices ORDER BY at").fetchall()
        (made,) = db.execute("SELECT sql FROM sqlite_master WHERE name = 'prices'").fetchone()
    assert rows == [(n, n + 0.5, "here") for n in range(1000)]
    assert made == THIRD
    assert schema_version(older) == 3
    with closing(open_reader(older, 3)) as db:
        assert db.execute("SELECT count(*) FROM prices").fetchone() == (1000,)


def test_a_migration_that_fails_changes_nothing(older: Path) -> None:
    broken = {**MIGRATIONS, 2: f"{MIGRATIONS[2]}; INSERT INTO no_such_table VALUES (1)"}
    with pytest.raises(PaperError, match="no_such_table"):
        open_writer(older, THIRD, 3, broken)
    assert schema_version(older) == 1
    with closing(open_reader(older, 1)) as db:
        assert db.execute("SELECT count(*), max(cents) FROM prices").fetchone() == (1000, 99_950)


def test_a_newer_or_unknown_file_is_refused_by_writers_and_readers(older: Path) -> None:
    with pytest.raises(PaperError, match="schema 1, which this version knows nothing of"):
        open_writer(older, THIRD, 3, {2: ""})
    open_writer(older, THIRD, 3, MIGRATIONS).close()
    for opened in (lambda: open_writer(older, FIRST, 1), lambda: open_reader(older, 1)):
        with pytest.raises(PaperError, match=r"newer version \(schema 3, this one knows 1\)"):
            opened()
    with pytest.raises(PaperError, match=r"older version \(schema 3, this one reads 4\)"):
        open_reader(older, 4)


def test_a_file_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "prices.sqlite"
    with pytest.raises(PaperError):
        open_writer(path, f"{FIRST}; CREATE TABLE broken (", 1)
    assert not path.exists()
    path.touch()  # what a program of another kind might have left
    open_writer(path, FIRST, 1).close()
    assert schema_version(path) == 1
    assert [file.name for file in tmp_path.iterdir() if file.stat().st_size] == ["prices.sqlite"]


def test_a_file_that_is_gone_while_its_log_is_there_is_missed(tmp_path: Path) -> None:
    path = tmp_path / "prices.sqlite"
    (tmp_path / "prices.sqlite-wal").write_bytes(b"what was written last")
    with pytest.raises(PaperError, match=r"still in prices\.sqlite-wal"):
        open_writer(path, FIRST, 1)


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with running_daemon(config=IMPATIENT) as running:
        yield running


def set_version(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version={version}")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def test_a_journal_of_a_newer_version_is_refused_and_goes_on_once_that_is_mended(daemon: Daemon) -> None:
    start_trading(daemon, "newer", speed=PACED / 10)
    path = daemon.layout.session("newer").journal
    with frozen(zygote_of(daemon)):
        os.kill(daemon.session_pids()["newer"], signal.SIGKILL)
        eventually("it is dead", lambda: "newer" not in daemon.session_pids())
        set_version(path, 99)
    waits(daemon, "newer", "newer version (schema 99")
    set_version(path, journal.VERSION)
    eventually("it goes on", lambda: daemon.session_pids().get("newer"))
    daemon.stop_session("newer")


def test_a_registry_of_a_newer_version_is_refused() -> None:
    daemon = Daemon()
    daemon.layout.prepare()
    open_writer(daemon.layout.registry, "CREATE TABLE sessions (x)", 99).close()
    assert daemon.spawn().wait(60) == 7
    assert "newer version (schema 99" in daemon.output()
    daemon.close()


def test_an_upgrade_takes_running_and_ended_sessions_along(daemon: Daemon) -> None:
    start_trading(daemon, "ended", speed="max")
    daemon.ended("ended")
    start_trading(daemon, "running", speed=PACED / 10)
    before = daemon.session_pids()["running"]
    trades, facts = daemon.trades("ended"), facts_of(daemon.layout.session("ended").journal)
    daemon.kill()
    daemon.environment["PYTHONPATH"] = str(ROOT / "tests" / "fakes" / "newer_schema")
    daemon.start()
    assert daemon.trades("ended") == trades
    assert facts_of(daemon.layout.session("ended").journal) == facts
    eventually("it runs the new version", lambda: daemon.session_pids().get("running", before) != before)
    eventually("it runs", lambda: schema_version(daemon.layout.session("running").journal) == journal.VERSION + 1)
    assert daemon.status("running").status == "running"
    assert schema_version(daemon.layout.session("ended").journal) == journal.VERSION + 1
    daemon.stop_session("running")
