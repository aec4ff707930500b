"""One process with Jesse in it for all the tests here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parity.worker import Worker


@pytest.fixture(scope="session")
def jesse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """Calls functions in forks of a process that has imported Jesse, away from any Jesse project."""
    worker = Worker(Path(tmp_path_factory.mktemp("jesse")))
    yield worker
    worker.close()
