"""Equity at every minute is what Jesse's own balance would be there, to the last bit."""

from __future__ import annotations

import pytest

from tests.parity.case import Case
from tests.parity.gamblers import dense, sparse
from tests.parity.worker import Worker


@pytest.mark.parametrize(
    "case",
    [
        dense(seed=71, leverage=5),
        dense(seed=77, market="spot"),
        dense(seed=73, timeframe="1m", minutes=800, leverage=20, leverage_mode="isolated"),
        sparse(seed=74, fee=0.0),
        sparse(seed=76, market="spot"),
    ],
    ids=str,
)
def test_each_sample_equals_jesses_balance(jesse: Worker, case: Case) -> None:
    balances, facts = jesse.call("tests.parity.scenarios:minute_balances", case)
    times = {at for at, _ in balances}
    runs = {run.first_at: run for run in facts.equity}
    assert sum(run.samples for run in facts.equity) == len(times) + 1
    assert facts.equity[0].first_at == int(case.candles["BTC-USDT"][0, 0])
    assert facts.equity[0].equity == case.balance
    run = facts.equity[0]
    last = balances[-1][0]
    for at, balance in balances:
        run = runs.get(at, run)
        assert run.first_at <= at <= run.last_at
        if at != last:  # the session's end closes the position at the same moment
            assert run.equity == balance, at
    assert facts.equity[-1].last_at == last
    assert facts.equity[-1].equity == facts.daily_balance[-1][1]
    assert not facts.equity[-1].in_position


def test_samples_in_position_carry_its_unrealized_profit(jesse: Worker) -> None:
    case = dense(seed=71, leverage=5)
    _, facts = jesse.call("tests.parity.scenarios:minute_balances", case)
    open_runs = [run for run in facts.equity if run.in_position]
    assert len({run.unrealized_pnl for run in open_runs}) > 10
    assert all(run.unrealized_pnl == 0.0 for run in facts.equity if not run.in_position)
