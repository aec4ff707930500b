"""What the engine replaces of Jesse's private functions equals what it replaces (docs/engine.md)."""

from __future__ import annotations

import pytest

from tests.parity.case import Case
from tests.parity.gamblers import dense, sparse
from tests.parity.worker import Worker


@pytest.mark.parametrize(
    "case",
    [
        dense(seed=111, frames="BTC-USDT:15m,BTC-USDT:1h"),
        sparse(seed=112, frames="BTC-USDT:15m,BTC-USDT:1h"),
        sparse(seed=113, minutes=1200, timeframe="1m", frames="BTC-USDT:5m"),
    ],
    ids=str,
)
def test_a_read_that_is_spared_would_have_changed_nothing(jesse: Worker, case: Case) -> None:
    assert jesse.call("tests.parity.scenarios:reads_checked", case) > 5


@pytest.mark.parametrize("seed", range(3))
def test_orders_fill_in_jesses_order_where_that_is_certain(jesse: Worker, seed: int) -> None:
    jesse.call("tests.parity.scenarios:orders_sorted_both_ways", seed, 2000)
