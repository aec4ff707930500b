"""The candle store: what is final stays, absence is recorded, and nobody reads past the frontier."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jesse_paperd.store.candle_store import MINUTE, Candle, CandleReader, CandleStore, Gap
from jesse_paperd.wire.errors import PaperError

START = 1_735_689_600_000
BTC = "BTC-USDT"


def at(minute: int) -> int:
    return START + minute * MINUTE


def candle(minute: int, price: float = 100.0) -> Candle:
    return Candle(at(minute), price, price + 2, price - 1, price + 1, 5.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "binance-spot.sqlite"


def test_rows_come_in_jesses_order_and_only_up_to_the_frontier(path: Path) -> None:
    store, reader = CandleStore(path), CandleReader(path)
    store.commit(BTC, at(0), at(3), [candle(0), candle(1), candle(2)], [], at(3))
    store.commit(BTC, at(5), at(6), [candle(5)], [], at(6))
    assert reader.read(BTC, at(0) - 1, 10)[:, 0].tolist() == [at(0), at(1), at(2)], "minute 3 is not final yet"
    assert reader.read(BTC, at(1), 10).tolist() == [[at(2), 100.0, 101.0, 102.0, 99.0, 5.0]]
    assert reader.read(BTC, at(0) - 1, 2).shape == (2, 6)
    assert reader.read(BTC, at(2), 10).shape == (0, 6)
    assert reader.missing(BTC, at(0), at(6)) == [(at(3), at(5))]
    assert reader.frontier(BTC, at(0)) == at(3)
    assert reader.frontier(BTC, at(3)) == at(3)
    assert reader.frontier(BTC) == at(6)
    assert reader.range(BTC, at(2), at(6))[:, 0].tolist() == [at(2), at(5)]


def test_a_recorded_gap_is_final_and_lets_the_reader_pass(path: Path) -> None:
    store, reader = CandleStore(path), CandleReader(path)
    store.commit(BTC, at(0), at(6), [candle(0), candle(5)], [Gap(at(1), at(4), "no_candle")], at(7))
    assert reader.read(BTC, at(0), 10)[:, 0].tolist() == [at(5)]
    assert reader.gaps(BTC, at(2), at(3)) == [Gap(at(1), at(4), "no_candle")]
    assert reader.missing(BTC, at(0), at(6)) == []
    assert store.counts(BTC) == (4, 0)


def test_the_first_final_version_wins_and_later_ones_are_counted(path: Path) -> None:
    store, reader = CandleStore(path), CandleReader(path)
    store.commit(BTC, at(0), at(3), [candle(0), candle(2)], [Gap(at(1), at(1), "no_candle")], at(3))
    assert store.recheck(BTC, [candle(0), candle(2)], at(4)) == 0
    assert store.recheck(BTC, [candle(0, 200.0)], at(4)) == 1
    assert store.recheck(BTC, [candle(0, 200.0)], at(5)) == 0, "the same revision counts once"
    assert store.recheck(BTC, [candle(1)], at(5)) == 1, "a candle where a gap was recorded is a revision too"
    assert store.recheck(BTC, [candle(9)], at(9)) == 0, "what is not final yet cannot be revised"
    store.commit(BTC, at(0), at(4), [candle(0, 300.0), candle(1), candle(2), candle(3)], [], at(5))
    assert reader.range(BTC, at(0), at(4))[:, 1].tolist() == [100.0, 100.0, 100.0]
    assert reader.range(BTC, at(0), at(4))[:, 0].tolist() == [at(0), at(2), at(3)]
    assert reader.revisions(BTC) == [candle(0, 200.0), candle(1)]


@pytest.mark.parametrize(
    ("candles", "gaps"),
    [
        ([candle(0), candle(2)], []),
        ([candle(0), candle(1)], [Gap(at(1), at(1), "no_candle")]),
        ([candle(0), candle(1), candle(1)], []),
        ([], []),
    ],
)
def test_a_stretch_that_is_not_wholly_accounted_for_is_refused_whole(
    path: Path, candles: list[Candle], gaps: list[Gap]
) -> None:
    store, reader = CandleStore(path), CandleReader(path)
    with pytest.raises(ValueError, match="each minute"):
        store.commit(BTC, at(0), at(3), candles, gaps, at(3))
    assert reader.missing(BTC, at(0), at(3)) == [(at(0), at(3))]
    assert reader.range(BTC, at(0), at(3)).shape == (0, 6)


def test_a_store_that_does_not_exist_yet_reads_as_empty(path: Path) -> None:
    reader = CandleReader(path)
    assert reader.read(BTC, 0, 10).shape == (0, 6)
    assert reader.frontier(BTC) is None
    assert reader.missing(BTC, at(0), at(2)) == [(at(0), at(2))]
    assert reader.symbols() == []
    CandleStore(path).commit(BTC, at(0), at(1), [candle(0)], [], at(1))
    assert reader.symbols() == [BTC], "it is found once it is there"


def test_a_damaged_store_is_refused_with_its_name(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(PaperError, match=path.name) as refused:
        CandleStore(path)
    assert refused.value.code == "storage_failed"


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), commits=st.integers(1, 30))
def test_any_order_of_commits_gives_what_the_exchange_had(
    tmp_path_factory: pytest.TempPathFactory, seed: int, commits: int
) -> None:
    """Stretches overlap, repeat and come in any order; the truth has gaps; a model in plain Python tells the answer."""
    chance = random.Random(seed)
    truth = {minute: candle(minute, chance.uniform(1, 1000)) for minute in range(200) if chance.random() < 0.8}
    path = tmp_path_factory.mktemp("store") / "store.sqlite"
    store, reader = CandleStore(path), CandleReader(path)
    final: set[int] = set()
    for _ in range(commits):
        first = chance.randrange(200)
        upto = chance.randrange(first, 200) + 1
        absent = [minute for minute in range(first, upto) if minute not in truth]
        store.commit(
            BTC, at(first), at(upto),
            [truth[minute] for minute in range(first, upto) if minute in truth],
            [Gap(at(minute), at(minute), "no_candle") for minute in absent],
            at(200),
        )  # fmt: skip
        final.update(range(first, upto))
    open_minutes = {
        m for a, b in reader.missing(BTC, at(0), at(200)) for m in range((a - START) // MINUTE, (b - START) // MINUTE)
    }
    assert open_minutes == set(range(200)) - final
    wanted = [truth[minute] for minute in sorted(final) if minute in truth]
    got = reader.range(BTC, at(0), at(200))
    assert np.array_equal(got[:, [0, 1, 3, 4, 2, 5]], np.array(wanted).reshape(-1, 6))
    cursor = chance.randrange(-1, 200)
    run = next((m for m in range(cursor + 1, 201) if m not in final), 200)
    assert reader.read(BTC, at(cursor), 1000)[:, 0].tolist() == [at(m) for m in range(cursor + 1, run) if m in truth]
    store.close()
    reader.close()
