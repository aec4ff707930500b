"""The candle store: what is final stays, absence is recorded, and nobody reads past the frontier."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jesse_paper.errors import PaperError
from jesse_paperd.candles.store import Candle, CandleReader, CandleStore, Gap
from jesse_paperd.core.minutes import MINUTE, Rows

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


def rows(*candles: Candle) -> Rows:
    return np.array([[c.timestamp, c.open, c.close, c.high, c.low, c.volume] for c in candles])


def test_candles_from_elsewhere_fill_what_is_not_final_and_change_nothing_that_is(path: Path) -> None:
    store, reader = CandleStore(path), CandleReader(path)
    store.commit(BTC, at(2), at(5), [candle(2), candle(4)], [Gap(at(3), at(3), "no_candle")], at(5))
    theirs = [candle(0), candle(2), candle(3), candle(4, 200.0), candle(5), candle(8)]
    adopted = store.adopt(BTC, rows(*theirs), at(9))
    assert adopted == (3, 1, [(candle(4), candle(4, 200.0))], [at(3)])
    assert reader.missing(BTC, at(0), at(9)) == [(at(1), at(2)), (at(6), at(8))], "absence proves nothing by itself"
    assert reader.range(BTC, at(0), at(9)).tolist() == rows(*(candle(m) for m in (0, 2, 4, 5, 8))).tolist()
    assert reader.extent(BTC) == (at(0), at(8), 5, 1, 3)
    assert store.adopt(BTC, rows(*theirs), at(9)).added == 0
    again = store.adopt(BTC, rows(candle(0), candle(8)), at(10), upto=at(10))
    assert (again.added, again.known) == (0, 2)
    assert reader.missing(BTC, at(0), at(10)) == []
    assert reader.gaps(BTC, at(0), at(10)) == [
        Gap(at(1), at(1), "imported"),
        Gap(at(3), at(3), "no_candle"),
        Gap(at(6), at(7), "imported"),
        Gap(at(9), at(9), "imported"),
    ]
    assert reader.revisions(BTC) == [], "those are what the exchange said"


def test_four_byte_floats_are_compared_as_such(path: Path) -> None:
    store = CandleStore(path)
    exact = Candle(at(0), 96543.215, 96543.217, 96543.213, 96543.216, 1234.56789)
    store.commit(BTC, at(0), at(1), [exact], [], at(1))
    kept = Candle(at(0), *(float(str(np.float32(value))) for value in exact[1:]))
    assert kept != exact
    assert store.adopt(BTC, rows(kept), at(1), single=True).known == 1
    assert store.adopt(BTC, rows(kept), at(1)).contradicted == [(exact, kept)]


def test_two_that_make_a_store_at_once_and_write_to_it_lose_nothing(path: Path) -> None:
    """As a feed and an import do: each opens it by itself, in a process of its own."""
    code = """
import sys
from pathlib import Path
import numpy as np
from jesse_paperd.candles.store import Candle, CandleStore
path, start, odd = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
sys.stdin.readline()
store = CandleStore(path)
for minute in range(odd, 200, 2):
    at = start + minute * 60_000
    if odd:
        store.adopt("BTC-USDT", np.array([[at, 100.0, 101.0, 102.0, 99.0, 5.0]]), at)
    else:
        store.commit("BTC-USDT", at, at + 60_000, [Candle(at, 100.0, 102.0, 99.0, 101.0, 5.0)], [], at)
"""
    writers = [
        subprocess.Popen([sys.executable, "-c", code, path, str(START), str(odd)], stdin=subprocess.PIPE, text=True)
        for odd in (0, 1)
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    assert [writer.wait() for writer in writers] == [0, 0]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.close()
    reader = CandleReader(path)
    assert reader.range(BTC, at(0), at(200)).tolist() == rows(*(candle(minute) for minute in range(200))).tolist()
    assert reader.missing(BTC, at(0), at(200)) == []


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
        present = [truth[minute] for minute in range(first, upto) if minute in truth]
        if present and chance.random() < 0.5:
            complete = chance.random() < 0.5
            first = (present[0].timestamp - START) // MINUTE
            adopted = store.adopt(BTC, rows(*present), at(200), at(upto) if complete else None)
            assert adopted.added + adopted.known == len(present)
            assert (adopted.contradicted, adopted.in_gaps) == ([], [])
            final.update(range(first, upto) if complete else [(c.timestamp - START) // MINUTE for c in present])
            continue
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
