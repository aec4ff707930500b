"""I5 for several routes, case by case: what one wallet can do to its routes, each made to happen on candles by hand.

That it happened is read from Jesse's own backtest; that the session does the same is `compare`, with all that each
hook of each route sees.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.parity.candles import ETHER, EXAMPLES, MIDNIGHT, MINUTE, PERPETUAL, Rows, read, split
from tests.parity.case import PROJECT, Case, Further, Outcome
from tests.parity.worker import Worker

BTC, ETH = "BTC-USDT", "ETH-USDT"
MINUTES = 60
Plan = dict[int, Any]


def market(base: float, **closes: float) -> Rows:
    """An hour at one price, which from minute `m<n>` on is another: an opening gap, and flat candles around it."""
    changes = {int(name[1:]): price for name, price in closes.items()}
    rows, price = [], base
    for minute in range(MINUTES):
        price = changes.get(minute, price)
        rows.append((MIDNIGHT + minute * MINUTE, price, price, price, price, 10.0))
    return np.array(rows, dtype=float)


def slope(rows: Rows, minute: int, to: float) -> Rows:
    """The same with one candle that goes from its open to another price, where all that follow stay."""
    changed = rows.copy()
    opened = changed[minute, 1]
    changed[minute] = (changed[minute, 0], opened, to, max(opened, to), min(opened, to), 10.0)
    changed[minute + 1 :, 1:5] = to
    return changed


def case(btc: Rows, eth: Rows, first: Plan, second: Plan, second_timeframe: str = "1m", **account: Any) -> Case:
    waits_for = account.pop("waits_for", "")
    return Case(
        "Planned",
        {BTC: btc, ETH: eth},
        project=PROJECT,
        timeframe="1m",
        hyperparameters={"plan": json.dumps(first)},
        further=(Further(ETH, "Planned", second_timeframe, {"plan": json.dumps(second), "waits_for": waits_for}),),
        **{"leverage": 10, "leverage_mode": "isolated", **account},
    )


def happened(jesse: Worker, one: Case) -> Outcome:
    """What Jesse's backtest makes of a case, once the session is seen to equal it however its minutes come."""
    for batches in ([4096], [1], [7, 1, 20]):
        verdict = jesse.call("tests.parity.lab:compare", one, True, batches)
        assert verdict.kind in ("equal", "raises"), verdict
    outcome: Outcome = jesse.call("tests.parity.lab:reference", one, True)
    return outcome


def test_one_route_is_liquidated_in_isolated_mode_and_the_other_trades_on(jesse: Worker) -> None:
    one = case(
        market(1000.0, m40=1010.0),
        slope(market(100.0), 20, 80.0),
        {5: ["buy", 2, None, None, None], 45: "close"},
        {5: ["buy", 50, None, None, None]},
    )
    outcome = happened(jesse, one)
    assert outcome.liquidations == 1
    liquidated, closed = outcome.trades
    assert (liquidated["symbol"], liquidated["pnl"] < -400) == (ETH, True)
    assert (closed["symbol"], closed["exit_price"], closed["pnl"] > 0) == (BTC, 1010.0, True)


def test_orders_of_both_routes_are_jumped_over_by_the_same_opening_gap(jesse: Worker) -> None:
    one = case(
        market(1000.0, m20=950.0),
        market(100.0, m20=95.0),
        {5: ["buy", 2, None, 980.0, None]},
        {5: ["sell", 20, None, None, 97.0]},
    )
    outcome = happened(jesse, one)
    assert [trade["symbol"] for trade in outcome.trades] == [BTC, ETH]
    assert {trade["closed_at"] for trade in outcome.trades} == {MIDNIGHT + 21 * MINUTE}
    assert [round(trade["exit_price"], 2) for trade in outcome.trades] == [950.0, 95.0]


def test_two_routes_fill_in_one_minute_in_the_order_of_their_names(jesse: Worker) -> None:
    one = case(
        slope(market(1000.0), 20, 960.0),
        slope(market(100.0), 20, 96.0),
        {5: ["buy", 2, 980.0, None, None], 30: "close"},
        {5: ["buy", 20, 98.0, None, None], 30: "close"},
    )
    outcome = happened(jesse, one)
    assert [note[1] for note in outcome.notes if note[2] == "open"] == [BTC, ETH]
    assert {trade["opened_at"] for trade in outcome.trades} == {MIDNIGHT + 21 * MINUTE}
    assert [note[:4] for note in outcome.notes if note[2] == "sees"] == [
        (MIDNIGHT + 21.0 * MINUTE, ETH, "sees", BTC),
        (MIDNIGHT + 21.0 * MINUTE, BTC, "sees", ETH),
    ]


def test_one_routes_loss_leaves_too_little_margin_for_the_others_order(jesse: Worker) -> None:
    def after(price: float) -> Outcome:
        losing = {5: ["buy", 60, None, None, None], 25: "close"}
        needy = {30: ["buy", 700, None, None, None], 40: "close"}
        return happened(jesse, case(slope(market(1000.0), 20, price), market(100.0), losing, needy))

    assert after(990.0).raised == ""
    assert "InsufficientMargin" in after(940.0).raised


def test_one_route_waits_for_what_the_other_shares(jesse: Worker) -> None:
    plans: tuple[Plan, Plan] = (
        {10: ["buy", 2, None, None, None], 30: "close"},
        {5: ["buy", 20, None, None, None], 15: ["buy", 10, None, None, None], 40: "close"},
    )
    outcome = happened(jesse, case(market(1000.0), market(100.0), *plans, waits_for=BTC))
    assert [(trade["symbol"], trade["qty"]) for trade in outcome.trades] == [(BTC, 2), (ETH, 10)]


def test_routes_of_different_timeframes_decide_each_at_its_own_closes(jesse: Worker) -> None:
    plans: tuple[Plan, Plan] = (
        {7: ["buy", 2, None, None, None], 20: "close"},
        {1: ["buy", 20, None, None, None], 3: "close"},
    )
    outcome = happened(jesse, case(market(1000.0), market(100.0), *plans, second_timeframe="15m"))
    opened = {trade["symbol"]: (trade["opened_at"] - MIDNIGHT) // MINUTE for trade in outcome.trades}
    assert opened == {BTC: 8, ETH: 30}


def test_a_data_route_may_be_another_routes_symbol(jesse: Worker) -> None:
    one = case(
        slope(market(1000.0), 20, 960.0),
        market(100.0),
        {5: ["buy", 2, 980.0, None, None], 30: "close"},
        {7: ["buy", 20, None, None, None], 30: "close"},
        data_routes=((BTC, "5m"), (ETH, "3m")),
    )
    assert len(happened(jesse, one).trades) == 2


@pytest.mark.parametrize("mode", ["cross", "isolated"])
def test_i5_a_real_month_of_two_markets_in_one_wallet(jesse: Worker, mode: str) -> None:
    rows = {BTC: read(PERPETUAL), ETH: read(ETHER)}
    parts = {symbol: split(each, 240 * 60) for symbol, each in rows.items()}
    one = Case(
        "DayTrader",
        {symbol: candles for symbol, (_, candles) in parts.items()},
        {symbol: warmup for symbol, (warmup, _) in parts.items()},
        project=EXAMPLES,
        timeframe="15m",
        leverage=3,
        leverage_mode=mode,  # type: ignore[arg-type]
        warmup_candles=240,
        further=(Further(ETH, "SMACrossover", "1h"),),
    )
    verdict = jesse.call("tests.parity.lab:compare", one, True)
    assert verdict.kind == "equal", verdict
    assert verdict.trades > 100
