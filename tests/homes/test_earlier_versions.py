"""A home that an earlier version wrote opens, its sessions run on, and their answers are what they were."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from tests.blackbox.test_feed_process import SPEED, stand_in
from tests.homes.questions import LIVE_SEED, answers_of, fast_feed_program, write_project
from tests.support.daemon import ROOT, Daemon, eventually

HOMES = sorted(Path(__file__).parent.glob("*.tar.xz"))
RUNNING = ("running", "running-loosely", "running-futures")

#: What may differ, by where it is: a moment's view of a process, and texts.
VOLATILE = re.compile(
    r"status\.health\.(pid|restarts|reasons|last_candle|last_candle_age_seconds)|status\.error|.*\.detail\.pid"
    r"|status\.(duration_hours|stopped_at)|final\.(duration_hours|stopped_at)|logs\.next_after|events\.next_after"
    r"|logs\.lines\[\d+\]\.seq|events\.events\[\d+\]\.seq|.*\.hint"
)
TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z")
#: A line that Jesse logs each day, which says nothing that the equity curve does not.
DAILY = "Saved daily portfolio balance"


class OldHome:
    """An unpacked home, a daemon of this version on it, and what the version that wrote it had answered."""

    def __init__(self, archive: Path, project: Path) -> None:
        self._packed = archive
        with tarfile.open(archive) as packed:
            packed.extractall(project.parent / "old", filter="data")
        record = json.loads((project.parent / "old" / "answers.json").read_bytes())
        self.answers: dict[str, Any] = record["answers"]
        self.frozen_at: int = record["frozen_at"]
        self.daemon = Daemon(write_project(project))
        (project.parent / "old" / "home").rename(self.daemon.home / "unpacked")
        for path in (self.daemon.home / "unpacked").iterdir():
            path.rename(self.daemon.home / path.name)
        self.daemon.program = fast_feed_program(self.frozen_at)
        self.daemon.environment["PYTHONPATH"] = str(ROOT)

    def archive_of(self, session_id: str, folder: Path) -> Path:
        """What `jesse-paper archive` of that version makes of a session: these members, in this order."""
        with tarfile.open(self._packed) as packed:
            packed.extractall(folder, filter="data")
        home = folder / "home"
        row = next(row for row in rows_of(home, "sessions") if row["session_id"] == session_id)
        row["spec"] = json.loads(row["spec"])
        del row["session_id"]
        session = home / "sessions" / session_id
        (session / "session.json").write_text(json.dumps(row))
        with tarfile.open(folder / f"{session_id}.tar.gz", "w:gz") as tar:
            for name in ("session.json", "journal.sqlite", "log", "strategy"):
                if (session / name).exists():
                    tar.add(session / name, f"{session_id}/{name}")
            for digest in row["spec"]["candle_files"].values():
                tar.add(home / "candles" / "files" / f"{digest}.npy", f"{session_id}/candles/{digest}.npy")
        return folder / f"{session_id}.tar.gz"


@pytest.fixture(scope="module", params=HOMES, ids=lambda path: path.name.removesuffix(".tar.xz"))
def old(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OldHome]:
    home = OldHome(request.param, tmp_path_factory.mktemp("home") / "project")
    with stand_in("--seed", str(LIVE_SEED), "--speed", str(SPEED), "--start", str(home.frozen_at)) as exchange:
        (home.daemon.home / "config.toml").write_text(str(exchange["config"]))
        try:
            home.daemon.start().ready()
            yield home
        finally:
            home.daemon.close()


def differences(was: Any, now: Any, where: str = "") -> list[str]:
    """Where the answers of now lack or change what was answered. Further fields are no difference."""
    if VOLATILE.fullmatch(where):
        return []
    if isinstance(was, dict) and isinstance(now, dict):
        inner = [(f"{where}.{name}".lstrip("."), value, now.get(name, "(missing)")) for name, value in was.items()]
    elif isinstance(was, list) and isinstance(now, list):
        was, now = ([entry for entry in entries if DAILY not in str(entry)] for entries in (was, now))
        if where in ("events.events", "logs.lines"):
            now = now[: len(was)]  # later lines are no change of the earlier ones
        if len(was) != len(now):
            return [f"{where}: {len(was)} entries, now {len(now)}"]
        inner = [(f"{where}[{n}]", *pair) for n, pair in enumerate(zip(was, now, strict=True))]
    else:
        return [] if moment(was) == moment(now) else [f"{where}: {was!r}, now {now!r}"]
    return [difference for place in inner for difference in differences(place[1], place[2], place[0])]


def moment(value: Any) -> Any:
    """A time to the second, whichever way it is written; anything else as it is."""
    found = TIME.fullmatch(value) if isinstance(value, str) else None
    return found[1] if found else value


def by_kind(answers: dict[str, Any]) -> dict[str, Any]:
    """Answers without the events that only tell how often a process was started."""
    events = [event for event in answers["events"]["events"] if event["event"] != "restarted"]
    return {**answers, "events": {"events": events}}


@pytest.mark.parametrize(
    "session_id", ["ended", "ended-futures", "two-timeframes", "failed", "stopped", "given-up", "live-stopped"]
)
def test_the_answers_of_an_ended_session_have_not_changed(old: OldHome, session_id: str) -> None:
    was, now = old.answers[session_id], answers_of(old.daemon, session_id)
    assert differences(by_kind(was), by_kind(now)) == []
    assert was["status"]["error"][:40] in now["status"]["error"]


@pytest.mark.parametrize("session_id", RUNNING)
def test_a_session_that_was_at_work_runs_on_and_ends_as_it_would_have(old: OldHome, session_id: str) -> None:
    old.daemon.ended(session_id)
    was, now = old.answers[session_id], answers_of(old.daemon, session_id)
    assert differences(by_kind(was), by_kind(now)) == []
    assert "diverged" not in {event["event"] for event in now["events"]["events"]}
    assert old.daemon.call(wire.PaperVerify(session_id=session_id)).equal


def test_a_live_session_goes_on_from_the_exchanges_candles(old: OldHome) -> None:
    was = old.answers["live"]["trades"]["trades"]
    eventually("it trades on", lambda: len(old.daemon.trades("live")) > len(was) + 1)
    now = answers_of(old.daemon, "live")
    assert differences(was, now["trades"]["trades"][: len(was)]) == []
    assert "diverged" not in {event["event"] for event in now["events"]["events"]}
    old.daemon.stop_session("live")
    assert old.daemon.call(wire.PaperVerify(session_id="live")).equal


def rows_of(home: Path, table: str) -> list[dict[str, Any]]:
    """A table of a home's registry."""
    with contextlib.closing(sqlite3.connect(home / "registry.sqlite")) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(f"SELECT * FROM {table}")]


