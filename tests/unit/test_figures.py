"""Numbers as people read them: neighbours can be told apart, whatever their size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jesse_paper.figures import money, moneys, price, prices, ticks


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (97_546.96, "97,546.96"),
        (0.0000096, "0.0000096"),
        (0.0, "0.00"),
        (1.08457, "1.08457"),
        (0.1234567891234, "0.12345679"),
        (-3.0, "-3.00"),
    ],
)
def test_a_price_keeps_its_own_digits(value: float, shown: str):
    assert price(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (10_000.0, "10,000.00"),
        (10_110.01698637, "10,110.02"),
        (0.0501234567, "0.050123"),
        (-0.00012345678, "-0.00012346"),
        (0.0, "0.00"),
    ],
)
def test_an_amount_has_as_many_decimals_as_its_size_asks_for(value: float, shown: str):
    assert money(value) == shown


@given(st.integers(-12, 2), st.integers(1, 9_999_999), st.integers(1, 9_999_999))
def test_two_prices_of_a_market_are_shown_as_two(exponent: int, first: int, second: int):
    """Prices are whole numbers of ticks, of seven digits at most."""
    tick = 10.0**exponent
    shown = prices([first * tick, second * tick])
    assert (shown[0] == shown[1]) == (first == second)


def test_what_stands_below_each_other_has_its_decimals_in_common_where_that_can_be():
    assert prices([9.61e-6, 9.6e-6]) == ["0.00000961", "0.00000960"]
    assert moneys([110.01698, -0.5123, 3.2], sign=True) == ["+110.02", "-0.51", "+3.20"]
    assert moneys([10_000.0, 0.0501234]) == ["10,000.00", "0.050123"]
    assert prices([]) == []


def test_the_labels_of_an_axis_can_be_told_apart():
    for low, high in ((9.6e-6, 9.7e-6), (10_000, 10_003), (0.05, 0.0501), (0, 100_000)):
        labels = [f"{low + (high - low) * i / 4:.{ticks(low, high)}f}" for i in range(5)]
        assert len(set(labels)) == 5
