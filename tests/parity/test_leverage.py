"""A leverage that is asked for applies when the session is flat, and again so in a replay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.parity.gamblers import dense
from tests.parity.worker import Worker

FACTS = "tests.parity.scenarios:facts_of"
MINUTE = 60_000


def test_it_applies_at_the_first_flat_moment_and_says_when(jesse: Worker) -> None:
    case = dense(seed=21, leverage=2)
    rows = case.candles["BTC-USDT"]
    before = jesse.call(FACTS, case, [4096])
    # Ask in the middle of a trade, while its position is open.
    trade = max(before["trades"][:-1], key=lambda trade: trade[12] - trade[11])
    entry_at, exit_at = trade[11], trade[12]
    assert exit_at - entry_at >= 2 * MINUTE
    asked = int((entry_at + MINUTE - rows[0, 0]) // MINUTE)
    after = jesse.call(FACTS, case, [300], [(asked, 5)])
    changes = [(at, detail) for at, kind, detail in after["events"] if kind == "leverage"]
    assert [detail for _, detail in changes] == [{"from": 2, "to": 5}]
    applied = changes[0][0]
    assert applied >= exit_at
    for trade in after["trades"]:
        assert trade[10] == (2.0 if trade[11] < applied else 5.0)
        assert not trade[11] < applied < trade[12]
    assert {trade[10] for trade in after["trades"]} == {2.0, 5.0}
    assert after["progress"].leverage == 5.0


def test_asking_at_the_same_candle_repeats_every_fact(jesse: Worker) -> None:
    case = dense(seed=22, leverage=2)
    asked = [(500, 10), (900, 3)]
    assert jesse.call(FACTS, case, [4096], asked) == jesse.call(FACTS, case, [1], asked)


def test_before_the_first_candle_it_applies_at_once(jesse: Worker) -> None:
    facts = jesse.call(FACTS, dense(seed=23), [4096], [(0, 7)])
    assert {trade[10] for trade in facts["trades"]} == {7.0}


@pytest.mark.parametrize("batches", [[4096], [64]])
def test_verify_compares_up_to_the_change_and_replays_all_of_it(
    jesse: Worker, tmp_path: Path, batches: list[int]
) -> None:
    case = dense(seed=25, leverage=2)
    jesse.call("tests.parity.scenarios:journal_of", case, tmp_path / "journal.sqlite", batches, True, [(1000, 5)])
    found = jesse.call("tests.parity.scenarios:verified", case, tmp_path / "journal.sqlite")
    assert found["equal"], json.dumps(found)
    assert 0 < found["compared"] < found["trades"]
    assert found["compared_until"] is not None
    assert "leverage" in found["limits"][0]
