"""Minutes that the market did not have: counted and left out, or filled and marked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.parity.candles import MIDNIGHT, MINUTE, Generated, Rows
from tests.parity.case import PROJECT, Case
from tests.parity.gamblers import sparse
from tests.parity.worker import Worker

FACTS = "tests.parity.scenarios:facts_of"


def flat_filled(rows: Rows) -> Rows:
    """An independent filling: every missing minute at the last close, without volume."""
    known = {int(row[0]): row for row in rows}
    filled: list[Rows] = []
    for time in range(int(rows[0, 0]), int(rows[-1, 0]) + MINUTE, MINUTE):
        row = known.get(time)
        if row is None:
            close = filled[-1][2]
            row = np.array([time, close, close, close, close, 0.0])
        filled.append(row)
    return np.array(filled)


def test_skip_counts_the_missing_minutes_and_the_decisions_in_them(jesse: Worker) -> None:
    rows = np.delete(Generated(41, 600).rows(), [*range(100, 130), 199, *range(300, 420)], axis=0)
    case = Case("Watcher", {"BTC-USDT": rows}, project=PROJECT, timeframe="5m")
    facts = jesse.call(FACTS, case, [64])
    gaps = [(detail["from"], detail["to"], detail["minutes"]) for _, kind, detail in facts["events"] if kind == "gap"]
    at = [MIDNIGHT + minute * MINUTE for minute in (100, 129, 199, 199, 300, 419)]
    assert gaps == [(at[0], at[1], 30), (at[2], at[3], 1), (at[4], at[5], 120)]
    progress = facts["progress"]
    assert (progress.gaps, progress.missing) == (3, 151)
    called = {note["time"] for note in jesse.call("tests.parity.scenarios:notes_of", case)}
    boundaries = set(range(MIDNIGHT + 5 * MINUTE, MIDNIGHT + 601 * MINUTE, 5 * MINUTE))
    assert progress.missed_decisions == len(boundaries - called) == 31
    assert progress.candles == len(rows)


def already_filled(case: Case) -> Case:
    """The same case with the candles that filling makes, warm-up included: what is before its start belongs to that."""
    warmup, candles = case.warmup["BTC-USDT"], case.candles["BTC-USDT"]
    rows = flat_filled(np.concatenate((warmup, candles)))
    cut = int(np.searchsorted(rows[:, 0], case.start))
    return replace(case, warmup={"BTC-USDT": rows[:cut]}, candles={"BTC-USDT": rows[cut:]})


@pytest.mark.parametrize("market", ["spot", "futures"])
def test_fill_trades_the_filled_candles_exactly_as_the_backtest_would(jesse: Worker, market: str) -> None:
    case = sparse(seed=42, market=market, gap_policy="fill", frames="BTC-USDT:1h")
    expected = jesse.call("tests.parity.lab:reference", already_filled(case), True)
    found = jesse.call("tests.parity.lab:session", case, [1, 64, 500])[1]
    assert jesse.call("tests.parity.lab:difference", expected, found) == ""
    assert found.trades


def test_fill_marks_what_it_made_up_and_puts_it_into_the_checksum(jesse: Worker) -> None:
    case = sparse(seed=43, gap_policy="fill")
    filled = already_filled(case)
    rows = np.concatenate((filled.warmup["BTC-USDT"], filled.candles["BTC-USDT"]))
    made_up = int((rows[:, 0] > case.warmup["BTC-USDT"][-1, 0]).sum()) - len(case.candles["BTC-USDT"])
    facts = jesse.call(FACTS, case, [37])
    marked = [detail for _, kind, detail in facts["events"] if kind == "filled"]
    assert sum(detail["minutes"] for detail in marked) == made_up == facts["progress"].missing
    assert len(marked) == facts["progress"].gaps > 300
    dense = jesse.call(FACTS, filled, [4096])
    assert dense["progress"].checksum == facts["progress"].checksum
    assert dense["trades"] == facts["trades"]
    assert dense["equity"] == facts["equity"]
