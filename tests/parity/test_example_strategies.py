"""I5: over the whole example data, a session equals `jesse.research.backtest`, to the last bit."""

from __future__ import annotations

import pytest

from tests.parity.candles import EXAMPLES, PERPETUAL, SPOT, read, split
from tests.parity.case import Case
from tests.parity.worker import Worker


def example(strategy: str, timeframe: str, minutes: int, market: str) -> Case:
    warmup, candles = split(read(SPOT if market == "spot" else PERPETUAL), 240 * minutes)
    return Case(
        strategy,
        {"BTC-USDT": candles},
        {"BTC-USDT": warmup},
        project=EXAMPLES,
        timeframe=timeframe,
        market=market,  # type: ignore[arg-type]
        warmup_candles=240,
    )


@pytest.mark.parametrize("market", ["spot", "futures"])
@pytest.mark.parametrize(("strategy", "timeframe", "minutes"), [("SMACrossover", "1h", 60), ("DayTrader", "15m", 15)])
def test_i5_every_trade_equals_the_backtests(
    jesse: Worker, strategy: str, timeframe: str, minutes: int, market: str
) -> None:
    case = example(strategy, timeframe, minutes, market)
    verdict = jesse.call("tests.parity.lab:compare", case)
    print(verdict)
    assert verdict.kind == "equal", verdict
    assert verdict.trades >= 10


@pytest.mark.parametrize("strategy", ["SMACrossover", "DayTrader"])
def test_it_trades_both_ways_where_the_market_has_them(jesse: Worker, strategy: str) -> None:
    timeframe, minutes = ("1h", 60) if strategy == "SMACrossover" else ("15m", 15)
    for market, sides in (("spot", {"long"}), ("futures", {"long", "short"})):
        facts, _, _ = jesse.call("tests.parity.lab:session", example(strategy, timeframe, minutes, market))
        assert {trade.side for trade in facts.trades} == sides
        assert {"stop_loss", "take_profit"} & {trade.exit_reason for trade in facts.trades}
