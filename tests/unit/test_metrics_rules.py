"""What must hold of metrics and curves for any journal whatever."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jesse_paper.metric_definitions import DEFINITIONS
from jesse_paperd.analytics.equity import RESOLUTIONS, equity_curve
from jesse_paperd.analytics.metrics import metrics_of
from jesse_paperd.analytics.track_record import TrackRecord
from jesse_paperd.records.journal import EquityRun, JournalReader
from tests.support.journals import (
    BALANCE,
    DAY,
    HOUR,
    MINUTE,
    Sample,
    SampleJournal,
    cents,
    results,
    sample_lists,
    trade,
    trade_lists,
)

MONEY = {name for name, definition in DEFINITIONS.items() if definition.unit == "money"}
INTERVALS = ("auto", "1h", "1d")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A new journal at each call: Hypothesis runs a test many times."""
    return lambda **arguments: SampleJournal(tmp_path_factory.mktemp("journal") / "journal.sqlite", **arguments)


def everything(state: TrackRecord) -> tuple:
    """Every answer that can be had of a state."""
    curves = [equity_curve(state, resolution).points() for resolution in RESOLUTIONS]
    return [metrics_of(state, interval) for interval in INTERVALS], curves


@settings(max_examples=25, deadline=None)
@given(samples=sample_lists(), trades=trade_lists, data=st.data())
def test_a_state_kept_over_any_splits_answers_as_a_fresh_one_to_the_last_bit(fresh, samples, trades, data):
    journal = fresh()
    kept = journal.state()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(samples)), max_size=5)))
    traded = sorted(data.draw(st.lists(st.integers(0, len(trades)), min_size=len(cuts), max_size=len(cuts))))
    for begin, end, first, last in zip(
        [0, *cuts], [*cuts, len(samples)], [0, *traded], [*traded, len(trades)], strict=True
    ):
        journal.commit(samples[begin:end], trades[first:last])
        kept.refresh()
        assert everything(kept) == everything(journal.state())