def test_a_request_that_was_answered_is_answered_alike_and_its_id_is_not_free(old: OldHome) -> None:
    arguments = {row["session_id"]: row["arguments"] for row in rows_of(old.daemon.home, "sessions")}
    replies = {
        row["request_id"]: msgspec.msgpack.decode(row["reply"], type=wire.Reply)
        for row in rows_of(old.daemon.home, "requests")
        if row["session_id"] == "ended" and row["reply"] is not None
    }
    started = msgspec.json.decode(arguments["ended"], type=wire.PaperStart)
    body = msgspec.structs.replace(started, session_id="ended")
    ((request_id, reply),) = (entry for entry in replies.items() if isinstance(entry[1], wire.Started))
    assert old.daemon.call(body, request_id=request_id) == reply
    with pytest.raises(PaperError) as caught:
        old.daemon.call(msgspec.structs.replace(body, fee=0.05), request_id=request_id)
    assert caught.value.code == "request_id_reused"
    # And the same arguments name the same session.
    assert old.daemon.call(body).already_existed


def test_an_archive_comes_back_as_the_session_was(old: OldHome, tmp_path: Path) -> None:
    old.daemon.call(wire.PaperDeleteSession("two-timeframes"))
    packed = old.archive_of("two-timeframes", tmp_path)
    assert old.daemon.call(wire.PaperRestoreSession(str(packed))).session_id == "two-timeframes"
    was, now = old.answers["two-timeframes"], answers_of(old.daemon, "two-timeframes")
    assert differences(by_kind(was), by_kind(now)) == []


def test_a_second_opening_finds_the_same(old: OldHome) -> None:
    old.daemon.ended("running")
    before = {session_id: answers_of(old.daemon, session_id) for session_id in ("ended", "failed", "running")}
    old.daemon.restart()
    for session_id, answers in before.items():
        assert differences(answers, answers_of(old.daemon, session_id)) == []


def test_a_session_that_was_given_up_can_be_continued_and_ends_as_its_twin(old: OldHome) -> None:
    old.daemon.call(wire.PaperRestart(session_id="given-up", mode="continue"))
    assert old.daemon.ended("given-up").status == "stopped"
    twin, now = old.answers["running"], answers_of(old.daemon, "given-up")
    for asked in ("trades", "orders", "equity", "metrics"):
        assert differences({**twin[asked], "session_id": "given-up"}, now[asked], asked) == []
