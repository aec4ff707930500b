"""The candle store without a daemon: what `jesse-paper candles` runs. A daemon and its feed may run meanwhile."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from jesse_paper.errors import PaperError
from jesse_paper.rfc3339 import to_ms, to_text
from jesse_paperd.candles.files import csv_text, read_candle_file, write_candle_file
from jesse_paperd.candles.importing import Imported, import_candles
from jesse_paperd.candles.jesse_database import EXAMPLE, JesseDatabase, database_of
from jesse_paperd.candles.store import CandleReader, CandleStore
from jesse_paperd.config import Config, load
from jesse_paperd.core.layout import Layout
from jesse_paperd.core.minutes import MINUTE
from jesse_paperd.feed.exchanges import EXCHANGES, resolve
from jesse_paperd.terminal.failing import fail
from jesse_paperd.terminal.progress import Show, progress_bar
from jesse_paperd.terminal.tables import minute, pairs, table

_MB = 1_000_000
_END_OF_TIME = 2**53


class StoredCandles(msgspec.Struct, kw_only=True):
    """A line of `candles ls`. `gap_minutes` are known to be without a candle, of `missing_minutes` nothing is known."""

    exchange: str
    symbol: str
    first: str
    last: str
    candles: int
    gap_minutes: int
    missing_minutes: int
    #: Its share of the exchange's file, by candles.
    size_mb: float


def list_candles(layout: Layout, task: dict[str, Any]) -> None:
    """Show what there is of each market."""
    found = [line for name in EXCHANGES for line in _lines(layout, name)]
    if task["json"]:
        return _print({"home": str(layout.home), "markets": found})
    if not found:
        return print(f"No candles in {layout.home} yet. A live session brings them, or: jesse-paper candles import")
    columns = ["exchange", "symbol", "first", "last", "candles", "gap minutes", "missing", "MB"]
    rows = [
        [
            *(m.exchange, m.symbol, minute(m.first), minute(m.last)),
            m.candles,
            m.gap_minutes,
            m.missing_minutes,
            m.size_mb,
        ]
        for m in found
    ]
    return table(columns, rows, optional=["MB", "missing", "gap minutes"])


def _lines(layout: Layout, exchange: str) -> list[StoredCandles]:
    path = layout.candle_store(exchange)
    if not path.exists():
        return []
    with contextlib.closing(CandleReader(path)) as reader:
        extents = {symbol: reader.extent(symbol) for symbol in reader.symbols()}
    megabytes = sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*")) / _MB
    everything = sum(extent.candles for extent in extents.values()) or 1
    return [
        StoredCandles(
            exchange=exchange,
            symbol=symbol,
            first=to_text(extent.first) if extent.candles else "",
            last=to_text(extent.last) if extent.candles else "",
            candles=extent.candles,
            gap_minutes=extent.gap_minutes,
            missing_minutes=extent.missing_minutes,
            size_mb=round(megabytes * extent.candles / everything, 3),
        )
        for symbol, extent in extents.items()
    ]


def export_candles(layout: Layout, task: dict[str, Any]) -> None:
    """Write the candles of a market to a file, or as CSV to standard output."""
    exchange, symbol = resolve(task["exchange"]).name, task["symbol"]
    since, upto = _span(task)
    with contextlib.closing(CandleReader(layout.candle_store(exchange))) as reader:
        rows = reader.stretch(exchange, symbol, since, upto)
    if task["output"] == "-":
        sys.stdout.write(csv_text(rows))
        return
    write_candle_file(Path(task["output"]), rows)
    sys.stderr.write(f"{len(rows):,} candles in {task['output']}\n")


def import_from(layout: Layout, config: Config, task: dict[str, Any]) -> None:
    """Import a candle file, or what Jesse's database has of one market or of all."""
    os.umask(0o077)
    layout.prepare()
    with progress_bar() as show:
        reports = _import_table(layout, config, task, show) if task["postgres"] else [_import_file(layout, task, show)]
    if task["json"]:
        return _print({"imported": reports})
    for report in reports:
        facts = {
            "candles": f"{report.candles:,}, {minute(report.first)} to {minute(report.last)}",
            "added": f"{report.added:,}",
            "there already": f"{report.known:,}" if report.known else "",
            "missing": f"{report.missing_minutes:,} minutes" if report.missing_minutes else "",
            "contradicting": f"{report.contradicting:,}, not imported" if report.contradicting else "",
        }
        pairs(facts, title=f"{report.exchange} {report.symbol}")
        for stored, refused in report.examples:
            print(f"  {to_text(stored.timestamp)}  {stored[1:]} stays, not {refused[1:]}")
    return None


