"""The process that verifies a session: what it may use, how long, and with whom it ends."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paperd.processes.identity import identify
from tests.support.breaking import PACED, children, start_trading, zygote_of
from tests.support.daemon import Daemon, eventually, running_daemon

#: More than a session takes, so that it is a limit that can be seen and does no harm.
MEMORY_MIB = 64_000


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with running_daemon(config=f"[limits]\nmemory_mib = {MEMORY_MIB}\ncpu_seconds = 5000\n") as running:
        running.start_session(session_id="whole", strategy="DayTrader", timeframe="15m")
        running.ended("whole")
        yield running


def verifying(daemon: Daemon) -> list[int]:
    """The processes that verify and have begun: they leave the processors to sessions, which do not."""
    found = []
    for pid in children(zygote_of(daemon)):
        with contextlib.suppress(ProcessLookupError):
            if os.getpriority(os.PRIO_PROCESS, pid) == 10:
                found.append(pid)
    return found


@contextlib.contextmanager
def a_frozen_verification(daemon: Daemon, session_id: str) -> Iterator[tuple[int, Future[wire.Verified]]]:
    """A verification that stands still, and the answer that somebody waits for."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(daemon.call, wire.PaperVerify(session_id=session_id))
        eventually("it is being verified", lambda: verifying(daemon))
        (pid,) = verifying(daemon)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield pid, answer
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def is_gone(pid: int) -> bool:
    return identify(pid) is None


def test_it_has_the_limits_of_a_sessions_process_and_leaves_the_processors_to_those(daemon: Daemon) -> None:
    with a_frozen_verification(daemon, "whole") as (pid, answer):
        limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
        told = {line[:26].strip(): line[26:].split()[:2] for line in limits}
        assert told["Max data size"] == [str(MEMORY_MIB * 2**20)] * 2
        assert told["Max cpu time"] == ["5000", "5005"]
    assert answer.result().equal


def test_no_more_than_two_run_at_once(daemon: Daemon) -> None:
    for session_id in ("one", "two", "three"):
        daemon.start_session(session_id=session_id, strategy="DayTrader", timeframe="15m")
        daemon.ended(session_id)
    most = 0
    with ThreadPoolExecutor(3) as pool:
        answers = [
            pool.submit(daemon.call, wire.PaperVerify(session_id=session_id)) for session_id in ("one", "two", "three")
        ]
        while not all(answer.done() for answer in answers):
            most = max(most, len(verifying(daemon)))
        assert [answer.result().equal for answer in answers] == [True] * 3
    assert most == 2


def test_one_that_is_killed_is_told_of_by_its_signal(daemon: Daemon) -> None:
    with a_frozen_verification(daemon, "whole") as (pid, answer):
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(PaperError, match=r"came to no result, .*signal 9 \(SIGKILL\)"):
            answer.result()


def test_one_that_takes_too_long_is_ended() -> None:
    with running_daemon(config="[limits]\nverify_seconds = 3\n") as daemon:
        daemon.start_session(session_id="long", strategy="DayTrader", timeframe="15m")
        daemon.ended("long")
        with a_frozen_verification(daemon, "long") as (pid, answer):
            with pytest.raises(PaperError, match="longer than 3 seconds") as caught:
                answer.result()
            assert caught.value.code == "timeout"
            assert "limits.verify_seconds" in caught.value.hint
            eventually("it is gone", lambda: is_gone(pid))
        assert not list(daemon.layout.run.glob("verify-*"))


def test_deleting_a_session_ends_its_verification(daemon: Daemon) -> None:
    daemon.start_session(session_id="doomed", strategy="DayTrader", timeframe="15m")
    daemon.ended("doomed")
    with a_frozen_verification(daemon, "doomed") as (pid, answer):
        daemon.call(wire.PaperDeleteSession(session_id="doomed"))
        with pytest.raises(PaperError, match="was deleted while it was being verified") as caught:
            answer.result()
        assert caught.value.code == "session_not_found"
        eventually("it is gone", lambda: is_gone(pid))
    assert not list(daemon.layout.run.glob("verify-*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_its_daemon_and_leaves_nothing(number: signal.Signals) -> None:
    with running_daemon() as daemon:
        daemon.start_session(session_id="long", strategy="DayTrader", timeframe="15m")
        daemon.ended("long")
        with a_frozen_verification(daemon, "long") as (pid, answer):
            assert daemon.process is not None
            daemon.process.send_signal(number)
            eventually("it is gone", lambda: is_gone(pid))
            daemon.process.wait(30)
            daemon.start().ready()
            with contextlib.suppress(PaperError):
                answer.result()
        eventually("nothing is left", lambda: not list(daemon.layout.run.glob("verify-*")))
        assert daemon.call(wire.PaperVerify(session_id="long")).equal


def test_a_session_that_went_on_is_verified_anew(daemon: Daemon) -> None:
    start_trading(daemon, "onward", speed=PACED / 10)
    eventually("it trades", lambda: daemon.status("onward").metrics.total_trades)
    first = daemon.call(wire.PaperVerify(session_id="onward"))
    eventually("it trades on", lambda: daemon.status("onward").metrics.total_trades > first.trades)
    second = daemon.call(wire.PaperVerify(session_id="onward"))
    assert first.equal
    assert second.equal
    assert second.trades > first.trades
    daemon.stop_session("onward")
