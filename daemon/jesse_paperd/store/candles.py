"""Candles of a replay: files parsed once, kept by the digest of their content, read by cursor.

A candle file is CSV, optionally gzipped, with the header `timestamp,open,high,low,close,volume`; timestamps in
milliseconds UTC, whole minutes, ascending; one row a minute; missing minutes are simply absent. Rows in memory are
float64 in Jesse's order: timestamp, open, close, high, low, volume.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import tempfile
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from jesse_paperd.store.layout import Layout
from jesse_paperd.store.spec import SessionSpec
from jesse_paperd.wire.errors import PaperError

MINUTE = 60_000
HEADER = "timestamp,open,high,low,close,volume"
Rows = NDArray[np.float64]


def parse_candles(raw: bytes, name: str) -> Rows:
    """Parse and check a candle file.

    Args:
        raw: the file's content.
        name: the file's name, for messages.

    Returns:
        An (n, 6) array in Jesse's column order, n ≥ 1.

    Raises:
        PaperError: `candles_invalid`, with the number of the first bad line.
    """
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError) as error:
            raise PaperError("candles_invalid", f"{name} is not a whole gzip file: {error}") from error
    first = raw[:200].split(b"\n", 1)[0].strip().decode(errors="replace")
    if first != HEADER:
        raise PaperError("candles_invalid", f"{name}, line 1: the header must be {HEADER!r}, but is {first[:80]!r}")
    try:
        rows = np.loadtxt(io.BytesIO(raw), delimiter=",", skiprows=1, comments=None, ndmin=2, dtype=np.float64)
    except ValueError:
        rows = np.empty((0, 0))
    if rows.shape[0] == 0 or rows.shape[1] != 6 or not _all_good(rows):
        _explain(raw, name)
    return np.ascontiguousarray(rows[:, [0, 1, 4, 2, 3, 5]])


def _all_good(rows: Rows) -> bool:
    time, open_, high, low, close, volume = rows.T
    return bool(
        np.isfinite(rows).all()
        and (time > 0).all()
        and (time % MINUTE == 0).all()
        and (np.diff(time) > 0).all()
        and (low > 0).all()
        and (high >= np.maximum(open_, close)).all()
        and (low <= np.minimum(open_, close)).all()
        and (volume >= 0).all()
    )


def _explain(raw: bytes, name: str) -> None:
    """Raise for the first bad line. Slow and exact; only run when something is known to be wrong."""
    previous = 0.0
    count = 0
    for number, line in enumerate(io.BytesIO(raw), start=1):
        text = line.decode(errors="replace").strip()
        if number == 1 or not text:
            continue
        count += 1
        problem = ""
        try:
            values = [float(value) for value in text.split(",")]
        except ValueError:
            values, problem = [], "has a value that is no number"
        if not problem and len(values) != 6:
            problem = f"has {len(values)} values instead of 6"
        elif not problem:
            time, open_, high, low, close, volume = values
            if not np.isfinite(values).all():
                problem = "has a value that is not finite"
            elif time <= 0 or time % MINUTE:
                problem = "has a timestamp that is no whole minute in milliseconds"
            elif time <= previous:
                problem = "is not later than the line before"
            elif low <= 0:
                problem = "has a price that is not above 0"
            elif high < max(open_, close) or low > min(open_, close):
                problem = "has an open or close outside low and high"
            elif volume < 0:
                problem = "has a negative volume"
            previous = time
        if problem:
            raise PaperError("candles_invalid", f"{name}, line {number} {problem}: {text[:120]!r}")
    assert count == 0, "the quick check refused what the exact one accepts"
    raise PaperError("candles_invalid", f"{name} holds no candles")


def keep_candle_file(layout: Layout, path: Path) -> str:
    """Parse a candle file into the home, unless the same content is there, and return its digest.

    A later edit of the file changes no session: the digest names the content.

    Raises:
        PaperError: `candles_invalid` when it is missing or malformed.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise PaperError(
            "candles_invalid", f"the candle file {path} cannot be read: {error.strerror or error}"
        ) from error
    digest = hashlib.sha256(raw).hexdigest()
    target = layout.candle_file(digest)
    if not target.exists():
        rows = parse_candles(raw, str(path))
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, suffix=".part")
        try:
            with os.fdopen(descriptor, "wb") as file:
                np.save(file, rows)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).rename(target)
        except OSError as error:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise PaperError("storage_failed", f"{target} cannot be written: {error}") from error
    return digest


