"""The store of closed 1m candles of one exchange: written by the feed, added to by imports, read by anyone.

    candles     what the exchange had: the first final version wins and never changes, so a replay is exact
    gaps        what it did not have: absence that is final
    coverage    the stretches of time whose every minute is final: a candle or part of a gap
    revisions   what the exchange said later about a minute that was already final; counted, never used
    listings    ccxt's description of a pair, so that a restarted feed need not ask for the list of markets

Times are open times in milliseconds UTC, on whole minutes. `upto` is the first minute that is not included; `last`
is included. The *frontier* is where coverage ends: every minute below it is final.

Two writers do each other no harm: each transaction looks at what is final and adds to it, and nothing final changes.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jesse_paper.errors import PaperError
from jesse_paperd.core.minutes import MINUTE, Rows
from jesse_paperd.core.sqlite import open_reader, open_writer, transaction

VERSION = 1

SCHEMA = """
CREATE TABLE candles (
    symbol    TEXT    NOT NULL,   -- Jesse's: BTC-USDT
    timestamp INTEGER NOT NULL,
    open      REAL    NOT NULL,
    high      REAL    NOT NULL,
    low       REAL    NOT NULL,
    close     REAL    NOT NULL,
    volume    REAL    NOT NULL,   -- in the base currency
    PRIMARY KEY (symbol, timestamp)
) WITHOUT ROWID;
CREATE TABLE gaps (
    symbol    TEXT    NOT NULL,
    first     INTEGER NOT NULL,
    last      INTEGER NOT NULL,
    reason    TEXT    NOT NULL,   -- no_candle, no_history, malformed, imported (docs/live-candles.md)
    found_at  INTEGER NOT NULL,   -- the exchange's clock
    PRIMARY KEY (symbol, first)
) WITHOUT ROWID;
CREATE TABLE coverage (           -- disjoint, never adjacent
    symbol    TEXT    NOT NULL,
    first     INTEGER NOT NULL,
    upto      INTEGER NOT NULL,
    PRIMARY KEY (symbol, first)
) WITHOUT ROWID;
CREATE TABLE revisions (          -- the latest other version of a final minute
    symbol    TEXT    NOT NULL,
    timestamp INTEGER NOT NULL,
    open      REAL    NOT NULL,
    high      REAL    NOT NULL,
    low       REAL    NOT NULL,
    close     REAL    NOT NULL,
    volume    REAL    NOT NULL,
    versions  INTEGER NOT NULL,   -- how often it changed
    found_at  INTEGER NOT NULL,
    PRIMARY KEY (symbol, timestamp)
) WITHOUT ROWID;
CREATE TABLE listings (
    symbol    TEXT    PRIMARY KEY,
    market    TEXT    NOT NULL,   -- ccxt's market structure, as JSON
    found_at  INTEGER NOT NULL
);
"""


class Candle(NamedTuple):
    """A candle as the exchange gave it."""

    timestamp: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class Gap(NamedTuple):
    """Minutes without a candle, for ever: `first` to `last`, both included."""

    first: int
    last: int
    reason: str


class Adopted(NamedTuple):
    """Outcome of adopting external candles: newly added, already present and equal, or in conflict with final data.

    `contradicted` has the stored and the refused row of each such minute, `in_gaps` the minutes.
    """

    added: int
    known: int
    contradicted: list[tuple[Candle, Candle]]
    in_gaps: list[int]


class Extent(NamedTuple):
    """What there is of a market: first and last candle, how many; minutes in gaps, and those not known in between."""

    first: int
    last: int
    candles: int
    gap_minutes: int
    missing_minutes: int


class CandleStore:
    """The writing side: the feed's, and an import's."""

    def __init__(self, path: Path) -> None:
        """Open or make the store.

        Raises:
            PaperError: `storage_failed` when it cannot be opened.
        """
        with _making(path.parent):
            self._db = open_writer(path, SCHEMA, VERSION)

    def commit(
        self, symbol: str, first: int, upto: int, candles: Sequence[Candle], gaps: Sequence[Gap], now: int
    ) -> None:
        """Make every minute from `first` below `upto` final, in one transaction.

        What was final before stays as it was. `now` is the exchange's time, kept beside gaps.

        Raises:
            ValueError: a minute that was not final is not exactly one candle or in one gap; nothing is written.
        """
        with transaction(self._db) as db:
            for a, b in _missing(db, symbol, first, upto):
                fresh = [candle for candle in candles if a <= candle.timestamp < b]
                absent = [
                    (symbol, max(gap.first, a), min(gap.last, b - MINUTE), gap.reason, now)
                    for gap in gaps
                    if gap.first < b and gap.last >= a
                ]
                pieces = sorted([(c.timestamp, c.timestamp) for c in fresh] + [piece[1:3] for piece in absent])
                edges = [a - MINUTE, *(last for _, last in pieces)]
                if edges[-1] + MINUTE != b or [start for start, _ in pieces] != [end + MINUTE for end in edges[:-1]]:
                    raise ValueError(f"{symbol}: from {a} below {b}, each minute must be one candle or in one gap")
                db.executemany("INSERT INTO candles VALUES (?,?,?,?,?,?,?)", [(symbol, *c) for c in fresh])
                db.executemany("INSERT INTO gaps VALUES (?,?,?,?,?)", absent)
            _cover(db, symbol, first, upto)

    def adopt(self, symbol: str, rows: Rows, now: int, upto: int | None = None, single: bool = False) -> Adopted:
        """Make the minutes of candles from elsewhere final where they are not yet, in one transaction.

        Args:
            rows: in Jesse's order, checked, at least one.
            upto: given when `rows` are all that the exchange had from the first of them below this time: then the
                minutes without one are recorded as gaps.
            single: the rows were kept as four-byte floats and are compared as such.
        """
        times = rows[:, 0].astype(np.int64)
        first, end = int(times[0]), upto or int(times[-1]) + MINUTE
        fresh = np.zeros(len(times), dtype=bool)
        with transaction(self._db) as db:
            stretches = _missing(db, symbol, first, end)
            for a, b in stretches:
                fresh[times.searchsorted(a) : times.searchsorted(b)] = True
            stored = _rows_of(db, symbol, first, end)
            candles = [(symbol, int(t), o, h, low, c, v) for t, o, c, h, low, v in rows[fresh].tolist()]
            db.executemany("INSERT INTO candles VALUES (?,?,?,?,?,?,?)", candles)
            if upto is None:
                breaks = np.flatnonzero(np.diff(times[fresh]) != MINUTE) + 1
                for run in np.split(times[fresh], breaks):
                    if len(run):
                        _cover(db, symbol, int(run[0]), int(run[-1]) + MINUTE)
            else:
                for a, b in stretches:
                    edges = [a - MINUTE, *times[times.searchsorted(a) : times.searchsorted(b)].tolist(), b]
                    absent = [
                        (symbol, before + MINUTE, after - MINUTE, "imported", now)
                        for before, after in pairwise(edges)
                        if after - before > MINUTE
                    ]
                    db.executemany("INSERT INTO gaps VALUES (?,?,?,?,?)", absent)
                _cover(db, symbol, first, end)
        old = rows[~fresh]
        both, theirs, ours = np.intersect1d(old[:, 0], stored[:, 0], assume_unique=True, return_indices=True)
        kind = np.float32 if single else np.float64
        differs = (old[theirs].astype(kind) != stored[ours].astype(kind))[:, 1:].any(axis=1)
        contradicted = [
            (_candle(stored[o]), _candle(old[t])) for t, o in zip(theirs[differs], ours[differs], strict=True)
        ]
        in_gaps = np.setdiff1d(old[:, 0], stored[:, 0]).astype(np.int64).tolist()
        return Adopted(int(fresh.sum()), len(both) - len(contradicted), contradicted, in_gaps)

    def recheck(self, symbol: str, candles: Sequence[Candle], now: int) -> int:
        """Compare candles with the final ones of their minutes and record those that differ.

        Minutes that are not final yet are passed over. A version that was recorded before is not counted again.

        Returns:
            How many minutes were revised.
        """
        revised = 0
        for candle in candles:
            if _missing(self._db, symbol, candle.timestamp, candle.timestamp + MINUTE):
                continue
            key = (symbol, candle.timestamp)
            known = {
                tuple(row)
                for table in ("candles", "revisions")
                for row in self._db.execute(
                    f"SELECT open, high, low, close, volume FROM {table} WHERE symbol = ? AND timestamp = ?", key
                )
            }
            if tuple(candle[1:]) in known:
                continue
            with transaction(self._db) as db:
                db.execute(
                    "INSERT INTO revisions VALUES (?,?,?,?,?,?,?,1,?) ON CONFLICT DO UPDATE SET open = excluded.open,"
                    " high = excluded.high, low = excluded.low, close = excluded.close, volume = excluded.volume,"
                    " versions = versions + 1, found_at = excluded.found_at",
                    (symbol, *candle, now),
                )
            revised += 1
        return revised

    def missing(self, symbol: str, since: int, upto: int) -> list[tuple[int, int]]:
        """The stretches (first, upto) from `since` below `upto` that are not final, oldest first."""
        return _missing(self._db, symbol, since, upto)

    def counts(self, symbol: str) -> tuple[int, int]:
        """Minutes in recorded gaps, and revised minutes."""
        absent = self._db.execute(
            "SELECT total((last - first) / 60000 + 1) FROM gaps WHERE symbol = ?", (symbol,)
        ).fetchone()
        revised = self._db.execute("SELECT count(*) FROM revisions WHERE symbol = ?", (symbol,)).fetchone()
        return int(absent[0]), int(revised[0])

    def listing(self, symbol: str) -> str | None:
        """The kept description of a pair, or None."""
        row = self._db.execute("SELECT market FROM listings WHERE symbol = ?", (symbol,)).fetchone()
        return str(row[0]) if row else None

    def keep_listing(self, symbol: str, market: str, now: int) -> None:
        """Keep the description of a pair."""
        self._db.execute("INSERT OR REPLACE INTO listings VALUES (?,?,?)", (symbol, market, now))

    def close(self) -> None:
        self._db.close()


class CandleReader:
    """The reading side, for anyone. A store that does not exist yet reads as empty."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: sqlite3.Connection | None = None

    @property
    def _db(self) -> sqlite3.Connection | None:
        if self._opened is None and self._path.exists():
            db = open_reader(self._path)
            if db.execute("PRAGMA user_version").fetchone()[0] == 0:  # the feed is making it just now
                db.close()
            else:
                self._opened = db
        return self._opened

    def read(self, symbol: str, after: int, limit: int) -> Rows:
        """The next final candles later than `after`, oldest first: everything up to the frontier, at most `limit`.

        Nothing is skipped over: it ends before the first minute that is not final.

        Returns:
            An (n, 6) array in Jesse's order: timestamp, open, close, high, low, volume.
        """
        first = (after // MINUTE + 1) * MINUTE
        return self._rows(symbol, first, self.frontier(symbol, first) or first, limit)

    def stretch(self, exchange: str, symbol: str, since: int, upto: int) -> Rows:
        """The same as `range`, where there should be candles. `exchange` is the store's, to be named.

        Raises:
            PaperError: `candles_invalid` when there are none, saying what there is.
        """
        rows = self.range(symbol, since, upto)
        if not len(rows):
            raise PaperError(
                "candles_invalid",
                f"the candle store has no candles of {exchange} {symbol} in that stretch",
                f"of {exchange} it has {', '.join(self.symbols()) or 'nothing'}: see jesse-paper candles ls, "
                "jesse-paper candles import",
            )
        return rows

    def range(self, symbol: str, since: int, upto: int) -> Rows:
        """All final candles from `since` below `upto`, as `read` gives them, whether or not minutes are missing."""
        return self._rows(symbol, since, upto, -1)

    def frontier(self, symbol: str, since: int | None = None) -> int | None:
        """The first minute from `since` on that is not final.

        Without `since`: the end of the newest coverage, or None when nothing is final yet.
        """
        if since is None:
            row = self._one("SELECT max(upto) FROM coverage WHERE symbol = ?", symbol)
            return None if row is None or row[0] is None else int(row[0])
        row = self._one("SELECT upto FROM coverage WHERE symbol = ? AND first <= ? AND upto > ?", symbol, since, since)
        return since if row is None else int(row[0])

    def missing(self, symbol: str, since: int, upto: int) -> list[tuple[int, int]]:
        """The stretches (first, upto) from `since` below `upto` that are not final, oldest first."""
        db = self._db
        if db is None:
            return [(since, upto)] if since < upto else []
        return _missing(db, symbol, since, upto)

    def gaps(self, symbol: str, since: int, upto: int) -> list[Gap]:
        """The recorded gaps that touch the stretch from `since` below `upto`, oldest first, uncut."""
        rows = self._all(
            "SELECT first, last, reason FROM gaps WHERE symbol = ? AND last >= ? AND first < ? ORDER BY first",
            symbol, since, upto,
        )  # fmt: skip
        return [Gap(*row) for row in rows]

    def revisions(self, symbol: str) -> list[Candle]:
        """The latest other version of each minute that changed after it was final, oldest first."""
        rows = self._all(
            "SELECT timestamp, open, high, low, close, volume FROM revisions WHERE symbol = ? ORDER BY timestamp",
            symbol,
        )
        return [Candle(*row) for row in rows]

    def extent(self, symbol: str) -> Extent:
        """What there is of a pair that is one of `symbols`."""
        first, last, count = self._all(
            "SELECT min(timestamp), max(timestamp), count(*) FROM candles WHERE symbol = ?", symbol
        )[0]
        ((absent,),) = self._all("SELECT total((last - first) / 60000 + 1) FROM gaps WHERE symbol = ?", symbol)
        ((span,),) = self._all(
            "SELECT max(upto) - min(first) - sum(upto - first) FROM coverage WHERE symbol = ?", symbol
        )
        return Extent(first or 0, last or 0, count, int(absent), (span or 0) // MINUTE)

    def symbols(self) -> list[str]:
        """The pairs of which something is final."""
        return [row[0] for row in self._all("SELECT DISTINCT symbol FROM coverage ORDER BY symbol")]

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _rows(self, symbol: str, first: int, upto: int, limit: int) -> Rows:
        db = self._db
        return np.empty((0, 6)) if db is None else _rows_of(db, symbol, first, upto, limit)

    def _all(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        db = self._db
        return [] if db is None else db.execute(query, parameters).fetchall()

    def _one(self, query: str, *parameters: object) -> tuple[Any, ...] | None:
        rows = self._all(query, *parameters)
        return rows[0] if rows else None


def _candle(row: Rows) -> Candle:
    t, o, c, h, low, v = row.tolist()
    return Candle(int(t), o, h, low, c, v)


def _rows_of(db: sqlite3.Connection, symbol: str, first: int, upto: int, limit: int = -1) -> Rows:
    rows = db.execute(
        "SELECT timestamp, open, close, high, low, volume FROM candles"
        " WHERE symbol = ? AND timestamp >= ? AND timestamp < ? ORDER BY timestamp LIMIT ?",
        (symbol, first, upto, limit),
    ).fetchall()
    return np.array(rows, dtype=np.float64).reshape(-1, 6)


@contextmanager
def _making(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: two processes that make the same store at once would delete each other's."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _missing(db: sqlite3.Connection, symbol: str, since: int, upto: int) -> list[tuple[int, int]]:
    stretches = []
    for first, covered in db.execute(
        "SELECT first, upto FROM coverage WHERE symbol = ? AND upto > ? AND first < ? ORDER BY first",
        (symbol, since, upto),
    ).fetchall():
        if first > since:
            stretches.append((since, first))
        since = covered
    if since < upto:
        stretches.append((since, upto))
    return stretches


def _cover(db: sqlite3.Connection, symbol: str, first: int, upto: int) -> None:
    """Add a stretch to the coverage, joining it with what it overlaps or touches."""
    touching = (symbol, first, upto)
    joined = db.execute(
        "SELECT min(first), max(upto) FROM coverage WHERE symbol = ? AND upto >= ? AND first <= ?", touching
    ).fetchone()
    if joined[0] is not None:
        db.execute("DELETE FROM coverage WHERE symbol = ? AND upto >= ? AND first <= ?", touching)
        first, upto = min(first, joined[0]), max(upto, joined[1])
    db.execute("INSERT INTO coverage VALUES (?,?,?)", (symbol, first, upto))
