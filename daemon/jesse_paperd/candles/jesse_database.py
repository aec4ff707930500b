"""The `candle` table of a Jesse installation, in Postgres: a further source of one-minute candles. Only ever read.

[jesse_database]
url = "postgresql://jesse_user@localhost:5432/jesse_db"     # as libpq takes it; ~/.pgpass and PGPASSWORD work, too
password_file = "/run/secrets/jesse"                        # or password; or JESSE_PAPER_DATABASE_PASSWORD
env_file = "/home/me/my-jesse-project/.env"                 # instead of both: Jesse's own POSTGRES_… settings

Nothing is read from a project's `.env` unless `env_file` names it: it holds secrets that are none of our business, and
a database that nobody asked for should not be connected to.

Jesse declares prices as REAL, which keeps 6 to 9 significant digits: what comes from here is what Jesse itself reads,
and not always all digits that the exchange gave.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from jesse_paper.errors import PaperError
from jesse_paper.rfc3339 import to_text
from jesse_paperd.candles.files import check_candles
from jesse_paperd.core.input_file import read_input_text
from jesse_paperd.core.minutes import Rows

EXAMPLE = '[jesse_database] with url = "postgresql://jesse_user@localhost/jesse_db", or env_file = "/path/to/.env"'
#: Rows of one round trip. They are all that is held beside the arrays they become.
BATCH = 20_000
CONNECT_SECONDS = 10
STATEMENT_SECONDS = 120
REAL = 700  # Postgres' type of four-byte floats

#: Jesse's own condition: rows of before it knew timeframes have none.
_MINUTES = "exchange = %s AND symbol = %s AND (timeframe = '1m' OR timeframe IS NULL)"
#: A null is refused as a value that is not a number.
_VALUES = ", ".join(f"coalesce({column}, 'NaN')" for column in ("open", "close", "high", "low", "volume"))


class DatabaseSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How Jesse's database is reached."""

    #: A connection string of libpq.
    url: str = ""
    password: str = ""
    password_file: str = ""
    #: A Jesse project's settings: POSTGRES_HOST, _PORT, _NAME, _USERNAME, _PASSWORD, _SCHEMA, _SSLMODE.
    env_file: str = ""
    #: Where the table is; default: POSTGRES_SCHEMA, else `public`.
    schema: str = ""


class StoredMarket(NamedTuple):
    """What the table has of a market: first and last minute, and how many rows."""

    exchange: str
    symbol: str
    first: int
    last: int
    rows: int


class JesseCandles(NamedTuple):
    """Candles of a market in Jesse's order. `single`: the table keeps four-byte floats."""

    rows: Rows
    single: bool


def database_of(values: object, origin: str) -> JesseDatabase | None:
    """The database of a configuration's `jesse_database` section that was read from `origin`; None without one.

    Raises:
        PaperError: `invalid_argument`, naming the key.
    """
    if not values:
        return None
    try:
        settings = msgspec.convert(values, DatabaseSettings)
    except msgspec.ValidationError as error:
        raise PaperError(
            "invalid_argument",
            f"{origin}: jesse_database: {error}",
            f"known keys: {', '.join(DatabaseSettings.__struct_fields__)}",
        ) from error
    if bool(settings.url) == bool(settings.env_file):
        raise PaperError("invalid_argument", f"{origin}: jesse_database needs either url or env_file", EXAMPLE)
    return JesseDatabase(settings)


