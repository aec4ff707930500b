"""A wall clock that someone sets: the file CLOCK_SHIFT names holds the seconds by which it is off.

For a test's PYTHONPATH only. The monotonic clock goes on as it does when somebody sets the real one.
"""

import os
import time
from pathlib import Path

_shift = Path(os.environ["CLOCK_SHIFT"])
_time_ns = time.time_ns


def _seconds_off() -> float:
    try:
        return float(_shift.read_text())
    except (OSError, ValueError):  # it is being written just now
        return 0.0


time.time_ns = lambda: _time_ns() + int(_seconds_off() * 1e9)
time.time = lambda: time.time_ns() / 1e9
