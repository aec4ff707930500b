"""After kill -9 of the daemon: how soon the next one answers, and how soon it has adopted every living session.

    scripts/bench adoption

The times are from the new daemon's start, as a client sees them; the adoption itself is as the daemon logs it. Beside
each number of sessions stands the ratio to a daemon without any.
"""

from __future__ import annotations

import re
import statistics
import time

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from tests.support.breaking import short_candles
from tests.support.daemon import Daemon, eventually, running_daemon

SESSIONS = (0, 1, 10, 100)
RESTARTS = 5


def main() -> None:
    print(f"kill -9 of the daemon, {RESTARTS} times each; medians in milliseconds")
    print(
        f"{'sessions':>8}  {'first answer':>12}  {'all known':>9}  {'adoption alone':>14}  {'ratio of all known':>18}"
    )
    with running_daemon(config="start_seconds = 60\n") as daemon:
        daemon.ready()
        alone = 0.0
        for wanted in SESSIONS:
            start_up_to(daemon, wanted)
            pids = daemon.session_pids()
            assert len(pids) == wanted
            answers, known, adoptions = zip(*(restart(daemon, wanted) for _ in range(RESTARTS)), strict=True)
            assert daemon.session_pids() == pids, "every session has the process that it had"
            first, all_known, adoption = map(statistics.median, (answers, known, adoptions))
            alone = alone or all_known
            ratio = all_known / alone
            print(f"{wanted:8}  {first:12.0f}  {all_known:9.0f}  {adoption:14.0f}  {ratio:18.2f}", flush=True)


def start_up_to(daemon: Daemon, wanted: int) -> None:
    """Have so many sessions trade, a candle a second each."""
    daemon.ready()
    for number in range(len(daemon.session_pids()), wanted):
        daemon.start_session(
            session_id=f"s{number}",
            strategy="DayTrader",
            timeframe="15m",
            feed=f"replay:{short_candles(20)}",
            speed=60.0,
        )
    eventually("all run", lambda: len(daemon.session_pids()) == wanted)


def restart(daemon: Daemon, wanted: int) -> tuple[float, float, float]:
    """Kill the daemon and start another; milliseconds to its first answer, to all sessions being known, of adoption."""
    daemon.kill()
    seen = len(daemon.output())
    began = time.perf_counter()
    daemon.process = daemon.spawn()
    while True:
        try:
            pong = daemon.client.call(wire.Ping(), timeout=0.5)
            break
        except PaperError:
            time.sleep(0.002)
    answered = time.perf_counter()
    assert pong.sessions == wanted
    rows = daemon.call(wire.PaperListSessions(active_only=False, limit=1000)).sessions
    known = time.perf_counter()
    assert all(row.status == "running" for row in rows)
    (adopted, took) = re.findall(r"; (\d+) live and were adopted in (\d+) ms", daemon.output()[seen:])[0]
    assert int(adopted) == wanted
    return (answered - began) * 1000, (known - began) * 1000, float(took)


if __name__ == "__main__":
    main()
