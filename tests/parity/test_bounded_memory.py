"""What a session keeps grows only by what its strategy may still look at."""

from __future__ import annotations

from tests.parity.gamblers import dense
from tests.parity.worker import Worker


def test_only_closed_trades_and_candles_stay(jesse: Worker) -> None:
    case = dense(seed=121, minutes=3 * 1440, timeframe="1m", leverage=5)
    kept = jesse.call("tests.parity.scenarios:kept_after", case, [1, 2, 3])
    print(kept)
    assert kept[-1]["trades"] > kept[0]["trades"] > 10
    for now in kept:
        assert now["logs"] == 0
        assert now["orders"] <= 2000
        assert now["active"] <= 50
        assert now["watched"] <= 50
        assert now["drawn"] <= 1000
        assert now["chart"] <= 1000
        assert now["metrics"] <= 1
        assert now["facts"] == 0
