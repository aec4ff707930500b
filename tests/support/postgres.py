"""A real Postgres of a test's own: a cluster in a temporary folder, reached by a Unix socket alone."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extras

from jesse_paperd.core.minutes import Rows
from tests.support.daemon import eventually

READER = "reader"
#: A role that needs its password.
GUARDED = "guarded"
#: The table as Jesse 3.5.3 makes it. Databases of before it knew timeframes have no value there, which the loosened
#: column allows.
TABLE = """
CREATE TABLE candle (
    id uuid NOT NULL PRIMARY KEY,
    timestamp bigint NOT NULL,
    open real NOT NULL,
    close real NOT NULL,
    high real NOT NULL,
    low real NOT NULL,
    volume real NOT NULL,
    exchange varchar(255) NOT NULL,
    symbol varchar(255) NOT NULL,
    timeframe varchar(255)
);
CREATE UNIQUE INDEX candle_exchange_symbol_timeframe_timestamp
    ON candle (exchange, symbol, timeframe, timestamp);
"""


def binaries() -> Path | None:
    """Where Postgres' programs are, or None."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "postgres").exists()), None)


def unable() -> str:
    """Why no cluster can be made here; empty when one can."""
    if binaries() is None:
        return "no initdb and postgres: apt-get install postgresql"
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        return "Postgres does not run as root, and there is no setpriv to run it as nobody"
    return ""


class Postgres:
    """A running cluster with Jesse's table in database `jesse_db`; `reader` may read and do nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def url(self, user: str = READER, database: str = "jesse_db") -> str:
        return f"postgresql://{user}@/{database}?host={self.folder}"

    @property
    def config(self) -> str:
        """The section of the daemon's configuration."""
        return f'[jesse_database]\nurl = "{self.url()}"\n'

    def execute(self, query: str, parameters: Sequence[Any] = (), database: str = "jesse_db") -> list[tuple[Any, ...]]:
        """Run a statement as the owner."""
        with contextlib.closing(psycopg2.connect(self.url("owner", database))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(query, parameters or None)
                return cursor.fetchall() if cursor.description else []

    def add(self, exchange: str, symbol: str, rows: Rows, timeframe: str | None = "1m", schema: str = "public") -> None:
        """Insert candles, given in Jesse's order, as Jesse does."""
        psycopg2.extras.register_uuid()
        values = [(uuid.uuid4(), int(t), *map(float, rest), exchange, symbol, timeframe) for t, *rest in rows.tolist()]
        with contextlib.closing(psycopg2.connect(self.url("owner"))) as connection, connection.cursor() as cursor:
            psycopg2.extras.execute_values(
                cursor,
                f"INSERT INTO {schema}.candle"
                " (id, timestamp, open, close, high, low, volume, exchange, symbol, timeframe) VALUES %s",
                values,
                page_size=5000,
            )
            connection.commit()


@contextlib.contextmanager
def cluster() -> Iterator[Postgres]:
    """Make a cluster, run it, and remove it."""
    programs = binaries()
    assert programs is not None
    folder = Path(tempfile.mkdtemp(prefix="jpg-", dir="/tmp"))
    prefix: list[str] = []
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        prefix = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    data = folder / "data"
    initdb = [*prefix, programs / "initdb", "-D", data, "-U", "owner", "-A", "trust", "-E", "UTF8", "--no-sync"]
    # fsync off: what a crash of the machine would lose is of no use to anyone.
    serve = [*prefix, programs / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
    try:
        subprocess.run(initdb, check=True, cwd=folder, stdout=subprocess.DEVNULL)
        (data / "pg_hba.conf").write_text(f"local all {GUARDED} scram-sha-256\nlocal all all trust\n")
        with (folder / "log").open("wb") as log, subprocess.Popen(serve, cwd=folder, stdout=log, stderr=log) as server:
            try:
                postgres = Postgres(folder)
                _wait_for(postgres, server)
                postgres.execute("CREATE DATABASE jesse_db", database="postgres")
                postgres.execute(TABLE)
                postgres.execute(f"CREATE ROLE {READER} LOGIN; GRANT SELECT ON candle TO {READER}")
                yield postgres
            finally:
                server.terminate()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(postgres: Postgres, server: subprocess.Popen[bytes]) -> None:
    def answers() -> bool:
        assert server.poll() is None, (postgres.folder / "log").read_text()
        with contextlib.suppress(psycopg2.OperationalError):
            postgres.execute("SELECT 1", database="postgres")
            return True
        return False

    eventually("Postgres answers", answers)
