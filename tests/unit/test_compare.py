"""Sessions side by side."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jesse_paperd.analytics.compare import compare
from jesse_paperd.analytics.metrics import metrics_of
from tests.support.journals import (
    BALANCE,
    DAY,
    HOUR,
    MINUTE,
    THURSDAY,
    Sample,
    SampleJournal,
    daily,
    hourly,
    sample_lists,
    trade,
)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A new journal at each call: Hypothesis runs a test many times."""
    return lambda **arguments: SampleJournal(tmp_path_factory.mktemp("journal") / "journal.sqlite", **arguments)


@settings(max_examples=25, deadline=None)
@given(samples=sample_lists(), limits=st.tuples(st.integers(0, 100), st.integers(0, 100)))
def test_a_span_adds_up_to_what_a_session_of_just_those_minutes_would(fresh, samples, limits):
    life = samples[-1].at - samples[0].at
    since, until = sorted(samples[0].at + percent * life // 100 // MINUTE * MINUTE for percent in limits)
    before = [sample for sample in samples if sample.at <= since][-1]
    inside = [before._replace(at=since), *(sample for sample in samples if since < sample.at <= until)]
    if inside[-1].at < until:
        inside.append(inside[-1]._replace(at=until))
    alone = metrics_of(fresh(starting_balance=before.equity).commit(inside).state(), "1h")
    span = metrics_of(fresh().commit(samples).state().span(since, until), "1h")
    for name in alone.__struct_fields__:
        if name != "exposure":  # counts minutes, which a span can only guess where some are missing
            assert getattr(span, name) == getattr(alone, name), name


def test_a_span_of_the_whole_life_is_the_session(fresh):
    state = (
        fresh().commit([Sample(THURSDAY + i * MINUTE, BALANCE + i % 9) for i in range(300)], [trade(1, 5.0)]).state()
    )
    assert metrics_of(state.span(THURSDAY, THURSDAY + 299 * MINUTE)) == metrics_of(state)


def test_a_span_counts_position_minutes_and_the_trades_closed_in_it(fresh):
    samples = [Sample(THURSDAY + i * MINUTE, BALANCE, 0.0, 10 <= i <= 19) for i in range(101)]
    state = fresh().commit(samples, [trade(n, 1.0) for n in range(1, 6)]).state()
    found = metrics_of(state.span(THURSDAY + 5 * MINUTE, THURSDAY + 14 * MINUTE))
    assert found.exposure == 0.5  # minutes 5 to 14
    assert found.total_trades == 3  # closed at minutes 7, 9 and 11; those at 3 and 5 were before


def test_sessions_are_compared_over_their_lives_and_over_the_time_they_share(fresh):
    older = fresh().commit(hourly([BALANCE, 11_000.0] + [12_000.0 + i for i in range(30)]))
    younger = fresh(starting_balance=500.0).commit(hourly([500.0 + i for i in range(40)], THURSDAY + 10 * HOUR))
    found = compare({"older": older.state(), "younger": younger.state()})
    assert (found.since, found.until) == (THURSDAY + 10 * HOUR, THURSDAY + 31 * HOUR)
    assert found.whole["older"].total_return == pytest.approx(0.2029)
    assert found.common["older"].total_return == pytest.approx(12_029 / 12_008 - 1)
    assert found.common["younger"].total_return == pytest.approx(521 / 500 - 1)
    assert {metrics.observations for metrics in found.common.values()} == {21} == {found.observations}
    assert (found.returns_interval, found.whole["younger"].as_of) == ("1h", "2026-01-03T01:00:00Z")


def test_correlation_is_that_of_the_returns(fresh):
    rng = np.random.default_rng(7)
    moves = rng.normal(0, 0.01, (3, 60))
    moves[2] = -moves[0]
    paths = {name: BALANCE * np.cumprod(np.concatenate(([1.0], 1 + m))) for name, m in zip("abc", moves, strict=True)}
    found = compare({name: fresh().commit(daily(path.tolist())).state() for name, path in paths.items()})
    assert (found.returns_interval, found.observations) == ("1d", 60)
    for i, a in enumerate("abc"):
        for j, b in enumerate("abc"):
            assert found.correlation[a][b] == pytest.approx(np.corrcoef(moves)[i, j], rel=1e-9)
    assert found.correlation["a"]["c"] == pytest.approx(-1)


def test_flat_or_short_sessions_have_no_correlation(fresh):
    moving = fresh().commit(hourly([BALANCE + i % 3 for i in range(30)])).state()
    flat = fresh().commit(hourly([BALANCE] * 30)).state()
    assert compare({"a": moving, "b": flat}).correlation["a"]["b"] is None
    short = fresh().commit(hourly([BALANCE + i % 3 for i in range(10)])).state()
    assert compare({"a": moving, "b": short}).correlation["a"]["b"] is None
    assert compare({"a": moving, "b": moving}).correlation["a"]["b"] == pytest.approx(1)


def test_sessions_that_share_no_time_are_told_apart_by_their_lives_only(fresh):
    first = fresh().commit(hourly([BALANCE + i for i in range(30)])).state()
    second = fresh().commit(hourly([BALANCE - i for i in range(30)], THURSDAY + 9 * DAY)).state()
    found = compare({"first": first, "second": second})
    assert (found.common, found.correlation, found.since, found.until) == ({}, {}, None, None)
    assert found.whole["first"].total_return > 0 > found.whole["second"].total_return


def test_a_session_without_samples_yet_shares_no_time(fresh):
    running = fresh().commit(hourly([BALANCE + i for i in range(30)])).state()
    found = compare({"running": running, "waiting": fresh().state()})
    assert found.common == {}
    assert found.whole["waiting"].current_equity == BALANCE
