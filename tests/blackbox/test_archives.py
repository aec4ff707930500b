"""Archives brought back: whole, as they were, and only when nothing about them is wrong."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paperd.records.journal import count_and_seal
from tests.support.breaking import PACED, facts_of, short_candles, start_trading
from tests.support.daemon import FUTURES_CANDLES, Daemon, eventually, running_daemon


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with running_daemon() as running:
        yield running


def jesse_paper(daemon: Daemon, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).parent / "jesse-paper", *arguments]
    return subprocess.run(command, env=daemon.environment, check=False, capture_output=True, text=True)


def archived(daemon: Daemon, session_id: str, target: Path) -> Path:
    """An ended session's archive at `target`; the session itself is deleted."""
    start_trading(daemon, session_id, speed="max")
    daemon.ended(session_id)
    path = daemon.call(wire.PaperArchiveSession(session_id)).path
    daemon.call(wire.PaperDeleteSession(session_id))
    shutil.move(path, target)
    return target


def answers(daemon: Daemon, session_id: str) -> list[Any]:
    asked = (wire.PaperGetTrades, wire.PaperGetOrders, wire.PaperGetEvents, wire.PaperGetMetrics, wire.PaperStatus)
    return [daemon.call(kind(session_id=session_id)) for kind in asked]


def test_an_ended_session_comes_back_as_it_was_into_another_home(daemon: Daemon, tmp_path: Path) -> None:
    start_trading(daemon, "moved", speed="max", notes="of its owner")
    daemon.ended("moved")
    told = answers(daemon, "moved")
    path = daemon.call(wire.PaperArchiveSession("moved")).path
    with running_daemon() as other:
        done = jesse_paper(other, "restore", path)
        assert (done.returncode, done.stdout) == (0, "moved  restored, stopped\n"), done.stderr
        assert answers(other, "moved") == told
        assert other.stop_session("moved") == daemon.stop_session("moved")
        assert other.call(wire.PaperVerify("moved")).equal
        again = other.call(wire.PaperRestart("moved"))
        assert not again.strategy_changed
        other.ended(again.session_id)
        assert other.trades(again.session_id) == other.trades("moved")
        other.restart()
        assert answers(other, "moved") == told


def test_one_that_ran_goes_on_from_where_it_was(daemon: Daemon) -> None:
    start_trading(daemon, "twin", speed="max")
    start_trading(daemon, "cut-off", speed=PACED)
    eventually("it trades", lambda: daemon.status("cut-off").metrics.total_trades)
    path = daemon.call(wire.PaperArchiveSession("cut-off")).path
    with running_daemon() as other:
        restored = other.call(wire.PaperRestoreSession(path))
        assert restored.status in ("starting", "running")
        assert "goes on from there" in restored.hint
        # The same again finds it there.
        error = refused(other, path)
        assert (error.code, "'cut-off' already" in error.message) == ("conflict", True)
        other.ended("cut-off")
        daemon.ended("twin")
        one, two = (facts_of(d.layout.session(s).journal) for d, s in ((other, "cut-off"), (daemon, "twin")))
        assert one["trades"] == two["trades"]
        assert one["equity"] == two["equity"]
        assert "diverged" not in {event.event for event in other.call(wire.PaperGetEvents("cut-off")).events}


def test_a_session_takes_a_leverage_in_another_home_though_it_has_taken_some_before(daemon: Daemon) -> None:
    levered = {"feed": f"replay:{short_candles(source=FUTURES_CANDLES)}", "exchange": "Binance Perpetual Futures"}
    start_trading(daemon, "levered", leverage=2, **levered)
    for leverage in (3, 4):
        daemon.call(wire.PaperUpdateSession("levered", wire.SessionUpdates(leverage=leverage)))
    eventually("it has that", lambda: daemon.status("levered").leverage == 4)
    path = daemon.call(wire.PaperArchiveSession("levered")).path
    daemon.stop_session("levered")
    with running_daemon() as other:
        other.call(wire.PaperRestoreSession(path))
        other.call(wire.PaperUpdateSession("levered", wire.SessionUpdates(leverage=5)))
        eventually("it has the new one", lambda: other.status("levered").leverage == 5)


def refused(daemon: Daemon, path: Path | str) -> PaperError:
    with pytest.raises(PaperError) as caught:
        daemon.call(wire.PaperRestoreSession(str(path)))
    return caught.value


