"""Requests as the registry keeps them: by their meaning, whichever version wrote it, and never two under one id."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paperd.records.registry import Registry, _first_digest
from jesse_paperd.records.spec import SessionSpec

START = wire.PaperStart(strategy="S", symbol="BTC-USDT", hyperparameters={"fast": 5})
STARTED = wire.Started(
    session_id="one", status="running", strategy="S", symbol="BTC-USDT", timeframe="1h", exchange="Binance",
    starting_balance=10000, started_at="2025-01-01T00:00:00Z",
)  # fmt: skip


class LaterStart(wire.PaperStart, tag="paper_start", frozen=True):
    """The same operation with a field that a later version adds."""

    patience: float = 1.0


def spec(session_id: str) -> SessionSpec:
    return SessionSpec(
        session_id=session_id, strategy="S", symbol="BTC-USDT", timeframe="1h", exchange="Binance",
        market="Binance Spot", market_type="spot", starting_balance=10000.0, leverage=1, leverage_mode="cross",
        fee=0.001, warmup_candles=240, feed="live", speed="max", data_routes=(), hyperparameters=None,
        gap_policy="skip", seed=0, created_at=1, strategy_digest="",
    )  # fmt: skip


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    registry = Registry(tmp_path / "registry.sqlite")
    yield registry
    registry.close()


def reuse(registry: Registry, body: wire.Operation) -> str:
    with pytest.raises(PaperError) as caught:
        registry.reply_to("id", body)
    return caught.value.code


def test_a_request_is_the_same_after_its_operation_got_another_field(registry: Registry) -> None:
    registry.add(spec("one"), "{}", None, "id", START)
    registry.answer("id", START, STARTED)
    later = LaterStart(strategy="S", symbol="BTC-USDT", hyperparameters={"fast": 5})
    assert registry.reply_to("id", later) == STARTED
    asks_more = LaterStart(strategy="S", symbol="BTC-USDT", hyperparameters={"fast": 5}, patience=2.0)
    assert reuse(registry, asks_more) == "request_id_reused"


def test_a_request_marked_by_the_first_version_is_known(registry: Registry) -> None:
    registry.add(spec("one"), "{}", None, "id", START)
    registry._db.execute("UPDATE requests SET digest = ?", (_first_digest(START),))
    assert registry.reply_to("id", START) is None
    registry.answer("id", START, STARTED)
    assert registry.reply_to("id", START) == STARTED
    assert reuse(registry, wire.PaperStop("one")) == "request_id_reused"


def test_two_requests_under_one_id_are_a_refusal_and_neither_replaces_the_other(registry: Registry) -> None:
    registry.add(spec("one"), "{}", None, "id", START)
    with pytest.raises(PaperError) as caught:
        registry.add(spec("two"), "{}", None, "id", wire.PaperStop("two"))
    assert caught.value.code == "request_id_reused"
    # All or nothing: the second one's session is not there either.
    assert [record.session_id for record in registry.all()] == ["one"]
    assert registry.session_of("id") == "one"


def test_a_deleted_session_leaves_the_answers_that_were_given_about_it(registry: Registry) -> None:
    stop, delete = wire.PaperStop("one"), wire.PaperDeleteSession("one")
    deleted = wire.Deleted(session_id="one", freed_mb=1.0)
    registry.add(spec("one"), "{}", None, "id", START)
    registry.answer("id", START, STARTED)
    registry.want_stopped("one", "unanswered", stop)
    registry.remove("one", ("delete", delete, deleted))
    assert registry.reply_to("id", START) == STARTED
    assert registry.reply_to("delete", delete) == deleted
    assert registry.session_of("unanswered") is None
