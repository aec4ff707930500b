"""run-paper: one session in the foreground, without a daemon."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from jesse_paper import protocol as wire
from jesse_paper.validation import parse
from jesse_paperd.cli.asking import json_option
from jesse_paperd.cli.starting import trading_arguments, trading_options
from jesse_paperd.processes.engine_environment import ENGINE_ENVIRONMENT


@click.command("run-paper", short_help="Trade one session here, without a daemon.")
@click.argument("exchange")
@click.argument("symbol", required=False)
@click.option("--strategy", "-s", help="Name of a strategy of the project.")
@trading_options
@click.option("--project", help="The Jesse project. [default: JESSE_PAPER_PROJECT, else the working directory]")
@click.option("--resolution", default="1h", show_default=True, help="Of the equity curve in the JSON.")
@json_option
def run_paper(as_json: bool, project: str | None, resolution: str, **values: Any) -> None:
    """Trade SYMBOL, or --routes, on EXCHANGE until the candles end or Ctrl-C, then print what came of it.

    \b
    jesse-paper run-paper "Binance Spot" BTC-USDT --strategy SMACrossover --timeframe 1h \\
        --feed replay:candles.csv.gz --project ~/my-jesse-project --json

    With --json it ends by printing one JSON document: session, final_metrics, trades, equity_curve; of a session that
    failed also error, and what it had done until then.
    """
    started = parse(wire.PaperStart, trading_arguments(values))
    parse(wire.PaperGetEquity, {"session_id": "run-paper", "resolution": resolution})
    folder = project or os.environ.get("JESSE_PAPER_PROJECT") or "."
    task = {
        "arguments": msgspec.to_builtins(started),
        "project": str(Path(folder).expanduser().absolute()),
        "resolution": resolution,
        "json": as_json,
    }
    # -P: a module that lies in the working directory is none of ours.
    program = [sys.executable, "-P", "-m", "jesse_paperd.local.run_paper", json.dumps(task)]
    sys.stdout.flush()
    os.execve(sys.executable, program, {**os.environ, **ENGINE_ENVIRONMENT})
