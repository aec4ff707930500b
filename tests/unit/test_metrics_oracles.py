"""Metrics against independent libraries, on the same returns, to 1e-9; other meanings of theirs are named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest

from jesse_paperd.analytics.metrics import metrics_of
from jesse_paperd.analytics.ratios import ratios_of, returns_of
from tests.support.journals import BALANCE, SampleJournal, daily, hourly, trade

with warnings.catch_warnings():
    # Both warn of other packages' deprecations while they are imported; what they compute is not touched.
    warnings.simplefilter("ignore")
    import empyrical
    import pandas
    import quantstats.stats


SEED = 20260219
EXACT = {"rel": 1e-9, "abs": 1e-12}


def equities(seed: int, n: int = 400) -> np.ndarray:
    """A path of n+1 equities with fat tails and flat stretches, in cents."""
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    moves = rng.standard_t(4, n) * 0.01 * (rng.random(n) > 0.2)
    return np.round(BALANCE * np.exp(np.concatenate(([0.0], np.cumsum(moves)))), 2)


@pytest.fixture(params=[("1d", 365, daily), ("1h", 8760, hourly)], ids=["1d", "1h"])
def case(request, tmp_path):
    """Our metrics, the returns behind them as a pandas series, and their number a year."""
    interval, periods, sampled = request.param
    path = equities(SEED)
    metrics = metrics_of(SampleJournal(tmp_path / "j.sqlite").commit(sampled(path)).state(), interval)
    index = pandas.date_range("2026-01-01", periods=len(path), freq=interval)
    returns = pandas.Series(path, index=index).pct_change().iloc[1:]
    assert (metrics.observations, metrics.annualization) == (400, periods)
    return metrics, returns, periods


def test_ratios_equal_empyrical(case):
    metrics, returns, periods = case
    assert metrics.sharpe_ratio == pytest.approx(empyrical.sharpe_ratio(returns, annualization=periods), **EXACT)
    assert metrics.sortino_ratio == pytest.approx(empyrical.sortino_ratio(returns, annualization=periods), **EXACT)
    assert metrics.volatility == pytest.approx(empyrical.annual_volatility(returns, annualization=periods), **EXACT)
    # empyrical gives drawdown, value at risk and its tail as negative returns; ours are positive losses.
    assert metrics.max_drawdown == pytest.approx(-empyrical.max_drawdown(returns), **EXACT)
    assert metrics.var_95 == pytest.approx(-empyrical.value_at_risk(returns, 0.05), **EXACT)
    assert metrics.expected_shortfall_95 == pytest.approx(-empyrical.conditional_value_at_risk(returns, 0.05), **EXACT)
    assert metrics.total_return == pytest.approx(empyrical.cum_returns_final(returns), **EXACT)


def test_calmar_equals_empyrical_where_a_year_is_365_days(tmp_path):
    path = equities(SEED + 1)
    metrics = metrics_of(SampleJournal(tmp_path / "j.sqlite").commit(daily(path)).state())
    # empyrical takes its drawdown from the returns; ours is that of all samples, the same here: one sample a day.
    assert metrics.calmar_ratio == pytest.approx(empyrical.calmar_ratio(returns_of(path), annualization=365), **EXACT)


def test_ratios_equal_quantstats(case):
    metrics, returns, periods = case
    assert metrics.sharpe_ratio == pytest.approx(quantstats.stats.sharpe(returns, periods=periods), **EXACT)
    assert metrics.sortino_ratio == pytest.approx(quantstats.stats.sortino(returns, periods=periods), **EXACT)
    assert metrics.volatility == pytest.approx(quantstats.stats.volatility(returns, periods=periods), **EXACT)
    assert metrics.total_return == pytest.approx(quantstats.stats.comp(returns), **EXACT)
    # quantstats begins the path one interval late unless it is given the start; its drawdown is negative.
    with_start = pandas.concat([pandas.Series([0.0], index=[returns.index[0] - returns.index.freq]), returns])
    assert metrics.max_drawdown == pytest.approx(-quantstats.stats.max_drawdown(with_start), **EXACT)


def test_quantstats_value_at_risk_is_another_quantity_a_normal_quantile(case):
    metrics, returns, periods = case
    mean, deviation = returns.mean(), metrics.volatility / periods**0.5
    normal = mean - 1.6448536269514722 * deviation
    assert quantstats.stats.value_at_risk(returns) == pytest.approx(normal, **EXACT)
    assert metrics.var_95 != pytest.approx(-normal, rel=1e-3)


@pytest.mark.parametrize("n", [*range(10, 62), 100, 101, 1000])
def test_value_at_risk_and_its_tail_equal_empyrical_at_every_length(n):
    rng = np.random.default_rng(SEED + n)
    returns = np.round(rng.normal(0, 0.01, n), 3)  # many ties
    found = ratios_of(returns, 365)
    assert found.var == pytest.approx(-empyrical.value_at_risk(returns, 0.05), **EXACT)
    assert found.expected_shortfall == pytest.approx(-empyrical.conditional_value_at_risk(returns, 0.05), **EXACT)


JESSE = """
import json, sys, uuid
from types import SimpleNamespace
from jesse.models import ClosedTrade, Order
from jesse.services import metrics
from jesse.store import store