class Candles(Protocol):
    """Where a session's candles come from. All times are open times in milliseconds."""

    def start(self) -> int | None:
        """The first traded minute, or None while it is not known."""

    def warmup(self) -> dict[str, Rows] | None:
        """The rows before the first traded minute, by symbol, or None while they are not all there."""

    def read(self, after: int, limit: int) -> dict[str, Rows]:
        """The next rows of all symbols later than `after`: at most `limit` minutes of the traded symbol.

        The traded symbol's entry is empty when there is nothing new. All entries cover the same span of time.
        """

    def upto(self, after: int, last: int, limit: int) -> dict[str, Rows]:
        """The same, but no row is later than `last`: to read again what was consumed before."""

    def ended(self, after: int) -> bool:
        """Whether no row later than `after` will ever come."""

    def total(self) -> int | None:
        """Traded minutes there will be in all, or None when that is not known."""


class ReplayedCandles:
    """The candles of a session's candle files."""

    def __init__(self, layout: Layout, spec: SessionSpec) -> None:
        """Open the parsed files.

        Raises:
            PaperError: `storage_failed` when one is gone or damaged, `candles_invalid` when the traded symbol's file
                holds no candle beyond the warm-up.
        """
        self._symbol = spec.symbol
        self._rows = {symbol: _load(layout.candle_file(digest)) for symbol, digest in spec.candle_files.items()}
        # Contiguous copies: searching a strided column would copy it whole each time.
        self._times = {symbol: np.ascontiguousarray(rows[:, 0]) for symbol, rows in self._rows.items()}
        traded = self._times[spec.symbol]
        self._warm = int(traded[0]) + spec.warmup_minutes * MINUTE
        self._last = int(traded[-1])
        if self._last < self._warm:
            raise PaperError(
                "candles_invalid",
                f"the candle file ends {(self._warm - self._last) // MINUTE} minutes before the warm-up does: "
                f"{spec.warmup_candles} candles of {spec.largest_timeframe_minutes} minutes",
                "use a longer file or a smaller warmup_candles",
            )
        self._first = int(traded.searchsorted(self._warm))

    def start(self) -> int:
        return int(self._times[self._symbol][self._first])

    def warmup(self) -> dict[str, Rows]:
        return {symbol: rows[: self._times[symbol].searchsorted(self._warm)] for symbol, rows in self._rows.items()}

    def read(self, after: int, limit: int) -> dict[str, Rows]:
        return self.upto(after, self._last, limit)

    def upto(self, after: int, last: int, limit: int) -> dict[str, Rows]:
        after = max(after, self._warm - 1)
        traded = self._times[self._symbol]
        first = int(traded.searchsorted(after, side="right"))
        end = min(first + limit, int(traded.searchsorted(last, side="right")))
        if end <= first:
            return {symbol: rows[:0] for symbol, rows in self._rows.items()}
        horizon = traded[end - 1]
        return {
            symbol: rows[times.searchsorted(after, side="right") : times.searchsorted(horizon, side="right")]
            for (symbol, rows), times in zip(self._rows.items(), self._times.values(), strict=True)
        }

    def ended(self, after: int) -> bool:
        return after >= self._last

    def total(self) -> int:
        return len(self._times[self._symbol]) - self._first


def _load(path: Path) -> Rows:
    try:
        rows: Rows = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise PaperError(
            "storage_failed", f"the candles {path.name} cannot be read: {error}", "restore the file from a backup"
        ) from error
    return rows
