"""A session's journal: what happened, written by the session alone, one transaction for whole candles.

The tables hold facts only. Times are milliseconds UTC; a sample, an order event or a trade carries the market time
at which it became true (a 1m candle's close), never the wall clock, so that a replay writes the same rows.

`equity` is run-length coded: a row says that every consumed minute whose close lies in [first_at, last_at] had
these values. While a session has no position nothing changes, and months fit in one row.
"""

from __future__ import annotations

import contextlib
import sqlite3
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from jesse_paper.errors import PaperError
from jesse_paperd.core.sqlite import Migration, open_reader, open_writer, transaction
from jesse_paperd.records.record import damaged
from jesse_paperd.records.seals import broken, missing, seal_of, seal_of_run

VERSION = 3
#: Rows of one statement: a long replay writes its equity in two thirds of the time that it takes row by row.
_AT_ONCE = 100
SCHEMA = """
CREATE TABLE progress (           -- one row: how far the session is
    id              INTEGER PRIMARY KEY CHECK (id = 1),
    phase           TEXT    NOT NULL,  -- warming_up, running, ended
    started_at      INTEGER,           -- market time of the first sample: the first traded candle's open
    first_candle    INTEGER,           -- open time of the first traded candle
    last_candle     INTEGER,           -- open time of the last consumed candle: the cursor
    last_close      REAL,              -- the last close of the first route's symbol
    closes          TEXT    NOT NULL DEFAULT '{}', -- JSON: the last close of each traded symbol
    candles         INTEGER NOT NULL,  -- traded candles consumed
    checksum        INTEGER NOT NULL,  -- CRC-32 of their rows in order, warm-up included
    gaps            INTEGER NOT NULL,  -- stretches of missing minutes
    missing         INTEGER NOT NULL,  -- minutes in them
    missed_decisions INTEGER NOT NULL, -- boundaries at which the strategy was not called: their last minute is missing
    warmup          INTEGER NOT NULL,  -- warm-up minutes loaded
    leverage        REAL    NOT NULL,  -- the leverage in force
    orders INTEGER, working INTEGER, trades INTEGER, positions INTEGER, samples INTEGER, balances INTEGER,
    events INTEGER, logs INTEGER,      -- how many there are in this file: none may be missing
    seal            INTEGER            -- of each row of each table: the CRC-32 of all before it (seals.py)
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
    canceled_at  INTEGER,
    seal         INTEGER
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
    order_ids    TEXT NOT NULL,    -- JSON list, in the order of execution
    seal         INTEGER
);
CREATE TABLE positions (           -- open positions
    symbol       TEXT PRIMARY KEY,
    side         TEXT NOT NULL,
    qty          REAL NOT NULL,
    entry_price  REAL NOT NULL,
    leverage     REAL NOT NULL,
    liquidation_price REAL,
    opened_at    INTEGER NOT NULL,
    seal         INTEGER
);
CREATE TABLE equity (              -- runs of equal 1m samples
    first_at     INTEGER PRIMARY KEY,
    last_at      INTEGER NOT NULL,
    samples      INTEGER NOT NULL,
    equity       REAL NOT NULL,
    unrealized_pnl REAL NOT NULL,
    in_position  INTEGER NOT NULL,
    seal         INTEGER
);
CREATE TABLE daily_balance (       -- as Jesse samples it
    at           INTEGER PRIMARY KEY,
    balance      REAL NOT NULL,
    seal         INTEGER
);
CREATE TABLE events (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    at           INTEGER NOT NULL,
    kind         TEXT NOT NULL,    -- gap, leverage, diverged, …
    detail       TEXT NOT NULL,    -- JSON object
    seal         INTEGER
);
CREATE INDEX events_by_kind ON events (kind);
CREATE TABLE logs (                -- what the engine and the strategy logged
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    at           INTEGER NOT NULL,
    level        TEXT NOT NULL,
    message      TEXT NOT NULL,
    seal         INTEGER
);
CREATE TABLE outcome (             -- one row once the session has ended by itself or by a stop
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    ended_at     INTEGER NOT NULL, -- wall clock
    reason       TEXT NOT NULL,    -- stopped, feed_ended, failed
    error        TEXT NOT NULL,    -- a failure's last line
    code         TEXT NOT NULL,    -- a failure's code in the error table
    closed_at_stop INTEGER NOT NULL,
    seal         INTEGER
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
    closes: dict[str, float] = field(default_factory=dict)

    def close_of(self, symbol: str) -> float | None:
        """The last close of a traded symbol; None before its first candle."""
        return self.closes.get(symbol) if self.closes else self.last_close  # earlier versions kept only one


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
_BALANCE, _EVENT, _LOG = ("at", "balance"), ("seq", "at", "kind", "detail"), ("seq", "at", "level", "message")


@dataclass
class Totals:
    """How many rows a journal has of each kind; `samples` are those in the runs of equity."""

    orders: int = 0
    working: int = 0
    trades: int = 0
    positions: int = 0
    samples: int = 0
    balances: int = 0
    events: int = 0
    logs: int = 0


_TOTALS = tuple(each.name for each in fields(Totals))
#: Table → its columns but the seal, in the order in which they are sealed.
_SEALED: dict[str, tuple[str, ...]] = {
    "orders": _ORDER,
    "trades": _TRADE,
    "positions": _POSITION,
    "equity": _RUN,
    "daily_balance": _BALANCE,
    "events": _EVENT,
    "logs": _LOG,
    "outcome": _OUTCOME,
    "progress": (*_PROGRESS, *_TOTALS),
}


def _seal(table: str) -> Callable[..., int]:
    return seal_of_run if table == "equity" else lambda *values: seal_of(values)


def count_and_seal(db: sqlite3.Connection) -> None:
    """Seal every row of a journal as it stands, and count them."""
    totals = _counted(db)
    db.execute(f"UPDATE progress SET {', '.join(f'{name} = ?' for name in _TOTALS)}", tuple(vars(totals).values()))
    for table, columns in _SEALED.items():
        db.create_function("seal_of", len(columns), _seal(table), deterministic=True)
        db.execute(f"UPDATE {table} SET seal = seal_of({', '.join(columns)})")


def _counted(db: sqlite3.Connection) -> Totals:
    def count(query: str) -> int:
        return int(db.execute(query).fetchone()[0] or 0)

    return Totals(
        orders=count("SELECT count(*) FROM orders"),
        working=count("SELECT count(*) FROM orders WHERE status = 'ACTIVE'"),
        trades=count("SELECT count(*) FROM trades"),
        positions=count("SELECT count(*) FROM positions"),
        samples=count("SELECT sum(samples) FROM equity"),
        balances=count("SELECT count(*) FROM daily_balance"),
        events=count("SELECT count(*) FROM events"),
        logs=count("SELECT count(*) FROM logs"),
    )


def _add_seals(db: sqlite3.Connection) -> None:
    db.execute(_ADD_CLOSES)
    for name in _TOTALS:
        db.execute(f"ALTER TABLE progress ADD COLUMN {name} INTEGER")
    for table in _SEALED:
        db.execute(f"ALTER TABLE {table} ADD COLUMN seal INTEGER")
    count_and_seal(db)


_ADD_CLOSES = "ALTER TABLE progress ADD COLUMN closes TEXT NOT NULL DEFAULT '{}'"


def _add_closes(db: sqlite3.Connection) -> None:
    if any(column[1] == "closes" for column in db.execute("PRAGMA table_info(progress)")):
        return
    before = [name for name in _SEALED["progress"] if name != "closes"]
    row = db.execute(f"SELECT {','.join(before)}, seal FROM progress").fetchone()
    db.execute(_ADD_CLOSES)
    if row is not None and seal_of(row[:-1]) == row[-1]:  # a damaged row stays one
        told = dict(zip(before, row[:-1], strict=True)) | {"closes": "{}"}
        db.execute("UPDATE progress SET seal = ?", (seal_of(told[name] for name in _SEALED["progress"]),))


#: Version → what makes the next one of it. `SCHEMA` is always the newest.
MIGRATIONS: dict[int, Migration] = {1: _add_seals, 2: _add_closes}


class Journal:
    """The writing side, held by the session process alone."""

    def __init__(self, path: Path) -> None:
        self._db = open_writer(path, SCHEMA, VERSION, MIGRATIONS)
        self._totals = _counted(self._db)
        self._orders = dict(self._db.execute("SELECT order_id, status = 'ACTIVE' FROM orders").fetchall())
        self._balances = {at for (at,) in self._db.execute("SELECT at FROM daily_balance")}
        last = self._db.execute("SELECT first_at, samples FROM equity ORDER BY first_at DESC LIMIT 1").fetchone()
        self._last_run: tuple[int, int] = last or (0, 0)

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
        totals, run = replace(self._totals), self._last_run
        with transaction(self._db) as db:
            _insert(db, "orders", map(msgspec.structs.astuple, facts.orders))
            _insert(db, "trades", map(msgspec.structs.astuple, facts.trades))
            totals.trades = max([totals.trades, *(trade.n for trade in facts.trades)])
            if facts.positions is not None:
                db.execute("DELETE FROM positions")
                _insert(db, "positions", map(msgspec.structs.astuple, facts.positions))
                totals.positions = len(facts.positions)
            _insert(db, "equity", map(msgspec.structs.astuple, facts.equity))
            for each in facts.equity:
                totals.samples += each.samples - (run[1] if each.first_at == run[0] else 0)
                run = each.first_at, each.samples
            _insert(db, "daily_balance", facts.daily_balance)
            balances = self._balances | {at for at, _ in facts.daily_balance}
            totals.balances = len(balances)
            told = [(at, kind, msgspec.json.encode(detail).decode()) for at, kind, detail in facts.events]
            _insert(db, "events", ((totals.events + n, *event) for n, event in enumerate(told, start=1)))
            totals.events += len(told)
            _insert(db, "logs", ((totals.logs + n, *line) for n, line in enumerate(facts.logs, start=1)))
            totals.logs += len(facts.logs)
            changed = {order.order_id: order.status == "ACTIVE" for order in facts.orders}
            totals.orders += len(changed.keys() - self._orders.keys())
            totals.working += sum(changed.values()) - sum(bool(self._orders.get(name)) for name in changed)
            told_progress = vars(progress) | {"closes": msgspec.json.encode(progress.closes).decode()}
            _insert(db, "progress", [(*told_progress.values(), *vars(totals).values())], id=1)
            if outcome is not None:
                _insert(db, "outcome", [tuple(vars(outcome).values())], id=1)
        self._totals, self._last_run, self._balances = totals, run, balances
        self._orders.update(changed)

    def close(self) -> None:
        # What is in the write-ahead log goes into the file itself: an ended session is one file.
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()


def _insert(db: sqlite3.Connection, table: str, rows: Iterable[tuple[Any, ...]], **fixed: int) -> None:
    """Insert or replace rows, each sealed; `fixed` are further columns, which are the same in all and not sealed."""
    columns, seal = (*fixed, *_SEALED[table], "seal"), _seal(table)
    into = f"INSERT OR REPLACE INTO {table} ({','.join(columns)}) VALUES "
    row = f"({','.join('?' * len(columns))})"
    before = tuple(fixed.values())
    rest = [(*before, *values, seal(*values)) for values in rows] if before else [(*v, seal(*v)) for v in rows]
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
        row = self._one("progress")
        if row is None:
            return None
        told = dict(zip(_PROGRESS, row, strict=False))
        return Progress(**told | {"closes": msgspec.json.decode(told["closes"], type=dict[str, float])})

    def totals(self) -> Totals:
        """How many rows there are to be."""
        row = self._one("progress")
        return Totals(*row[len(_PROGRESS) :]) if row else Totals()

    def outcome(self) -> Outcome | None:
        """How the session ended, or None while it has not."""
        row = self._one("outcome")
        return Outcome(*row) if row else None

    def orders(self) -> list[OrderRow]:
        """All orders, in the order of submission."""
        rows = self._read("orders", "ORDER BY seq")
        _count("orders", self.totals().orders, len(rows))
        return [msgspec.convert(row, OrderRow, strict=False) for row in rows]

    def working_orders(self) -> list[OrderRow]:
        """The orders that are not filled or cancelled yet."""
        # By the rows themselves: seals are of rows, and an index has none.
        rows = self._read("orders", "NOT INDEXED WHERE status = 'ACTIVE' ORDER BY seq")
        _count("working orders", self.totals().working, len(rows))
        return [msgspec.convert(row, OrderRow, strict=False) for row in rows]

    def order(self, order_id: str) -> OrderRow | None:
        """The order with an id, or None where there is none."""
        rows = self._read("orders", "WHERE order_id = ?", order_id)
        return msgspec.convert(rows[0], OrderRow, strict=False) if rows else None

    def last_order(self) -> OrderRow | None:
        """The order that was submitted last."""
        rows = self._read("orders", "ORDER BY seq DESC LIMIT 1")
        return msgspec.convert(rows[0], OrderRow, strict=False) if rows else None

    def trades(self, after: int = 0, limit: int = -1) -> list[TradeRow]:
        """Closed trades with n > `after`, in the order of closing."""
        rows = self._read("trades", "WHERE n > ? ORDER BY n LIMIT ?", after, limit)
        total = self.totals().trades
        _count("trades", _rest(total, after, limit), len(rows))
        return [msgspec.convert(row, TradeRow) for row in rows]

    def trade_count(self) -> int:
        return self.totals().trades

    def positions(self) -> list[PositionRow]:
        """The open positions."""
        rows = self._read("positions", "ORDER BY symbol")
        _count("positions", self.totals().positions, len(rows))
        return [msgspec.convert(row, PositionRow) for row in rows]

    def equity(
        self, since: int = 0, before: int = 2**63 - 1, limit: int = -1
    ) -> list[tuple[int, int, int, float, float, int]]:
        """Runs of equal samples with `since` ≤ `first_at` < `before`, oldest first, as tuples like `EquityRun`."""
        where = "WHERE first_at >= ? AND first_at < ? ORDER BY first_at LIMIT ?"
        return self._read("equity", where, since, before, limit)

    def check_samples(self, read: int) -> None:
        """See that a reader who has read all runs of equity has got all samples.

        Raises:
            PaperError: `damaged`.
        """
        _count("samples of equity", self.totals().samples, read)

    def equity_at(self, at: int) -> tuple[int, int, int, float, float, int] | None:
        """The run with the last sample at or before `at`, or None before the first."""
        rows = self._read("equity", "WHERE first_at <= ? ORDER BY first_at DESC LIMIT 1", at)
        return rows[0] if rows else None

    def daily_balance(self) -> list[tuple[int, float]]:
        rows: list[tuple[int, float]] = self._read("daily_balance", "ORDER BY at")
        _count("daily balances", self.totals().balances, len(rows))
        return rows

    def events(self, after: int = 0, limit: int = -1) -> list[tuple[int, int, str, str]]:
        """Events with seq > `after` as (seq, at, kind, JSON detail)."""
        rows: list[tuple[int, int, str, str]] = self._read("events", "WHERE seq > ? ORDER BY seq LIMIT ?", after, limit)
        _count("events", _rest(self.totals().events, after, limit), len(rows))
        return rows

    def leverage_changes(self) -> list[LeverageChange]:
        """The leverages that were asked for, in their order."""
        rows = self._read("events", "NOT INDEXED WHERE kind = 'leverage_asked' ORDER BY seq")
        asked = [(at, msgspec.json.decode(detail)) for _, at, _, detail in rows]
        return [LeverageChange(at, int(detail["to"]), int(detail["seq"])) for at, detail in asked]

    def last_event(self, kind: str) -> dict[str, Any] | None:
        """The detail of the latest event of a kind, or None when there is none."""
        rows = self._read("events", "NOT INDEXED WHERE kind = ? ORDER BY seq DESC LIMIT 1", kind)
        return msgspec.json.decode(rows[0][3], type=dict[str, Any]) if rows else None

    def event_counts(self) -> dict[str, int]:
        """How many events there are of each kind."""
        return dict(Counter(kind for _, _, kind, _ in self.events()))

    def logs(
        self, after: int | None = None, limit: int = -1, levels: Sequence[str] = ()
    ) -> list[tuple[int, int, str, str]]:
        """Log lines as (seq, at, level, message), oldest first: those after `after`, or else the newest.

        Args:
            levels: only lines of these; none given: of all.
        """
        order = "DESC" if after is None else "ASC"
        chosen = f"AND level IN ({','.join('?' * len(levels))})" if levels else ""
        where = f"WHERE seq > ? {chosen} ORDER BY seq {order} LIMIT ?"
        rows: list[tuple[int, int, str, str]] = self._read("logs", where, after or 0, *levels, limit)
        if not levels:
            _count("log lines", _rest(self.totals().logs, after or 0, limit), len(rows))
        return rows[::-1] if after is None else rows

    def check(self) -> None:
        """Read every row.

        Raises:
            PaperError: `damaged`, naming the first that is not what was written.
            sqlite3.Error: what SQLite itself finds.
        """
        self.check_structure()
        with self.snapshot():
            self.outcome(), self.orders(), self.working_orders(), self.trades(), self.positions()
            self.daily_balance(), self.events(), self.logs()
            self.check_samples(sum(run[2] for run in self.equity()))

    def check_structure(self) -> None:
        """See that the file's pages make sense together: a search in a broken tree may miss rows that a walk finds.

        Raises:
            PaperError: `damaged`.
        """
        found = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise damaged(f"the journal is damaged: {found}")

    def close(self) -> None:
        self._db.close()

    def _read(self, table: str, where: str, *parameters: object) -> list[Any]:
        """Rows of a table without their seals, which are checked.

        Raises:
            PaperError: `damaged`.
        """
        columns, seal = _SEALED[table], _seal(table)
        rows = self._db.execute(f"SELECT {','.join(columns)},seal FROM {table} {where}", parameters).fetchall()
        try:
            for row in rows:
                if seal(*row[:-1]) != row[-1]:
                    raise broken(table, row)
        except (TypeError, OverflowError, struct.error) as error:  # text or nothing where a number should be
            raise broken(table, row) from error
        return [row[:-1] for row in rows]

    def _one(self, table: str) -> tuple[Any, ...] | None:
        rows = self._read(table, "WHERE id = 1")
        return rows[0] if rows else None


def _rest(total: int, after: int, limit: int) -> int:
    """How many rows numbered from 1 to `total` come after `after`, at most `limit` of them (-1: all)."""
    rest = max(0, total - after)
    return rest if limit < 0 else min(limit, rest)


def _count(what: str, expected: int, found: int) -> None:
    if expected != found:
        raise missing(what, expected, found)
