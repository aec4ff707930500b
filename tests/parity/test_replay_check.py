"""I4: a replay equals the journal; where it does not, that is said and the journal kept as it was."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from jesse_paperd.records.journal import count_and_seal
from tests.parity.case import Case
from tests.parity.gamblers import dense, sparse
from tests.parity.worker import Worker

JOURNAL = "tests.parity.scenarios:journal_of"
REPLAY = "tests.parity.scenarios:replay_against"
VERIFY = "tests.parity.scenarios:verified"


@pytest.mark.parametrize("case", [dense(seed=101), sparse(seed=102, market="spot")], ids=str)
@pytest.mark.parametrize("batches", [[1], [64, 7], [4096]])
def test_i4_a_replay_in_other_blocks_finds_nothing(
    jesse: Worker, tmp_path: Path, case: Case, batches: list[int]
) -> None:
    jesse.call(JOURNAL, case, tmp_path / "journal.sqlite", [300, 11], False)
    assert jesse.call(REPLAY, case, tmp_path / "journal.sqlite", batches) == []


@pytest.mark.parametrize(
    ("change", "what", "where"),
    [
        ("UPDATE trades SET pnl = pnl + 1e-9 WHERE n = 3", "trades", "t003, pnl"),
        ("DELETE FROM trades WHERE n = (SELECT max(n) FROM trades)", "trades", ""),
        ("UPDATE orders SET price = price * 1.5 WHERE seq = 5", "orders", "o000005, price"),
        (
            "UPDATE equity SET equity = equity + 1 WHERE rowid = (SELECT rowid FROM equity LIMIT 1 OFFSET 40)",
            "equity",
            "",
        ),
        (
            "UPDATE daily_balance SET balance = 1 WHERE rowid = (SELECT max(rowid) FROM daily_balance)",
            "daily_balance",
            "",
        ),
        ("UPDATE progress SET checksum = checksum + 1", "progress", "checksum"),
    ],
)
def test_i4_a_difference_is_reported_once_and_history_is_kept(
    jesse: Worker, tmp_path: Path, change: str, what: str, where: str
) -> None:
    path = tmp_path / "journal.sqlite"
    case = dense(seed=103)
    jesse.call(JOURNAL, case, path, [300], False)
    with sqlite3.connect(path) as db:
        assert db.execute(change).rowcount == 1
        count_and_seal(db)
        before = list(db.iterdump())
    found = jesse.call(REPLAY, case, path, [64])
    assert [divergence["what"] for divergence in found] == [what]
    assert where in found[0]["where"]
    assert found[0]["journaled"] != found[0]["replayed"]
    with sqlite3.connect(path) as db:
        assert list(db.iterdump()) == before


@pytest.mark.parametrize("stop", [True, False])
@pytest.mark.parametrize(
    ("case", "method"),
    [
        (dense(seed=104), "row counting"),
        (sparse(seed=105), "timestamp replay"),
        (sparse(seed=106, market="spot", gap_policy="fill"), "timestamp replay"),
    ],
    ids=str,
)
def test_verify_finds_a_true_session_equal(jesse: Worker, tmp_path: Path, case: Case, method: str, stop: bool) -> None:
    jesse.call(JOURNAL, case, tmp_path / "journal.sqlite", [300], stop)
    found = jesse.call(VERIFY, case, tmp_path / "journal.sqlite")
    assert found["equal"], found
    assert found["method"] == method
    assert found["compared"] == found["trades"] > 3


def test_verify_names_the_first_trade_and_field_that_differ(jesse: Worker, tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    case = dense(seed=107)
    jesse.call(JOURNAL, case, path, [300], True)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE trades SET exit_price = exit_price + 0.5 WHERE n = 2")
        count_and_seal(db)
    found = jesse.call(VERIFY, case, path)
    assert not found["equal"]
    assert found["difference"]["where"] == "t002, exit_price"
    assert found["difference"]["journaled"] == found["difference"]["replayed"] + 0.5
    assert found["replay"][0]["where"] == "t002, exit_price"
