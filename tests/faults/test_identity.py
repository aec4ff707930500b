"""I2, I9: never two processes for one session; a process that is not ours is never signalled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jesse_paperd.processes import lease
from jesse_paperd.processes.identity import Identity, identify, send_signal, watch
from jesse_paperd.processes.lease import Lease, LeaseHeld
from jesse_paperd.processes.restart import Backoff

_HOLD = "import sys; from jesse_paperd.processes.lease import Lease; from pathlib import Path; "
_HOLD += "held = Lease(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"

#: Takes the lease, leaves a child that lives on, and dies.
_FORK = """
import os, signal, sys
from pathlib import Path
from jesse_paperd.processes.lease import Lease
held = Lease(Path(sys.argv[1]))
child = os.fork()
if child == 0:
    os.close(1)
    signal.pause()
print(child)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lease"


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A living process that has nothing to do with any session."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the lease."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", _HOLD, str(path)], **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def forge(path: Path, identity: Identity | None) -> None:
    assert identity is not None
    path.write_text(json.dumps(identity._asdict()))


def test_a_second_process_cannot_get_the_lease_and_learns_who_has_it(
    path: Path, holder: subprocess.Popen[bytes]
) -> None:
    with pytest.raises(LeaseHeld, match=f"pid={holder.pid}"):
        Lease(path)
    proven = lease.proven_holder(path)
    assert proven is not None
    assert proven.pid == holder.pid


def test_a_lease_is_free_when_its_holder_was_killed(path: Path, holder: subprocess.Popen[bytes]) -> None:
    holder.kill()
    holder.wait()
    assert lease.proven_holder(path) is None
    with Lease(path):
        assert lease.proven_holder(path) == identify(os.getpid())


def test_a_forged_lease_proves_nothing(path: Path, stranger: subprocess.Popen[bytes]) -> None:
    forge(path, identify(stranger.pid))
    assert lease.holder(path) == identify(stranger.pid)
    assert lease.proven_holder(path) is None


def test_a_copied_lease_proves_nothing(path: Path, holder: subprocess.Popen[bytes]) -> None:
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    assert lease.holder(copy) == identify(holder.pid)
    assert lease.proven_holder(copy) is None


def test_a_process_that_only_reads_a_lease_does_not_hold_it(path: Path) -> None:
    path.touch()
    with path.open() as opened, subprocess.Popen(["sleep", "60"], stdin=opened) as reader:
        forge(path, identify(reader.pid))
        assert lease.proven_holder(path) is None
        reader.kill()


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", "{}", '{"pid": "1", "start_time": 1, "boot_id": "x"}', '{"pid": -1}', "\xff\xfe",
     '{"pid": 1e999, "start_time": 1, "boot_id": ""}', '{"pid": true, "start_time": 1, "boot_id": ""}',
     '{"pid": -1, "start_time": 1, "boot_id": ""}', '{"pid": 99999999999999, "start_time": 1, "boot_id": ""}'],
)  # fmt: skip
def test_a_lease_of_any_content_is_no_proof(path: Path, content: str) -> None:
    path.write_text(content, encoding="latin-1")
    assert lease.proven_holder(path) is None
    assert lease.last_words(path, Identity(1, 1, "")) is None


def test_a_recycled_pid_is_another_process(stranger: subprocess.Popen[bytes]) -> None:
    real = identify(stranger.pid)
    assert real is not None
    for other in (real._replace(start_time=real.start_time + 1), real._replace(boot_id="another boot")):
        assert watch(other) is None
    descriptor = watch(real)
    assert descriptor is not None
    stranger.kill()
    stranger.wait()
    assert not send_signal(descriptor, signal.SIGTERM)
    assert watch(real) is None
    os.close(descriptor)


def test_last_words_are_those_of_the_process_that_left_them(path: Path, stranger: subprocess.Popen[bytes]) -> None:
    with Lease(path) as held:
        held.leave_word("storage_failed", "no space left: " + "é\n" * 10_000)
    me = identify(os.getpid())
    assert me is not None
    code, message = lease.last_words(path, me) or ("", "")
    assert code == "storage_failed"
    assert message.startswith("no space left: é")
    other = identify(stranger.pid)
    assert other is not None
    assert lease.last_words(path, other) is None
    with Lease(path):
        assert lease.last_words(path, me) is None


def test_a_heartbeat_does_not_depend_on_the_wall_clock(path: Path) -> None:
    with Lease(path) as held:
        held.beat()
        silence = lease.silence(path)
        assert silence is not None
        assert silence < 60
        os.utime(path, ns=(0, 0))  # as if its last beat were at the boot
        assert (lease.silence(path) or 0) > silence
    assert lease.silence(path.with_name("none")) is None


def test_a_forked_child_of_the_holder_does_not_hold_the_lease(path: Path) -> None:
    pid = subprocess.run([sys.executable, "-c", _FORK, str(path)], stdout=subprocess.PIPE, check=True).stdout
    child = identify(int(pid))
    assert child is not None
    try:
        with Lease(path):
            pass
    finally:
        os.kill(child.pid, signal.SIGKILL)


def test_waits_double_up_to_a_bound_and_a_long_life_starts_the_count_anew() -> None:
    backoff = Backoff(limit=4, first_seconds=1, longest_seconds=3, settled_seconds=30)
    waits = []
    for death in range(4):
        backoff.start(100.0 * death)
        waits.append(backoff.died(100.0 * death + 1))
    assert waits == [1, 2, 3, 3]
    backoff.start(500.0)
    assert backoff.died(530.0) == 1
    # A try that did not even start a process is no long life.
    assert [backoff.died(1000.0) for _ in range(4)] == [2, 3, 3, None]
