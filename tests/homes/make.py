"""Makes a home with sessions of every kind, cut off amid their work, and records what this version answers of them."""

from __future__ import annotations

import gzip
import json
import os
import signal
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

import jesse_paperd
from jesse_paper import protocol as wire
from tests.blackbox.test_feed_process import BTC, SPEED, SPOT, stand_in
from tests.homes.questions import LIVE_SEED, answers_of, fast_feed_program, write_project
from tests.support.daemon import FUTURES_CANDLES, ROOT, SPOT_CANDLES, Daemon, eventually

#: Of the example's candles, so much: at the pace below, twenty seconds.
DAYS = 5
PACE = 20_000.0
FUTURES = "Binance Perpetual Futures"
#: Given up soon, for the sessions that must be.
HASTY = "[restart]\nlimit = 2\nfirst_seconds = 0.01\nlongest_seconds = 0.02\nsettled_seconds = 60\n"


def beginning_of(file: Path, folder: Path) -> Path:
    """The first days of a candle file, as a file of its own."""
    with gzip.open(file, "rt") as candles:
        lines = list(islice(candles, 1 + DAYS * 1440))
    target = folder / file.name
    with gzip.open(target, "wt") as cut:
        cut.writelines(lines)
    return target


def start_all(daemon: Daemon, folder: Path) -> None:
    """Sessions that end by themselves, sessions that are at work, and one that this version cannot carry on."""

    files = {file: beginning_of(file, folder) for file in (SPOT_CANDLES, FUTURES_CANDLES)}

    def start(session_id: str, strategy: str, file: Path, **more: Any) -> wire.Started:
        exchange = FUTURES if file == FUTURES_CANDLES else SPOT
        return daemon.start_session(
            **{
                "session_id": session_id,
                "strategy": strategy,
                "exchange": exchange,
                "timeframe": "15m",
                "warmup_candles": 24,
                "feed": f"replay:{files[file]}",
                **more,
            }
        )

    start("ended", "SMACrossover", SPOT_CANDLES, notes="a note of its owner's", hyperparameters={"fast": 5})
    start("ended-futures", "SMACrossover", FUTURES_CANDLES, leverage=3, leverage_mode="isolated")
    routes = [wire.DataRoute(BTC, "1h"), wire.DataRoute(BTC, "4h")]
    start("two-timeframes", "SMACrossover", FUTURES_CANDLES, data_routes=routes, warmup_candles=6)
    start("failed", "Fails", SPOT_CANDLES, gap_policy="fill")
    for session_id in ("ended", "ended-futures", "two-timeframes", "failed"):
        daemon.ended(session_id)

    start("stopped", "SMACrossover", SPOT_CANDLES, speed=PACE)
    eventually("it holds a position", lambda: daemon.trades("stopped") and daemon.status("stopped").positions)
    daemon.stop_session("stopped")

    start("given-up", "SMACrossover", SPOT_CANDLES, speed=PACE)
    eventually("it has traded", lambda: daemon.trades("given-up"))
    updates = wire.SessionUpdates(leverage=1)
    daemon.call(wire.PaperUpdateSession(session_id="given-up", updates=updates))
    eventually("it was given up", lambda: daemon.status("given-up").status == "failed")

    start("running", "SMACrossover", SPOT_CANDLES, speed=PACE)
    # Hyperparameters that later versions refuse.
    start("running-loosely", "SMACrossover", SPOT_CANDLES, speed=PACE, hyperparameters={"stop_atr": True, "risk": 0.2})
    start("running-futures", "SMACrossover", FUTURES_CANDLES, speed=PACE, leverage=2)
    daemon.call(wire.PaperUpdateSession(session_id="running-futures", updates=wire.SessionUpdates(leverage=5)))
    live = wire.PaperStart(
        strategy="Often", symbol=BTC, timeframe="1m", exchange=SPOT, session_id="live", warmup_candles=60
    )
    daemon.call(live)
    daemon.call(msgspec.structs.replace(live, session_id="live-stopped"))
    eventually("the live ones trade", lambda: daemon.trades("live") and daemon.trades("live-stopped"))
    daemon.stop_session("live-stopped")
    eventually(
        "those at work hold positions, and the leverage has changed",
        lambda: (
            daemon.status("running").positions
            and daemon.status("running-futures").positions
            and daemon.status("running-futures").leverage == 5
        ),
    )


def freeze(daemon: Daemon) -> None:
    """Kill everything, as a power cut does."""
    pids = daemon.session_pids().values()
    daemon.kill(signal.SIGKILL)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    eventually("nothing runs", lambda: not daemon.session_pids())


def kept(folder: Path) -> Iterator[Path]:
    """The home's files, without what a machine or a moment put there."""
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and relative.parts[0] not in ("run", "output", "config.toml", "logs"):
            yield relative


def main() -> int:
    start = time.time_ns() // 1_000_000
    with (
        tempfile.TemporaryDirectory() as folder,
        stand_in("--seed", str(LIVE_SEED), "--speed", str(SPEED), "--start", str(start)) as exchange,
    ):
        daemon = Daemon(write_project(Path(folder) / "project"), str(exchange["config"]) + HASTY)
        daemon.program = fast_feed_program(start)
        daemon.environment["PYTHONPATH"] = str(ROOT)
        began = time.monotonic()
        try:
            daemon.start().ready()
            start_all(daemon, Path(folder))
            freeze(daemon)
            frozen_at = start + int((time.monotonic() - began) * SPEED * 1000)
            files = [(daemon.home / path, Path("home") / path) for path in kept(daemon.home)]
            frozen = {path: source.read_bytes() for source, path in files}
            # What this version makes of it: those at work run to the end of their candles.
            (daemon.home / "config.toml").write_text(str(exchange["config"]))
            daemon.start().ready()
            for session_id in ("running", "running-loosely", "running-futures"):
                daemon.ended(session_id)
            session_ids = sorted(folder.name for folder in daemon.layout.sessions.iterdir())
            told = {session_id: answers_of(daemon, session_id) for session_id in session_ids}
        except BaseException:
            sys.stderr.write(daemon.output()[-8000:])
            raise
        finally:
            daemon.close()
    record = {"frozen_at": frozen_at, "answers": told}
    frozen[Path("answers.json")] = json.dumps(record, sort_keys=True).encode()
    with tarfile.open(Path(__file__).parent / f"{jesse_paperd.__version__}.tar.xz", "w:xz") as archive:
        for path, content in frozen.items():
            entry = tarfile.TarInfo(str(path))
            entry.size, entry.mode = len(content), 0o600
            archive.addfile(entry, BytesIO(content))
    return 0


if __name__ == "__main__":
    sys.exit(main())
