"""What a strategy prints, on its way into the journal: line by line, bounded in length and rate.

All of it also goes where it went before, the process's log file; the journal gets what its owner can read from afar.
"""

from __future__ import annotations

import io
import logging
import sys
import threading
import time
from typing import TextIO

from jesse_paperd.core.text import storable

LONGEST_LINE = 2_000
#: So many lines at once, and so many a second in the long run; the number of those dropped is told.
BURST = 500
LINES_A_SECOND = 5.0


class Output:
    """Collects the lines that are written to the standard streams, or logged by other programs' loggers."""

    def __init__(self) -> None:
        # A strategy may have threads, and a signal's handler may write amid a write.
        self._lock = threading.RLock()
        self._lines: list[tuple[str, str]] = []
        self._allowed = float(BURST)
        self._looked_at = time.monotonic()
        self._dropped = 0

    def capture(self) -> None:
        """Take a copy of all that is written to `sys.stdout` and `sys.stderr`, and logged, from now on."""
        logging.getLogger().addHandler(_Records(self))
        sys.stdout = _Copy(sys.stdout, self, "stdout")
        sys.stderr = _Copy(sys.stderr, self, "stderr")

    def add(self, level: str, line: str) -> None:
        """Take a line, unless there were too many."""
        with self._lock:
            now = time.monotonic()
            self._allowed = min(BURST, self._allowed + (now - self._looked_at) * LINES_A_SECOND)
            self._looked_at = now
            if self._allowed < 1:
                self._dropped += 1
                return
            self._allowed -= 1
            self._tell_of_dropped()
            self._lines.append((level, storable(line, LONGEST_LINE)))

    def take(self, last: bool = False) -> list[tuple[str, str]]:
        """The lines since the last call, as (level, line); the last time with the number of those dropped."""
        with self._lock:
            if last:
                self._tell_of_dropped()
            lines, self._lines = self._lines, []
            return lines

    def _tell_of_dropped(self) -> None:
        if self._dropped:
            told = f"{self._dropped:,} lines were dropped here: more than {LINES_A_SECOND:g} a second came"
            self._lines.append(("stderr", told))
            self._dropped = 0


class _Copy(io.TextIOBase):
    """A stream that passes everything on and hands whole lines to an `Output`."""

    def __init__(self, stream: TextIO, output: Output, level: str) -> None:
        self._stream = stream
        self._output = output
        self._level = level
        self._rest = ""

    def write(self, text: str) -> int:
        self._stream.write(text)
        *lines, rest = (self._rest + text).split("\n")
        # What never ends its line is cut rather than kept.
        self._rest = rest[-LONGEST_LINE:]
        for line in lines:
            if line.strip():
                self._output.add(self._level, line.rstrip("\r"))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()


class _Records(logging.Handler):
    """Hands on what strategies and libraries log through `logging`; this program's own records stay in its log."""

    def __init__(self, output: Output) -> None:
        super().__init__(logging.INFO)
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.split(".")[0] not in ("session", "jesse_paperd"):
            self._output.add("stderr", self.format(record))
