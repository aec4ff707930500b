"""Commands on a real terminal: what starting shows, following, Ctrl-C, colours."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.support.daemon import EXAMPLES, SPOT_CANDLES, Daemon, eventually
from tests.support.terminal import Terminal, needs_tmux

pytestmark = needs_tmux

REPLAY = f"--feed replay:{SPOT_CANDLES}"


@pytest.fixture
def terminal(daemon: Daemon) -> Iterator[Terminal]:
    with Terminal(daemon.environment) as terminal:
        yield terminal


def test_start_shows_what_it_will_trade_and_a_bar_and_ctrl_c_leaves_the_session_running(
    daemon: Daemon, terminal: Terminal
):
    terminal.type(f"jesse-paper start SMACrossover BTC-USDT {REPLAY} --speed 6000 --session-id left --leverage 1")
    screen = terminal.shows(
        "left  ● running", "trading ━", "/ 25,920 candles", "/s", " left ", "Ctrl-C leaves it running"
    )
    for told in (
        *("SMACrossover, every 1h", "BTC-USDT on Binance Spot", "6,000 × real time", "240 candles before"),
        *("10,000.00 USDT", "fee 0.1 %", "paper: real candles, simulated money"),
    ):
        assert told in screen
    terminal.press("C-c")
    terminal.ended(130)
    assert daemon.status("left").status == "running"
    daemon.stop_session("left")


def test_start_of_a_replay_ends_with_what_came_of_it(terminal: Terminal):
    terminal.type(f"jesse-paper start SMACrossover BTC-USDT {REPLAY} --session-id quick")
    screen = terminal.ended(0)
    assert "✓ has traded all its candles: equity 10,072.85 (+0.73%), 12 trades" in screen
    assert "━" not in screen


def test_start_of_a_strategy_that_fails_says_why_with_the_table_s_exit_status(terminal: Terminal):
    terminal.type(f"jesse-paper start Breaks BTC-USDT {REPLAY} --session-id fails")
    assert "as it was told to" in terminal.ended(6)


def test_start_does_not_follow_when_told_so(daemon: Daemon, terminal: Terminal):
    terminal.type(f"jesse-paper start SMACrossover BTC-USDT {REPLAY} --speed 60 --session-id alone --no-follow")
    assert "jesse-paper watch alone" in terminal.ended(0)
    daemon.stop_session("alone")


def test_run_paper_shows_what_it_trades_and_a_bar_and_ctrl_c_ends_it_with_the_result(terminal: Terminal):
    command = f"run-paper 'Binance Spot' BTC-USDT --strategy SMACrossover --speed 6000 --project {EXAMPLES}"
    terminal.type(f"jesse-paper {command} {REPLAY} > result")
    terminal.shows("SMACrossover, every 1h", "trading ━", "/ 25,920 candles")
    terminal.press("C-c")
    terminal.ended(0)
    terminal.type("clear; grep total_return result")
    assert "%" in terminal.ended(0)


def test_logs_follow_what_is_logged_until_ctrl_c(terminal: Terminal):
    terminal.type("jesse-paper logs eager -f -n 1")
    first = terminal.shows("2025-05-")
    eventually("more is logged", lambda: terminal.screen().count("2025-05-") > first.count("2025-05-") + 2)
    terminal.press("C-c")
    screen = terminal.ended(130)
    assert "Traceback" not in screen
    assert "Aborted" not in screen


@pytest.mark.parametrize(
    "command", ["wait calm", "wait calm --json", "start SMACrossover BTC-USDT --session-id again --follow " + REPLAY]
)
def test_ctrl_c_leaves_a_command_that_waits_without_a_word(command: str, terminal: Terminal):
    terminal.type(f"jesse-paper {command} --speed 60" if "start" in command else f"jesse-paper {command}")
    terminal.shows("Ctrl-C leaves it" if "start" in command else "Waiting for calm")
    terminal.press("C-c")
    screen = terminal.ended(130)
    assert "Traceback" not in screen
    assert "Aborted" not in screen


def test_doctor_marks_each_check_and_says_how_to_mend_what_is_not_well(terminal: Terminal):
    terminal.type("jesse-paper doctor")
    screen = terminal.ended(0)
    for check in ("home", "permissions", "disk", "socket", "daemon", "versions", "engine", "Jesse project", "clock"):
        assert any(line.startswith(f"✓  {check} ") for line in screen.splitlines()), check
    assert "!  service" in screen
    assert "→ jesse-paper service install" in screen


def test_bash_completes_commands_options_sessions_and_strategies(terminal: Terminal):
    terminal.type('eval "$(jesse-paper completion bash)"')
    terminal.ended(0)
    for begun, completed in (
        ("jesse-paper stra", "jesse-paper strategies "),
        ("jesse-paper status ca", "jesse-paper status calm "),
        ("jesse-paper start SMA", "jesse-paper start SMACrossover "),
        ("jesse-paper start --lever", "jesse-paper start --leverage"),
    ):
        terminal.press("C-u", "C-l", *(character if character != " " else "Space" for character in begun), "Tab")
        terminal.shows(completed.strip())


def test_colours_are_for_terminals_that_want_them(terminal: Terminal):
    def coloured() -> bool:
        lines = terminal.screen(colours=True).splitlines()
        return any(re.search(r"\x1b\[[\d;]*3[0-7]m", line) for line in lines if "running" in line)

    terminal.type("clear; jesse-paper ls")
    terminal.ended(0)
    assert coloured()
    terminal.type("clear; jesse-paper ls | cat")
    terminal.ended(0)
    assert not coloured()
    terminal.type("clear; NO_COLOR=1 jesse-paper ls")
    terminal.ended(0)
    assert not coloured()
