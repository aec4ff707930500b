"""The worked example of every operation: a real daemon answers it as the example says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from jesse_paper import protocol as wire
from tests.support.daemon import ROOT, Daemon, running_daemon
from tests.support.walkthrough import walk

#: What is another each time: clocks, processes, versions, sizes, pictures; and how far a session is after its start.
ANOTHER_EACH_TIME = {
    "png", "html", "pid", "version", "jesse_version", "started_at", "stopped_at", "duration_hours", "disk_used_mb",
    "disk_free_mb", "used_mb", "free_mb", "freed_mb", "candles_mb", "archives_mb", "size_mb", "notes", "kept",
}  # fmt: skip


@pytest.fixture(scope="module")
def fresh() -> Iterator[Daemon]:
    with running_daemon() as daemon:
        yield daemon.ready()


def differences(said: Any, found: Any, where: str) -> list[str]:
    """Where an answer is not what its example says: other fields, types or values."""
    if isinstance(said, dict) and isinstance(found, dict):
        if said.keys() != found.keys():
            return [f"{where}: fields {sorted(said.keys() ^ found.keys())}"]
        return [each for name in said if name not in ANOTHER_EACH_TIME
                for each in differences(said[name], found[name], f"{where}.{name}")]  # fmt: skip
    if isinstance(said, list) and isinstance(found, list):
        if len(said) != len(found):
            return [f"{where}: {len(found)} entries, not {len(said)}"]
        return [
            each for n, pair in enumerate(zip(said, found, strict=True)) for each in differences(*pair, f"{where}[{n}]")
        ]
    same = found == pytest.approx(said, rel=1e-12) if isinstance(said, float) else found == said
    return [] if same else [f"{where}: {found!r}, not {said!r}"]


def test_every_operation_is_answered_as_its_example_says(fresh: Daemon) -> None:
    wrong = []
    asked = set()
    for declared, answer in walk(fresh):
        asked.add(declared.operation)
        said, found = msgspec.to_builtins(declared.reply), msgspec.to_builtins(answer)
        if declared.operation in (wire.PaperStart, wire.PaperRestart, wire.PaperRepairSession):
            said["status"] = found["status"] = "as fast as it may be"
            said["hint"] = found["hint"] = ""
        wrong += differences(said, found, wire.name_of(declared.operation))
    assert wrong == []
    assert asked == {known.operation for known in wire.OPERATIONS.values()}


def test_the_page_of_the_wire_is_made_of_the_examples() -> None:
    page = subprocess.run(
        [sys.executable, ROOT / "scripts" / "wire_reference.py"], capture_output=True, text=True, check=True
    )
    assert page.stdout == (ROOT / "docs" / "wire.md").read_text(), "make it anew: scripts/wire-reference > docs/wire.md"
