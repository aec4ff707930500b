"""Full, read-only and damaged disks: the session waits with a clear state, others go on, nothing is lost."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paperd.candles.replayed import keep_candle_file
from jesse_paperd.records.journal import count_and_seal
from tests.support.breaking import (
    IMPATIENT,
    assert_nothing_was_lost,
    can_mount,
    facts_of,
    frozen,
    no_file_may_grow,
    read_only,
    short_candles,
    small_disk,
    start_trading,
    waits,
    zygote_of,
)
from tests.support.daemon import FUTURES_CANDLES, Daemon, eventually, running_daemon


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon with a session that nothing befalls: what the others are compared with."""
    with running_daemon(config=IMPATIENT) as running:
        start_trading(running, "undisturbed", speed="max")
        running.ended("undisturbed")
        yield running


@contextlib.contextmanager
def dead(daemon: Daemon, session_id: str) -> Iterator[Path]:
    """A session amid its trading whose process was killed, and that cannot be started again meanwhile; its journal."""
    start_trading(daemon, session_id)
    eventually("it has traded", lambda: daemon.status(session_id).metrics.total_trades > 3)
    with killed(daemon, session_id) as journal:
        yield journal


@contextlib.contextmanager
def killed(daemon: Daemon, session_id: str) -> Iterator[Path]:
    """A session's process is killed and cannot be started again meanwhile; the journal."""
    with frozen(zygote_of(daemon)):
        os.kill(daemon.session_pids()[session_id], signal.SIGKILL)
        eventually("it is dead", lambda: session_id not in daemon.session_pids())
        yield daemon.layout.session(session_id).journal


def row(daemon: Daemon, session_id: str) -> wire.SessionRow:
    (found,) = (
        r for r in daemon.call(wire.PaperListSessions(active_only=False)).sessions if r.session_id == session_id
    )
    return found


def ends_whole(daemon: Daemon, session_id: str) -> None:
    eventually(f"{session_id} has ended", lambda: row(daemon, session_id).status == "stopped", 60)
    assert_nothing_was_lost(daemon, session_id, "undisturbed")


def test_a_session_on_a_full_disk_waits_while_others_go_on_and_loses_nothing(daemon: Daemon) -> None:
    start_trading(daemon, "beside", speed=60 * 200.0)
    start_trading(daemon, "full")
    eventually("it has traded", lambda: daemon.status("full").metrics.total_trades > 3)
    with no_file_may_grow(zygote_of(daemon), daemon.session_pids()["full"], beyond=8192):
        health = waits(daemon, "full", "the journal cannot be written").health
        assert (health.state, health.pid) == ("stalled", None)
        assert health.next_try is not None
        before = daemon.status("beside").health.candles
        eventually("the other goes on", lambda: daemon.status("beside").health.candles > before)
    ends_whole(daemon, "full")
    assert daemon.stop_session("beside").stop_reason == "stopped"


def test_a_stop_on_a_full_disk_is_done_once_there_is_space(daemon: Daemon) -> None:
    start_trading(daemon, "stopped_full")
    eventually("it has traded", lambda: daemon.status("stopped_full").metrics.total_trades > 3)
    with no_file_may_grow(zygote_of(daemon), daemon.session_pids()["stopped_full"], beyond=8192):
        with pytest.raises(PaperError, match="ends when this is fixed: the journal cannot be written") as caught:
            daemon.stop_session("stopped_full")
        assert caught.value.code == "storage_failed"
        assert daemon.status("stopped_full").status == "stopping"
    stopped = daemon.stop_session("stopped_full")
    assert (stopped.status, stopped.stop_reason) == ("stopped", "stopped")
    assert not daemon.status("stopped_full").positions


def test_a_read_only_journal_is_waited_for(daemon: Daemon) -> None:
    if os.geteuid() == 0 and not can_mount():
        pytest.skip("root writes through every mode, and this root may not mount")
    with contextlib.ExitStack() as mended:
        with dead(daemon, "read_only") as journal:
            mended.enter_context(read_only(journal))
        waits(daemon, "read_only", "readonly")
    ends_whole(daemon, "read_only")


def test_a_missing_candle_file_is_waited_for(daemon: Daemon, tmp_path: Path) -> None:
    candles = daemon.layout.candle_file(keep_candle_file(daemon.layout, short_candles()))
    with dead(daemon, "no_candles"):
        candles.rename(tmp_path / "away")
    waits(daemon, "no_candles", candles.name)
    shutil.move(tmp_path / "away", candles)
    ends_whole(daemon, "no_candles")


def test_a_lost_snapshot_of_the_strategy_is_waited_for(daemon: Daemon, tmp_path: Path) -> None:
    strategy = daemon.layout.session("no_strategy").strategy
    with dead(daemon, "no_strategy"):
        strategy.rename(tmp_path / "away")
    waits(daemon, "no_strategy", "snapshot of the strategy is damaged")
    shutil.move(tmp_path / "away", strategy)
    ends_whole(daemon, "no_strategy")


