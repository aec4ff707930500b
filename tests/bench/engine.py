"""The engine with its journal beside Jesse's own backtests: a year of 1m candles, memory, and cost by age.

CPU time, each run in a fork of one process that has imported Jesse, the fastest of some rounds in turn. The year is
made of the example's real candles, end to end, each stretch continuing at the price at which the last one ended.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.parity.candles import EXAMPLES, MINUTE, PERPETUAL, Rows, read
from tests.parity.worker import Worker

DAY, MONTH, YEAR = 1440, 30 * 1440, 365 * 1440
ROUNDS = 3
BLOCK = 4096


def year(warmup: int) -> Rows:
    """A year of contiguous minutes after some of warm-up, in Jesse's column order."""
    month = read(PERPETUAL)
    parts, scale = [], 1.0
    for _ in range((YEAR + warmup) // len(month) + 1):
        part = month.copy()
        part[:, 1:5] *= scale
        scale = float(part[-1, 2] / month[0, 1])
        parts.append(part)
    rows = np.concatenate(parts)[: YEAR + warmup]
    rows[:, 0] = month[0, 0] + MINUTE * np.arange(len(rows))
    return rows


def case(strategy: str, timeframe: str, minutes: int) -> Any:
    from tests.parity.case import Case

    rows = year(240 * minutes)
    warmup, candles = rows[: 240 * minutes], rows[240 * minutes :]
    symbol = "BTC-USDT"
    return Case(
        strategy,
        {symbol: candles},
        {symbol: warmup},
        project=EXAMPLES,
        timeframe=timeframe,
        warmup_candles=240,
    )


def backtest_seconds(case: Any, fast: bool) -> tuple[float, int]:
    """CPU seconds of `jesse.research.backtest`, and its trades. Runs in the worker."""
    from jesse.research import backtest

    from tests.parity.lab import settings_of, strategies_of

    settings = settings_of(case)
    key = f"{settings.exchange}-{settings.routes[0].symbol}"
    stream = {"exchange": settings.exchange, "symbol": settings.routes[0].symbol}
    (strategy,) = strategies_of(case)
    began = time.process_time()
    result = backtest(
        settings.for_jesse(),
        [{**stream, "timeframe": settings.routes[0].timeframe, "strategy": strategy}],
        [],
        {key: {**stream, "candles": case.candles[settings.routes[0].symbol]}},
        {key: {**stream, "candles": case.warmup[settings.routes[0].symbol]}},
        fast_mode=fast,
    )
    return time.process_time() - began, len(result.get("trades", []))


def session_seconds(case: Any, block: int, path: Path | None, sealed: bool = True) -> dict[str, Any]:
    """CPU seconds of a session, committed block by block; by month; private memory. Runs in the worker.

    Args:
        sealed: whether the journal's rows get their checksums; without them it is no journal that anyone could read.
    """
    from jesse_paperd.engine.engine import Engine
    from jesse_paperd.records import journal as journal_module
    from jesse_paperd.records.journal import Journal
    from tests.parity.lab import settings_of, strategies_of

    settings, strategies = settings_of(case), strategies_of(case)
    rows = case.candles[settings.routes[0].symbol]
    if not sealed:
        journal_module._seal = lambda _table: lambda *_values: 0
    before = _private()
    began = time.process_time()
    engine = Engine(settings, strategies, case.warmup, None)
    journal = Journal(path) if path is not None else None
    trades, months, memory = 0, [], {}
    month_began = time.process_time()
    for first in range(0, len(rows), block):
        engine.advance({settings.routes[0].symbol: rows[first : first + block]})
        facts = engine.take_facts()
        trades += len(facts.trades)
        if journal is not None:
            journal.commit(facts, engine.progress)
        done = first + block
        if done // MONTH > first // MONTH:
            months.append(time.process_time() - month_began)
            month_began = time.process_time()
        for name, minutes in (("day", DAY), ("month", MONTH), ("year", YEAR - block)):
            if done >= minutes and name not in memory:
                memory[name] = _private() - before
    trades += engine.finish()
    facts = engine.take_facts()
    if journal is not None:
        journal.commit(facts, engine.progress)
    took = time.process_time() - began
    return {"seconds": took, "trades": trades, "months": months, "memory": memory}


def _private() -> float:
    """Private memory of this process, in MB."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def compare(worker: Worker, strategy: str, timeframe: str, minutes: int, folder: Path) -> None:
    one = case(strategy, timeframe, minutes)
    best: dict[str, float] = {}
    counts = set()
    for number in range(ROUNDS):
        step, count = worker.call("tests.bench.engine:backtest_seconds", one, False)
        fast, _ = worker.call("tests.bench.engine:backtest_seconds", one, True)
        path = folder / f"{strategy}-{number}.sqlite"
        ours = worker.call("tests.bench.engine:session_seconds", one, BLOCK, path)
        bare = worker.call("tests.bench.engine:session_seconds", one, BLOCK, path.with_suffix(".bare.sqlite"), False)
        alone = worker.call("tests.bench.engine:session_seconds", one, BLOCK, None)
        counts |= {count, ours["trades"]}
        for name, seconds in (
            ("Jesse, step mode", step),
            ("Jesse, fast mode", fast),
            ("session with journal", ours["seconds"]),
            ("… without its seals", bare["seconds"]),
            ("session without journal", alone["seconds"]),
        ):
            best[name] = min(best.get(name, np.inf), seconds)
    reference = best["Jesse, step mode"]
    print(f"\n{strategy} {timeframe}, a year of 1m candles, trades {sorted(counts)}")
    print(f"{'':24}{'CPU s':>8}{'candles/s':>12}{'step mode = 1':>15}")
    for name, seconds in best.items():
        print(f"{name:24}{seconds:8.2f}{YEAR / seconds:12,.0f}{reference / seconds:15.2f}")


def age(worker: Worker, folder: Path) -> None:
    one = case("SMACrossover", "1h", 60)
    found = worker.call("tests.bench.engine:session_seconds", one, 60, folder / "age.sqlite")
    print("\nSMACrossover 1h, committed every hour")
    print("private memory beyond the fork's: " + ", ".join(f"{n} {mb:.1f} MB" for n, mb in found["memory"].items()))
    first, last = found["months"][0], found["months"][-1]
    print(f"CPU of the first month {first:.2f} s, of the last {last:.2f} s; ratio {last / first:.2f}")
    print(f"journal of the year {(folder / 'age.sqlite').stat().st_size / 1e6:.1f} MB")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        worker = Worker(Path(folder))
        try:
            compare(worker, "SMACrossover", "1h", 60, Path(folder))
            if "--all" in sys.argv:
                compare(worker, "DayTrader", "15m", 15, Path(folder))
            age(worker, Path(folder))
        finally:
            worker.close()


if __name__ == "__main__":
    main()
