"""Leases come and go, and leave nothing behind in the process that held them."""

from __future__ import annotations

import os
from pathlib import Path
from weakref import ref

from jesse_paperd.processes.lease import Lease


def test_a_released_lease_is_forgotten(tmp_path: Path) -> None:
    lease = Lease(tmp_path / "lease")
    lease.release()
    forgotten = ref(lease)
    del lease
    assert forgotten() is None


def test_a_fork_holds_none_of_its_parents_leases(tmp_path: Path) -> None:
    leases = [Lease(tmp_path / str(n)) for n in range(3)]
    pid = os.fork()
    if pid == 0:
        os._exit(sum(lease._fd >= 0 for lease in leases))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert all(lease._fd >= 0 for lease in leases)
    for lease in leases:
        lease.release()
