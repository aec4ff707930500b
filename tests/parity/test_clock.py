"""Candles follow the clock, whenever a session starts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.parity.candles import MIDNIGHT, MINUTE, Generated, split
from tests.parity.case import PROJECT, Case
from tests.parity.worker import Worker

HOUR = 60 * MINUTE


@pytest.mark.parametrize("minute", [0, 1, 37, 59])
def test_a_start_at_any_minute_has_whole_hours_from_the_first_decision_on(jesse: Worker, minute: int) -> None:
    rows = Generated(31, 2000, start=MIDNIGHT + minute * MINUTE).rows()
    warmup, candles = split(rows, 600)
    case = Case(
        "Watcher", {"BTC-USDT": candles}, {"BTC-USDT": warmup}, project=PROJECT, timeframe="1h", warmup_candles=10
    )
    notes = jesse.call("tests.parity.scenarios:notes_of", case, [1, 64])
    whole = jesse.call("tests.parity.scenarios:as_jesse_reads", rows, "1h")
    first = (int(candles[0, 0]) // HOUR + 1) * HOUR
    assert [note["time"] for note in notes] == list(range(first, first + len(notes) * HOUR, HOUR))
    assert len(notes) >= 22
    for note in notes:
        shown = note["candles"]
        assert (shown[:, 0] % HOUR == 0).all()
        assert (np.diff(shown[:, 0]) == HOUR).all()
        assert shown[-1, 0] == note["time"] - HOUR
        # The hour in which the session starts holds the minutes of the warm-up too.
        assert np.array_equal(shown, whole[: len(shown)])


def test_too_short_a_warmup_is_completed_from_the_candles_that_come(jesse: Worker) -> None:
    rows = Generated(32, 3000, missing=0.4, start=MIDNIGHT + 17 * MINUTE).rows()
    warmup, candles = split(rows, 300)
    case = Case(
        "Watcher", {"BTC-USDT": candles}, {"BTC-USDT": warmup}, project=PROJECT, timeframe="1h", warmup_candles=20
    )
    facts = jesse.call("tests.parity.scenarios:facts_of", case, [13])
    started_at = facts["progress"].started_at
    assert started_at >= MIDNIGHT + 20 * HOUR
    assert facts["equity"][0][0] == started_at
    assert facts["progress"].warmup + facts["progress"].candles == len(rows)
    notes = jesse.call("tests.parity.scenarios:notes_of", case)
    assert len(notes[0]["candles"]) >= 20
    gambler = replace(case, strategy="Gambler", hyperparameters={"seed": 32, "eager": 0.4, "frames": ""})
    verdict = jesse.call("tests.parity.lab:compare", gambler, True)
    assert verdict.kind == "equal", verdict
    assert verdict.trades


def test_a_session_that_never_has_enough_candles_keeps_warming_up(jesse: Worker) -> None:
    case = Case("Watcher", {"BTC-USDT": Generated(33, 300).rows()}, project=PROJECT, timeframe="1h", warmup_candles=240)
    facts = jesse.call("tests.parity.scenarios:facts_of", case, [50])
    assert facts["progress"].started_at is None
    assert facts["progress"].warmup == 300
    assert facts["progress"].last_candle == MIDNIGHT + 299 * MINUTE
    assert facts["trades"] == facts["equity"] == facts["daily_balance"] == []
