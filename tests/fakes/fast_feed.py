"""The feed, unchanged, on a clock that runs fast: for a stand-in exchange of the same speed.

    .venv/bin/python -m tests.fakes.fast_feed --speed 60 --start 1735700400000 --home HOME

takes the feed's own arguments beside these. What it writes is as at real speed, only sooner.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from jesse_paperd.feed import main as feed
from tests.fakes.event_loops import FastLoop


def main() -> int:
    parser = argparse.ArgumentParser(description="The feed on a fast clock.")
    parser.add_argument("--speed", type=float, required=True, help="how many times as fast its time runs")
    parser.add_argument(
        "--start", type=int, help="its local clock at the start, in milliseconds; default: the real one"
    )
    ours, theirs = parser.parse_known_args()
    prepared = feed.prepare(theirs)
    starts_at = ours.start if ours.start is not None else time.time_ns() // 1_000_000
    began = time.monotonic()

    def local_clock() -> int:
        return starts_at + int((time.monotonic() - began) * ours.speed * 1000)

    with asyncio.Runner(loop_factory=lambda: FastLoop(ours.speed)) as runner:
        runner.run(feed.serve(*prepared, local_clock))
    return 0


if __name__ == "__main__":
    sys.exit(main())
