"""A session's journal: what happened, written by the session alone, one transaction for whole candles.

The tables hold facts only. Times are milliseconds UTC; a sample, an order event or a trade carries the market time
at which it became true (a 1m candle's close), never the wall clock, so that a replay writes the same rows.

`equity` is run-length coded: a row says that every consumed minute whose close lies in [first_at, last_at] had
these values. While a session has no position nothing changes, and months fit in one row.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from jesse_paper.errors import PaperError
from jesse_paperd.core.sqlite import open_reader, open_writer, transaction

VERSION = 1
#: Rows of one statement: a long replay writes its equity in two thirds of the time that it takes row by row.
_AT_ONCE = 100
#: Version → the SQL that makes the next one of it. `SCHEMA` is always the newest.
MIGRATIONS: dict[int, str] = {}

SCHEMA = """
CREATE TABLE progress (           -- one row: how far the session is
    id              INTEGER PRIMARY KEY CHECK (id = 1),
    phase           TEXT    NOT NULL,  -- warming_up, running, ended
    started_at      INTEGER,           -- market time of the first sample: the first traded candle's open
    first_candle    INTEGER,           -- open time of the first traded candle
    last_candle     INTEGER,           -- open time of the last consumed candle: the cursor
    last_close      REAL,              -- its close price
    candles         INTEGER NOT NULL,  -- traded candles consumed
    checksum        INTEGER NOT NULL,  -- CRC-32 of their rows in order, warm-up included
    gaps            INTEGER NOT NULL,  -- stretches of missing minutes
    missing         INTEGER NOT NULL,  -- minutes in them
    missed_decisions INTEGER NOT NULL, -- boundaries at which the strategy was not called: their last minute is missing
    warmup          INTEGER NOT NULL,  -- warm-up minutes loaded
    leverage        REAL    NOT NULL   -- the leverage in force
);
CREATE TABLE orders (
    order_id     TEXT PRIMARY KEY, -- o000001, in the order of submission
    seq          INTEGER NOT NULL UNIQUE,
    trade_id     TEXT,             -- the trade it belongs to, once it executed
    symbol       TEXT NOT NULL,
    side         TEXT NOT NULL,    -- buy, sell
    type         TEXT NOT NULL,    -- MARKET, LIMIT, STOP
    role         TEXT NOT NULL,    -- stop-loss, take-profit, or empty
    reduce_only  INTEGER NOT NULL,
    qty          REAL NOT NULL,    -- signed as Jesse has it: negative sells
    filled_qty   REAL NOT NULL,
    price        REAL,
    fee          REAL,
    status       TEXT NOT NULL,    -- ACTIVE, EXECUTED, CANCELED
    created_at   INTEGER NOT NULL,
    executed_at  INTEGER,
    canceled_at  INTEGER
);
CREATE INDEX orders_by_status ON orders (status, seq);
CREATE TABLE trades (              -- closed trades
    n            INTEGER PRIMARY KEY,
    trade_id     TEXT NOT NULL UNIQUE, -- t001, in the order of closing
    symbol       TEXT NOT NULL,
    side         TEXT NOT NULL,    -- long, short
    entry_price  REAL NOT NULL,
    exit_price   REAL NOT NULL,
    qty          REAL NOT NULL,
    fee          REAL NOT NULL,
    pnl          REAL NOT NULL,    -- net of fees
    pnl_pct      REAL NOT NULL,    -- of the margin committed, as a fraction
    leverage     REAL NOT NULL,
    entry_at     INTEGER NOT NULL,
    exit_at      INTEGER NOT NULL,
    exit_reason  TEXT NOT NULL,    -- stop_loss, take_profit, liquidation, strategy, session_stop
    lowest       REAL NOT NULL,    -- lowest and highest price while it was open
    highest      REAL NOT NULL,
    order_ids    TEXT NOT NULL     -- JSON list, in the order of execution
);
CREATE TABLE positions (           -- open positions
    symbol       TEXT PRIMARY KEY,
    side         TEXT NOT NULL,
    qty          REAL NOT NULL,
    entry_price  REAL NOT NULL,
    leverage     REAL NOT NULL,
    liquidation_price REAL,
    opened_at    INTEGER NOT NULL
);
CREATE TABLE equity (              -- runs of equal 1m samples
    first_at     INTEGER PRIMARY KEY,
    last_at      INTEGER NOT NULL,
    samples      INTEGER NOT NULL,
    equity       REAL NOT NULL,
    unrealized_pnl REAL NOT NULL,
    in_position  INTEGER NOT NULL
);
CREATE TABLE daily_balance (       -- as Jesse samples it
    at           INTEGER PRIMARY KEY,
    balance      REAL NOT NULL
);
CREATE TABLE events (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    at           INTEGER NOT NULL,
    kind         TEXT NOT NULL,    -- gap, leverage, diverged, …
    detail       TEXT NOT NULL     -- JSON object
);
CREATE INDEX events_by_kind ON events (kind);
CREATE TABLE logs (                -- what the engine and the strategy logged
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    at           INTEGER NOT NULL,
    level        TEXT NOT NULL,
    message      TEXT NOT NULL
);
CREATE TABLE outcome (             -- one row once the session has ended by itself or by a stop
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    ended_at     INTEGER NOT NULL, -- wall clock
    reason       TEXT NOT NULL,    -- stopped, feed_ended, failed
    error        TEXT NOT NULL,    -- a failure's last line
    code         TEXT NOT NULL,    -- a failure's code in the error table
    closed_at_stop INTEGER NOT NULL
);
"""


@dataclass
class Progress:
    """The row of `progress`."""

    phase: str = "warming_up"
    started_at: int | None = None
    first_candle: int | None = None
    last_candle: int | None = None
    last_close: float | None = None
    candles: int = 0
    checksum: int = 0
    gaps: int = 0
    missing: int = 0
    missed_decisions: int = 0
    warmup: int = 0
    leverage: float = 1.0


class OrderRow(msgspec.Struct, frozen=True, array_like=True):
    """A row of `orders`."""

    order_id: str
    seq: int
    trade_id: str | None
    symbol: str
    side: str
    type: str
    role: str
    reduce_only: bool
    qty: float
    filled_qty: float
    price: float | None
    fee: float | None
    status: str
    created_at: int
    executed_at: int | None
    canceled_at: int | None


class TradeRow(msgspec.Struct, frozen=True, array_like=True):
    """A row of `trades`."""

    n: int
    trade_id: str
    symbol: str
    side: str
    entry_price: float
    exit_price: float
    qty: float
    fee: float
    pnl: float
    pnl_pct: float
    leverage: float
    entry_at: int
    exit_at: int
    exit_reason: str
    lowest: float
    highest: float
    order_ids: str


class PositionRow(msgspec.Struct, frozen=True, array_like=True):
    """A row of `positions`."""

    symbol: str
    side: str
    qty: float
    entry_price: float
    leverage: float
    liquidation_price: float | None
    opened_at: int


class EquityRun(msgspec.Struct, frozen=True, array_like=True):
    """A row of `equity`."""

    first_at: int
    last_at: int
    samples: int
    equity: float
    unrealized_pnl: float
    in_position: bool


@dataclass
class Facts:
    """What a stretch of candles caused: the rows of one transaction.

    `orders` holds an order's latest state; the same order may come again in later facts. `positions` is the whole
    set of open positions, or None when it did not change. `equity` continues the journal's last run where it can:
    a first run with an existing `first_at` replaces it.
    """

    orders: list[OrderRow] = field(default_factory=list)
    trades: list[TradeRow] = field(default_factory=list)
    positions: list[PositionRow] | None = None
    equity: list[EquityRun] = field(default_factory=list)
    daily_balance: list[tuple[int, float]] = field(default_factory=list)
    events: list[tuple[int, str, dict[str, object]]] = field(default_factory=list)
    logs: list[tuple[int, str, str]] = field(default_factory=list)


class LeverageChange(NamedTuple):
    """A leverage that was asked for; the engine decides when it applies.

    Attributes:
        at: market time in milliseconds: it was asked for behind the candles that close by then, before all others.
        seq: of the intent in the registry.
    """

    at: int
    leverage: int
    seq: int


@dataclass(frozen=True)
class Outcome:
    """How a session ended: the row of `outcome`. `ended_at` is wall-clock milliseconds."""

    ended_at: int
    reason: str
    error: str = ""
    code: str = ""
    closed_at_stop: int = 0


# The columns of a table are the fields of its row.
_ORDER, _TRADE, _POSITION, _RUN = (row.__struct_fields__ for row in (OrderRow, TradeRow, PositionRow, EquityRun))
_PROGRESS, _OUTCOME = (tuple(each.name for each in fields(row)) for row in (Progress, Outcome))


def _select(columns: Sequence[str], table: str) -> str:
    return f"SELECT {','.join(columns)} FROM {table}"


class Journal:
    """The writing side, held by the session process alone."""

    def __init__(self, path: Path) -> None:
        self._db = open_writer(path, SCHEMA, VERSION, MIGRATIONS)

    def commit(self, facts: Facts, progress: Progress, outcome: Outcome | None = None) -> None:
        """Write what a stretch of whole candles caused, and how far that is, in one transaction.

        Raises:
            PaperError: `storage_failed` when it cannot be written; then none of it is.
        """
        try:
            self._commit(facts, progress, outcome)
        except sqlite3.Error as error:
            raise PaperError("storage_failed", f"the journal cannot be written: {error}") from error

    def _commit(self, facts: Facts, progress: Progress, outcome: Outcome | None) -> None:
        with transaction(self._db) as db:
            _insert(db, "orders", _ORDER, map(msgspec.structs.astuple, facts.orders))
            _insert(db, "trades", _TRADE, map(msgspec.structs.astuple, facts.trades))
            if facts.positions is not None:
                db.execute("DELETE FROM positions")
                _insert(db, "positions", _POSITION, map(msgspec.structs.astuple, facts.positions))
            _insert(db, "equity", _RUN, map(msgspec.structs.astuple, facts.equity))
            _insert(db, "daily_balance", ("at", "balance"), facts.daily_balance)
            for at, kind, detail in facts.events:
                db.execute(
                    "INSERT INTO events (at, kind, detail) VALUES (?, ?, ?)",
                    (at, kind, msgspec.json.encode(detail).decode()),
                )
            db.executemany("INSERT INTO logs (at, level, message) VALUES (?, ?, ?)", facts.logs)
            _insert(db, "progress", ("id", *_PROGRESS), [(1, *vars(progress).values())])
            if outcome is not None:
                _insert(db, "outcome", ("id", *_OUTCOME), [(1, *vars(outcome).values())])

    def close(self) -> None:
        # What is in the write-ahead log goes into the file itself: an ended session is one file.
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()


def _insert(db: sqlite3.Connection, table: str, columns: Sequence[str], rows: Iterable[tuple[object, ...]]) -> None:
    into = f"INSERT OR REPLACE INTO {table} ({','.join(columns)}) VALUES "
    row = f"({','.join('?' * len(columns))})"
    rest = list(rows)
    whole = len(rest) - len(rest) % _AT_ONCE
    if whole:
        together = (list(chain.from_iterable(rest[n : n + _AT_ONCE])) for n in range(0, whole, _AT_ONCE))
        db.executemany(into + ",".join([row] * _AT_ONCE), together)
    db.executemany(into + row, rest[whole:])


class JournalReader:
    """The reading side, for anyone; every method is one consistent read."""

    def __init__(self, path: Path) -> None:
        self._db = open_reader(path, VERSION)

    @classmethod
    def of_nothing(cls) -> JournalReader:
        """The journal of a session that has not begun: everything can be asked, nothing is there."""
        reader = cls.__new__(cls)
        reader._db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        reader._db.executescript(SCHEMA)
        return reader

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """Several reads of one moment: what the session commits meanwhile is not seen. Inside another, that one's."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            if self._db.in_transaction:
                self._db.execute("COMMIT")

    def progress(self) -> Progress | None:
        """How far the session is, or None before its first commit."""
        row = self._db.execute(_select(_PROGRESS, "progress")).fetchone()
        return Progress(*row) if row else None

    def outcome(self) -> Outcome | None:
        """How the session ended, or None while it has not."""
        row = self._db.execute(_select(_OUTCOME, "outcome")).fetchone()
        return Outcome(*row) if row else None

    def orders(self, where: str = "1", parameters: tuple[object, ...] = ()) -> list[OrderRow]:
        """Orders in the order of submission; `where` is an SQL condition of this program's own."""
        rows = self._db.execute(f"{_select(_ORDER, 'orders')} WHERE {where} ORDER BY seq", parameters)
        return [msgspec.convert(row, OrderRow, strict=False) for row in rows]

    def trades(self, after: int = 0, limit: int = -1) -> list[TradeRow]:
        """Closed trades with n > `after`, in the order of closing."""
        rows = self._db.execute(f"{_select(_TRADE, 'trades')} WHERE n > ? ORDER BY n LIMIT ?", (after, limit))
        return [msgspec.convert(row, TradeRow) for row in rows]

    def trade_count(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM trades").fetchone()[0])

    def positions(self) -> list[PositionRow]:
        """The open positions."""
        return [msgspec.convert(row, PositionRow) for row in self._db.execute(_select(_POSITION, "positions"))]

    def equity(
        self, since: int = 0, before: int = 2**63 - 1, limit: int = -1
    ) -> list[tuple[int, int, int, float, float, int]]:
        """Runs of equal samples with `since` ≤ `first_at` < `before`, oldest first, as tuples like `EquityRun`."""
        query = f"{_select(_RUN, 'equity')} WHERE first_at >= ? AND first_at < ? ORDER BY first_at LIMIT ?"
        return self._db.execute(query, (since, before, limit)).fetchall()

    def equity_at(self, at: int) -> tuple[int, int, int, float, float, int] | None:
        """The run with the last sample at or before `at`, or None before the first."""
        query = f"{_select(_RUN, 'equity')} WHERE first_at <= ? ORDER BY first_at DESC LIMIT 1"
        rows = self._db.execute(query, (at,))
        found: tuple[int, int, int, float, float, int] | None = rows.fetchone()
        return found

    def daily_balance(self) -> list[tuple[int, float]]:
        return self._db.execute("SELECT at, balance FROM daily_balance ORDER BY at").fetchall()

    def events(self, after: int = 0, limit: int = -1) -> list[tuple[int, int, str, str]]:
        """Events with seq > `after` as (seq, at, kind, JSON detail)."""
        query = "SELECT seq, at, kind, detail FROM events WHERE seq > ? ORDER BY seq LIMIT ?"
        return self._db.execute(query, (after, limit)).fetchall()

    def leverage_changes(self) -> list[LeverageChange]:
        """The leverages that were asked for, in their order."""
        rows = self._db.execute("SELECT at, detail FROM events WHERE kind = 'leverage_asked' ORDER BY seq")
        asked = [(at, msgspec.json.decode(detail)) for at, detail in rows]
        return [LeverageChange(at, int(detail["to"]), int(detail["seq"])) for at, detail in asked]

    def last_event(self, kind: str) -> dict[str, Any] | None:
        """The detail of the latest event of a kind, or None when there is none."""
        row = self._db.execute("SELECT detail FROM events WHERE kind = ? ORDER BY seq DESC LIMIT 1", (kind,)).fetchone()
        return msgspec.json.decode(row[0], type=dict[str, Any]) if row else None

    def event_counts(self) -> dict[str, int]:
        """How many events there are of each kind."""
        return dict(self._db.execute("SELECT kind, count(*) FROM events GROUP BY kind").fetchall())

    def logs(
        self, after: int | None = None, limit: int = -1, levels: Sequence[str] = ()
    ) -> list[tuple[int, int, str, str]]:
        """Log lines as (seq, at, level, message), oldest first: those after `after`, or else the newest.

        Args:
            levels: only lines of these; none given: of all.
        """
        order = "DESC" if after is None else "ASC"
        chosen = f"AND level IN ({','.join('?' * len(levels))})" if levels else ""
        rows = self._db.execute(
            f"SELECT seq, at, level, message FROM logs WHERE seq > ? {chosen} ORDER BY seq {order} LIMIT ?",
            (after or 0, *levels, limit),
        ).fetchall()
        return rows[::-1] if after is None else rows

    def close(self) -> None:
        self._db.close()