def rewritten(source: Path, target: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """An archive with other members: name → its bytes, or a `TarInfo` of something that has none."""
    members: dict[str, Any] = {}
    with tarfile.open(source) as tar:
        for member in tar:
            if member.isfile():
                file = tar.extractfile(member)
                assert file is not None
                members[member.name] = file.read()
    change(members)
    with tarfile.open(target, "w:gz") as tar:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
            else:
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return target


def special(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, link
    return entry


def _session(**changes: Any) -> Callable[[dict[str, Any]], None]:
    def change(members: dict[str, Any]) -> None:
        row = json.loads(members["bad/session.json"])
        row["spec"].update({name: value for name, value in changes.items() if name in row["spec"]})
        row.update({name: value for name, value in changes.items() if name in row and name != "spec"})
        members["bad/session.json"] = json.dumps(row).encode()

    return change


def _journal(*statements: str, sealed: bool = False) -> Callable[[dict[str, Any]], None]:
    def change(members: dict[str, Any]) -> None:
        db = sqlite3.connect(":memory:")
        db.deserialize(members["bad/journal.sqlite"].replace(b"\x02\x02", b"\x01\x01", 1))
        for statement in statements:
            db.execute(statement)
        if sealed:
            count_and_seal(db)
        db.commit()
        members["bad/journal.sqlite"] = db.serialize()

    return change


def _candles(content: bytes) -> Callable[[dict[str, Any]], None]:
    def change(members: dict[str, Any]) -> None:
        (name,) = (name for name in members if "/candles/" in name)
        members[name] = content

    return change


def _npy(rows: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, rows, **options)
    return buffer.getvalue()


def _adds(name: str, content: Any = b"x") -> Callable[[dict[str, Any]], None]:
    return lambda members: members.__setitem__(name, content)


def _drops(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda members: members.pop(name)


HOSTILE: dict[str, Callable[[dict[str, Any]], None]] = {
    "a path out of the folder": _adds("bad/../../../escaped"),
    "a path out of the strategy": _adds("bad/strategy/../../../escaped"),
    "an absolute path": _adds("/tmp/escaped"),
    "another session's folder": _adds("other/log"),
    "a file of no archive": _adds("bad/lease"),
    "a symbolic link": _adds("bad/log", special("bad/log", tarfile.SYMTYPE, "/etc/passwd")),
    "a hard link": _adds("bad/log", special("bad/log", tarfile.LNKTYPE, "bad/session.json")),
    "a link as a folder": _adds("bad/strategy", special("bad/strategy", tarfile.SYMTYPE, "/tmp")),
    "a named pipe": _adds("bad/log", special("bad/log", tarfile.FIFOTYPE)),
    "a device": _adds("bad/log", special("bad/log", tarfile.CHRTYPE)),
    "no row": _drops("bad/session.json"),
    "no journal": _drops("bad/journal.sqlite"),
    "a row that is no JSON": _adds("bad/session.json", b"{"),
    "a row nested without end": _adds("bad/session.json", b"[" * 1_000_000),
    "another id": _session(session_id="../../x"),
    "another strategy's name": _session(strategy="../../x"),
    "another market": _session(market="../../x"),
    "a time beyond all": _session(created_at=10**18),
    "a wish that is none": _session(desired="flying"),
    "a final answer that is none": _session(final='{"session_id":"bad"}'),
    "candles named by a path": _session(candle_files={"BTC-USDT": "../../../x"}),
    "candles of another symbol": _session(candle_files={"ETH-USDT": "0" * 64}),
    "a journal that is none": _adds("bad/journal.sqlite", b"SQLite format 3\0" + b"x" * 5000),
    "a journal with a trigger": _journal("CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM trades; END"),
    "a journal with a view for a table": _journal("DROP TABLE daily_balance", "CREATE VIEW daily_balance AS SELECT 1"),
    "a journal with times beyond all": _journal("UPDATE progress SET last_candle = 1000000000000000000", sealed=True),
    "candles that are none": _candles(b"nothing"),
    "candles that would be unpickled": _candles(_npy(np.array([{"a": 1}], dtype=object), allow_pickle=True)),
    "candles of another form": _candles(_npy(np.zeros((3, 5)))),
    "candles out of order": _candles(_npy(np.ones((3, 6)))),
    "a strategy that reads other files": _adds("bad/strategy/.snapshot.json", b'["/dev/zero", "../../../x"]'),
    "a strategy without a list of its files": _adds("bad/strategy/.snapshot.json", b"{}"),
    "a changed strategy": lambda members: members.update(
        {name: content + b"\n" for name, content in members.items() if name.endswith("/__init__.py")}
    ),
}


@pytest.fixture(scope="module")
def sound(daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archived(daemon, "bad", tmp_path_factory.mktemp("archive") / "bad.tar.gz")


def seen(daemon: Daemon) -> set[str]:
    """All that is in the home, but for what is written all the time."""
    left_out = ("-wal", "-shm", "output")
    return {str(p.relative_to(daemon.home)) for p in daemon.home.rglob("*") if not str(p).endswith(left_out)}


@pytest.mark.parametrize("fault", HOSTILE)
def test_an_archive_that_is_not_what_one_is_leaves_nothing(
    daemon: Daemon, sound: Path, tmp_path: Path, fault: str
) -> None:
    before = seen(daemon)
    error = refused(daemon, rewritten(sound, tmp_path / "bad.tar.gz", HOSTILE[fault]))
    assert error.code == "invalid_argument", error
    assert "not an archive of a session, or it is damaged" in error.message
    assert seen(daemon) == before
    assert not Path("/tmp/escaped").exists()
    assert daemon.call(wire.PaperListSessions(active_only=False)).total >= 0


def test_a_damaged_archive_is_told_from_a_whole_one_at_every_cut(daemon: Daemon, sound: Path, tmp_path: Path) -> None:
    content = sound.read_bytes()
    before = seen(daemon)
    cut = tmp_path / "cut.tar.gz"
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 0xFF
    for damaged in (b"", content[:100], content[: len(content) // 2], content[:-4], bytes(flipped), b"x" * 1000):
        cut.write_bytes(damaged)
        assert refused(daemon, cut).code == "invalid_argument"
    assert seen(daemon) == before


def test_what_unpacks_without_end_is_refused(daemon: Daemon, sound: Path, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.tar.gz"
    # A header that says it is a terabyte, and one that is a gigabyte itself.
    for kind in (tarfile.REGTYPE, tarfile.XHDTYPE):
        entry = tarfile.TarInfo("bad/log")
        entry.type, entry.size = kind, 2**40 if kind == tarfile.REGTYPE else 2**30
        with gzip.open(bomb, "wb") as file:
            file.write(entry.tobuf(format=tarfile.GNU_FORMAT))
            file.write(bytes(2**22))
        assert refused(daemon, bomb).code in ("storage_failed", "invalid_argument")
    assert daemon.answers()


def test_what_is_no_file_of_this_user_alone_is_refused(daemon: Daemon, sound: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    shared = Path(shutil.copy(sound, tmp_path / "shared.tar.gz"))
    shared.chmod(0o666)
    for path, words in (
        ("relative.tar.gz", "relative"),
        (tmp_path / "nothing.tar.gz", "No such file"),
        (tmp_path, "a directory"),
        (tmp_path / "pipe", "not a regular file"),
        ("/dev/zero", "not a regular file"),
        (shared, "others may write it"),
    ):
        error = refused(daemon, path)
        assert error.code == "invalid_argument"
        assert words in error.message


def test_candles_under_a_false_name_are_not_taken_for_others(daemon: Daemon, sound: Path, tmp_path: Path) -> None:
    """A session of the file that the name is of trades that file's candles, whatever an archive claimed."""

    def change(members: dict[str, Any]) -> None:
        (name,) = (name for name in members if "/candles/" in name)
        rows = np.load(io.BytesIO(members[name]))
        rows[:, 1:5] *= 2
        members[name] = _npy(rows)

    start_trading(daemon, "undisturbed", speed="max")
    daemon.ended("undisturbed")
    with running_daemon() as other:
        other.call(wire.PaperRestoreSession(str(rewritten(sound, tmp_path / "false.tar.gz", change))))
        start_trading(other, "genuine", speed="max")
        other.ended("genuine")
        trades = other.trades("genuine")
    assert trades == daemon.trades("undisturbed")


def test_a_restoration_cut_off_at_any_moment_is_done_or_not(tmp_path: Path, daemon: Daemon, sound: Path) -> None:
    class Mortal(Daemon):
        program = """
import os
from pathlib import Path
from jesse_paperd.app import main
from jesse_paperd.records.registry import Registry

moment = Path(os.environ["JESSE_PAPER_HOME"], "moment")
undisturbed = Registry.restore

def restore(self, *arguments):
    told = moment.read_text() if moment.exists() else ""
    moment.unlink(missing_ok=True)
    if told == "before":
        os._exit(9)
    undisturbed(self, *arguments)
    if told == "after":
        os._exit(9)

Registry.restore = restore
main()
"""

    mortal = Mortal()
    try:
        mortal.start().ready()
        for moment in ("before", "after"):
            (mortal.home / "moment").write_text(moment)
            body = wire.PaperRestoreSession(str(sound))
            with pytest.raises(PaperError):
                mortal.call(body, request_id=moment, timeout=3)
            assert mortal.process is not None
            assert mortal.process.wait(30) == 9
            mortal.start().ready()
            assert mortal.call(body, request_id=moment).session_id == "bad"
            assert mortal.trades("bad")
            assert not [path for path in mortal.layout.sessions.iterdir() if path.name.startswith(".")]
            mortal.call(wire.PaperDeleteSession("bad"))
    finally:
        mortal.close()
