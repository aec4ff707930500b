"""What the journal says of orders and trades beyond Jesse's own fields."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jesse_paperd.records.journal import Facts
from tests.parity.candles import MINUTE
from tests.parity.case import Case
from tests.parity.gamblers import dense, sparse
from tests.parity.worker import Worker


def run(jesse: Worker, case: Case) -> Facts:
    facts, outcome, _ = jesse.call("tests.parity.lab:session", case, [300])
    assert not outcome.raised
    return facts  # type: ignore[no-any-return]


def orders_of(facts: Facts, trade: Any) -> list[Any]:
    orders = {order.order_id: order for order in facts.orders}
    return [orders[order_id] for order_id in json.loads(trade.order_ids)]


@pytest.mark.parametrize("case", [dense(seed=131), sparse(seed=132, leverage=5)], ids=str)
def test_ids_follow_the_order_of_submission_and_of_closing(jesse: Worker, case: Case) -> None:
    facts = run(jesse, case)
    assert [order.order_id for order in facts.orders] == [f"o{n:06d}" for n in range(1, len(facts.orders) + 1)]
    assert [trade.trade_id for trade in facts.trades] == [f"t{n:03d}" for n in range(1, len(facts.trades) + 1)]
    assert [trade.exit_at for trade in facts.trades] == sorted(trade.exit_at for trade in facts.trades)
    for trade in facts.trades:
        fills = orders_of(facts, trade)
        assert all(order.status == "EXECUTED" and order.trade_id == trade.trade_id for order in fills)
        assert [order.executed_at for order in fills] == sorted(order.executed_at for order in fills)
        assert fills[-1].executed_at == trade.exit_at
    claimed = {order.order_id for trade in facts.trades for order in orders_of(facts, trade)}
    assert claimed == {order.order_id for order in facts.orders if order.status == "EXECUTED"}
    assert {order.status for order in facts.orders} == {"EXECUTED", "CANCELED"}


def test_the_exit_reason_is_what_closed_the_position(jesse: Worker) -> None:
    cases = [dense(seed=133), dense(seed=134, timeframe="15m", leverage=20, leverage_mode="isolated", volatility=0.01)]
    seen = set()
    for case in cases:
        facts = run(jesse, case)
        for trade in facts.trades:
            closing = orders_of(facts, trade)[-1]
            seen.add(trade.exit_reason)
            expected = {"stop-loss": "stop_loss", "take-profit": "take_profit"}.get(closing.role, "strategy")
            if closing.type == "MARKET":
                expected = "strategy"
            assert trade.exit_reason in (expected, "liquidation", "session_stop")
            if trade.exit_reason == "liquidation":
                assert closing.type == "MARKET"
                assert closing.created_at == closing.executed_at
            if trade.exit_reason == "session_stop":
                assert trade is facts.trades[-1]
    assert {"stop_loss", "take_profit", "strategy", "liquidation"} <= seen


def test_lowest_and_highest_are_of_the_fills_and_the_whole_minutes_between(jesse: Worker) -> None:
    case = dense(seed=135, timeframe="15m", minutes=4000)
    rows = {int(row[0]): row for row in case.candles["BTC-USDT"]}
    facts = run(jesse, case)
    assert facts.trades
    for trade in facts.trades:
        fills = orders_of(facts, trade)
        prices = [order.price for order in fills]
        last = trade.exit_at - (0 if fills[-1].type == "MARKET" else MINUTE)
        between = [rows[time] for time in range(trade.entry_at, last, MINUTE)]
        assert trade.lowest == min([*prices, *(row[4] for row in between)])
        assert trade.highest == max([*prices, *(row[3] for row in between)])


def test_positions_are_told_when_they_change_and_none_is_left_after_the_end(jesse: Worker) -> None:
    facts = run(jesse, dense(seed=136))
    assert facts.positions == []
