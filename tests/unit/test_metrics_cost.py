"""A question costs what is new since the last one: counted in journal rows, not in seconds."""

from __future__ import annotations

import pytest

from jesse_paperd.analytics.equity import equity_curve
from jesse_paperd.analytics.metrics import metrics_of
from jesse_paperd.analytics.track_record import TrackRecord
from jesse_paperd.records.journal import JournalReader
from tests.support.journals import BALANCE, MINUTE, THURSDAY, Sample, SampleJournal, trade

MINUTES = 60_000


class CountingReader(JournalReader):
    """Counts the rows that are read."""

    rows = 0

    def equity(self, *args, **kwargs):
        found = super().equity(*args, **kwargs)
        self.rows += len(found)
        return found

    def trades(self, *args, **kwargs):
        found = super().trades(*args, **kwargs)
        self.rows += len(found)
        return found


@pytest.fixture(scope="module")
def aged(tmp_path_factory):
    """Forty days in which every minute differs, and 500 trades."""
    journal = SampleJournal(tmp_path_factory.mktemp("journal") / "j.sqlite")
    samples = [Sample(THURSDAY + i * MINUTE, BALANCE + i % 977, 1.0, True) for i in range(MINUTES)]
    return journal.commit(samples, [trade(n, 1.0) for n in range(1, 501)])


@pytest.fixture
def reader(aged):
    return CountingReader(aged.path)


@pytest.fixture
def state(reader):
    state = TrackRecord(reader, BALANCE)
    state.refresh()
    return state


def rows_of(reader, work) -> int:
    before = reader.rows
    work()
    return reader.rows - before


def test_asking_again_reads_only_the_run_that_may_have_grown(state, reader):
    assert rows_of(reader, state.refresh) == 1


def test_a_new_candle_and_a_new_trade_cost_one_row_each(aged, state, reader):
    number = state.trades.count + 1
    aged.commit([Sample(state.path.last_at + MINUTE, 1.0 + number, 0.0, True)], [trade(number, 2.0)])
    assert rows_of(reader, state.refresh) == 3
    assert (state.path.equity, state.trades.count) == (1.0 + number, number)


def test_metrics_read_nothing(state, reader):
    assert rows_of(reader, lambda: metrics_of(state)) == 0


@pytest.mark.parametrize("resolution", ["1h", "4h", "1d", "1w"])
def test_a_curve_of_hours_or_more_reads_nothing(state, reader, resolution):
    assert rows_of(reader, lambda: equity_curve(state, resolution)) == 0


@pytest.mark.parametrize(("resolution", "minutes"), [("1m", 1), ("5m", 5), ("30m", 30)])
def test_a_finer_curve_reads_the_samples_it_covers_and_less_than_an_hour_more(state, reader, resolution, minutes):
    assert rows_of(reader, lambda: equity_curve(state, resolution, max_points=100)) <= 100 * minutes + 60
