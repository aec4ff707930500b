"""I5 for sessions of several routes: one wallet, one order of things, as Jesse's timestamp replay has it.

`Gambler` and `Neighbour` (project/strategies) note what each hook of each route sees in one list, so that not only
every trade and balance must be equal but also the order in which the routes come to their turns.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from tests.parity.candles import MIDNIGHT, MINUTE, Generated, Rows
from tests.parity.case import PROJECT, Case, Further
from tests.parity.test_generated_markets import LENGTHS, batchings, phases, thorough
from tests.parity.worker import Worker

SYMBOLS = ["BTC-USDT", "ETH-USDT", "ADA-USDT", "SOL-USDT", "XRP-USDT", "BNB-USDT"]
FRAMES = ["1m", "3m", "5m", "15m"]


@st.composite
def portfolios(draw: st.DrawFn) -> Case:
    """Two to six routes with markets of their own, some of them thin, from any minute."""
    symbols = draw(st.permutations(SYMBOLS))[: draw(st.integers(2, 6))]
    start = MIDNIGHT + draw(st.sampled_from([0, 1, 17, 59, 333])) * MINUTE
    minutes = draw(st.sampled_from([300, 700]))
    warmup = 30  # of a thin market Jesse needs 20
    frames = [draw(st.sampled_from(FRAMES)) for _ in symbols]
    looks = [draw(st.sampled_from(["", f"{symbols[0]}:{frames[0]}", f"{symbols[1]}:5m"])) for _ in symbols]
    data_routes = draw(st.sampled_from([(), ((symbols[1], "5m"),), ((symbols[1], "5m"), ("DOT-USDT", "15m"))]))
    needed = warmup * max(LENGTHS[frame] for frame in (*frames, *(frame for _, frame in data_routes)))
    rows = {symbol: _market(draw, start, minutes + needed) for symbol in (*symbols, *(s for s, _ in data_routes))}
    cuts = {symbol: int(np.searchsorted(part[:, 0], start + needed * MINUTE)) for symbol, part in rows.items()}
    spot = draw(st.booleans())

    def hyperparameters(index: int) -> dict[str, object]:
        seen = looks[index] if ":5m" not in looks[index] or data_routes else ""
        return {
            "seed": draw(st.integers(0, 10**6)),
            "eager": draw(st.sampled_from([0.1, 0.4])),
            "frames": seen,
        }

    def strategy() -> str:
        return draw(st.sampled_from(["Gambler", "Neighbour", "Neighbour"]))

    return Case(
        strategy(),
        {symbol: part[cuts[symbol] :] for symbol, part in rows.items()},
        {symbol: part[: cuts[symbol]] for symbol, part in rows.items() if cuts[symbol]},
        project=PROJECT,
        timeframe=frames[0],
        market="spot" if spot else "futures",
        leverage=1 if spot else draw(st.sampled_from([1, 5, 20])),
        leverage_mode=draw(st.sampled_from(["cross", "isolated"])),
        fee=draw(st.sampled_from([0.0, 0.001])),
        warmup_candles=warmup,
        data_routes=data_routes,
        hyperparameters=hyperparameters(0),
        further=tuple(
            Further(symbol, strategy(), frames[n], hyperparameters(n)) for n, symbol in enumerate(symbols[1:], start=1)
        ),
    )


def _market(draw: st.DrawFn, start: int, minutes: int) -> Rows:
    return Generated(
        seed=draw(st.integers(0, 2**32 - 1)),
        minutes=minutes,
        start=start,
        volatility=draw(st.sampled_from([0.0005, 0.002, 0.006])),
        jump=draw(st.sampled_from([0.0, 0.02, 0.3])),
        wick=draw(st.sampled_from([0.0, 0.05, 0.3])),
        flat=draw(st.sampled_from([0.0, 0.5])),
        tick=draw(st.sampled_from([0.01, 0.5])),
        missing=draw(st.sampled_from([0.0, 0.0, 0.05, 0.5])),
        outages=draw(st.sampled_from([0, 3])),
    ).rows()


def check(jesse: Worker, case: Case, batches: list[int]) -> None:
    note(str(case))
    verdict = jesse.call("tests.parity.lab:compare", case, True, batches)
    assert verdict.good, verdict


@settings(max_examples=10, deadline=None, derandomize=True, phases=phases)
@given(case=portfolios(), batches=batchings)
def test_i5_several_routes_in_one_wallet(jesse: Worker, case: Case, batches: list[int]) -> None:
    check(jesse, case, batches)


@pytest.mark.slow
@thorough
@given(case=portfolios(), batches=batchings)
def test_i5_many_portfolios(jesse: Worker, case: Case, batches: list[int]) -> None:
    check(jesse, case, batches)