def _import_file(layout: Layout, task: dict[str, Any], show: Show) -> Imported:
    exchange, path = resolve(task["exchange"]).name, Path(task["source"])
    show(f"reading {path.name}", 0, None, "")
    rows = read_candle_file(path)
    with contextlib.closing(CandleStore(layout.candle_store(exchange))) as store:
        return import_candles(
            store, exchange, task["symbol"], rows, _now(), task["complete"],
            progress=lambda done: show("importing", done, len(rows), task["symbol"]),
        )  # fmt: skip


def _import_table(layout: Layout, config: Config, task: dict[str, Any], show: Show) -> list[Imported]:
    database = database_of(config.jesse_database, "the configuration")
    if database is None:
        raise PaperError(
            "invalid_argument",
            "importing from postgres needs to know Jesse's database",
            f"set {EXAMPLE} in config.toml",
        )
    since, upto = _span(task)
    if task["exchange"]:
        wanted = [(resolve(task["exchange"]).name, task["symbol"])]
    else:
        known = {name.casefold(): name for name in EXCHANGES}
        markets = database.markets()
        wanted = [(known[m.exchange.casefold()], m.symbol) for m in markets if m.exchange.casefold() in known]
        for other in sorted({m.exchange for m in markets} - set(EXCHANGES)):
            sys.stderr.write(f"left out: {other!r} is not an exchange that Jesse 3.5.3 knows\n")
        if not wanted:
            raise PaperError("candles_invalid", f"{database.name} has no candles", "import some in Jesse first")
    return [_import_market(layout, database, *market, since, upto, task["complete"], show) for market in wanted]


def _import_market(
    layout: Layout,
    database: JesseDatabase,
    exchange: str,
    symbol: str,
    since: int,
    upto: int,
    complete: bool,
    show: Show,
) -> Imported:
    # What an exchange still serves is proven by its next candle; of other data there is nothing else to come.
    candles = database.read(
        exchange, symbol, since, min(upto, _now() // MINUTE * MINUTE), settled=EXCHANGES[exchange].live,
        progress=lambda done: show(f"reading {symbol}", done, None, exchange),
    )  # fmt: skip
    rows = candles.rows
    if not len(rows):
        raise database.none_of(exchange, symbol)
    with contextlib.closing(CandleStore(layout.candle_store(exchange))) as store:
        return import_candles(
            store, exchange, symbol, rows, _now(), complete, candles.single,
            progress=lambda done: show(f"importing {symbol}", done, len(rows), exchange),
        )  # fmt: skip


def _span(task: dict[str, Any]) -> tuple[int, int]:
    times = []
    for name, default in (("since", 0), ("until", _END_OF_TIME)):
        try:
            times.append(to_ms(task[name]) if task[name] else default)
        except ValueError as error:
            raise PaperError("invalid_argument", f"--{name}: {error}") from error
    return times[0], times[1]


def _now() -> int:
    return time.time_ns() // 1_000_000


def _print(answer: object) -> None:
    text = msgspec.json.encode(answer)
    print(msgspec.json.format(text, indent=2 if sys.stdout.isatty() else -1).decode())


def run(task: dict[str, Any]) -> None:
    """Do what the arguments of a subcommand say."""
    config = load()
    layout = Layout(Path(config.home))
    if task["do"] == "import":
        import_from(layout, config, task)
    elif task["do"] == "export":
        export_candles(layout, task)
    else:
        list_candles(layout, task)


def main() -> None:
    """Run the task given as JSON in the first argument."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` is not a failure
    task = json.loads(sys.argv[1])
    try:
        run(task)
    except PaperError as error:
        fail(error, task.get("json", False))
    except KeyboardInterrupt:
        sys.stderr.write("jesse-paper: interrupted; what is imported stays, the same import again does the rest\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
