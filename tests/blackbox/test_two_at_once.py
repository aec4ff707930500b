"""Everything that changes something, asked twice at once: the same request, or different ones about one session."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from tests.support.at_once import ask_at_once, codes_of
from tests.support.breaking import short_candles, start_trading
from tests.support.daemon import PATIENCE, Daemon, eventually, running_daemon

SLOW = 60.0
CONFIG = """
[restart]
limit = 1
first_seconds = 0.01
longest_seconds = 0.02
"""


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with running_daemon(config=CONFIG) as running:
        yield running


def a_start(session_id: str | None = None, **arguments: Any) -> wire.PaperStart:
    defaults: dict[str, Any] = {"timeframe": "15m", "feed": f"replay:{short_candles()}", "speed": SLOW}
    return wire.PaperStart(strategy="DayTrader", symbol="BTC-USDT", session_id=session_id, **{**defaults, **arguments})


def ids(daemon: Daemon) -> set[str]:
    return set(rows_of(daemon))


def rows_of(daemon: Daemon) -> dict[str, wire.SessionRow]:
    sessions = daemon.call(wire.PaperListSessions(active_only=False, limit=1000)).sessions
    return {row.session_id: row for row in sessions}


def ended(daemon: Daemon, session_id: str) -> None:
    start_trading(daemon, session_id, speed="max")
    daemon.ended(session_id)


def given_up(daemon: Daemon, session_id: str) -> None:
    """A session whose process is killed each time that it comes up, until the daemon has had enough."""
    start_trading(daemon, session_id, speed=SLOW)

    def has_failed() -> bool:
        if (pid := daemon.session_pids().get(session_id)) is not None:
            with contextlib.suppress(ProcessLookupError):  # it has just died
                os.kill(pid, signal.SIGKILL)
        return daemon.status(session_id).status == "failed"

    eventually("it is given up", has_failed)


def prepared(daemon: Daemon, operation: str) -> wire.Operation:
    """A request of each changing operation, with the session that it needs."""
    name = operation.removeprefix("paper_").replace(" ", "-")
    if operation == "paper_start":
        return a_start()
    if operation == "paper_restart continue":
        given_up(daemon, "continue")
        return wire.PaperRestart(session_id="continue", mode="continue")
    if operation in ("paper_stop", "paper_update_session"):
        start_trading(daemon, name, speed=SLOW)
        updates = wire.SessionUpdates(notes="once")
        return wire.PaperStop(name) if operation == "paper_stop" else wire.PaperUpdateSession(name, updates)
    ended(daemon, name)
    if operation == "paper_restart new":
        return wire.PaperRestart(session_id=name)
    if operation == "paper_restore_session":
        path = daemon.call(wire.PaperArchiveSession(session_id=name)).path
        daemon.call(wire.PaperDeleteSession(session_id=name))
        return wire.PaperRestoreSession(path=path)
    kinds = {
        "paper_delete_session": wire.PaperDeleteSession,
        "paper_archive_session": wire.PaperArchiveSession,
        "paper_repair_session": wire.PaperRepairSession,
    }
    return kinds[operation](session_id=name)


#: What each adds to the number of sessions.
OPERATIONS = {
    "paper_start": 1,
    "paper_stop": 0,
    "paper_update_session": 0,
    "paper_restart new": 1,
    "paper_restart continue": 0,
    "paper_delete_session": -1,
    "paper_archive_session": 0,
    "paper_restore_session": 1,
    "paper_repair_session": 0,
}


def test_every_changing_operation_is_tried_here() -> None:
    changing = {name for name, known in wire.OPERATIONS.items() if issubclass(known.operation, wire.Mutation)}
    assert {name.split()[0] for name in OPERATIONS} == changing


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_request_sent_four_times_at_once_is_done_once_and_answered_four_times(daemon: Daemon, operation: str) -> None:
    body = prepared(daemon, operation)
    before = ids(daemon)
    answers = ask_at_once(daemon, *[(f"{operation} at once", body)] * 4)
    assert not isinstance(answers[0], wire.Failure), answers[0]
    assert answers == [answers[0]] * 4
    assert len(ids(daemon)) == len(before) + OPERATIONS[operation]
    # And later.
    assert daemon.call(body, request_id=f"{operation} at once") == answers[0]
    for new in ids(daemon) - before | {"continue"} & ids(daemon):
        daemon.stop_session(new)


def test_another_request_under_an_id_that_is_under_way_is_refused(daemon: Daemon) -> None:
    answers = ask_at_once(daemon, ("mixed", a_start("mixed")), ("mixed", a_start("mixed", starting_balance=5)))
    assert codes_of(answers) == ["request_id_reused", "started"]
    daemon.stop_session("mixed")


def test_two_starts_of_one_session_make_one_and_the_other_is_told_so(daemon: Daemon) -> None:
    answers = ask_at_once(daemon, *[(f"pair {n}", a_start("pair")) for n in range(4)])
    assert [answer.status for answer in answers] == ["running"] * 4
    assert sorted(answer.already_existed for answer in answers) == [False, True, True, True]
    daemon.stop_session("pair")


def test_of_two_starts_with_one_id_and_different_settings_one_is_a_conflict(daemon: Daemon) -> None:
    answers = ask_at_once(daemon, ("rival 1", a_start("rival")), ("rival 2", a_start("rival", starting_balance=1234)))
    assert codes_of(answers) == ["conflict", "started"]
    daemon.stop_session("rival")


def test_two_stops_get_the_same_answer(daemon: Daemon) -> None:
    start_trading(daemon, "stopped-twice", speed=SLOW)
    first, second = ask_at_once(daemon, *[(f"stop {n}", wire.PaperStop("stopped-twice")) for n in range(2)])
    assert first == second
    assert first.status == "stopped"


def test_two_stops_of_a_session_that_was_given_up_get_the_same_answer(daemon: Daemon) -> None:
    given_up(daemon, "hopeless")
    first, second = ask_at_once(daemon, *[(f"end {n}", wire.PaperStop("hopeless")) for n in range(2)])
    assert first == second == daemon.stop_session("hopeless")


def test_a_session_is_stopped_or_deleted_first_and_never_half_of_both(daemon: Daemon) -> None:
    start_trading(daemon, "leaving", speed=SLOW)
    stop, delete = ask_at_once(
        daemon, ("leave 1", wire.PaperStop("leaving")), ("leave 2", wire.PaperDeleteSession("leaving"))
    )
    assert (stop.status, codes_of([delete])) == ("stopped", ["conflict"])
    assert "being stopped" in delete.message
    assert daemon.status("leaving").status == "stopped"


def test_a_stop_that_waits_for_a_damaged_session_is_answered_when_that_is_deleted() -> None:
    with running_daemon(config="stop_seconds = 600\n[restart]\nfirst_seconds = 0.01\n") as patient:
        start_trading(patient, "damaged", speed=SLOW)
        (patient.home / "damage").write_bytes(b"no database" * 1000)
        (patient.home / "damage").rename(patient.layout.session("damaged").journal)
        os.kill(patient.session_pids()["damaged"], signal.SIGKILL)
        eventually("it waits for its journal", lambda: rows_of(patient)["damaged"].status == "restarting")
        with ThreadPoolExecutor(1) as pool:
            stop = pool.submit(patient.call, wire.PaperStop("damaged"), timeout=PATIENCE)

            def is_deleted() -> bool:
                with contextlib.suppress(PaperError):  # while a process tries once more
                    patient.call(wire.PaperDeleteSession("damaged"))
                return "damaged" not in ids(patient)

            eventually("the stop is under way", lambda: rows_of(patient)["damaged"].status == "stopping")
            eventually("it can be deleted", is_deleted)
            with pytest.raises(PaperError) as caught:
                stop.result()
            assert caught.value.code == "session_not_found"


def test_two_deletions_delete_once(daemon: Daemon) -> None:
    ended(daemon, "doomed")
    answers = ask_at_once(daemon, *[(f"delete {n}", wire.PaperDeleteSession("doomed")) for n in range(3)])
    assert codes_of(answers) == ["deleted", "session_not_found", "session_not_found"]
    assert "doomed" not in ids(daemon)


def test_a_start_and_a_deletion_of_one_id_come_one_after_the_other(daemon: Daemon) -> None:
    ended(daemon, "again")
    delete, start = ask_at_once(
        daemon, ("first", wire.PaperDeleteSession("again")), ("then", a_start("again", speed=SLOW))
    )
    assert codes_of([delete, start]) == ["deleted", "started"]
    assert (start.status, start.already_existed) == ("running", False)
    start, delete = ask_at_once(
        daemon, ("first again", a_start("again", speed=SLOW)), ("then again", wire.PaperDeleteSession("again"))
    )
    assert codes_of([start, delete]) == ["conflict", "started"]
    daemon.stop_session("again")


def test_an_update_during_a_stop_is_answered_and_changes_no_end(daemon: Daemon) -> None:
    start_trading(daemon, "changing", speed=SLOW)
    updates = wire.SessionUpdates(leverage=1, notes="last words")
    stop, update = ask_at_once(
        daemon, ("change 1", wire.PaperStop("changing")), ("change 2", wire.PaperUpdateSession("changing", updates))
    )
    assert stop.status == "stopped"
    assert update.updated_fields == ["notes"]
    assert "leverage" in update.refused
    assert daemon.stop_session("changing") == stop


def test_an_archive_is_whole_though_its_session_is_deleted_meanwhile(daemon: Daemon) -> None:
    ended(daemon, "kept")
    trades = daemon.trades("kept")
    archive, delete = ask_at_once(
        daemon, ("keep 1", wire.PaperArchiveSession("kept")), ("keep 2", wire.PaperDeleteSession("kept"))
    )
    assert codes_of([archive, delete]) == ["archived", "deleted"]
    daemon.call(wire.PaperRestoreSession(path=archive.path))
    assert daemon.trades("kept") == trades


def test_of_two_restorations_of_one_session_one_is_a_conflict(daemon: Daemon) -> None:
    ended(daemon, "returning")
    path = daemon.call(wire.PaperArchiveSession("returning")).path
    daemon.call(wire.PaperDeleteSession("returning"))
    answers = ask_at_once(
        daemon,
        *[(f"return {n}", wire.PaperRestoreSession(path=path)) for n in range(3)],
        ("return anew", a_start("returning", starting_balance=77)),
    )
    assert codes_of(answers)[:3] == ["conflict"] * 3
    assert daemon.status("returning").status in ("running", "stopped")
    daemon.stop_session("returning")


def test_two_restarts_of_one_session_get_ids_of_their_own(daemon: Daemon) -> None:
    ended(daemon, "model")
    answers = ask_at_once(daemon, *[(f"again {n}", wire.PaperRestart("model")) for n in range(3)])
    assert not [answer for answer in answers if isinstance(answer, wire.Failure)]
    assert sorted(answer.session_id for answer in answers) == ["model-2", "model-3", "model-4"]


def test_of_two_requests_to_continue_the_second_hears_that_it_runs(daemon: Daemon) -> None:
    given_up(daemon, "resumed")
    answers = ask_at_once(daemon, *[(f"go on {n}", wire.PaperRestart("resumed", mode="continue")) for n in range(2)])
    assert codes_of(answers) == ["conflict", "started"]
    assert "running already" in next(a.message for a in answers if isinstance(a, wire.Failure))
    daemon.stop_session("resumed")


def test_a_limit_of_one_session_lets_one_of_many_in_and_a_failed_start_gives_its_place_back() -> None:
    with running_daemon(config="[limits]\nsessions = 1\n") as narrow:
        with pytest.raises(PaperError, match="FailsToLoad"):
            narrow.call(a_start("wrong", **{"feed": "replay:/nowhere/FailsToLoad.csv"}))
        answers = ask_at_once(narrow, *[(f"start {n}", a_start(f"start-{n}")) for n in range(6)])
        assert codes_of(answers) == ["started", *["too_many_sessions"] * 5]
        (only,) = ids(narrow)
        archive = narrow.call(wire.PaperArchiveSession(only)).path
        narrow.stop_session(only)
        narrow.call(wire.PaperDeleteSession(only))
        # A session that goes on takes a place as well.
        answers = ask_at_once(
            narrow,
            *[(f"next {n}", a_start(f"next-{n}")) for n in range(3)],
            ("back", wire.PaperRestoreSession(archive)),
        )
        assert codes_of(answers) in (
            ["started", *["too_many_sessions"] * 3],
            ["restored", *["too_many_sessions"] * 3],
        )


class MortalDaemon(Daemon):
    """A daemon that dies in the middle of the next change, where it is told to: after the effect, before the answer."""

    program = """
