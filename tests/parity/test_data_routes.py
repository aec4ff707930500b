"""Further candles that a strategy reads: other timeframes of its market, and other markets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.parity.candles import MIDNIGHT, MINUTE, Generated
from tests.parity.case import Case
from tests.parity.gamblers import dense, sparse
from tests.parity.worker import Worker


def with_another(case: Case, other: Generated, symbol: str = "ETH-USDT") -> Case:
    """A case that also has another market, and reads two of its timeframes."""
    first = float(case.candles["BTC-USDT"][0, 0])
    rows = other.rows()
    # What comes before the traded market's first candle is the other's warm-up.
    cut = int(np.searchsorted(rows[:, 0], first)) if case.warmup else 0
    warmup, candles = rows[:cut], rows[cut:]
    frames = f"{symbol}:5m,{symbol}:1h,BTC-USDT:15m"
    routes: Any = tuple(tuple(frame.split(":")) for frame in frames.split(","))
    return replace(
        case,
        candles={**case.candles, symbol: candles},
        warmup={**case.warmup, symbol: warmup} if case.warmup else {},
        data_routes=routes,
        hyperparameters={**(case.hyperparameters or {}), "frames": frames},
    )


@pytest.mark.parametrize("timeframe", ["1m", "5m", "30m"])
@pytest.mark.parametrize("symbol", ["ETH-USDT", "ADA-USDT"])
def test_i5_with_another_market_on_the_same_minutes(jesse: Worker, timeframe: str, symbol: str) -> None:
    case = with_another(dense(seed=51, timeframe=timeframe, minutes=900), Generated(52, 900), symbol)
    verdict = jesse.call("tests.parity.lab:compare", case, True, [1, 300, 64])
    assert verdict.kind == "equal", verdict
    assert verdict.trades


@pytest.mark.parametrize("seed", range(53, 57))
def test_i5_with_another_market_that_lacks_other_minutes(jesse: Worker, seed: int) -> None:
    other = Generated(seed + 100, 3300, start=MIDNIGHT + 12 * MINUTE, missing=0.3, outages=2)
    case = with_another(sparse(seed=seed, minutes=3300, warmup_minutes=1500), other)
    verdict = jesse.call("tests.parity.lab:compare", case, True, [1, 300, 64])
    assert verdict.kind in ("equal", "raises"), verdict


def test_with_filling_a_minute_waits_until_every_market_is_known_to_have_or_lack_it(jesse: Worker) -> None:
    other = Generated(61, 3000, start=MIDNIGHT + 30 * MINUTE, missing=0.3)
    case = replace(with_another(sparse(seed=62), other), gap_policy="fill")
    live = jesse.call("tests.parity.scenarios:facts_of", case, [1])
    assert jesse.call("tests.parity.scenarios:facts_of", case, [4096, 5]) == live
    assert live["trades"]


def test_i5_with_warmup_for_the_largest_timeframe(jesse: Worker) -> None:
    case = dense(seed=63, minutes=4000, frames="BTC-USDT:1h", warmup_candles=20)
    rows = case.candles["BTC-USDT"]
    case = replace(case, candles={"BTC-USDT": rows[1200:]}, warmup={"BTC-USDT": rows[:1200]})
    verdict = jesse.call("tests.parity.lab:compare", case, False, [59])
    assert verdict.kind == "equal", verdict
    assert np.isclose(len(case.candles["BTC-USDT"]), 2800)
