"""Flipped bits, backups of mixed ages, odd numbers: found, told, and kept to the session that they befell."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paperd.candles.replayed import check_candle_file
from tests.security.homes import copy_of, everything, flip, silent
from tests.support.breaking import IMPATIENT, PACED, facts_of, short_candles, start_trading
from tests.support.daemon import Daemon, eventually, running_daemon

#: Bits that are flipped of each kind of file in the default run; scripts/fuzz flips thousands.
FLIPS = 40


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with two ended sessions and one that was being traded, its daemon gone."""
    with running_daemon(config=IMPATIENT) as daemon:
        start_trading(daemon, "one", speed="max", notes="the first")
        start_trading(daemon, "two", speed="max")
        start_trading(daemon, "half", speed=PACED)
        for name in ("one", "two"):
            daemon.ended(name)
        eventually("it trades", lambda: daemon.status("half").metrics.total_trades > 1)
        daemon.call(wire.PaperStop("half"))
        daemon.kill()
        copy = tmp_path_factory.mktemp("home") / "home"
        shutil.copytree(daemon.home, copy, ignore=shutil.ignore_patterns("run", "zygote"))
        yield copy


@pytest.mark.parametrize("victim", ["registry.sqlite", "sessions/one/journal.sqlite"])
def test_a_flipped_bit_is_found_or_changes_no_answer_and_the_others_are_answered(
    home: Path, tmp_path: Path, victim: str
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    with copy_of(home, tmp_path / "copy") as layout:
        before = everything(layout)
    for n in range(FLIPS):
        with copy_of(home, tmp_path / "copy") as layout:
            places = flip(layout.home / victim, chance)
            after = everything(layout)
            assert silent(before, after) == [], (n, places)
            for name in ("one", "two", "half"):
                assert name in after or name in after["damaged"], (n, places, name)
            assert after["two"]["trades"] == before["two"]["trades"], (n, places)


def test_a_flipped_bit_in_a_kept_candle_file_is_found(home: Path, tmp_path: Path) -> None:
    chance = random.Random(7)
    for _ in range(20):
        with copy_of(home, tmp_path / "copy") as layout:
            (file,) = layout.candle_files.glob("*.npy")
            check_candle_file(file)
            flip(file, chance)
            with pytest.raises(PaperError) as caught:
                check_candle_file(file)
            assert caught.value.code in ("damaged", "storage_failed")


@contextlib.contextmanager
def daemon_of(home: Path) -> Iterator[Daemon]:
    """A daemon on a copy of a home."""
    daemon = Daemon(config=IMPATIENT)
    shutil.copytree(home, daemon.home, dirs_exist_ok=True)
    try:
        yield daemon
    finally:
        daemon.close()


def test_a_registry_of_noise_is_made_anew_from_the_copies_and_says_so(home: Path) -> None:
    with daemon_of(home) as daemon:
        for file in daemon.home.glob("registry.sqlite*"):
            file.unlink()
        daemon.layout.registry.write_bytes(b"no database at all" * 1000)
        daemon.start()
        rows = {row.session_id: row for row in daemon.call(wire.PaperListSessions(active_only=False)).sessions}
        assert set(rows) == {"one", "two", "half"}
        assert rows["one"].notes == "the first"
        reasons = daemon.call(wire.PaperHealth()).reasons
        assert any("made anew" in reason for reason in reasons)
        assert list(daemon.home.glob("registry.damaged-*.sqlite"))


def test_a_registry_with_a_flipped_version_is_made_anew_and_one_of_a_newer_version_is_refused(home: Path) -> None:
    with daemon_of(home) as daemon:
        with contextlib.closing(sqlite3.connect(daemon.layout.registry)) as db:
            db.execute("PRAGMA user_version = 262148")
        daemon.start()
        assert daemon.call(wire.PaperListSessions(active_only=False)).total == 3
        daemon.kill()
        with contextlib.closing(sqlite3.connect(daemon.layout.registry)) as db:
            db.execute("CREATE TABLE of_the_future (id INTEGER)")
            db.execute("PRAGMA user_version = 262148")
        assert daemon.spawn().wait(60) == 7
        assert "newer version" in daemon.output()


def test_an_older_registry_takes_back_the_sessions_that_are_not_in_it(home: Path) -> None:
    with daemon_of(home) as daemon:
        with contextlib.closing(sqlite3.connect(daemon.layout.registry)) as db:
            db.execute("DELETE FROM sessions WHERE session_id = 'two'")
            db.commit()
        daemon.start()
        rows = {row.session_id for row in daemon.call(wire.PaperListSessions(active_only=False)).sessions}
        assert "two" in rows
        assert any("two" in reason for reason in daemon.call(wire.PaperHealth()).reasons)


def test_an_ended_journal_of_an_older_copy_is_told_apart_from_its_final_answer(home: Path) -> None:
    with daemon_of(home) as daemon:
        shutil.copy(daemon.layout.session("half").journal, daemon.layout.session("one").journal)
        daemon.start().ready()
        health = daemon.status("one").health
        assert health.state == "damaged"
        assert "one of them is an older copy" in health.reasons[0]
        damaged = {each.session_id for each in daemon.call(wire.PaperCheckFiles()).damaged}
        assert damaged == {"one"}


def test_a_damaged_journal_is_told_and_repaired_to_the_last_row(home: Path) -> None:
    with daemon_of(home) as daemon:
        journals = {name: daemon.layout.session(name).journal for name in ("one", "half")}
        before = {name: facts_of(journal) for name, journal in journals.items()}
        for journal in journals.values():
            with contextlib.closing(sqlite3.connect(journal)) as db:
                db.execute("UPDATE trades SET pnl = pnl + 1 WHERE n = 2")
                db.commit()
        daemon.start().ready()
        with pytest.raises(PaperError) as caught:
            daemon.status("one")
        assert caught.value.code == "damaged"
        assert "trades" in caught.value.message
        rows = {row.session_id: row for row in daemon.call(wire.PaperListSessions(active_only=False)).sessions}
        assert rows["two"].total_trades
        for name in journals:
            kept = daemon.call(wire.PaperRepairSession(session_id=name)).kept
            assert Path(kept).exists()
            daemon.ended(name)
            after = facts_of(journals[name])
            assert before[name]["trades"]
            for table in ("trades", "orders", "equity", "daily_balance", "events", "progress"):
                assert after[table] == before[name][table], (name, table)
        assert daemon.call(wire.PaperCheckFiles()).damaged == []


def test_a_session_that_runs_is_not_repaired(home: Path) -> None:
    with daemon_of(home) as daemon:
        daemon.start().ready()
        start_trading(daemon, "runs", speed=60.0)
        with pytest.raises(PaperError) as caught:
            daemon.call(wire.PaperRepairSession(session_id="runs"))
        assert caught.value.code == "conflict"
        daemon.stop_session("runs")


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("1733270400000000,1,1,1,1,1", "after the year 2099"),
        ("1733270400000,1,1e300,1,1,1", "price above"),
        ("1733270400000,1,1,1,1,1e300", "volume above"),
    ],
)
def test_times_and_prices_that_cannot_be_are_refused_with_their_line(
    home: Path, tmp_path: Path, row: str, told: str
) -> None:
    with daemon_of(home) as daemon:
        daemon.start()
        lines = short_candles().read_text().splitlines()[:2000]
        file = tmp_path / "odd.csv"
        file.write_text("\n".join([*lines, row]) + "\n")
        with pytest.raises(PaperError, match=told) as caught:
            start_trading(daemon, "odd", feed=f"replay:{file}", speed="max")
        assert caught.value.code == "candles_invalid"
        assert "line 2001" in caught.value.message
