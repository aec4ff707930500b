"""From the request to a running session, with the zygote warm; beside it, a fresh process that imports Jesse."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

from jesse_paper import protocol as wire
from tests.support.daemon import SPOT_CANDLES, eventually, running_daemon

STARTS = 21


def main() -> None:
    with running_daemon() as daemon:
        eventually("the engine is ready", lambda: daemon.call(wire.Ping()).engine == "ready")
        seconds = []
        for number in range(STARTS + 1):
            body = wire.PaperStart(
                strategy="SMACrossover", symbol="BTC-USDT", feed=f"replay:{SPOT_CANDLES}", speed=60.0
            )
            began = time.perf_counter()
            started = daemon.call(body)
            took = time.perf_counter() - began
            assert started.status == "running", started
            if number:  # the first parses the candle file
                seconds.append(took)
            daemon.call(wire.PaperStop(session_id=started.session_id))
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    imports = []
    for _ in range(3):
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, "-c", "import jesse.research"], cwd=folder, env=environment, check=True)
        imports.append(time.perf_counter() - began)
    median, fresh = statistics.median(seconds), statistics.median(imports)
    print(f"paper_start to running, {STARTS} starts: median {median * 1000:.0f} ms, ", end="")
    print(f"fastest {min(seconds) * 1000:.0f} ms, slowest {max(seconds) * 1000:.0f} ms")
    print(f"importing Jesse in a fresh process: median {fresh * 1000:.0f} ms; ratio {fresh / median:.1f}")


if __name__ == "__main__":
    main()
