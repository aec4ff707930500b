"""A fuzz campaign: damaged frames, MCP lines, registries, journals and candle files; what went unhandled, what silent.

python -m tests.security.fuzz [--frames N] [--lines N] [--databases N] [--files N] [--seed S]

What goes wrong is kept in `tests/security/corpus`, which `test_corpus.py` tries again for ever.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import hashlib
import json
import logging
import os
import random
import select
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

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
from tests.support.mcp_client import LineClient, line_client


def arguments_of(declared: Any) -> dict[str, Any]:
    """An operation's worked example, as a tool's arguments."""
    given: dict[str, Any] = msgspec.to_builtins(declared.request)
    return {name: value for name, value in given.items() if name != "op"}


JSON = [
    msgspec.json.encode({"v": 1, "id": "1", "body": msgspec.to_builtins(d.request)}) for d in wire.OPERATIONS.values()
]
_REQUESTS: list[tuple[str, dict[str, Any]]] = [
    *(("tools/call", {"name": name, "arguments": arguments_of(each)}) for name, each in wire.OPERATIONS.items()),
    *((method, {}) for method in ("tools/list", "resources/list", "resources/templates/list", "prompts/list", "ping")),
    ("resources/read", {"uri": "paper://sessions"}),
    ("prompts/get", {"name": "review_session", "arguments": {"session_id": "sma"}}),
    ("completion/complete", {"ref": {"type": "ref/prompt", "name": "x"}, "argument": {"name": "y", "value": "z"}}),
    ("notifications/cancelled", {"requestId": 1, "reason": "none"}),
]
LINES = [
    json.dumps({"jsonrpc": "2.0", "id": n, "method": method, "params": given}).encode()
    for n, (method, given) in enumerate(_REQUESTS)
]
_LINES_AT_ONCE = 50
PACKED = [encode_request("1", d.request) for d in wire.OPERATIONS.values()]


CORPUS = Path(__file__).parent / "corpus"


class Campaign:
    """Counts what became of each attempt, and keeps the first few that went wrong."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.chance = random.Random(seed)
        self.tried = 0
        self.found: Counter[str] = Counter()
        self.kept: list[str] = []
        #: What is being tried, and the suffix of a file of its kind.
        self.input = b""
        self.suffix = ""

    def wrong(self, kind: str, told: str) -> None:
        self.found[kind] += 1
        if len(self.kept) < 5:
            self.kept.append(f"{kind}: {told}")
            if self.suffix:
                folder = CORPUS / self.name.replace(" ", "-")
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{hashlib.sha256(self.input).hexdigest()[:12]}{self.suffix}").write_bytes(self.input)

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
        damaged = mutated(raw, chance) if chance.random() < 0.9 else chance.randbytes(chance.randrange(200))
        campaign.input, campaign.suffix = damaged, ".bin"
        return try_frame(damaged)

    campaign.run(count, attempt)
    return campaign


def try_frame(frame: bytes) -> str:
    """What the daemon's decoder makes of a frame."""
    try:
        decode_request(frame)
    except BadRequest:
        return "refused"
    return "understood"


def mcp_lines(count: int, seed: int) -> Campaign:
    """Lines to a façade that has no daemon: it must answer what comes after them, and meet no defect."""
    campaign = Campaign("MCP lines", seed)
    with talkative() as facade:

        def attempt(_n: int) -> str:
            damaged = [mutated(campaign.chance.choice(LINES), campaign.chance) for _ in range(_LINES_AT_ONCE)]
            campaign.input, campaign.suffix = b"\n".join(damaged), ".txt"
            return facade.told(campaign.input)

        campaign.run(count // _LINES_AT_ONCE, attempt)
    campaign.tried *= _LINES_AT_ONCE
    return campaign


class Talkative:
    """A façade to which lines are written without waiting for what they come to."""

    def __init__(self, client: LineClient) -> None:
        self._client = client
        self._log: list[bytes] = []
        self._come = b""
        Thread(target=self._read_log, daemon=True).start()

    def told(self, lines: bytes) -> str:
        """Write lines, and wait until the façade answers what comes after them.

        Raises:
            RuntimeError: it does not, or a line met a defect.
        """
        writer = Thread(target=self._write, args=(lines,))
        writer.start()
        while (message := self._read()) != {"jsonrpc": "2.0", "id": "alive", "result": {}}:
            if "incident" in json.dumps(message):
                raise RuntimeError(f"a defect: {message}")
        writer.join()
        if any(b"Traceback" in line for line in self._log):
            raise RuntimeError(b"".join(self._log[-20:]).decode(errors="replace"))
        return "answered"

    def _write(self, lines: bytes) -> None:
        self._client.write_line(lines)
        self._client.write({"jsonrpc": "2.0", "id": "alive", "method": "ping"})

    def _read(self) -> Any:
        assert self._client.process.stdout is not None
        source = self._client.process.stdout.fileno()
        while b"\n" not in self._come:
            ready, _, _ = select.select([source], [], [], 60)
            if not ready or not (more := os.read(source, 65_536)):
                raise RuntimeError(f"the façade is silent: {b''.join(self._log[-20:]).decode(errors='replace')}")
            self._come += more
        line, _, self._come = self._come.partition(b"\n")
        return json.loads(line)

    def _read_log(self) -> None:
        assert self._client.process.stderr is not None
        with contextlib.suppress(ValueError):  # closed
            self._log.extend(self._client.process.stderr)


@contextlib.contextmanager
def talkative() -> Iterator[Talkative]:
    """A façade for an endpoint on which nobody listens."""
    with tempfile.TemporaryDirectory(prefix="jp-fuzz-") as folder, line_client(f"ipc://{folder}/nobody") as client:
        yield Talkative(client)


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
        campaign.input, campaign.suffix = mutated(raw, campaign.chance), name.removeprefix("a")
        return try_candles(campaign.input, name)

    campaign.run(count, attempt)
    return campaign


def try_candles(content: bytes, name: str) -> str:
    """What the reader of candle files makes of one."""
    try:
        parse_candles(content, name)
    except PaperError as error:
        return error.code
    return "read"


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
    parser.add_argument("--lines", type=int, default=2_000)
    parser.add_argument("--databases", type=int, default=200)
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--report", type=Path, help="write what was found there, as JSON")
    given = parser.parse_args()
    print(f"seed {given.seed}")
    logging.disable(logging.CRITICAL)  # thousands of damaged registries are told of below
    campaigns = [
        frames(given.frames, given.seed),
        mcp_lines(given.lines, given.seed),
        candle_files(given.files, given.seed),
    ]
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
