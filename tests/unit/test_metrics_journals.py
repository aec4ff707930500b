"""Metrics of journals of every shape, worked out by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from jesse_paper.protocol import Metrics
from jesse_paperd.analytics.metrics import metrics_of
from jesse_paperd.records.journal import EquityRun
from tests.support.journals import BALANCE, DAY, HOUR, MINUTE, THURSDAY, Sample, SampleJournal, daily, hourly, trade


@pytest.fixture
def metrics(tmp_path):
    """The metrics of a journal with these samples and trades."""
    number = itertools.count()

    def of(samples=(), pnls=(), interval="auto", fee=1.0) -> Metrics:
        trades = [trade(n, pnl, fee) for n, pnl in enumerate(pnls, start=1)]
        journal = SampleJournal(tmp_path / f"{next(number)}.sqlite").commit(list(samples), trades)
        return metrics_of(journal.state(), interval)

    return of


RATIOS = ("sharpe_ratio", "sortino_ratio", "volatility", "var_95", "expected_shortfall_95", "calmar_ratio")
TRADE_FIELDS = ("win_rate", "profit_factor", "avg_trade", "avg_winning_trade", "avg_losing_trade")


def test_before_its_first_candle_a_session_has_its_starting_balance_and_reasons_for_the_rest(metrics):
    found = metrics()
    assert (found.current_equity, found.total_return, found.max_drawdown, found.exposure) == (BALANCE, 0, 0, 0)
    assert found.as_of is None
    assert (found.returns_interval, found.observations, found.annualization) == ("1h", 0, 8760)
    assert found.undefined == dict.fromkeys(RATIOS, "insufficient_samples") | dict.fromkeys(TRADE_FIELDS, "no_trades")


def test_no_trades_is_told_apart_from_a_rate_of_zero(metrics):
    found = metrics([Sample(THURSDAY, BALANCE)])
    assert found.total_trades == 0
    assert {name: found.undefined[name] for name in TRADE_FIELDS} == dict.fromkeys(TRADE_FIELDS, "no_trades")
    assert (found.realized_pnl, found.fees_paid) == (0, 0)


def test_one_winning_trade(metrics):
    found = metrics(pnls=[50.0])
    assert (found.total_trades, found.win_rate, found.avg_trade, found.avg_winning_trade) == (1, 1, 50, 50)
    assert (found.profit_factor, found.avg_losing_trade) == (None, None)
    assert (found.undefined["profit_factor"], found.undefined["avg_losing_trade"]) == ("no_losses", "no_losses")


def test_one_losing_trade(metrics):
    found = metrics(pnls=[-50.0])
    assert (found.win_rate, found.profit_factor, found.avg_losing_trade) == (0, 0, -50)
    assert found.undefined["avg_winning_trade"] == "no_wins"


def test_a_break_even_trade_is_closed_but_neither_won_nor_lost_and_ends_a_streak(metrics):
    found = metrics(pnls=[10.0, 0.0, 10.0, 10.0, -5.0, 0.0, -5.0])
    assert found.total_trades == 7
    assert found.win_rate == 3 / 7
    assert found.profit_factor == 3
    assert (found.longest_winning_streak, found.longest_losing_streak) == (2, 1)


def test_only_break_even_trades_have_neither_wins_nor_losses(metrics):
    found = metrics(pnls=[0.0, 0.0])
    assert (found.win_rate, found.avg_trade) == (0, 0)
    assert found.undefined["avg_winning_trade"] == "no_wins"
    assert found.undefined["avg_losing_trade"] == found.undefined["profit_factor"] == "no_losses"


def test_only_wins_and_only_losses(metrics):
    wins = metrics(pnls=[5.0, 15.0, 10.0])
    assert (wins.win_rate, wins.avg_winning_trade, wins.longest_winning_streak) == (1, 10, 3)
    losses = metrics(pnls=[-5.0, -15.0, -10.0])
    assert (losses.win_rate, losses.avg_losing_trade, losses.profit_factor) == (0, -10, 0)
    assert (losses.longest_losing_streak, losses.realized_pnl, losses.fees_paid) == (3, -30, 3)


def test_ten_thousand_trades(metrics):
    pnls = np.round(np.random.default_rng(1).normal(2, 30, 10_000), 2)
    found = metrics(pnls=pnls.tolist(), fee=0.25)
    won, lost = pnls[pnls > 0], pnls[pnls < 0]
    assert found.total_trades == 10_000
    assert found.win_rate == len(won) / 10_000
    assert found.realized_pnl == pytest.approx(pnls.sum(), rel=1e-9)
    assert found.fees_paid == 2_500
    assert found.profit_factor == pytest.approx(won.sum() / -lost.sum(), rel=1e-9)
    assert found.avg_winning_trade == pytest.approx(won.mean(), rel=1e-9)
    assert found.avg_losing_trade == pytest.approx(lost.mean(), rel=1e-9)


def test_equity_that_falls_to_zero_and_stays_there(metrics):
    found = metrics(daily([BALANCE] * 5 + [5_000.0] + [0.0] * 60), interval="1d")
    assert (found.total_return, found.max_drawdown, found.current_drawdown) == (-1, 1, 1)
    assert found.observations == 6  # four flat days, a half lost, all lost; of nothing there is no return
    assert found.var_95 is None
    assert found.calmar_ratio == -1


def test_equity_below_zero_is_a_drawdown_above_one_and_a_total_loss_a_year(metrics):
    found = metrics(daily([BALANCE] * 40 + [-500.0, -500.0]), interval="1d")
    assert (found.total_return, found.max_drawdown) == (-1.05, 1.05)
    assert found.observations == 40
    assert found.calmar_ratio == pytest.approx(-1 / 1.05)


def test_flat_equity_has_no_variance_no_downside_and_no_drawdown(metrics):
    found = metrics(daily([BALANCE] * 40))
    assert (found.volatility, found.var_95, found.expected_shortfall_95, found.max_drawdown) == (0, 0, 0, 0)
    assert found.undefined["sharpe_ratio"] == "zero_variance"
    assert found.undefined["sortino_ratio"] == "no_downside"
    assert found.undefined["calmar_ratio"] == "no_drawdown"


def test_equal_returns_have_no_variance_however_they_round(metrics):
    found = metrics(daily([BALANCE * 1.01**i for i in range(40)]))
    assert found.undefined["sharpe_ratio"] == "zero_variance"
    assert found.volatility == 0
    assert found.var_95 == pytest.approx(-0.01)  # even the worst day was a gain


def test_ten_returns_are_enough_for_ratios_and_nine_are_not(metrics):
    path = [BALANCE + 10 * (i % 3) for i in range(11)]
    found = metrics(hourly(path))
    assert found.observations == 10
    assert {name for name in RATIOS if name in found.undefined} == {"calmar_ratio"}


def test_nine_returns_are_too_few(metrics):
    found = metrics(hourly([BALANCE + 10 * (i % 3) for i in range(10)]))
    assert found.observations == 9
    assert {name for name in RATIOS if found.undefined.get(name) == "insufficient_samples"} == set(RATIOS)


def test_daily_returns_are_preferred_from_thirty_on(metrics):
    found = metrics(daily([BALANCE + 10 * (i % 3) for i in range(31)]))
    assert (found.returns_interval, found.observations, found.annualization) == ("1d", 30, 365)
    found = metrics(daily([BALANCE + 10 * (i % 3) for i in range(30)]))
    assert (found.returns_interval, found.observations, found.annualization) == ("1h", 29 * 24, 8760)


def test_an_unfinished_interval_is_no_observation_and_the_first_may_be_short(metrics):
    start = THURSDAY + 10 * HOUR + 17 * MINUTE
    found = metrics([Sample(start + i * MINUTE, BALANCE + i) for i in range(44)], interval="1h")
    assert found.observations == 1  # from 10:17 to 11:00, which is the last sample


def test_a_gap_carries_equity_forward(metrics):
    found = metrics([Sample(THURSDAY, BALANCE), Sample(THURSDAY + 12 * HOUR, 11_000.0)], interval="1h")
    assert found.observations == 12
    assert found.var_95 == 0  # eleven flat hours, then the rise


def test_a_drawdown_lasts_from_the_last_sample_at_the_peak_to_the_first_back_there(metrics):
    equities = [100, 110, 110, 105, 109, 110, 110, 100]
    found = metrics(Sample(THURSDAY + i * HOUR, equity * 100.0) for i, equity in enumerate(equities))
    assert found.max_drawdown_duration_hours == 3
    assert found.max_drawdown == pytest.approx(10 / 110)


def test_a_rising_path_has_no_drawdown_to_last(metrics):
    found = metrics(Sample(THURSDAY + i * MINUTE, BALANCE + i) for i in range(500))
    assert (found.max_drawdown, found.max_drawdown_duration_hours) == (0, 0)


def test_exposure_is_the_share_of_samples_with_a_position(metrics):
    found = metrics(Sample(THURSDAY + i * MINUTE, BALANCE, 0.0, 10 <= i < 35) for i in range(100))
    assert found.exposure == 0.25


def test_half_a_year_in_one_run_counts_as_half_a_year(tmp_path):
    run = EquityRun(THURSDAY, THURSDAY + 182 * DAY, 182 * 1440 + 1, BALANCE, 0.0, False)
    found = metrics_of(SampleJournal(tmp_path / "j.sqlite").commit_runs([run]).state())
    assert (found.returns_interval, found.observations) == ("1d", 182)
    assert found.as_of == "2026-07-02T00:00:00Z"
