"""The engine's facts do not depend on how its candles are split between calls."""

from __future__ import annotations

import pytest

from tests.parity.case import Case
from tests.parity.gamblers import dense, sparse
from tests.parity.worker import Worker

FACTS = "tests.parity.scenarios:facts_of"


@pytest.mark.parametrize(
    "case",
    [
        dense(minutes=1200),
        dense(seed=9, timeframe="1m", minutes=400, leverage=20, leverage_mode="isolated"),
        dense(seed=79, market="spot", minutes=1200),
        sparse(),
        sparse(seed=42, market="spot", gap_policy="fill"),
        sparse(seed=12, warmup_candles=40, timeframe="15m"),
    ],
    ids=str,
)
def test_one_by_one_gives_the_same_facts_as_any_blocks(jesse: Worker, case: Case) -> None:
    live = jesse.call(FACTS, case, [1])
    assert not live["raised"]
    assert live["trades"]
    assert len(live["equity"]) > 5
    for batches in ([4096], [7, 300, 1, 64], [59, 61]):
        assert jesse.call(FACTS, case, batches) == live, batches


def test_a_session_repeats_itself_in_another_process(jesse: Worker) -> None:
    case = dense(seed=13)
    assert jesse.call(FACTS, case, [64]) == jesse.call(FACTS, case, [64])