given = json.load(sys.stdin)
trades = []
for side, entry, exit, fee, opened_at, closed_at in given["trades"]:
    trade = ClosedTrade({"id": uuid.uuid4(), "strategy_name": "S", "symbol": "BTC-USDT", "exchange": "Sandbox",
                         "type": side, "leverage": 1, "opened_at": opened_at, "closed_at": closed_at})
    (trade.buy_orders if side == "long" else trade.sell_orders).append([1.0, entry])
    (trade.sell_orders if side == "long" else trade.buy_orders).append([1.0, exit])
    trade.orders = [Order({"id": uuid.uuid4(), "fee": fee})]
    trades.append(trade)
store.app.daily_balance_timestamps = given["times"]
result = metrics.trades(trades, given["balances"])
json.dump({key: float(value) for key, value in result.items()}, sys.stdout)
"""


@pytest.fixture(scope="module")
def beside_jesse(tmp_path_factory):
    """Our metrics and Jesse's own of the same daily balances and trades."""
    balances = daily(equities(SEED + 2, n=200))
    rng = np.random.default_rng(SEED + 3)
    pnls = [float(pnl) for pnl in np.round(rng.normal(1, 40, 300), 2)]
    trades = [trade(n, pnl, side=("long", "short")[n % 2]) for n, pnl in enumerate(pnls, start=1)]
    given = {
        "balances": [sample.equity for sample in balances],
        "times": [sample.at for sample in balances],
        "trades": [(t.side, t.entry_price, t.exit_price, t.fee, t.entry_at, t.exit_at) for t in trades],
    }
    jesse = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", JESSE],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path_factory.mktemp("jesse"),  # importing Jesse makes a folder where it stands
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    )
    journal = SampleJournal(tmp_path_factory.mktemp("journal") / "j.sqlite").commit(balances, trades)
    return metrics_of(journal.state(), "1d"), json.loads(jesse.stdout)


def test_trade_statistics_equal_jesse(beside_jesse):
    ours, jesse = beside_jesse
    assert ours.total_trades == jesse["total"]
    # Jesse leaves break-even trades out of the rate, we count them as not won: equal here, where there are none.
    assert jesse["total"] == jesse["total_winning_trades"] + jesse["total_losing_trades"]
    assert ours.win_rate == pytest.approx(jesse["win_rate"], **EXACT)
    assert ours.realized_pnl == pytest.approx(jesse["net_profit"], rel=1e-9)
    assert ours.fees_paid == pytest.approx(jesse["fee"], **EXACT)
    assert ours.profit_factor == pytest.approx(jesse["gross_profit"] / -jesse["gross_loss"], **EXACT)
    assert ours.avg_winning_trade == pytest.approx(jesse["average_win"], **EXACT)
    # Jesse's average loss is positive.
    assert ours.avg_losing_trade == pytest.approx(-jesse["average_loss"], **EXACT)
    assert ours.longest_winning_streak == jesse["winning_streak"]
    assert ours.longest_losing_streak == jesse["losing_streak"]


def test_drawdown_and_ratios_equal_jesse_on_daily_balances(beside_jesse):
    ours, jesse = beside_jesse
    # Jesse's drawdown is a negative percentage of daily balances.
    assert ours.max_drawdown == pytest.approx(-jesse["max_drawdown"] / 100, **EXACT)
    assert ours.sharpe_ratio == pytest.approx(jesse["sharpe_ratio"], **EXACT)
    # Jesse divides the downside by the number of balances, one more than there are returns.
    n = ours.observations
    assert ours.sortino_ratio == pytest.approx(jesse["sortino_ratio"] * (n / (n + 1)) ** 0.5, **EXACT)
    # Jesse's growth counts whole days, as ours does here.
    assert ours.calmar_ratio == pytest.approx(jesse["calmar_ratio"], **EXACT)
    # Jesse ends a drawdown at the last balance below the peak, we at the first one back there, a day later.
    assert ours.max_drawdown_duration_hours in {
        24 * jesse["max_underwater_period"],
        24 * (jesse["max_underwater_period"] + 1),
    }
