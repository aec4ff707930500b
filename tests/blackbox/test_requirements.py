"""The eight tools as the requirements show them: every field's name, type and format, through a real MCP client."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.support.daemon import FUTURES_CANDLES, Daemon, eventually, running_daemon
from tests.support.mcp_client import line_client


def text(value: Any) -> bool:
    return isinstance(value, str)


def number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def fraction(value: Any) -> bool:
    return value is None or number(value)


def time(value: Any) -> bool:
    return isinstance(value, str) and bool(datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ"))


def one_of(*words: str) -> Callable[[Any], bool]:
    return lambda value: value in words


STATES = one_of("starting", "running", "stopping", "stopped", "restarting", "failed")
SESSION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch
MONEY = number
METRICS = {
    "total_return": fraction,
    "sharpe_ratio": fraction,
    "sortino_ratio": fraction,
    "max_drawdown": fraction,
    "win_rate": fraction,
    "total_trades": whole,
    "profit_factor": fraction,
    "avg_trade": fraction,
    "avg_winning_trade": fraction,
    "avg_losing_trade": fraction,
    "var_95": fraction,
    "volatility": fraction,
    "current_equity": MONEY,
    "unrealized_pnl": MONEY,
}
SHORT = {name: METRICS[name] for name in ("total_return", "sharpe_ratio", "max_drawdown", "win_rate", "total_trades")}
POSITION = {
    "side": one_of("long", "short"),
    **dict.fromkeys(("size", "entry_price", "current_price", "unrealized_pnl"), number),
}
TRADE = {
    "trade_id": re.compile(r"t\d{3,}").fullmatch,
    "entry_time": time,
    "exit_time": time,
    "side": one_of("long", "short"),
    **dict.fromkeys(("entry_price", "exit_price", "size", "pnl", "pnl_pct", "fees"), number),
}
POINT = {"timestamp": time, "equity": number, "drawdown": number, "unrealized_pnl": number}
ROW = {
    "session_id": SESSION_ID,
    "strategy": text,
    "symbol": text,
    "status": STATES,
    "started_at": time,
    "duration_hours": number,
}
#: By tool: the fields that the requirements show. A list stands for rows of that shape, at least one.
ANSWERS: dict[str, dict[str, Any]] = {
    "paper_start": {
        "session_id": SESSION_ID,
        "status": STATES,
        "strategy": one_of("SMACrossover"),
        "symbol": one_of("BTC-USDT"),
        "timeframe": one_of("1d", "15m"),
        "exchange": one_of("Binance"),
        "starting_balance": number,
        "started_at": time,
    },
    "paper_status": {
        "session_id": SESSION_ID,
        "status": STATES,
        "strategy": text,
        "symbol": text,
        "current_equity": number,
        "unrealized_pnl": number,
        "positions": [POSITION],
        "open_orders": [{"order_id": text, "side": text, "size": number}],
        "metrics": SHORT,
    },
    "paper_get_trades": {"session_id": SESSION_ID, "total_trades": whole, "trades": [TRADE]},
    "paper_get_equity": {"session_id": SESSION_ID, "resolution": one_of("1h"), "equity_curve": [POINT]},
    "paper_get_metrics": {"session_id": SESSION_ID, "metrics": METRICS},
    "paper_list_sessions": {"sessions": [ROW], "total": whole},
    "paper_update_session": {
        "session_id": SESSION_ID,
        "status": one_of("updated"),
        "updated_fields": lambda fields: fields == ["leverage", "notes"],
    },
    "paper_stop": {
        "session_id": SESSION_ID,
        "status": one_of("stopped"),
        "stopped_at": time,
        "duration_hours": number,
        "final_metrics": {**SHORT, "final_equity": number},
    },
}


def differences(wanted: Any, found: Any, where: str) -> list[str]:
    """The fields that are not as wanted."""
    if isinstance(wanted, dict):
        if not isinstance(found, dict):
            return [f"{where}: {found!r} is not an object"]
        inner = [(f"{where}.{name}", kind, found.get(name, "(missing)")) for name, kind in wanted.items()]
        return [problem for place, kind, value in inner for problem in differences(kind, value, place)]
    if isinstance(wanted, list):
        if not isinstance(found, list) or not found:
            return [f"{where}: {found!r} has no row"]
        return [problem for n, row in enumerate(found) for problem in differences(wanted[0], row, f"{where}[{n}]")]
    try:
        return [] if wanted(found) else [f"{where}: {found!r}"]
    except (TypeError, ValueError) as error:
        return [f"{where}: {found!r}: {error}"]


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with running_daemon() as daemon:
        yield daemon


@pytest.fixture(scope="module")
def call(daemon: Daemon) -> Iterator[Callable[..., dict[str, Any]]]:
    with line_client(daemon.endpoint) as client:

        def call(tool: str, **arguments: Any) -> dict[str, Any]:
            result = client.request("tools/call", {"name": tool, "arguments": arguments})["result"]
            assert not result["isError"], result
            return result["structuredContent"]  # type: ignore[no-any-return]

        yield call


def test_every_field_of_the_requirements_is_there_in_its_type_and_format(
    daemon: Daemon, call: Callable[..., dict[str, Any]]
) -> None:
    arguments = {
        "strategy": "SMACrossover",
        "symbol": "BTC-USDT",
        "timeframe": "15m",
        "leverage": 2,
        "session_id": "asked",
        "feed": f"replay:{FUTURES_CANDLES}",
        "speed": 3600 * 4,
    }
    problems = differences(ANSWERS["paper_start"], call("paper_start", **arguments), "paper_start")
    session = {"session_id": "asked"}

    def holds() -> dict[str, Any] | None:
        status = call("paper_status", **session)
        return status if status["positions"] and status["open_orders"] and status["metrics"]["total_trades"] else None

    status = eventually("it holds a position after a trade", holds)
    problems += differences(ANSWERS["paper_status"], status, "paper_status")
    for tool in ("paper_get_trades", "paper_get_equity", "paper_get_metrics"):
        problems += differences(ANSWERS[tool], call(tool, **session), tool)
    problems += differences(ANSWERS["paper_list_sessions"], call("paper_list_sessions"), "paper_list_sessions")

    def updated() -> dict[str, Any] | None:
        # A session without a position takes its leverage at once; one with a position says that it waits.
        leverage = 3 if call("paper_status", **session)["leverage"] == 2 else 2
        answer = call("paper_update_session", **session, updates={"leverage": leverage, "notes": "seen"})
        assert (answer["status"], set(answer["updated_fields"]) | set(answer["pending"])) == (
            "updated",
            {"leverage", "notes"},
        )
        assert set(answer["updated_fields"]).isdisjoint(answer["pending"])
        return answer if not answer["pending"] else None

    answer = eventually("a leverage is taken at once", updated)
    problems += differences(ANSWERS["paper_update_session"], answer, "paper_update_session")
    problems += differences(ANSWERS["paper_stop"], call("paper_stop", **session), "paper_stop")
    assert problems == []


def test_a_days_timeframe_comes_back_as_it_was_sent(daemon: Daemon, call: Callable[..., dict[str, Any]]) -> None:
    started = call(
        "paper_start",
        strategy="SMACrossover",
        symbol="BTC-USDT",
        timeframe="1d",
        session_id="daily",
        warmup_candles=5,
        leverage=2,
        feed=f"replay:{FUTURES_CANDLES}",
    )
    assert differences(ANSWERS["paper_start"], started, "paper_start") == []
    assert started["market"] == "Binance Perpetual Futures"
    assert "another market than spot" in started["hint"]
    daemon.ended("daily")
    status = call("paper_status", session_id="daily")
    (row,) = [r for r in call("paper_list_sessions", active_only=False)["sessions"] if r["session_id"] == "daily"]
    for answer in (status, row):
        assert (answer["timeframe"], answer["exchange"]) == ("1d", "Binance")
        assert answer["market"] == "Binance Perpetual Futures"
        assert answer["market_hours"] > 24 > answer["duration_hours"]


def test_an_update_that_is_refused_in_part_says_so(call: Callable[..., dict[str, Any]]) -> None:
    answer = call("paper_update_session", session_id="daily", updates={"leverage": 3, "notes": "kept"})
    assert (answer["status"], answer["updated_fields"], list(answer["refused"])) == (
        "partly_updated",
        ["notes"],
        ["leverage"],
    )
    answer = call("paper_update_session", session_id="daily", updates={"leverage": 3})
    assert (answer["status"], answer["updated_fields"]) == ("refused", [])
