from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.daemon import Daemon, running_daemon
from tests.support.node import environment_with_clients


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon on the example project, shared by a module's tests: each uses sessions of its own."""
    with running_daemon() as running:
        yield running


@pytest.fixture(scope="session")
def node() -> dict[str, str]:
    """An environment with Node and MCP clients of others."""
    return environment_with_clients()
