"""Candle files: what is written is read again, in every form; what is wrong is named by its line or row."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jesse_paper.errors import PaperError
from jesse_paperd.candles.files import SUFFIXES, read_candle_file, write_candle_file
from jesse_paperd.core.minutes import MINUTE, Rows

START = 1_735_689_600_000


def random_rows(seed: int, count: int) -> Rows:
    """Candles with gaps and with prices of every precision, in Jesse's order."""
    chance = np.random.default_rng(seed)
    times = START + MINUTE * np.cumsum(chance.integers(1, 4, count))
    prices = np.sort(chance.lognormal(3, 4, (count, 4)), axis=1)
    low, first, second, high = prices.T
    swap = chance.random(count) < 0.5
    open_, close = np.where(swap, first, second), np.where(swap, second, first)
    volume = np.where(chance.random(count) < 0.2, 0.0, chance.lognormal(0, 5, count))
    return np.ascontiguousarray(np.column_stack([times, open_, close, high, low, volume]))


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 50))
def test_what_is_written_is_read_again_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, seed: int, count: int
) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    rows = random_rows(seed, count)
    path = tmp_path_factory.mktemp("files") / f"candles{suffix}"
    write_candle_file(path, rows)
    assert np.array_equal(read_candle_file(path), rows)
    assert [each.name for each in path.parent.iterdir()] == [path.name], "nothing else is left behind"


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        (0, START + 30_000, "not a whole minute"),
        (0, START, "not later than"),
        (1, float("nan"), "not finite"),
        (3, 0.5, "outside low and high"),
        (4, 0.0, "not above 0"),
        (5, -1.0, "negative volume"),
    ],
)
def test_the_first_bad_row_is_named(tmp_path: Path, suffix: str, column: int, value: float, problem: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    rows = random_rows(1, 5)
    rows[:, 1:5] = [2.0, 3.0, 4.0, 1.0]
    rows[3, column] = value
    write_candle_file(path := tmp_path / f"bad{suffix}", rows)
    with pytest.raises(PaperError, match=problem) as refused:
        read_candle_file(path)
    assert ("line 5" if "csv" in suffix else "row 4") in refused.value.message
    assert refused.value.code == "candles_invalid"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "header"),
        (b"time,open\n", "header must be"),
        (b"timestamp,open,high,low,close,volume\n", "holds no candles"),
        (b"timestamp,open,high,low,close,volume\n1735689600000,1,2,1\n", "line 2 has 4 values"),
        (b"timestamp,open,high,low,close,volume\n1735689600000,1,2,1,x,0\n", "line 2 has a value that is not a number"),
        (gzip.compress(b"timestamp,open,high,low,close,volume\n" * 500)[:-9], "no.* whole gzip file"),
        (b"\x93NUMPY\x01\x00 and no more", "not a complete NumPy file"),
        (b"PAR1 and no more", "Parquet"),
    ],
)
def test_what_is_no_candle_file_is_refused_in_words(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "candles"
    path.write_bytes(content)
    with pytest.raises(PaperError, match=problem):
        read_candle_file(path)


def test_an_array_of_another_shape_and_objects_are_refused(tmp_path: Path) -> None:
    for name, array in (("five", np.ones((3, 5))), ("text", np.array([["a"] * 6])), ("object", np.array([[None] * 6]))):
        np.save(tmp_path / f"{name}.npy", array)
        with pytest.raises(PaperError, match=name) as refused:
            read_candle_file(tmp_path / f"{name}.npy")
        assert refused.value.code == "candles_invalid"


def test_another_ending_and_an_unwritable_place_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(PaperError, match=r"\.parquet"):
        write_candle_file(tmp_path / "candles.xlsx", random_rows(1, 3))
    with pytest.raises(PaperError, match="cannot be written"):
        write_candle_file(tmp_path / "no" / "candles.csv", random_rows(1, 3))
    assert list(tmp_path.iterdir()) == []
