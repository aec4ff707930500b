"""A fuzz campaign: frames, registries, journals and candle files with flipped bits; what went unhandled, what silent.

python -m tests.security.fuzz [--frames N] [--databases N] [--files N] [--seed S]
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from jesse_paper import protocol as wire
from jesse_paper.codec import BadRequest, decode_request, encode_request
from jesse_paper.errors import PaperError
from jesse_paperd.candles.files import parse_candles
from jesse_paperd.core.layout import Layout
from tests.security.homes import copy_of, everything, flip, silent
from tests.support.breaking import PACED, short_candles, start_trading
from tests.support.daemon import eventually, running_daemon

JSON = [
    msgspec.json.encode({"v": 1, "id": "1", "body": msgspec.to_builtins(d.request)}) for d in wire.OPERATIONS.values()
]
PACKED = [encode_request("1", d.request) for d in wire.OPERATIONS.values()]


class Campaign:
    """Counts what became of each attempt, and keeps the first few that went wrong."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.chance = random.Random(seed)
        self.tried = 0
        self.found: Counter[str] = Counter()
        self.kept: list[str] = []

    def wrong(self, kind: str, told: str) -> None:
        self.found[kind] += 1
        if len(self.kept) < 5:
            self.kept.append(f"{kind}: {told}")

    def run(self, count: int, attempt: Callable[[int], str]) -> None:
        """Make so many attempts; each says what became of it."""
        began = time.monotonic()
        self.tried += count
        for n in range(count):
            try:
                self.found[attempt(n)] += 1
            except Exception:  # noqa: BLE001 - that is what is looked for
                self.wrong("unhandled", f"attempt {n}: {traceback.format_exc(limit=-4)}")
            if sys.stderr.isatty() and n % 500 == 0:
                sys.stderr.write(f"\r{self.name}: {n:,} of {count:,}")
        took = time.monotonic() - began
        told = ", ".join(f"{what} {n:,}" for what, n in sorted(self.found.items()))
        sys.stderr.write("\r")
        print(f"{self.name}: {count:,} in {took:.0f} s; {told}; unhandled {self.found['unhandled']}, "
              f"silent {self.found['silent']}")  # fmt: skip
        for each in self.kept:
            print(f"  {each}")


def mutated(raw: bytes, chance: random.Random) -> bytes:
    """A frame with a few bytes changed, inserted, dropped or doubled."""
    frame = bytearray(raw)
    for _ in range(chance.randrange(1, 6)):
        place = chance.randrange(len(frame) + 1)
        match chance.randrange(4):
            case 0 if place < len(frame):
                frame[place] = chance.randrange(256)
            case 1:
                frame[place:place] = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 5)))
            case 2:
                del frame[place : place + chance.randrange(1, 5)]
            case _:
                frame[place:place] = frame[place : place + chance.randrange(1, 20)]
    return bytes(frame)


def frames(count: int, seed: int) -> Campaign:
    """Frames through the decoder of the daemon."""
    campaign = Campaign("frames", seed)

    def attempt(_n: int) -> str:
        chance = campaign.chance
        raw = chance.choice(JSON if chance.random() < 0.5 else PACKED)
        try:
            decode_request(mutated(raw, chance) if chance.random() < 0.9 else chance.randbytes(chance.randrange(200)))
        except BadRequest:
            return "refused"
        return "understood"

    campaign.run(count, attempt)
    return campaign


def databases(home: Path, victim: str, count: int, seed: int) -> Campaign:
    """Bits flipped in a database of a home, and everything asked of it."""
    campaign = Campaign(victim, seed)
    with tempfile.TemporaryDirectory(prefix="jp-fuzz-") as folder, copy_of(home, Path(folder) / "home") as layout:
        before = everything(layout)
        original = {file: file.read_bytes() for file in layout.home.glob("**/*.sqlite*")}
        copies = {file: file.read_bytes() for file in layout.home.glob("sessions/*/record.json")}

        def attempt(_n: int) -> str:
            _restore(layout, {**original, **copies})
            flip(layout.home / victim, campaign.chance)
            after = everything(layout)
            if quiet := silent(before, after):
                campaign.wrong("silent", ", ".join(quiet))
                return "answered"
            return "told" if after != before else "no difference"

        campaign.run(count, attempt)
    return campaign


def _restore(layout: Layout, files: dict[Path, bytes]) -> None:
    for file in layout.home.glob("**/*.sqlite*"):
        if file not in files:
            file.unlink()
    for file, content in files.items():
        file.write_bytes(content)


def candle_files(count: int, seed: int) -> Campaign:
    """Damaged candle files: CSV, gzip, NumPy."""
    campaign = Campaign("candle files", seed)
    text = "\n".join(short_candles().read_text().splitlines()[:300]).encode()
    rows = np.array([line.split(b",") for line in text.splitlines()[1:]], dtype=np.float64)
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "rows.npy", rows)
        numpy_file = (Path(folder) / "rows.npy").read_bytes()
    kinds = [(text, "a.csv"), (gzip.compress(text, mtime=0), "a.csv.gz"), (numpy_file, "a.npy")]

    def attempt(_n: int) -> str:
        raw, name = campaign.chance.choice(kinds)
        try:
            parse_candles(mutated(raw, campaign.chance), name)
        except PaperError as error:
            return error.code
        return "read"

    campaign.run(count, attempt)
    return campaign


def a_home(folder: Path) -> Path:
    """A home with two ended sessions and one that was stopped."""
    with running_daemon() as daemon:
        start_trading(daemon, "one", speed="max")
        start_trading(daemon, "half", speed=PACED)
        daemon.ended("one")
        eventually("it trades", lambda: daemon.status("half").metrics.total_trades > 1)
        daemon.call(wire.PaperStop("half"))
        daemon.kill()
        shutil.copytree(daemon.home, folder, ignore=shutil.ignore_patterns("run", "zygote"))
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--databases", type=int, default=200)
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--report", type=Path, help="write what was found there, as JSON")
    given = parser.parse_args()
    print(f"seed {given.seed}")
    logging.disable(logging.CRITICAL)  # thousands of damaged registries are told of below
    campaigns = [frames(given.frames, given.seed), candle_files(given.files, given.seed)]
    with tempfile.TemporaryDirectory(prefix="jp-fuzz-home-") as folder:
        home = a_home(Path(folder) / "home")
        for victim in ("registry.sqlite", "sessions/one/journal.sqlite"):
            campaigns.append(databases(home, victim, given.databases // 2, given.seed))
    if given.report is not None:
        told = [{"name": each.name, "tried": each.tried, **each.found, "seed": given.seed} for each in campaigns]
        given.report.write_text(json.dumps(told))
    return 1 if any(each.found["unhandled"] + each.found["silent"] for each in campaigns) else 0


if __name__ == "__main__":
    sys.exit(main())
