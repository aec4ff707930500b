"""Minutes as they come: in order, each once, missing ones counted or filled, all of them in the checksum."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from jesse_paperd.core.minutes import MINUTE, Rows
from jesse_paperd.records.journal import Facts, Progress

TIME, OPEN, CLOSE, HIGH, LOW, VOLUME = range(6)


class Intake:
    """Takes rows of every market, and hands on those that are complete up to a common minute."""

    def __init__(self, symbols: tuple[str, ...], fill: bool) -> None:
        self._fill = fill
        self._last: dict[str, Rows | None] = dict.fromkeys(symbols)
        self._held: dict[str, Rows] = {symbol: empty() for symbol in symbols}

    def begin(self, warmup: Mapping[str, Rows], start: int | None) -> dict[str, Rows]:
        """Take the warm-up rows: the same order, and the same filling, as for the rows that follow."""
        taken = {}
        for symbol, rows in warmup.items():
            if not len(rows):
                continue
            if start is not None and rows[-1, TIME] >= start:
                raise ValueError(f"warm-up candles of {symbol} reach past the session's start")
            taken[symbol] = self._accept(symbol, rows, Facts())[0]
        return taken

    def take(
        self, rows: Mapping[str, Rows], facts: Facts, progress: Progress, traded: Collection[str]
    ) -> dict[str, Rows]:
        """Take minutes and return those to step now.

        With filling, a minute that one market lacks is known to be missing only when that market's next row is there:
        until then the other markets' rows of that minute are held back.
        """
        for symbol, new in rows.items():
            if len(new):
                accepted, missing = self._accept(symbol, new, facts)
                if symbol in traded:
                    progress.gaps += len(missing)
                    progress.missing += sum(missing)
                self._held[symbol] = np.concatenate((self._held[symbol], accepted))
        if not self._fill or len(self._held) == 1:
            ready, self._held = self._held, {symbol: empty() for symbol in self._held}
            return ready
        known = min(float(row[TIME]) if row is not None else -1.0 for row in self._last.values())
        ready = {}
        for symbol, held in self._held.items():
            count = int(np.searchsorted(held[:, TIME], known, side="right"))
            ready[symbol], self._held[symbol] = held[:count], held[count:]
        return ready

    def rest(self) -> dict[str, Rows]:
        """The rows still held back, when no more will come."""
        rest, self._held = self._held, {symbol: empty() for symbol in self._held}
        return rest

    def _accept(self, symbol: str, rows: Rows, facts: Facts) -> tuple[Rows, list[int]]:
        rows = np.ascontiguousarray(rows, dtype=np.float64)
        times = rows[:, TIME]
        last = self._last[symbol]
        if (last is not None and times[0] <= last[TIME]) or (len(rows) > 1 and (np.diff(times) <= 0).any()):
            raise ValueError(f"candles of {symbol} must be ascending, each minute once")
        self._last[symbol] = rows[-1].copy()
        return fill_gaps(symbol, last, rows, facts) if self._fill else (rows, [])


def fill_gaps(symbol: str, last: Rows | None, rows: Rows, facts: Facts) -> tuple[Rows, list[int]]:
    """Put a flat candle without volume, at the previous close, into every missing minute before each row.

    Returns:
        The rows with those between them, and the lengths of the gaps in minutes; an event tells of each gap.
    """
    before = rows if last is None else np.concatenate((last[None], rows))
    steps = (np.diff(before[:, TIME]) // MINUTE).astype(np.int64)
    if (steps == 1).all():
        return rows, []
    counts = np.concatenate(([1], steps)) if last is None else steps
    filled = np.repeat(rows, counts, axis=0)
    ends = np.cumsum(counts) - 1
    lengths: list[int] = []
    for gap in np.flatnonzero(counts > 1):
        end, length = int(ends[gap]), int(counts[gap]) - 1
        stretch = filled[end - length : end]
        previous = before[gap if last is not None else gap - 1]
        stretch[:, TIME] = previous[TIME] + MINUTE * np.arange(1, length + 1)
        stretch[:, OPEN : LOW + 1] = previous[CLOSE]
        stretch[:, VOLUME] = 0.0
        lengths.append(length)
        facts.events.append((int(rows[gap, TIME]) + MINUTE, "filled", _gap(symbol, stretch)))
    return filled, lengths


def _gap(symbol: str, stretch: Rows) -> dict[str, object]:
    return {"symbol": symbol, "from": int(stretch[0, TIME]), "to": int(stretch[-1, TIME]), "minutes": len(stretch)}


def count_gaps(symbol: str, times: NDArray[np.int64], decision_ms: int, facts: Facts, progress: Progress) -> None:
    """Count the missing minutes between consecutive rows, and the decisions that fell into them.

    Args:
        times: opening times of the traded market's rows, the one before them first.
        decision_ms: length of the traded timeframe. At a boundary whose last minute is missing nobody is called.
    """
    for gap in np.flatnonzero(np.diff(times) > MINUTE):
        before, after = int(times[gap]), int(times[gap + 1])
        minutes = (after - before) // MINUTE - 1
        progress.gaps += 1
        progress.missing += minutes
        progress.missed_decisions += after // decision_ms - (before + MINUTE) // decision_ms
        detail = {"symbol": symbol, "from": before + MINUTE, "to": after - MINUTE, "minutes": minutes}
        facts.events.append((after + MINUTE, "gap", detail))


def checksum(rows: Mapping[str, Rows], so_far: int) -> int:
    """Continue a CRC-32 over the rows' bytes, in the order of time and, within a minute, of symbol."""
    parts = [part for _, part in sorted(rows.items()) if len(part)]
    if not parts:
        return so_far
    if len(parts) == 1:
        return zlib.crc32(np.ascontiguousarray(parts[0]).data, so_far)
    merged = np.concatenate(parts)
    return zlib.crc32(merged[np.argsort(merged[:, TIME], kind="stable")].data, so_far)


def empty() -> Rows:
    return np.empty((0, 6))
