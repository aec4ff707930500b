"""Every problem of a call is named at once: where, what is allowed, what came, what was probably meant."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jesse_paper import protocol as p
from jesse_paper.errors import PaperError
from jesse_paper.validation import parse

START = {"strategy": "SMACrossover", "symbol": "BTC-USDT"}


def problems(cls: type[p.Operation], arguments: dict) -> str:
    with pytest.raises(PaperError) as caught:
        parse(cls, arguments)
    assert caught.value.code == "invalid_argument"
    assert caught.value.hint
    return caught.value.message


def test_arguments_left_out_take_their_defaults():
    assert parse(p.PaperStart, START) == p.PaperStart(**START)


def test_null_means_the_default():
    nothing = {"session_id": None, "fee": None, "data_routes": None, "notes": None}
    assert parse(p.PaperStart, START | nothing) == p.PaperStart(**START)


def test_numbers_may_come_as_text():
    parsed = parse(p.PaperStart, START | {"starting_balance": "2500.5", "leverage": "3", "speed": "60"})
    assert (parsed.starting_balance, parsed.leverage, parsed.speed) == (2500.5, 3.0, 60.0)
    assert parse(p.PaperGetTrades, {"session_id": "a", "limit": "7"}).limit == 7


def test_hyperparameters_keep_the_type_they_came_with():
    given_ones = {"fast": 5, "ratio": 0.5, "mode": "5", "on": True}
    parsed = parse(p.PaperStart, START | {"hyperparameters": given_ones})
    assert [(name, type(value)) for name, value in parsed.hyperparameters.items()] == [
        ("fast", int), ("ratio", float), ("mode", str), ("on", bool),
    ]  # fmt: skip


def test_objects_may_come_as_json_text():
    parsed = parse(p.PaperUpdateSession, {"session_id": "a", "updates": '{"leverage": 2}'})
    assert parsed.updates == p.SessionUpdates(leverage=2.0)
    parsed = parse(p.PaperStart, START | {"data_routes": '[{"symbol": "ETH-USDT", "timeframe": "4h"}]'})
    assert parsed.data_routes == [p.DataRoute("ETH-USDT", "4h")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"strategy": ""}, "`strategy` must be a text of 1 to 100 characters"),
        ({"strategy": 7}, 'not 7'),
        ({"timeframe": "7h"}, "1m, 3m, 5m, 15m, 30m, 45m, 1h, 2h"),
        ({"starting_balance": 0}, "`starting_balance` must be a number above 0 up to 1000000000000, not 0"),
        ({"starting_balance": -1}, "not -1"),
        ({"starting_balance": math.nan}, "not NaN"),
        ({"starting_balance": "nan"}, 'not "nan"'),
        ({"starting_balance": math.inf}, "not Infinity"),
        ({"starting_balance": "inf"}, 'not "inf"'),
        ({"starting_balance": True}, "not true"),
        ({"starting_balance": [1]}, "not [1]"),
        ({"leverage": 0.5}, "`leverage` must be a whole number from 1 to 200, not 0.5"),
        ({"leverage": 2.5}, "not 2.5"),
        ({"leverage": 201}, "not 201"),
        ({"fee": 0.1}, "`fee` must be a number from 0 to below 0.1, not 0.1"),
        ({"fee": -0.001}, "not -0.001"),
        ({"session_id": ""}, "`session_id` must be a text"),
        ({"session_id": "a" * 65}, "1 to 64 letters"),
        ({"session_id": "../../etc"}, "1 to 64 letters"),
        ({"session_id": "a\n"}, r'not "a\n"'),
        ({"session_id": "\ud800"}, "`session_id` must be a text"),
        ({"notes": "\ud800"}, "`notes` must be a text"),
        ({"speed": 0}, "`speed` must be one of max or a number above 0 up to 1000000, not 0"),
        ({"speed": "fast"}, 'not "fast"'),
        ({"warmup_candles": 1.5}, "`warmup_candles` must be a whole number from 0 to 100000, not 1.5"),
        ({"warmup_candles": 10**5000}, "a value of type int that JSON cannot express"),
        ({"data_routes": {}}, "`data_routes` must be a list of at most 20 items"),
        ({"data_routes": [{"symbol": "ETH-USDT", "timeframe": "1h"}] * 21}, "at most 20 items"),
        ({"data_routes": [7]}, "`data_routes[0]` must be an object with fields of symbol, timeframe, not 7"),
        ({"data_routes": [{"symbol": "ETH-USDT"}]}, "`data_routes[0].timeframe` is missing"),
        ({"data_routes": [{"symbol": "x", "timeframe": "1h"}]}, "`data_routes[0].symbol` must be a text"),
        ({"hyperparameters": [1]}, "`hyperparameters` must be an object"),
        ({"hyperparameters": {"fast": math.nan}}, 'not {"fast": NaN}'),
        ({"hyperparameters": {"fast": [1]}}, "`hyperparameters` must be an object"),
    ],
)  # fmt: skip
def test_a_bad_value_is_named_with_what_is_allowed(arguments: dict, said: str):
    assert said in problems(p.PaperStart, START | arguments)


@pytest.mark.parametrize(
    ("cls", "arguments", "meant"),
    [
        (p.PaperStart, START | {"symbol": "btc/usdt"}, "'BTC-USDT'"),
        (p.PaperStart, START | {"symbol": "BTC_USDT"}, "'BTC-USDT'"),
        (p.PaperStart, START | {"symbol": "BTCUSDT"}, "'BTC-USDT'"),
        (p.PaperStart, START | {"symbol": "BTC/USDT:USDT"}, "'BTC-USDT'"),
        (p.PaperStart, START | {"timeframe": "1H"}, "'1h'"),
        (p.PaperStart, START | {"timeframe": "1 h"}, "'1h'"),
        (p.PaperStart, START | {"gap_policy": "skipp"}, "'skip'"),
        (p.PaperStart, START | {"session_id": "my session"}, "'my-session'"),
        (p.PaperStart, START | {"timefram": "1h"}, "'timeframe'"),
        (p.PaperStart, START | {"startingBalance": 1}, "'starting_balance'"),
        (p.PaperUpdateSession, {"session_id": "a", "updates": {"note": "x"}}, "'notes'"),
    ],
)
def test_what_was_probably_meant_is_suggested(cls: type[p.Operation], arguments: dict, meant: str):
    assert f"Did you mean {meant}?" in problems(cls, arguments)


def test_nothing_is_suggested_where_nothing_is_near():
    assert "Did you mean" not in problems(p.PaperStart, START | {"colour": "blue", "timeframe": "fortnight"})


def test_all_problems_are_told_at_once():
    said = problems(p.PaperStart, {"symbol": "btc", "leverage": 0, "colour": 1, "data_routes": [{"symbl": 1}]})
    for path in ("strategy", "symbol", "leverage", "colour", "data_routes[0].symbl", "data_routes[0].timeframe"):
        assert f"`{path}`" in said
    assert said.startswith("7 problems")


def test_an_operation_without_arguments_says_so():
    assert problems(p.Ping, {"limit": 3}) == "`limit` is not an argument; none is taken here."


def test_the_tag_is_no_argument():
    assert "`op` is not an argument" in problems(p.PaperStop, {"session_id": "a", "op": "paper_stop"})


def test_what_came_is_shown_in_bounded_length():
    assert len(problems(p.PaperStart, START | {"feed": "x" * 10**6, "y" * 10**6: 1})) < 1000
    assert len(problems(p.PaperStart, START | {f"field{i}": i for i in range(10_000)})) < 10_000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
argument_names = st.sampled_from(sorted(p.PaperStart.__struct_fields__)) | st.text(max_size=5)


@given(st.dictionaries(argument_names, json_values, max_size=8))
def test_whatever_is_given_is_parsed_or_refused(arguments: dict):
    try:
        parsed = parse(p.PaperStart, START | arguments)
    except PaperError as error:
        assert error.code == "invalid_argument"  # noqa: PT017 - either outcome is right
    else:
        assert math.isfinite(parsed.starting_balance)
        assert 1 <= parsed.leverage <= 200
