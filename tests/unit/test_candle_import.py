"""Imports in stretches: whatever the holes and whatever is there, each candle is there once and nothing changed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jesse_paperd.candles import importing as candle_import
from jesse_paperd.candles.importing import import_candles
from jesse_paperd.candles.store import CandleReader, CandleStore
from jesse_paperd.core.minutes import MINUTE
from tests.unit.test_candle_file import random_rows

BTC, SPOT = "BTC-USDT", "Binance Spot"


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), count=st.integers(1, 60), stretch=st.integers(1, 20), complete=st.booleans(),
    before=st.booleans(),
)  # fmt: skip
def test_any_import_adds_what_is_not_final_and_counts_the_rest(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, stretch: int, complete: bool, before: bool
) -> None:
    chance = np.random.default_rng(seed)
    rows = random_rows(seed, count)
    path = tmp_path_factory.mktemp("store") / "store.sqlite"
    store, reader = CandleStore(path), CandleReader(path)
    now = int(rows[-1, 0]) + MINUTE
    there = rows[chance.random(count) < 0.4] if before else rows[:0]
    there = there.copy()
    wrong = chance.random(len(there)) < 0.3
    there[wrong, 5] += 1
    if len(there):
        store.adopt(BTC, there, now)
    told: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candle_import, "STRETCH", stretch)
        report = import_candles(store, SPOT, BTC, rows, now, complete, progress=told.append)
    assert (report.added, report.contradicting) == (count - len(there), int(wrong.sum()))
    assert report.known == count - report.added - report.contradicting
    assert told[-1] == count
    expected = rows.copy()
    expected[np.isin(rows[:, 0], there[:, 0])] = there
    assert np.array_equal(reader.range(BTC, 0, now), expected)
    first = int(rows[0, 0])
    open_minutes = sum(b - a for a, b in reader.missing(BTC, first, now)) // MINUTE
    gap_minutes = sum(gap.last - gap.first + MINUTE for gap in reader.gaps(BTC, first, now)) // MINUTE
    assert (open_minutes, gap_minutes) == ((0, report.missing_minutes) if complete else (report.missing_minutes, 0))
