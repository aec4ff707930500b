"""The engine with its journal beside Jesse's own backtests: a year of 1m candles, memory, cost by age, portfolios.

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

from tests.parity.candles import ETHER, EXAMPLES, MINUTE, PERPETUAL, Rows, read
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


def portfolio(count: int) -> Any:
    """A month of so many routes, both examples in turn, each market from another hour of its real month on."""
    from tests.parity.case import Case, Further

    warmup = 240 * 60
    months, candles = [read(PERPETUAL), read(ETHER)], {}
    for number in range(count):
        rows = months[number % 2]
        turned = np.roll(rows, -60 * number, axis=0)
        turned[:, 0] = rows[:, 0]
        candles[f"COIN{number}-USDT"] = turned
    _, *others = candles
    return Case(
        "SMACrossover",
        {symbol: rows[warmup:] for symbol, rows in candles.items()},
        {symbol: rows[:warmup] for symbol, rows in candles.items()},
        project=EXAMPLES,
        balance=10_000.0 * count,
        leverage=10,
        warmup_candles=240,
        further=tuple(
            Further(symbol, *(("SMACrossover", "1h"), ("DayTrader", "15m"))[number % 2])
            for number, symbol in enumerate(others, start=1)
        ),
    )


def backtest_seconds(case: Any, fast: bool, by_the_clock: bool = False) -> tuple[float, int]:
    """CPU seconds of `jesse.research.backtest`, and its trades. Runs in the worker.

    Args:
        by_the_clock: with the simulator whose order of things a session of several routes has.
    """
    from jesse.modes import backtest_mode
    from jesse.research import backtest

    from tests.parity.lab import settings_of, strategies_of, streams_of

    settings = settings_of(case)
    routes = [
        {"exchange": settings.exchange, "symbol": route.symbol, "timeframe": route.timeframe, "strategy": strategy}
        for route, strategy in zip(settings.routes, strategies_of(case), strict=True)
    ]
    candles, warmup = streams_of(settings, case.candles), streams_of(settings, case.warmup)
    if by_the_clock:
        backtest_mode._uses_observed_timestamp_replay = lambda _candles: True
    began = time.process_time()
    result = backtest(settings.for_jesse(), routes, [], candles, warmup, fast_mode=fast)
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
    total = len(next(iter(case.candles.values())))
    if not sealed:
        journal_module._seal = lambda _table: lambda *_values: 0
    before = _private()
    began = time.process_time()
    engine = Engine(settings, strategies, case.warmup, None)
    journal = Journal(path) if path is not None else None
    trades, months, memory = 0, [], {}
    month_began = time.process_time()
    for first in range(0, total, block):
        engine.advance({symbol: rows[first : first + block] for symbol, rows in case.candles.items()})
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


def compare_routes(worker: Worker, folder: Path) -> None:
    print("\nPortfolios of SMACrossover 1h and DayTrader 15m, a month of 1m candles less the warm-up")
    print("CPU s; a ratio is Jesse's time over the session's")
    heads = f"{'step mode':>11}{'ratio':>7}{'by the clock':>14}{'ratio':>7}"
    print(f"{'routes':>6}{'session with journal':>22}{heads}  trades")
    for count in (2, 10, 50):
        one = portfolio(count)
        step = clock = ours = np.inf
        trades = set()
        for number in range(ROUNDS if count < 50 else 1):
            seconds, closed = worker.call("tests.bench.engine:backtest_seconds", one, False)
            by_the_clock, _ = worker.call("tests.bench.engine:backtest_seconds", one, False, True)
            found = worker.call("tests.bench.engine:session_seconds", one, BLOCK, folder / f"{count}-{number}.sqlite")
            step, clock, ours = min(step, seconds), min(clock, by_the_clock), min(ours, found["seconds"])
            trades |= {closed, found["trades"]}
        ratios = f"{step:11.2f}{step / ours:7.2f}{clock:14.2f}{clock / ours:7.2f}"
        print(f"{count:6}{ours:22.2f}{ratios}  {sorted(trades)}", flush=True)


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
            compare_routes(worker, Path(folder))
        finally:
            worker.close()


if __name__ == "__main__":
    main()
