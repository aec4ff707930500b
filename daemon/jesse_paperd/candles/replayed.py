"""Candles of a replay: kept by the digest of their content, read by cursor.

Rows in memory are float64 in Jesse's order: timestamp, open, close, high, low, volume.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import tempfile
import zlib
from pathlib import Path
from typing import Protocol

import numpy as np

from jesse_paper.errors import PaperError
from jesse_paperd.candles.files import parse_candles, read_raw
from jesse_paperd.core.layout import Layout
from jesse_paperd.core.minutes import MINUTE, Rows
from jesse_paperd.records.spec import SessionSpec

_SEAL = b"jesse-paper crc32 "


def keep_candle_file(layout: Layout, path: Path) -> str:
    """Parse a candle file into the home, unless the same content is there, and return its digest.

    A later edit of the file changes no session: the digest names the content.

    Raises:
        PaperError: `candles_invalid` when it is missing or malformed.
    """
    raw = read_raw(path)
    digest = hashlib.sha256(raw).hexdigest()
    if not layout.candle_file(digest).exists():
        _keep(layout, digest, parse_candles(raw, str(path)))
    return digest


def keep_candles(layout: Layout, rows: Rows) -> str:
    """Keep candles that come from no file, as `keep_candle_file` does: nothing else is needed to replay them."""
    digest = hashlib.sha256(np.ascontiguousarray(rows).tobytes()).hexdigest()
    if not layout.candle_file(digest).exists():
        _keep(layout, digest, rows)
    return digest


def _keep(layout: Layout, digest: str, rows: Rows) -> None:
    target = layout.candle_file(digest)
    try:
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, suffix=".part")
        try:
            with os.fdopen(descriptor, "w+b") as file:
                np.save(file, rows)
                file.seek(0)
                file.write(seal_of_file(file.read()))
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).rename(target)
        except OSError:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise
    except OSError as error:
        raise PaperError("storage_failed", f"{target} cannot be written: {error}") from error


class Candles(Protocol):
    """Where a session's candles come from. All times are open times in milliseconds."""

    def start(self) -> int | None:
        """The first traded minute, or None while it is not known."""

    def warmup(self) -> dict[str, Rows] | None:
        """The rows before the first traded minute, by symbol, or None while they are not all there."""

    def read(self, after: int, limit: int) -> dict[str, Rows]:
        """The next rows of all symbols later than `after`: at most `limit` minutes in which a traded symbol has one.

        All entries cover the same span of time; nothing at all when no traded symbol has anything new.
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
            PaperError: `storage_failed` when one is gone or damaged, `candles_invalid` when a traded symbol's file
                holds no candle beyond the warm-up.
        """
        self._rows = {symbol: _load(layout.candle_file(digest)) for symbol, digest in spec.candle_files.items()}
        # Contiguous copies: searching a strided column would copy it whole each time.
        self._times = {symbol: np.ascontiguousarray(rows[:, 0]) for symbol, rows in self._rows.items()}
        traded = [self._times[symbol] for symbol in spec.traded]
        self._warm = max(int(times[0]) for times in traded) + spec.warmup_minutes * MINUTE
        for symbol, times in zip(spec.traded, traded, strict=True):
            if (lacks := (self._warm - int(times[-1])) // MINUTE) > 0:
                whose = f" of {symbol}" if len(traded) > 1 else ""
                raise PaperError(
                    "candles_invalid",
                    f"the candle file{whose} ends {lacks} minutes before the warm-up does: "
                    f"{spec.warmup_candles} candles of {spec.largest_timeframe_minutes} minutes",
                    "use a longer file or a smaller warmup_candles",
                )
        minutes = traded[0] if len(traded) == 1 else np.unique(np.concatenate(traded))
        #: The minutes in which a traded symbol has a candle.
        self._minutes = minutes[minutes.searchsorted(self._warm) :]

    def start(self) -> int:
        return int(self._minutes[0])

    def warmup(self) -> dict[str, Rows]:
        return {symbol: rows[: self._times[symbol].searchsorted(self._warm)] for symbol, rows in self._rows.items()}

    def read(self, after: int, limit: int) -> dict[str, Rows]:
        return self.upto(after, int(self._minutes[-1]), limit)

    def upto(self, after: int, last: int, limit: int) -> dict[str, Rows]:
        after = max(after, self._warm - 1)
        first = int(self._minutes.searchsorted(after, side="right"))
        end = min(first + limit, int(self._minutes.searchsorted(last, side="right")))
        if end <= first:
            return {}
        horizon = self._minutes[end - 1]
        return {
            symbol: rows[times.searchsorted(after, side="right") : times.searchsorted(horizon, side="right")]
            for (symbol, rows), times in zip(self._rows.items(), self._times.values(), strict=True)
        }

    def ended(self, after: int) -> bool:
        return bool(after >= self._minutes[-1])

    def total(self) -> int:
        return len(self._minutes)


def seal_of_file(content: bytes) -> bytes:
    """What stands at the end of a kept file: a mark, and the CRC-32 of all before it. NumPy reads past neither."""
    return _SEAL + zlib.crc32(content).to_bytes(4)


def check_candle_file(path: Path) -> None:
    """See that a kept file is what was written; those of earlier versions have no seal.

    Raises:
        PaperError: `damaged`; `storage_failed` where it cannot be read.
    """
    try:
        _check_seal(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _check_seal(path: Path) -> None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        end = len(content) - len(_SEAL) - 4
        if end < 0 or content[end : end + len(_SEAL)] != _SEAL:
            return
        with memoryview(content) as view, view[:end] as body:
            found = zlib.crc32(body)
        if content[-4:] != found.to_bytes(4):
            raise PaperError(
                "damaged",
                f"the candles {path.name} are damaged: their checksum is another",
                "restore the file from a backup; a start with the same candle file makes it anew once this one is gone",
            )


def _load(path: Path) -> Rows:
    try:
        _check_seal(path)
        rows: Rows = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    return rows


def _unreadable(path: Path, error: Exception) -> PaperError:
    return PaperError(
        "storage_failed", f"the candles {path.name} cannot be read: {error}", "restore the file from a backup"
    )
