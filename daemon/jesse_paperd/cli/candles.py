"""candles import, export, ls: the candles that are kept. Works on the home itself, with a daemon or without."""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import msgspec

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paper.validation import parse
from jesse_paperd.cli.asking import json_option
from jesse_paperd.cli.output import check_output, output_option

exchange_option = click.option("--exchange", "-e", help="Jesse's name of it, such as 'Binance Spot'.")
symbol_option = click.option("--symbol", "-s", help="The pair, such as BTC-USDT.")
since_option = click.option("--since", help="First minute: a date or a time (RFC 3339, UTC).")
until_option = click.option("--until", help="First minute that is not included.")


class _Market(msgspec.Struct, frozen=True):
    exchange: str
    symbol: wire.Symbol


@click.group()
def candles() -> None:
    """Import, export and list the candles that are kept for live sessions and replays.

    \b
    jesse-paper candles import btc.csv.gz --exchange "Binance Spot" --symbol BTC-USDT
    jesse-paper candles ls
    jesse-paper start SMACrossover BTC-USDT --feed replay:store:2024-12-01..2025-01-01
    """


@candles.command("import")
@click.argument("source")
@exchange_option
@symbol_option
@since_option
@until_option
@click.option(
    "--complete", is_flag=True, help="Minutes missing in between are final: the exchange had no candle there."
)
@json_option
def import_(source: str, as_json: bool, **values: Any) -> None:
    """Import SOURCE: a candle file (CSV, also gzipped, .npy, .parquet), or 'postgres' for Jesse's own database.

    Candles that are kept already stay as they are; those that contradict them are counted and shown. From postgres,
    without --exchange and --symbol, every market is imported.

    \b
    jesse-paper candles import btc.parquet -e "Bybit USDT Perpetual" -s BTC-USDT
    jesse-paper candles import postgres --since 2024-01-01
    """
    postgres = source == "postgres"
    if not postgres and (values["since"] or values["until"]):
        raise PaperError("invalid_argument", "--since and --until are of postgres; a file is imported whole")
    if not postgres or values["exchange"] or values["symbol"]:
        _check(values)
    path = source if postgres else str(Path(source).expanduser().absolute())
    _run({"do": "import", "source": path, "postgres": postgres, "json": as_json, **values})


@candles.command("export")
@exchange_option
@symbol_option
@since_option
@until_option
@output_option(".csv, .csv.gz, .npy or .parquet; '-' is CSV on stdout. [default: -]")
def export(output: Path | None, force: bool, **values: Any) -> None:
    """Export the kept candles of a market.

    \b
    jesse-paper candles export -e "Binance Spot" -s BTC-USDT --since 2024-12-01 -o btc-december.csv.gz
    """
    _check(values)
    if output is None or str(output) == "-":
        return _run({"do": "export", "output": "-", **values})
    output = output.expanduser().absolute()
    check_output(output, force, ".csv", ".csv.gz", ".npy", ".parquet")
    return _run({"do": "export", "output": str(output), **values})


@candles.command("ls")
@json_option
def ls(as_json: bool) -> None:
    """List the markets of which candles are kept: from when to when, how many, what is missing, how large.

    \b
    jesse-paper candles ls
    """
    _run({"do": "ls", "json": as_json})


def _check(values: dict[str, Any]) -> None:
    parse(_Market, {name: values[name] for name in ("exchange", "symbol") if values[name] is not None})


def _run(task: dict[str, Any]) -> None:
    if find_spec("numpy") is None:
        raise PaperError("engine_unavailable", "the candle store needs numpy", "pip install 'jesse-paper[engine]'")
    # A client imports nothing that reads the store: that is a program of its own, as run-paper's is.
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", "jesse_paperd.local.candle_tool", json.dumps(task)])
