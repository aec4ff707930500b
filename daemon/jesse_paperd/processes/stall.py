"""A thread that notices when the daemon's event loop stands still, writes down why, and ends the process.

systemd would notice too (WatchdogSec), and supervisord would not; neither would say what the loop was doing. Time for
which the whole process was stopped does not count: this thread stood still as well then.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import sys
import threading
import time

log = logging.getLogger(__name__)

_TICK_SECONDS = 1.0
#: Exit status of a daemon that ended because its loop stood still.
STALLED = 75


class StallWatch:
    """Watches the loop in which it was made.

    Args:
        told_after, ended_after: seconds of standstill after which the stacks are written, and the process ends.
    """

    def __init__(self, told_after: float = 15.0, ended_after: float = 60.0) -> None:
        self._told_after = told_after
        self._ended_after = ended_after
        self._ticks = 0
        self._loop = asyncio.get_running_loop()
        self._handle = self._loop.call_soon(self._tick)
        self._ended = threading.Event()
        threading.Thread(target=self._watch, name="stall watch", daemon=True).start()

    def close(self) -> None:
        """Watch no more."""
        self._handle.cancel()
        self._ended.set()

    def _tick(self) -> None:
        self._ticks += 1
        self._handle = self._loop.call_later(_TICK_SECONDS / 2, self._tick)

    def _watch(self) -> None:
        stood, seen, told = 0.0, -1, False
        while True:
            before = time.monotonic()
            if self._ended.wait(_TICK_SECONDS):
                return
            took = time.monotonic() - before
            if self._ticks != seen or took > 3 * _TICK_SECONDS:
                stood, seen, told = 0.0, self._ticks, False
                continue
            stood += took
            if stood > self._told_after and not told:
                told = True
                log.critical("the event loop has stood still for %.0f seconds; the stacks follow", stood)
                faulthandler.dump_traceback(sys.stderr, all_threads=True)
            if stood > self._ended_after:
                log.critical("the event loop does not go on: the daemon ends, and is to be started again")
                os._exit(STALLED)