@settings(max_examples=25, deadline=None)
@given(samples=sample_lists(), value=cents, grid=st.sampled_from([MINUTE, HOUR, DAY]))
def test_a_state_follows_a_last_sample_that_is_replaced_or_a_last_run_that_shrinks(fresh, samples, value, grid):
    journal = fresh().commit([*samples, Sample(samples[-1].at // grid * grid + grid, 10_500.0)])
    kept = journal.state()
    everything(kept)  # what a state remembers of an answer must not outlive the sample
    first_at, last_at, count, equity, unrealized_pnl, in_position = kept.path.open
    if count == 1:
        final = [EquityRun(first_at, last_at, 1, value, 0.0, False)]
    else:
        shorter = EquityRun(first_at, last_at - MINUTE, count - 1, equity, unrealized_pnl, bool(in_position))
        final = [shorter, EquityRun(last_at, last_at, 1, value, 0.0, False)]
    journal.commit_runs(final)
    kept.refresh()
    assert kept.path.equity == value
    assert everything(kept) == everything(journal.state())


def test_a_state_starts_over_when_the_journal_lost_rows_that_it_had_read(tmp_path):
    long = SampleJournal(tmp_path / "a.sqlite").commit([Sample(i * MINUTE, BALANCE + i) for i in range(100)])
    kept = long.state()
    short = SampleJournal(tmp_path / "b.sqlite").commit([Sample(i * MINUTE, BALANCE + i) for i in range(50)])
    kept._reader = JournalReader(short.path)
    kept.refresh()
    assert everything(kept) == everything(short.state())


@settings(max_examples=25, deadline=None)
@given(samples=sample_lists())
def test_path_metrics_are_what_a_plain_walk_over_the_samples_finds(fresh, samples):
    state = fresh().commit(samples).state()
    peak, peak_at, longest, deepest, under_water = BALANCE, samples[0].at, 0, 0.0, False
    for at, equity, *_ in samples:
        if under_water or equity < peak:
            longest = max(longest, at - peak_at)
        under_water = equity < peak
        if not under_water:
            peak, peak_at = equity, at
        deepest = max(deepest, (peak - equity) / peak)
    found = metrics_of(state)
    assert found.max_drawdown == deepest
    assert found.max_drawdown_duration_hours == longest / HOUR
    assert found.current_drawdown == (peak - samples[-1].equity) / peak
    assert found.exposure == sum(sample.in_position for sample in samples) / len(samples)
    assert found.current_equity == samples[-1].equity
    assert found.total_return == samples[-1].equity / BALANCE - 1


@settings(max_examples=25, deadline=None)
@given(samples=sample_lists(), interval=st.sampled_from([("1h", HOUR), ("1d", DAY)]))
def test_an_interval_ends_with_the_last_sample_at_or_before_its_end(fresh, samples, interval):
    name, length = interval
    expected = [BALANCE]
    for end in range(samples[0].at // length * length + length, samples[-1].at + 1, length):
        expected.append([sample.equity for sample in samples if sample.at <= end][-1])
    state = fresh().commit(samples).state()
    assert state.equity_at_ends(name).tolist() == expected
    assert metrics_of(state, name).observations == len(expected) - 1


@settings(max_examples=25, deadline=None)
@given(samples=sample_lists(), resolution=st.sampled_from(list(RESOLUTIONS)))
def test_a_curve_is_the_path_at_bucket_ends_with_the_drawdown_of_all_samples_before(fresh, samples, resolution):
    length = RESOLUTIONS[resolution]
    origin = 4 * DAY if resolution == "1w" else 0
    start, last = samples[0].at, samples[-1].at
    ends = list(range((start - origin) // length * length + length + origin, last + 1, length))
    times = [start, *ends] + ([last] if last > max([start, *ends]) else [])
    curve = equity_curve(fresh().commit(samples).state(), resolution)
    assert curve.at.tolist() == times
    assert curve.partial == (len(times) > len(ends) + 1)
    for at, equity, drawdown, unrealized_pnl in zip(
        curve.at, curve.equity, curve.drawdown, curve.unrealized_pnl, strict=True
    ):
        seen = [sample for sample in samples if sample.at <= at]
        peak = max(sample.equity for sample in seen)
        assert (equity, unrealized_pnl) == (seen[-1].equity, seen[-1].unrealized_pnl)
        assert drawdown == (peak - equity) / peak


@settings(max_examples=20, deadline=None)
@given(samples=sample_lists())
def test_a_drawdown_is_never_affected_by_the_resolution_asked(fresh, samples):
    state = fresh().commit(samples).state()
    finest = {point.timestamp: point for point in equity_curve(state, "1m").points()}
    for resolution in RESOLUTIONS:
        for point in equity_curve(state, resolution).points():
            assert point.drawdown == finest[point.timestamp].drawdown
            assert point.equity == finest[point.timestamp].equity


@settings(max_examples=20, deadline=None)
@given(
    samples=sample_lists(),
    resolution=st.sampled_from(list(RESOLUTIONS)),
    limits=st.tuples(st.integers(-1, 101), st.integers(-1, 101)),
    max_points=st.integers(1, 8),
)
def test_a_part_of_a_curve_is_that_part_of_the_whole_and_its_newest_points(
    fresh, samples, resolution, limits, max_points
):
    state = fresh().commit(samples).state()
    span = samples[-1].at - samples[0].at
    since, until = (samples[0].at + percent * span // 100 for percent in limits)
    whole = [
        point
        for at, point in zip(equity_curve(state, resolution).at, equity_curve(state, resolution).points(), strict=True)
        if since <= at <= until
    ]
    part = equity_curve(state, resolution, since, until, max_points)
    assert part.points() == whole[-max_points:]
    assert part.total_points == len(whole)
    assert part.truncated == (len(whole) > max_points)


@settings(max_examples=25, deadline=None)
@given(samples=sample_lists(), pnls=st.lists(results, max_size=12), factor=st.sampled_from([2**-10, 0.5, 8.0, 2.0**20]))
def test_scaling_money_changes_no_ratio(fresh, samples, pnls, factor):
    # A power of two scales every amount without rounding, so that nothing but the formulas is tried: a Sharpe ratio of
    # returns near 1e-6 moves by 1e-9 with the last bit of one equity.
    def scaled(k: float) -> dict:
        journal = fresh(starting_balance=BALANCE * k)
        journal.commit(
            [Sample(at, equity * k, pnl * k, held) for at, equity, pnl, held in samples],
            [trade(n, pnl * k, fee=k) for n, pnl in enumerate(pnls, start=1)],
        )
        found = metrics_of(journal.state())
        return {name: getattr(found, name) for name in DEFINITIONS}

    plain, other = scaled(1.0), scaled(factor)
    for name, value in plain.items():
        if isinstance(value, float):
            wanted = value * factor if name in MONEY else value
            assert other[name] == wanted, name
        else:
            assert other[name] == value, name


@settings(max_examples=20, deadline=None)
@given(samples=sample_lists(), minutes=st.integers(1, 3000))
def test_a_flat_stretch_at_the_end_never_lowers_the_maximum_drawdown_or_its_duration(fresh, samples, minutes):
    journal = fresh().commit(samples)
    before = metrics_of(journal.state())
    _, *values = samples[-1]
    journal.commit([Sample(samples[-1].at + i * MINUTE, *values) for i in range(1, minutes + 1)])
    after = metrics_of(journal.state())
    assert after.max_drawdown == before.max_drawdown
    assert after.current_drawdown == before.current_drawdown
    assert after.max_drawdown_duration_hours >= before.max_drawdown_duration_hours
    assert after.total_return == before.total_return


@settings(max_examples=25, deadline=None)
@given(samples=sample_lists(st.integers(-3000, 4_000_000).map(lambda n: n / 100)), trades=trade_lists)
def test_every_number_is_finite_and_every_null_has_a_reason_that_its_definition_names(fresh, samples, trades):
    state = fresh().commit(samples, trades).state()
    for interval in INTERVALS:
        metrics = metrics_of(state, interval)
        values = {name: getattr(metrics, name) for name in DEFINITIONS}
        assert {name for name, value in values.items() if value is None} == set(metrics.undefined)
        for name, reason in metrics.undefined.items():
            assert reason in DEFINITIONS[name].undefined
        for name, value in values.items():
            assert not isinstance(value, float) or math.isfinite(value), name
        assert 0 <= metrics.exposure <= 1
    for point in equity_curve(state, "15m").points():
        assert math.isfinite(point.drawdown)
        assert point.drawdown >= 0
