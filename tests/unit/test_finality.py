"""When a candle is final: the rules, one by one, and against any order of honest and spoiled replies."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jesse_paperd.candles.store import Candle, Gap
from jesse_paperd.core.minutes import MINUTE
from jesse_paperd.feed.finality import MALFORMED_FOR, MALFORMED_TIMES, Finality, examine
from tests.fakes.faults import ROWS, Fault, spoil
from tests.fakes.market import Market, random_market

START = 1_735_689_600_000


def at(minute: float) -> int:
    return round(START + minute * MINUTE)


def row(minute: float, price: float = 100.0, volume: float = 5.0) -> list[Any]:
    return [at(minute), price, price + 2, price - 1, price + 1, volume]


def candle(minute: int, price: float = 100.0) -> Candle:
    return Candle(*row(minute, price))


@pytest.mark.parametrize(
    ("spoiled", "reason"),
    [
        ([at(0), 100, 99, 98, 100, 1], "outside low and high"),
        ([at(0), 100, 101, 100.5, 101, 1], "outside low and high"),
        ([at(0), 100, 101, 0.0, 101, 1], "not above 0"),
        ([at(0), -100, 101, -100, 101, 1], "not above 0"),
        ([at(0), float("nan"), 101, 99, 101, 1], "not a number"),
        ([at(0), 100, float("inf"), 99, 101, 1], "not a number"),
        ([at(0), None, 101, 99, 101, 1], "not a number"),
        ([at(0), "100", 101, 99, 101, 1], "not a number"),
        ([at(0), True, 101, 99, 101, 1], "not a number"),
        ([at(0), 100, 101, 99, 101, -1], "negative volume"),
    ],
)
def test_a_row_that_makes_no_sense_is_refused_with_its_minute(spoiled: list[Any], reason: str) -> None:
    reply = examine([spoiled, row(1)], at(2))
    assert reply.candles == [candle(1)]
    assert list(reply.refused) == [at(0)]
    assert reason in reply.refused[at(0)]


@pytest.mark.parametrize(
    "spoiled",
    [[at(0.5), *row(0)[1:]], [at(9), *row(0)[1:]], [None, *row(0)[1:]], [0, *row(0)[1:]], [True], "row", None, [at(0)]],
)
def test_a_row_without_a_usable_time_is_counted_and_passed_over(spoiled: Any) -> None:
    reply = examine([spoiled, row(1)], at(2))
    assert (reply.candles, reply.refused, reply.refused_rows) == ([candle(1)], {}, 1)


def test_order_and_equal_duplicates_do_not_matter_but_different_rows_for_a_minute_refuse_it() -> None:
    reply = examine([row(2), row(0), row(1), row(1), row(2, 200), row(2)], at(3))
    assert reply.candles == [candle(0), candle(1)]
    assert list(reply.refused) == [at(2)]


def test_a_row_is_final_as_soon_as_the_reply_holds_a_later_one() -> None:
    verdict = Finality(True).judge(at(0), at(1), examine([row(0), row(1)], at(1)), at(1))
    assert (verdict.upto, verdict.candles, verdict.gaps) == (at(1), [candle(0)], [])


def test_the_newest_row_is_final_when_it_comes_again_unchanged_five_seconds_later() -> None:
    rules = Finality(True)
    reply = examine([row(0)], at(1))
    first = rules.judge(at(0), at(1), reply, at(1) + 1000)
    assert (first.upto, first.again_at) == (at(0), at(1) + 6000)
    assert rules.judge(at(0), at(1), reply, at(1) + 5999).upto == at(0)
    assert rules.judge(at(0), at(1), reply, at(1) + 6000).candles == [candle(0)]


def test_a_newest_row_that_changed_waits_anew() -> None:
    rules = Finality(True)
    rules.judge(at(0), at(1), examine([row(0)], at(1)), at(1) + 1000)
    changed = examine([row(0, volume=6.0)], at(1))
    assert rules.judge(at(0), at(1), changed, at(1) + 6000).upto == at(0)
    assert rules.judge(at(0), at(1), changed, at(1) + 11000).candles == [Candle(*row(0, volume=6.0))]


def test_an_unfinished_row_is_never_final_however_often_it_comes() -> None:
    rules = Finality(True)
    for second in range(0, 60, 5):
        verdict = rules.judge(at(0), at(0), examine([row(0)], at(0) + second * 1000), at(0) + second * 1000)
        assert verdict.upto == at(0)


@pytest.mark.parametrize(("flat", "seconds"), [(True, 60), (False, 5)])
def test_an_absent_minute_is_a_gap_only_when_a_later_reply_lacks_it_too(flat: bool, seconds: int) -> None:
    rules = Finality(flat)
    reply = examine([row(0), row(3), row(4)], at(4))
    first = rules.judge(at(0), at(4), reply, at(4))
    assert (first.candles, first.gaps, first.upto) == ([candle(0)], [], at(1))
    assert rules.judge(at(1), at(4), reply, at(4) + seconds * 1000 - 1).gaps == []
    second = rules.judge(at(1), at(4), reply, at(4) + seconds * 1000)
    assert (second.gaps, second.candles, second.upto) == ([Gap(at(1), at(2), "no_candle")], [candle(3)], at(4))


def test_a_minute_that_comes_late_is_no_gap_and_its_neighbour_still_is() -> None:
    rules = Finality(False)
    rules.judge(at(0), at(4), examine([row(0), row(3), row(4)], at(4)), at(4))
    late = rules.judge(at(1), at(4), examine([row(1), row(3), row(4)], at(4)), at(4) + 5000)
    assert (late.candles, late.gaps) == ([candle(1), candle(3)], [Gap(at(2), at(2), "no_candle")])


def test_absence_before_the_first_candle_ever_or_beyond_the_exchanges_history_is_named_so() -> None:
    for rules, known_before, start in ((Finality(True), False, 0), (Finality(False, history=720), True, 10)):
        reply = examine([row(1000), row(1001)], at(1001))
        rules.judge(at(start), at(1001), reply, at(1001), known_before=known_before)
        verdict = rules.judge(at(start), at(1001), reply, at(1001) + MINUTE, known_before=known_before)
        assert verdict.gaps == [Gap(at(start), at(999), "no_history")]


def test_an_empty_reply_says_nothing_unless_a_later_candle_is_known() -> None:
    rules = Finality(False)
    empty = examine([], at(100))
    for seconds in (0, 10, 100):
        assert rules.judge(at(0), at(60), empty, at(100) + seconds * 1000).upto == at(0)
    rules.judge(at(0), at(60), empty, at(100), proven=at(30))
    assert rules.judge(at(0), at(60), empty, at(101), proven=at(30)).gaps == [Gap(at(0), at(29), "no_candle")]


def test_a_refused_minute_holds_back_what_is_later_and_is_given_up_after_ten_minutes_of_it() -> None:
    rules = Finality(True)
    rows = [row(0), [at(1), 0, 0, 0, 0, 0], row(2), row(3)]
    first = rules.judge(at(0), at(3), examine(rows, at(3)), at(3))
    assert (first.candles, first.upto) == ([candle(0)], at(1))
    assert "not above 0" in first.waits_for
    for n in range(MALFORMED_TIMES - 2):
        assert rules.judge(at(1), at(3), examine(rows, at(3)), at(3) + MALFORMED_FOR + n).upto == at(1), (
            "too few replies"
        )
    last = rules.judge(at(1), at(3), examine(rows, at(3)), at(3) + MALFORMED_FOR + 100)
    assert (last.gaps, last.candles) == ([Gap(at(1), at(1), "malformed")], [candle(2)])


def test_a_refused_minute_that_comes_right_in_time_is_a_candle() -> None:
    rules = Finality(True)
    spoiled = [row(0), [at(1), 0, 0, 0, 0, 0], row(2)]
    for n in range(MALFORMED_TIMES * 2):
        assert rules.judge(at(0), at(2), examine(spoiled, at(3)), at(3) + n * 1000).upto == at(1)
    healed = rules.judge(at(1), at(3), examine([row(1), row(2), row(3)], at(4)), at(4))
    assert healed.candles == [candle(1), candle(2)]


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), flat=st.booleans(), harm=st.sampled_from([0.0, 0.3, 0.8]))
def test_whatever_is_spoiled_the_final_candles_are_the_exchanges(seed: int, flat: bool, harm: float) -> None:
    """Replies come at random moments of an hour; each row of the exchange is right in the end or refused."""
    chance = random.Random(seed)
    gap = chance.randrange(5, 40)
    gaps = ((at(gap), at(gap + chance.randrange(1, 15))),)
    market = random_market("BTC-USDT", seed, quiet=0.3, flat=flat, gaps=gaps)
    # Revised rows are right once; what comes later is the store's matter.
    faults = [Fault(kind) for kind in ROWS if kind != "revised"]
    rules, cursor, now = Finality(flat), at(0), at(1)
    final: list[Candle] = []
    found: list[Gap] = []
    while now < at(90):
        rows: list[Any] = market.rows(cursor, now + 1, now)
        for fault in faults if now < at(60) else []:
            if chance.random() < harm / len(faults) * 3:
                rows = spoil(fault, rows, chance, now)
        reply = examine([list(each) for each in rows], now)
        verdict = rules.judge(cursor, now // MINUTE * MINUTE, reply, now)
        assert verdict.upto >= cursor
        final += verdict.candles
        found += verdict.gaps
        cursor = verdict.upto
        now += chance.choice([1000, 5000, 20_000, 61_000, 200_000])
    wanted = market.finals(at(0), cursor)
    assert final == wanted
    present = {each.timestamp for each in wanted}
    assert _minutes(found) == [minute for minute in range(at(0), cursor, MINUTE) if minute not in present]
    assert cursor >= at(78), "it gets to the end"


def _minutes(gaps: list[Gap]) -> list[int]:
    return [minute for gap in gaps for minute in range(gap.first, gap.last + 1, MINUTE)]


def test_the_stand_in_market_shows_an_unfinished_candle_that_is_not_the_final_one() -> None:
    market: Market = random_market("BTC-USDT", 1)
    assert market.seen_at(at(0), at(0.5)) != market.final(at(0))
    assert market.seen_at(at(0), at(1)) == market.final(at(0))
    assert market.seen_at(at(0), at(0) - 1) is None
