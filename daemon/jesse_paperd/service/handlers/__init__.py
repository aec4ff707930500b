"""The handlers of all operations: what changes something runs on the event loop, what only reads in worker threads.

Importing this package registers them, and fails where an operation has none.
"""

from __future__ import annotations

from jesse_paperd.service.handlers import (  # noqa: F401 - each registers what it handles
    changing,
    daemon,
    results,
    starting,
    status,
    storage,
    strategies,
    verification,
)
from jesse_paperd.service.handlers.handler import check_all_are_handled

check_all_are_handled()
