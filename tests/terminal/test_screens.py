"""The full-screen views: keys typed into a real terminal, its screen read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from jesse_paper import protocol as wire
from tests.fakes.fake_daemon import FakeDaemon, answering
from tests.support.daemon import ETHER_CANDLES, FUTURES_CANDLES, Daemon, eventually
from tests.support.terminal import Terminal, needs_tmux

pytestmark = needs_tmux


@pytest.fixture
def terminal(daemon: Daemon) -> Iterator[Terminal]:
    with Terminal(daemon.environment) as terminal:
        yield terminal


def order(screen: str, *ids: str) -> list[str]:
    """The ids in the order of their lines."""
    return sorted(
        ids, key=lambda id: next(i for i, line in enumerate(screen.splitlines()) if line.strip().startswith(id))
    )


def test_top_shows_every_session_with_the_worst_first(terminal: Terminal):
    terminal.type("jesse-paper top --all")
    screen = terminal.shows("calm", "eager", "broken", "1 failed", "2 running", "by state")
    assert order(screen, "calm", "eager", "broken")[0] == "broken"
    assert "✗ failed" in screen
    assert "● running" in screen


def test_top_sorts_by_the_next_column_and_the_one_before_and_reverses(terminal: Terminal):
    terminal.type("jesse-paper top --all")
    terminal.shows("by state", "calm")
    terminal.press("s")
    terminal.shows("by equity", "equity▲")
    terminal.press("r")
    terminal.shows("equity▼")
    terminal.press("S", "S", "S", "S", "S", "r")
    screen = terminal.shows("by session", "session▲")
    assert order(screen, "calm", "eager", "broken") == ["broken", "calm", "eager"]
    terminal.press("r")
    eventually("reversed", lambda: order(terminal.screen(), "calm", "eager", "broken") == ["eager", "calm", "broken"])


def test_top_shows_what_failed_and_leaves_out_what_has_ended_until_asked(daemon: Daemon, terminal: Terminal):
    daemon.start_session(session_id="over", speed=600)
    daemon.stop_session("over")
    terminal.type("jesse-paper top")
    assert "over " not in terminal.shows("calm", "eager", "broken", "✗ failed", "2 running", "1 failed")
    terminal.press("a")
    terminal.shows("over", "1 stopped")


def test_top_opens_a_session_goes_back_and_quits(terminal: Terminal):
    terminal.type("jesse-paper top")
    terminal.shows("calm", "session", "Quit")
    terminal.press("S", "S", "S", "S")  # from state back to session, in which calm is the second
    terminal.shows("by session")
    # The line that was chosen stays chosen, wherever sorting takes it.
    terminal.press("Up", "Up", "Up", "Down", "Enter")
    terminal.shows("calm  ● running   SMACrossover 1h, BTC-USDT on Binance Spot", "equity, ", "Back")
    terminal.press("q")
    terminal.shows("by session", "eager")
    terminal.press("Down", "Enter")
    terminal.shows("eager  ● running   DayTrader 15m, BTC-USDT on Binance Perpetual Futures", "at 3×")
    terminal.press("Escape")
    terminal.shows("by session", "calm")
    terminal.press("q")
    terminal.ended(0)


def test_top_says_that_the_daemon_is_away_and_goes_on_when_it_is_back(daemon: Daemon, terminal: Terminal):
    terminal.type("jesse-paper top")
    terminal.shows("calm", "2 running")
    daemon.kill()
    terminal.shows("▲ No daemon answers", "calm")
    daemon.start()
    terminal.shows("calm", "2 running")
    assert "No daemon" not in terminal.screen()


def test_top_without_any_session_says_how_to_start_one(short_home):
    environment = {"JESSE_PAPER_HOME": str(short_home)}
    with Terminal(environment) as terminal:
        terminal.type("jesse-paper top")
        terminal.shows("No daemon answers", "jesse-paper start STRATEGY SYMBOL")
        terminal.press("C-c")
        terminal.ended(0)


def test_watch_shows_equity_drawdown_and_what_was_logged_as_it_goes_on(terminal: Terminal):
    terminal.type("jesse-paper watch eager")
    screen = terminal.shows("eager  ● running", "equity, ", "drawdown", "of 38,160 candles", "fee", "Quit")

    def share(screen: str) -> int:
        return int(screen.partition("% of 38,160")[0].rpartition(" ")[2])

    eventually("more candles are traded", lambda: share(terminal.screen()) > share(screen))
    terminal.press("q")
    terminal.ended(0)


def test_watch_shows_a_line_for_each_route(daemon: Daemon, terminal: Terminal):
    routes = [wire.TradedRoute("BTC-USDT", "DayTrader", "15m"), wire.TradedRoute("ETH-USDT", "SMACrossover", "1h")]
    feed = f"replay:BTC-USDT={FUTURES_CANDLES},ETH-USDT={ETHER_CANDLES}"
    one = wire.PaperStart(
        session_id="several", routes=routes, feed=feed, speed=600, exchange="Binance Perpetual Futures"
    )
    daemon.call(one, timeout=90)
    terminal.type("jesse-paper watch several")
    terminal.shows(
        "2 routes on Binance Perpetual Futures", "BTC-USDT  DayTrader 15m    ", "ETH-USDT  SMACrossover 1h  "
    )
    terminal.press("q")
    terminal.ended(0)
    daemon.stop_session("several")


def test_watch_shows_why_a_session_failed(terminal: Terminal):
    terminal.type("jesse-paper watch broken")
    terminal.shows("✗ failed", "as it was told to")
    terminal.press("C-c")
    terminal.ended(0)


@pytest.mark.parametrize(("columns", "rows"), [(40, 12), (80, 24), (100, 30), (200, 50)])
def test_every_view_fits_the_terminal(daemon: Daemon, columns: int, rows: int):
    with Terminal(daemon.environment, columns, rows) as terminal:
        terminal.type("jesse-paper top --all")
        terminal.shows("calm", "● running", "✗ failed")
        terminal.press("q")
        terminal.ended(0)
        terminal.type("clear; jesse-paper watch eager")
        terminal.shows("eager", "equity", "%", "Quit")
        terminal.press("q")
        terminal.ended(0)
        terminal.type("clear; jesse-paper ls --all")
        screen = terminal.ended(0)
        assert {"calm", "eager", "broken"} <= {line.partition(" ")[0] for line in screen.splitlines()}
        assert "● running" in screen
        assert "…" not in screen


def row(session_id: str, **fields: Any) -> wire.SessionRow:
    known = {"strategy": "Any", "symbol": "BTC-USDT", "started_at": "2025-01-01T00:00:00Z", "duration_hours": 1.0}
    return wire.SessionRow(session_id=session_id, **known, **fields)


def test_what_the_top_counts_as_not_well_is_what_its_rows_mark(endpoint: str):
    rows = [
        row("one", status="running", health="stalled"),
        row("two", status="restarting", health="feed_down"),
        row("three", status="starting", health="stale"),
        row("four", status="running", health="ok"),
        row("five", status="failed", health="stalled"),
        row("six", status="stopped", health="stale"),
    ]
    answer = wire.Sessions(sessions=rows, total=len(rows))
    environment = {**os.environ, "JESSE_PAPER_ENDPOINT": endpoint}
    with FakeDaemon(endpoint, answering(answer)), Terminal(environment) as terminal:
        terminal.type("jesse-paper top")
        screen = terminal.shows("▲ 3 not well", "1 failed", "six")
        assert {each.session_id for each in rows if marked(screen, each.session_id)} == {"one", "two", "three"}
        terminal.press("q")
        terminal.ended(0)


def marked(screen: str, session_id: str) -> bool:
    return any(line.strip().startswith(f"{session_id} ") and "▲" in line for line in screen.splitlines())