class JesseDatabase:
    """Reads candles, each time over a connection of its own: between two reads the database may go away."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings

    def markets(self) -> list[StoredMarket]:
        """Every market with one-minute candles. Walks the whole table.

        Raises:
            PaperError: `feed_unavailable` when it cannot be reached, `candles_invalid` when it has no such table.
        """
        with self._reading() as (connection, table), connection.cursor() as cursor:
            cursor.execute(
                f"SELECT exchange, symbol, min(timestamp), max(timestamp), count(*) FROM {table}"
                " WHERE timeframe = '1m' OR timeframe IS NULL GROUP BY exchange, symbol ORDER BY exchange, symbol"
            )
            return [StoredMarket(*row) for row in cursor.fetchall()]

    def read(
        self,
        exchange: str,
        symbol: str,
        since: int = 0,
        upto: int = 2**62,
        settled: bool = False,
        progress: Callable[[int], None] = lambda _: None,
    ) -> JesseCandles:
        """The candles from `since` below `upto`, streamed; maybe none. Where a minute is there twice, `1m` counts.

        Args:
            exchange: Jesse's name of it, as is `symbol`.
            settled: leave out the market's newest minute, which may have been stored before it was over.
            progress: told how many rows there are so far.

        Raises:
            PaperError: `feed_unavailable` when it cannot be reached, `candles_invalid` for a row that is not a
                candle, or a table that is not Jesse's.
        """
        parts: list[Rows] = []
        single, count = False, 0
        with self._reading() as (connection, table), connection.cursor(name="candles") as cursor:
            market = (exchange, symbol)
            end = f"least(%s, (SELECT max(timestamp) FROM {table} WHERE {_MINUTES}))" if settled else "%s"
            cursor.execute(
                f"SELECT timestamp, {_VALUES} FROM {table} WHERE {_MINUTES} AND timestamp >= %s AND timestamp < {end}"
                " ORDER BY timestamp, timeframe NULLS LAST, id",
                (*market, since, upto, *(market if settled else ())),
            )
            while batch := cursor.fetchmany(BATCH):
                single = any(column.type_code == REAL for column in cursor.description)
                parts.append(np.array(batch, dtype=np.float64))
                progress(count := count + len(batch))
        if not parts:
            return JesseCandles(np.empty((0, 6)), single)
        rows = np.concatenate(parts)
        first_of_minute = np.concatenate(([True], np.diff(rows[:, 0]) != 0))
        return JesseCandles(check_candles(rows[first_of_minute], f"{exchange} {symbol} in {self.name}"), single)

    def none_of(self, exchange: str, symbol: str) -> PaperError:
        """The error that says that there are no candles of a market, and what there is instead."""
        markets = self.markets()
        for market in markets:
            if (market.exchange, market.symbol) == (exchange, symbol):
                span = f"from {to_text(market.first)} to {to_text(market.last)}"
                return PaperError(
                    "candles_invalid",
                    f"{self.name} has no candles of {exchange} {symbol} in the stretch that was asked for",
                    f"it has {market.rows:,}, {span}",
                )
        known = {f"{market.exchange} {market.symbol}": market for market in markets}
        same = [name for name, market in known.items() if market.symbol == symbol or market.exchange == exchange]
        near = list(dict.fromkeys([*difflib.get_close_matches(f"{exchange} {symbol}", known, 3), *same, *known]))[:3]
        return PaperError(
            "candles_invalid",
            f"{self.name} has no candles of {exchange} {symbol}",
            f"it has {', '.join(near)}" if near else "it has none at all: import some in Jesse first",
        )

    @property
    def name(self) -> str:
        """The database in words, without a password."""
        given = self._parameters()
        place = given.get("host") or "the local socket"
        return f"Jesse's database {given.get('dbname', '')!r} at {place}:{given.get('port', 5432)}"

    @contextlib.contextmanager
    def _reading(self) -> Iterator[tuple[Any, str]]:
        """A read-only transaction on one snapshot, and the table's name in SQL; what goes wrong is said in words."""
        psycopg2 = _driver()
        from psycopg2 import errors, sql

        given = {"connect_timeout": CONNECT_SECONDS, "application_name": "jesse-paper", **self._parameters()}
        schema = str(given.pop("schema"))
        try:
            connection = psycopg2.connect(**given)
        except psycopg2.Error as error:
            raise PaperError(
                "feed_unavailable",
                f"{self.name} cannot be reached: {_first_line(error)}",
                "start it, or correct jesse_database in the configuration",
            ) from error
        try:
            connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            table = sql.Identifier(schema, "candle").as_string(connection)
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'")
            yield connection, table
        except errors.UndefinedTable as error:
            raise PaperError(
                "candles_invalid",
                f"{self.name} has no table {schema}.candle",
                "it is not Jesse's database, or Jesse was never started on it, or jesse_database.schema is another one",
            ) from error
        except errors.UndefinedColumn as error:
            raise PaperError(
                "candles_invalid",
                f"the table {schema}.candle of {self.name} is not as Jesse's: {_first_line(error)}",
                "start a current Jesse once, which brings its tables up to date",
            ) from error
        except errors.InsufficientPrivilege as error:
            raise PaperError(
                "candles_invalid",
                f"{self.name} does not let {given.get('user', 'this user')} read the table: {_first_line(error)}",
                f"in psql: GRANT USAGE ON SCHEMA {schema} TO …; GRANT SELECT ON {schema}.candle TO …",
            ) from error
        except psycopg2.Error as error:
            raise PaperError(
                "feed_unavailable", f"{self.name} failed while it was read: {_first_line(error)}", "try again"
            ) from error
        finally:
            connection.close()

    def _parameters(self) -> dict[str, Any]:
        """libpq's parameters, and `schema`."""
        settings = self._settings
        given: dict[str, Any]
        if settings.env_file:
            given = _jesse_settings(Path(settings.env_file).expanduser())
        else:
            psycopg2 = _driver()
            try:
                given = psycopg2.extensions.parse_dsn(settings.url)
            except psycopg2.Error as error:
                # What libpq says of it may repeat it, password and all.
                raise PaperError(
                    "invalid_argument", "jesse_database.url is not a connection string", EXAMPLE
                ) from error
            # An unquoted @, / or : ends a password early: the rest of it would be told as the name of a host.
            place = given.get("host", "") + given.get("dbname", "")
            if "@" in place or not re.fullmatch(r"[\d,]*", given.get("port", "")):
                raise PaperError(
                    "invalid_argument",
                    "jesse_database.url is not a connection string: its password ends early",
                    "in a password write %40 for @, %2F for /, %3A for :, %23 for #, %3F for ?; or use password_file",
                )
        if password := _password(settings):
            given["password"] = password
        given["schema"] = settings.schema or given.get("schema") or "public"
        return given