def cut_off(journal: Path) -> None:
    with journal.open("r+b") as file:
        file.truncate(journal.stat().st_size // 2 + 100)


def flip_bits(journal: Path) -> None:
    """Turn the first page of the trades into one of a kind that does not exist."""
    with contextlib.closing(sqlite3.connect(journal)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'trades'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    content = bytearray(journal.read_bytes())
    content[(page - 1) * size] ^= 0x55
    journal.write_bytes(content)


def make_noise(journal: Path) -> None:
    journal.write_bytes(b"no database " * 1000)


@pytest.mark.parametrize(
    ("damage", "mended_from"), [(cut_off, "backup"), (flip_bits, "candles"), (make_noise, "backup")]
)
def test_a_damaged_journal_is_waited_for_and_mended(
    daemon: Daemon, damage: Callable[[Path], None], mended_from: str
) -> None:
    session_id = damage.__name__
    with dead(daemon, session_id) as journal:
        files = [file for file in journal.parent.glob("journal.sqlite*") if file.suffix != ".sqlite-shm"]
        backup = {file: file.read_bytes() for file in files}
        with contextlib.closing(sqlite3.connect(journal)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # or else the log would heal the file
        damage(journal)
    eventually("it waits", lambda: row(daemon, session_id).health == "unreadable")
    with pytest.raises(PaperError, match=r"journal.* (cannot be read|is damaged)") as caught:
        daemon.status(session_id)
    assert caught.value.code in ("storage_failed", "damaged")
    assert daemon.status("undisturbed").status == "stopped"
    with frozen(zygote_of(daemon)):
        for file in journal.parent.glob("journal.sqlite*"):
            file.unlink()
        if mended_from == "backup":
            for file, content in backup.items():
                file.write_bytes(content)
    ends_whole(daemon, session_id)


def test_a_session_whose_journal_is_lost_changes_its_leverage_at_the_same_candle_again(daemon: Daemon) -> None:
    feed = f"replay:{short_candles(source=FUTURES_CANDLES)}"
    start_trading(daemon, "levered", feed=feed, exchange="Binance Perpetual Futures", leverage=2)
    eventually("it has traded", lambda: daemon.status("levered").metrics.total_trades > 3)
    daemon.call(wire.PaperUpdateSession(session_id="levered", updates=wire.SessionUpdates(leverage=5)))
    eventually("its leverage is another", lambda: daemon.status("levered").leverage == 5)
    with killed(daemon, "levered") as journal:
        before = facts_of(journal)
        for file in journal.parent.glob("journal.sqlite*"):
            file.unlink()
    eventually("it has ended", lambda: row(daemon, "levered").status == "stopped", 60)
    after = facts_of(journal)
    for table in ("trades", "events"):
        assert before[table]
        assert after[table][: len(before[table])] == before[table]


def test_history_is_kept_as_it_was_when_a_replay_differs_from_it(daemon: Daemon) -> None:
    with dead(daemon, "altered") as journal, contextlib.closing(sqlite3.connect(journal)) as db:
        db.execute("UPDATE trades SET pnl = pnl + 1 WHERE n = 2")
        count_and_seal(db)
        db.commit()
        kept = facts_of(journal)["trades"]
    eventually("it has ended", lambda: daemon.status("altered").status == "stopped", 60)
    assert facts_of(journal)["trades"][: len(kept)] == kept
    (event,) = (e for e in daemon.call(wire.PaperGetEvents(session_id="altered")).events if e.event == "diverged")
    assert event.detail["where"] == "t002, pnl"


@pytest.fixture
def small() -> Iterator[Daemon]:
    """A daemon with a disk of its own."""
    if not can_mount():
        pytest.skip("a file system of its own size needs the right to mount one")
    daemon = Daemon()
    with small_disk(daemon.home, "24m"):
        (daemon.home / "config.toml").write_text(IMPATIENT)
        try:
            yield daemon.start()
        finally:
            daemon.close()
    daemon.home.rmdir()


def test_a_daemon_on_a_full_disk_answers_refuses_and_recovers(small: Daemon) -> None:
    start_trading(small, "undisturbed", speed="max")
    small.ended("undisturbed")
    start_trading(small, "full")
    eventually("it has traded", lambda: small.status("full").metrics.total_trades > 3)
    ballast = small.home / "ballast"
    subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=4096"], capture_output=True, check=False)
    waits(small, "full", "full")
    with pytest.raises(PaperError) as caught:
        start_trading(small, "refused")
    assert caught.value.code == "storage_failed"
    small.restart()
    assert small.status("undisturbed").status == "stopped"
    ballast.unlink()
    ends_whole(small, "full")
    start_trading(small, "refused", speed="max")
    ends_whole(small, "refused")
