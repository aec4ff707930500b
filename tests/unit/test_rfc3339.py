"""Times as text and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jesse_paper.rfc3339 import to_ms, to_text


def test_times_are_written_in_whole_seconds():
    assert to_text(1_771_459_200_000) == "2026-02-19T00:00:00Z"
    assert to_text(1_771_459_200_999) == "2026-02-19T00:00:00Z"


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_every_second_is_read_back_and_what_is_between_belongs_to_the_one_before(ms):
    assert to_ms(to_text(ms)) == ms // 1000 * 1000


def test_fractions_of_a_second_are_understood():
    assert to_ms("2026-02-19T00:00:00.007Z") == 1_771_459_200_007


@pytest.mark.parametrize(
    "text", ["2026-02-19T00:00:00Z", "2026-02-19T01:30:00+01:30", "2026-02-18T19:00:00-05:00", "2026-02-19"]
)
def test_offsets_and_bare_dates_are_understood(text):
    assert to_ms(text) == 1_771_459_200_000


@pytest.mark.parametrize("text", ["", "yesterday", "2026-02-30", "2026-02-19T00:00:00", "1771459200000"])
def test_anything_else_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="2026-02-19T00:00:00Z"):
        to_ms(text)
