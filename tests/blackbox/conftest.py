from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.daemon import Daemon, running_daemon


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon on the example project, shared by a module's tests: each uses sessions of its own."""
    with running_daemon() as running:
        yield running
