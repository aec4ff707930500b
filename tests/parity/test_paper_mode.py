"""A strategy finds itself in paper trading, and is otherwise the user's own."""

from __future__ import annotations

from tests.parity.candles import Generated
from tests.parity.case import PROJECT, Case
from tests.parity.gamblers import dense
from tests.parity.worker import Worker


def test_the_flags_say_paper_trading(jesse: Worker) -> None:
    case = Case("Watcher", {"BTC-USDT": Generated(81, 30).rows()}, project=PROJECT, timeframe="5m")
    notes = jesse.call("tests.parity.scenarios:notes_of", case)
    assert len(notes) == 6
    assert {note["flags"] for note in notes} == {(True, True, False, False)}
    assert {(note["name"], note["class"], note["module"]) for note in notes} == {
        ("Watcher", "Watcher", "strategies.Watcher")
    }


def test_charts_are_updated_once_after_each_decision_as_in_a_backtest(jesse: Worker) -> None:
    case = Case("Watcher", {"BTC-USDT": Generated(82, 30).rows()}, project=PROJECT, timeframe="5m")
    notes = jesse.call("tests.parity.scenarios:notes_of", case)
    assert [note["charted"] for note in notes] == [0, 1, 2, 3, 4, 5]


def test_log_lines_of_the_strategy_are_facts_and_errors_come_once(jesse: Worker, tmp_path: object) -> None:
    facts = jesse.call("tests.parity.scenarios:facts_of", dense(seed=83, minutes=400), [64])
    messages = [message for _, _, message in facts["logs"]]
    assert any("Trade closed" in message for message in messages)
    assert {level for _, level, _ in facts["logs"]} == {"info"}


def test_a_failing_strategy_leaves_the_facts_of_the_whole_minutes_before(jesse: Worker) -> None:
    case = Case("TestWalletBalance", {"BTC-USDT": Generated(84, 300).rows()}, timeframe="5m")
    answers = [jesse.call("tests.parity.scenarios:failing_session", case, batches) for batches in ([4096], [1], [64])]
    raised, facts, progress = answers[0]
    assert raised.startswith("AssertionError")
    assert progress.candles > 0
    assert progress.last_candle == int(case.candles["BTC-USDT"][progress.candles - 1, 0])
    assert facts.equity[-1].last_at == progress.last_candle + 60_000
    assert all(answer[1:] == (facts, progress) for answer in answers)
