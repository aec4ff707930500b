"""Closed trades as clients see them."""

from __future__ import annotations

import msgspec

from jesse_paperd.analytics.trades import trade_of
from jesse_paperd.records.journal import JournalReader
from tests.support.journals import SampleJournal, trade


def test_a_trade_tells_when_it_was_and_how_long_it_lasted():
    found = trade_of(trade(3, pnl=49.0, fee=1.0))
    assert (found.entry_time, found.exit_time) == ("2026-01-01T00:06:00Z", "2026-01-01T00:07:00Z")
    assert found.duration_minutes == 1
    assert (found.entry_price, found.exit_price, found.pnl, found.fees) == (1000, 1050, 49, 1)
    assert found.order_ids == ["o3a", "o3b"]


def test_excursions_are_fractions_of_the_entry_price_against_and_for_the_trade():
    row = msgspec.structs.replace(trade(1, pnl=0.0), entry_price=200.0, lowest=190.0, highest=230.0)
    long, short = trade_of(row), trade_of(msgspec.structs.replace(row, side="short", qty=-1.0))
    assert (long.max_adverse_excursion, long.max_favorable_excursion) == (0.05, 0.15)
    assert (short.max_adverse_excursion, short.max_favorable_excursion) == (0.15, 0.05)
    assert (long.size, short.size) == (1, 1)


def test_a_trade_that_never_went_against_its_entry_has_no_adverse_excursion():
    row = msgspec.structs.replace(trade(1, pnl=10.0), entry_price=200.0, lowest=201.0, highest=230.0)
    assert trade_of(row).max_adverse_excursion == 0


def test_pages_stay_as_they_are_while_trades_are_added(tmp_path):
    journal = SampleJournal(tmp_path / "j.sqlite").commit(trades=[trade(n, 1.0) for n in range(1, 6)])
    reader = JournalReader(journal.path)
    page = reader.trades(after=2, limit=2)
    assert [trade.trade_id for trade in page] == ["t003", "t004"]
    journal.commit(trades=[trade(n, 1.0) for n in range(6, 9)])
    assert reader.trades(after=2, limit=2) == page
    assert [trade.trade_id for trade in reader.trades(after=6)] == ["t007", "t008"]
    assert reader.trades(after=8) == []
