"""I5 on generated markets: gaps, wicks, opening jumps, equal prices, minutes without volume; a strategy that does all.

`Gambler` (project/strategies) uses every kind of order and hook, and notes the candles, prices, balances and orders
that each hook sees: the notes must be equal too, so a difference shows even where no trade comes of it.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import Phase, given, note, settings
from hypothesis import strategies as st

from tests.parity.candles import MIDNIGHT, MINUTE, Generated
from tests.parity.case import PROJECT, Case
from tests.parity.worker import Worker

LENGTHS = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "45m": 45, "1h": 60, "2h": 120}
FRAMES = ["", "BTC-USDT:1m", "BTC-USDT:5m", "BTC-USDT:5m,BTC-USDT:1h"]

sparse_markets = st.builds(
    Generated,
    seed=st.integers(0, 2**32 - 1),
    minutes=st.sampled_from([700, 1500, 2500]),
    start=st.sampled_from([0, 1, 17, 59, 333]).map(lambda minute: MIDNIGHT + minute * MINUTE),
    volatility=st.sampled_from([0.0005, 0.002, 0.006]),
    jump=st.sampled_from([0.0, 0.02, 0.3]),
    wick=st.sampled_from([0.0, 0.05, 0.3]),
    flat=st.sampled_from([0.0, 0.05, 0.5]),
    tick=st.sampled_from([0.01, 0.5, 5.0]),
    missing=st.sampled_from([0.001, 0.05, 0.5]),
    outages=st.sampled_from([0, 3]),
)
dense_markets = st.builds(
    Generated,
    seed=st.integers(0, 2**32 - 1),
    minutes=st.sampled_from([700, 1500, 2500]),
    volatility=st.sampled_from([0.0005, 0.002, 0.006]),
    jump=st.sampled_from([0.0, 0.02, 0.3]),
    wick=st.sampled_from([0.0, 0.05, 0.3]),
    flat=st.sampled_from([0.0, 0.05, 0.5]),
    tick=st.sampled_from([0.01, 0.5, 5.0]),
)


@st.composite
def cases(draw: st.DrawFn, dense: bool) -> Case:
    """A gambler on a market. Without gaps, Jesse counts rows: its bars are the clock's only from a boundary on."""
    market = draw(dense_markets if dense else sparse_markets)
    rows = market.rows()
    frames = draw(st.sampled_from(FRAMES))
    routes = tuple(tuple(frame.split(":")) for frame in frames.split(",") if frame)
    timeframe = draw(st.sampled_from(["1m", "3m", "5m", "15m", "30m", "1h"] if dense else sorted(LENGTHS)))
    warmup = draw(st.sampled_from([0, 30]))
    minutes = warmup * max(LENGTHS[frame] for frame in (timeframe, *(frame for _, frame in routes)))
    if minutes >= market.minutes // 2:
        warmup = minutes = 0
    cut = int(np.searchsorted(rows[:, 0], market.start + minutes * MINUTE))
    spot = draw(st.booleans())
    return Case(
        "Gambler",
        {"BTC-USDT": rows[cut:]},
        {"BTC-USDT": rows[:cut]} if cut else {},
        project=PROJECT,
        timeframe=timeframe,
        market="spot" if spot else "futures",
        leverage=1 if spot else draw(st.sampled_from([1, 5, 20])),
        leverage_mode=draw(st.sampled_from(["cross"] if dense else ["cross", "isolated"])),
        fee=draw(st.sampled_from([0.0, 0.001])),
        warmup_candles=warmup,
        data_routes=routes,  # type: ignore[arg-type]
        hyperparameters={
            "seed": draw(st.integers(0, 10**6)),
            "eager": draw(st.sampled_from([0.1, 0.4])),
            "frames": frames,
        },
    )


batchings = st.lists(st.sampled_from([1, 7, 64, 300, 4096]), min_size=1, max_size=4)
# A failing case is as small as it gets: shrinking a market's seed leads nowhere.
phases = [Phase.explicit, Phase.reuse, Phase.generate]
quick = settings(max_examples=16, deadline=None, derandomize=True, phases=phases)
thorough = settings(max_examples=400, deadline=None, print_blob=True, phases=phases)


def check(jesse: Worker, case: Case, by_the_clock: bool, batches: list[int]) -> None:
    note(str(case))
    verdict = jesse.call("tests.parity.lab:compare", case, by_the_clock, batches)
    assert verdict.good, verdict


@quick
@given(case=cases(dense=True), batches=batchings)
def test_i5_a_gap_free_market_from_a_day_boundary(jesse: Worker, case: Case, batches: list[int]) -> None:
    check(jesse, case, False, batches)


@quick
@given(case=cases(dense=False), batches=batchings)
def test_i5_a_thin_market_from_any_minute(jesse: Worker, case: Case, batches: list[int]) -> None:
    check(jesse, case, True, batches)


@pytest.mark.slow
@thorough
@given(case=cases(dense=True), batches=batchings)
def test_i5_many_gap_free_markets(jesse: Worker, case: Case, batches: list[int]) -> None:
    check(jesse, case, False, batches)


@pytest.mark.slow
@thorough
@given(case=cases(dense=False), batches=batchings)
def test_i5_many_thin_markets(jesse: Worker, case: Case, batches: list[int]) -> None:
    check(jesse, case, True, batches)