def _driver() -> Any:
    try:
        import psycopg2
        import psycopg2.extensions
    except ModuleNotFoundError as error:
        raise PaperError(
            "engine_unavailable", "Postgres needs psycopg2", "pip install 'jesse-paper[engine]'"
        ) from error
    return psycopg2


def _password(settings: DatabaseSettings) -> str:
    """From the environment, the configuration, or the file it names."""
    if given := os.environ.get("JESSE_PAPER_DATABASE_PASSWORD") or settings.password:
        return given
    if not settings.password_file:
        return ""
    return read_input_text(Path(settings.password_file).expanduser(), "jesse_database.password_file:").strip()


def _jesse_settings(path: Path) -> dict[str, Any]:
    from dotenv import dotenv_values

    values = dotenv_values(stream=io.StringIO(read_input_text(path, "jesse_database.env_file:")))
    if not values.get("POSTGRES_NAME"):
        raise PaperError("invalid_argument", f"jesse_database.env_file: {path} names no database (POSTGRES_NAME)")
    # As Jesse has it: without a word about SSL, none.
    names = {"host": "HOST", "port": "PORT", "dbname": "NAME", "user": "USERNAME", "password": "PASSWORD"}
    given = {name: values.get(f"POSTGRES_{theirs}") for name, theirs in names.items()}
    given |= {"sslmode": values.get("POSTGRES_SSLMODE") or "disable", "schema": values.get("POSTGRES_SCHEMA")}
    return {name: value for name, value in given.items() if value}


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
