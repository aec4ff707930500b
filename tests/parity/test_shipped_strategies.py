"""I5 for every strategy inside the jesse package, on markets that reach its levels and on markets that are nasty.

Many of them are Jesse's own test strategies: they assert what only Jesse's tests arrange, or mean to raise. Where the
backtest raises, the session must raise the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache

import pytest

from tests.parity.candles import MIDNIGHT, MINUTE, PERPETUAL, SPOT, Generated, Rows, ramp, read
from tests.parity.case import Case, Verdict
from tests.parity.worker import Worker

LAB = "tests.parity.lab"
SYMBOL = "BTC-USDT"


@cache
def nasty(seed: int, minutes: int = 720, **kind: float) -> Rows:
    return Generated(seed, minutes, **kind).rows()  # type: ignore[arg-type]


@cache
def off_boundary(seed: int, minutes: int = 720, **kind: float) -> Rows:
    return nasty(seed, minutes, start=MIDNIGHT + 17 * MINUTE, missing=0.2, outages=2, **kind)


def markets(strategy: str) -> list[tuple[Case, bool]]:
    """One strategy on every kind of market and account, each with whether Jesse must be made to go by the clock."""

    def case(rows: Rows, **account: object) -> Case:
        return Case(strategy, {SYMBOL: rows}, **account)  # type: ignore[arg-type]

    return [
        (case(ramp(), timeframe="1m", fee=0.0), False),
        (case(ramp(), timeframe="3m", leverage=5), False),
        (case(ramp(), timeframe="1m", market="spot"), False),
        (case(nasty(1), timeframe="5m"), False),
        (case(nasty(2, volatility=0.005), timeframe="1m", leverage=20, leverage_mode="isolated"), True),
        (case(off_boundary(3), timeframe="15m", leverage=5, leverage_mode="isolated", fee=0.0), True),
        (case(off_boundary(4), timeframe="5m", market="spot"), True),
        (case(off_boundary(5, tick=0.01), timeframe="1h", leverage=20), True),
        (case(nasty(6, missing=0.5), timeframe="3m", leverage=5), False),
    ]


def report(verdicts: Iterable[Verdict], record_property: Callable[[str, object], None]) -> list[Verdict]:
    """Tell the counts, and why a strategy was equal on no market; return the comparisons that differ."""
    verdicts = list(verdicts)
    counts = Counter(verdict.kind for verdict in verdicts)
    lines = [f"compared {len(verdicts)}: {dict(counts)}; trades {sum(verdict.trades for verdict in verdicts)}"]
    by_name: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        by_name.setdefault(verdict.case.split()[0], []).append(verdict)
    for name, own in by_name.items():
        if not any(verdict.kind == "equal" for verdict in own):
            reasons = {f"{verdict.kind}: {' '.join(verdict.detail.split())[:90]}" for verdict in own}
            lines.append(f"  {name}: {'; '.join(sorted(reasons))}")
    record_property("counted", "\n".join(lines))
    return [verdict for verdict in verdicts if not verdict.good]


def test_i5_every_shipped_strategy_equals_the_backtest_on_three_markets(
    jesse: Worker, record_property: Callable[[str, object], None]
) -> None:
    names = jesse.call(f"{LAB}:shipped_strategies")
    assert len(names) > 150
    # The ramp, on which these strategies trade, another account on it, and in turn one of the nasty markets.
    cases = [markets(name)[market] for n, name in enumerate(names) for market in (0, 1 + n % 2, 3 + n % 6)]
    verdicts = jesse.call(f"{LAB}:compare_all", cases)
    assert report(verdicts, record_property) == []
    assert len({verdict.case.split()[0] for verdict in verdicts if verdict.kind == "equal"}) > 110
    assert sum(verdict.trades for verdict in verdicts) > 250


@pytest.mark.slow
@pytest.mark.parametrize("market", range(9))
def test_i5_every_shipped_strategy_equals_the_backtest_on_every_market(
    jesse: Worker, market: int, record_property: Callable[[str, object], None]
) -> None:
    names = jesse.call(f"{LAB}:shipped_strategies")
    verdicts = jesse.call(f"{LAB}:compare_all", [markets(name)[market] for name in names])
    assert report(verdicts, record_property) == []


@pytest.mark.slow
@pytest.mark.parametrize("market", ["spot", "futures"])
def test_i5_every_shipped_strategy_equals_the_backtest_on_real_candles(
    jesse: Worker, market: str, record_property: Callable[[str, object], None]
) -> None:
    rows = read(SPOT if market == "spot" else PERPETUAL)[: 3 * 1440]
    cases = [
        (Case(name, {SYMBOL: rows}, timeframe="15m", market=market), False)  # type: ignore[arg-type]
        for name in jesse.call(f"{LAB}:shipped_strategies")
    ]
    assert report(jesse.call(f"{LAB}:compare_all", cases), record_property) == []