import os
from pathlib import Path
from jesse_paperd.app import main
from jesse_paperd.service.manager import SessionManager
from jesse_paperd.records.registry import Registry

order = Path(os.environ["JESSE_PAPER_HOME"], "order")

def mortal(cls, name):
    undisturbed = getattr(cls, name)
    def method(self, *arguments):
        if order.exists() and order.read_text() == name:
            order.unlink()
            os._exit(9)
        return undisturbed(self, *arguments)
    setattr(cls, name, method)

for cls, name in (SessionManager, "wait_running"), (SessionManager, "stop"), (Registry, "answer"):
    mortal(cls, name)
main()
"""


@pytest.fixture(scope="module")
def mortal() -> Iterator[Daemon]:
    daemon = MortalDaemon(config=CONFIG)
    try:
        yield daemon.start().ready()
    finally:
        daemon.close()


@pytest.mark.parametrize(
    ("operation", "moment"),
    [
        ("paper_start", "wait_running"),
        ("paper_restart new", "wait_running"),
        ("paper_restart continue", "wait_running"),
        ("paper_stop", "stop"),
        ("paper_update_session", "answer"),
        ("paper_delete_session", "answer"),
        ("paper_restore_session", "answer"),
    ],
)
def test_a_request_cut_off_by_the_daemons_death_is_done_once_when_it_is_repeated(
    mortal: Daemon, operation: str, moment: str
) -> None:
    mortal.ready()
    body = prepared(mortal, operation)
    before = ids(mortal)
    (mortal.home / "order").write_text(moment)
    with pytest.raises(PaperError):
        mortal.call(body, request_id=operation, timeout=3)
    assert mortal.process is not None
    assert mortal.process.wait(60) == 9
    mortal.start().ready()
    answers = ask_at_once(mortal, *[(operation, body)] * 3)
    assert not isinstance(answers[0], wire.Failure), answers[0]
    assert answers == [answers[0]] * 3
    assert len(ids(mortal)) == len(before) + OPERATIONS[operation]
    if operation in ("paper_start", "paper_restart new"):
        assert not answers[0].already_existed
    for session_id in mortal.session_pids():
        mortal.stop_session(session_id)
