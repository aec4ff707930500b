"""Sessions of several routes, as clients and operators have them: one wallet, every answer by symbol and strategy."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from tests.support.breaking import PACED, facts_of, short_candles
from tests.support.browser import needs_browser, page
from tests.support.daemon import (
    ETHER_CANDLES,
    EXAMPLES,
    FUTURES_CANDLES,
    Daemon,
    Project,
    eventually,
    running_daemon,
    strategy_source,
)
from tests.support.mcp_client import line_client

BIN = Path(sys.executable).parent
BTC, ETH = "BTC-USDT", "ETH-USDT"
ROUTES = [wire.TradedRoute(BTC, "DayTrader", "15m"), wire.TradedRoute(ETH, "SMACrossover", "30m", {"fast": 8})]


def feed() -> str:
    return f"replay:{BTC}={short_candles(8, FUTURES_CANDLES)},{ETH}={short_candles(8, ETHER_CANDLES)}"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with running_daemon() as running:
        yield running.ready()


def start(daemon: Daemon, session_id: str, **arguments: Any) -> wire.Started:
    defaults = {"routes": ROUTES, "feed": feed(), "leverage": 3, "exchange": "Binance Perpetual Futures"}
    return daemon.call(wire.PaperStart(session_id=session_id, **{**defaults, **arguments}), timeout=90)


@pytest.fixture(scope="module")
def traded(daemon: Daemon) -> str:
    start(daemon, "both")
    assert daemon.ended("both").status == "stopped"
    return "both"


def test_every_answer_tells_symbol_and_strategy(daemon: Daemon, traded: str) -> None:
    status = daemon.status(traded)
    assert (status.strategy, status.symbol, status.timeframe) == ("DayTrader", BTC, "15m")
    assert status.routes == ROUTES
    trades = daemon.trades(traded)
    assert {(trade.symbol, trade.strategy) for trade in trades} == {(BTC, "DayTrader"), (ETH, "SMACrossover")}
    assert [trade.exit_time for trade in trades] == sorted(trade.exit_time for trade in trades)
    orders = daemon.call(wire.PaperGetOrders(session_id=traded, limit=1000)).orders
    assert {(order.symbol, order.strategy) for order in orders} == {(BTC, "DayTrader"), (ETH, "SMACrossover")}
    of_trades = {order_id: trade.trade_id for trade in trades for order_id in trade.order_ids}
    assert {o.order_id: o.trade_id for o in orders if o.status == "EXECUTED"} == of_trades
    (row,) = daemon.call(wire.PaperListSessions(active_only=False)).sessions
    assert row.routes == ROUTES


def test_each_route_has_metrics_that_add_up_to_the_accounts(daemon: Daemon, traded: str) -> None:
    answer = daemon.call(wire.PaperGetMetrics(session_id=traded))
    whole, routes = answer.metrics, answer.routes
    assert [(route.symbol, route.strategy) for route in routes] == [(BTC, "DayTrader"), (ETH, "SMACrossover")]
    trades = daemon.trades(traded)
    for route in routes:
        own = [trade for trade in trades if trade.symbol == route.symbol]
        assert route.total_trades == len(own) > 0
        assert route.win_rate == sum(trade.pnl > 0 for trade in own) / len(own)
        assert route.realized_pnl == pytest.approx(sum(trade.pnl for trade in own), rel=1e-12)
        assert 0 < route.exposure < 1
    assert sum(route.fees_paid for route in routes) == pytest.approx(whole.fees_paid)
    assert sum(route.contribution for route in routes) == pytest.approx(whole.total_return, abs=1e-3)


def test_trades_and_orders_are_filtered_by_symbol(daemon: Daemon, traded: str) -> None:
    everything = daemon.trades(traded)
    of_one = daemon.call(wire.PaperGetTrades(session_id=traded, symbol=ETH, limit=1000))
    assert of_one.trades == [trade for trade in everything if trade.symbol == ETH]
    assert (of_one.total_trades, of_one.matching) == (len(everything), len(of_one.trades))
    orders = daemon.call(wire.PaperGetOrders(session_id=traded, symbol=BTC, limit=1000))
    assert {order.symbol for order in orders.orders} == {BTC}


def test_a_chart_shows_the_price_of_the_route_that_is_asked_for(daemon: Daemon, traded: str) -> None:
    first, other, unnamed = (
        daemon.call(wire.PaperChart(session_id=traded, symbol=symbol), timeout=60) for symbol in (BTC, ETH, None)
    )
    assert first == unnamed
    assert f"{ETH} " in other.description
    assert BTC not in other.description
    assert first.png != other.png
    with pytest.raises(PaperError, match="'SOL-USDT' is not traded by this session") as refused:
        daemon.call(wire.PaperChart(session_id=traded, symbol="SOL-USDT"))
    assert refused.value.hint == f"It trades {BTC}, {ETH}."


def test_a_report_has_a_row_and_a_price_for_each_route(daemon: Daemon, traded: str) -> None:
    html = daemon.call(wire.PaperReport(session_id=traded), timeout=60).html
    embedded = json.loads(html.partition('id="data">')[2].partition("</script>")[0])
    assert [route["symbol"] for route in embedded["prices"]] == [BTC, ETH]
    assert all(len(route["closes"]) == len(embedded["at"]) for route in embedded["prices"])
    assert "2 routes, one wallet" in html
    assert "<h2>By route</h2>" in html


@needs_browser
def test_a_reader_of_a_report_chooses_whose_price_is_seen(daemon: Daemon, traded: str, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(daemon.call(wire.PaperReport(session_id=traded), timeout=60).html)
    readout = "document.getElementById('readout')?.textContent"  # not there before the page is
    choose = "symbols.selectedIndex = 1; symbols.dispatchEvent(new Event('change'))"
    with page(tmp_path / "profile") as opened:
        opened.open(file)
        opened.eventually(f"{readout}.includes('BTC-USDT ')")
        opened.evaluate(choose)
        opened.eventually(f"{readout}.includes('ETH-USDT ')")


def test_the_commands_show_each_route(daemon: Daemon, traded: str) -> None:
    def told(command: str) -> str:
        program = [str(BIN / "jesse-paper"), *command.split()]
        environment = {**daemon.environment, "COLUMNS": "200"}
        return subprocess.run(program, env=environment, capture_output=True, text=True, check=True).stdout

    assert "BTC-USDT +1" in told("ls --all")
    for route in ("BTC-USDT: DayTrader, every 15m", "ETH-USDT: SMACrossover, every 30m"):
        assert route in told(f"status {traded}")
    assert "SMACrossover 30m" in told(f"metrics {traded}").partition("By route")[2]


def test_an_agent_reads_of_each_route(daemon: Daemon, traded: str) -> None:
    with line_client(daemon.endpoint) as client:

        def read(uri: str) -> str:
            return str(client.request("resources/read", {"uri": uri})["result"]["contents"][0]["text"])

        assert "DayTrader, SMACrossover | BTC-USDT, ETH-USDT 15m, 30m" in read("paper://sessions")
        report = read(f"paper://sessions/{traded}")
        assert "2 routes, one wallet" in report
        assert "- ETH-USDT: SMACrossover, every 30m" in report
        listed = client.request("resources/list", {})["result"]["resources"]
        assert "2 routes on Binance Perpetual Futures (stopped)" in [resource["title"] for resource in listed[1:]]


def test_i5_verify_finds_a_portfolio_equal_to_jesses_backtest(daemon: Daemon, traded: str) -> None:
    verified = eventually("it is verified", lambda: (v := daemon.call(wire.PaperVerify(session_id=traded))).done and v)
    assert verified.equal, verified
    assert verified.compared == verified.trades > 10
    assert verified.method == "timestamp replay"


def test_i8_a_portfolio_that_is_killed_goes_on_to_the_same_end(daemon: Daemon, traded: str) -> None:
    start(daemon, "killed", speed=PACED)
    eventually("it trades", lambda: daemon.status("killed").metrics.total_trades > 3)
    subprocess.run(["kill", "-KILL", str(daemon.session_pids()["killed"])], check=True)
    daemon.restart(signal.SIGKILL)
    assert daemon.ended("killed").status == "stopped"
    assert facts_of(daemon.layout.session("killed").journal) == facts_of(daemon.layout.session(traded).journal)


def test_a_route_that_fails_ends_the_session_by_name_and_the_ledger_of_all_is_kept(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.add_example("DayTrader")
    falls = "    def before(self):\n        if self.index == 50:\n            raise RuntimeError('tired')\n"
    project.add("Falls", strategy_source("Falls", extra=falls))
    with running_daemon(project.root) as daemon:
        start(daemon, "falls", routes=[ROUTES[0], wire.TradedRoute(ETH, "Falls", "30m")])
        status = daemon.ended("falls")
        assert status.status == "failed"
        assert "route ETH-USDT, Falls: RuntimeError: tired" in status.error
        assert status.failure is not None
        assert (status.failure.symbol, status.failure.file) == (ETH, "strategies/Falls/__init__.py")
        assert {trade.symbol for trade in daemon.trades("falls")} == {BTC}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"strategy": "DayTrader"}, "`strategy` does not belong beside `routes`"),
        ({"timeframe": "4h", "symbol": BTC}, "`symbol` does not belong beside `routes`"),
        ({"routes": []}, "`strategy` is missing"),
        ({"routes": [ROUTES[0], ROUTES[0]]}, "routes[1].symbol: BTC-USDT is traded by an earlier route already"),
        ({"routes": [ROUTES[0], wire.TradedRoute("ETH-BTC", "DayTrader")]}, "is in BTC, and the wallet is in USDT"),
        ({"routes": [ROUTES[0], wire.TradedRoute(ETH, "SMACrosover")]}, "routes[1].strategy: the Jesse project"),
        ({"routes": [*ROUTES, wire.TradedRoute("SOL-USDT", "DayTrader")]}, "no candle file for SOL-USDT"),
    ],
)
def test_routes_that_cannot_be_are_refused_by_name(daemon: Daemon, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(PaperError) as caught:
        start(daemon, "refused", **arguments)
    assert said in caught.value.message
    assert caught.value.code in ("invalid_argument", "strategy_not_found")
    assert not daemon.layout.session("refused").root.exists()


def test_all_that_is_wrong_with_routes_is_said_at_once(daemon: Daemon) -> None:
    routes = [ROUTES[0], wire.TradedRoute(BTC, "Nobody"), wire.TradedRoute("ETH-EUR", "Nothing")]
    with pytest.raises(PaperError) as caught:
        start(daemon, "refused", routes=routes)
    for said in ("no strategy 'Nobody'", "no strategy 'Nothing'", "earlier route", "in EUR"):
        assert said in caught.value.message


ROUTES_FILES = {
    "routes.json": json.dumps([{"symbol": BTC, "strategy": "DayTrader", "timeframe": "15m"},
                               {"symbol": ETH, "strategy": "SMACrossover", "timeframe": "30m"}]),
    "routes.toml": f'[[routes]]\nsymbol = "{BTC}"\nstrategy = "DayTrader"\ntimeframe = "15m"\n'
                   f'[[routes]]\nsymbol = "{ETH}"\nstrategy = "SMACrossover"\ntimeframe = "30m"\n',
    "routes.py": f'from jesse import x\nroutes = [\n    ("Binance Perpetual Futures", "{BTC}", "15m", "DayTrader"),\n'
                 f'    ("Binance Perpetual Futures", "{ETH}", "30m", "SMACrossover"),\n]\n',
}  # fmt: skip


def run_paper(*arguments: object) -> subprocess.CompletedProcess[str]:
    program = [BIN / "jesse-paper", "run-paper", "Binance Perpetual Futures", "--json", "--project", EXAMPLES]
    return subprocess.run([*program, *map(str, arguments)], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ROUTES_FILES)
def test_routes_come_from_a_file(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text(ROUTES_FILES[name])
    done = run_paper("--routes", file, "--feed", feed(), "--leverage", 3)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [route["symbol"] for route in told["session"]["routes"]] == [BTC, ETH]
    assert {trade["symbol"] for trade in told["trades"]} == {BTC, ETH}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("routes.json", "{", "is no JSON"),
        ("routes.json", "[]", "names no list of routes"),
        ("routes.json", '[{"symbol": "BTC-USDT"}]', "`routes[0].strategy` is missing"),
        ("routes.py", "routes = make()", "is not of the plain form"),
        ("routes.py", 'routes = [("A", "BTC-USDT", "1h", "S"), ("B", "ETH-USDT", "1h", "S")]', "one exchange"),
    ],
)
def test_a_file_of_routes_that_is_none_is_refused(tmp_path: Path, name: str, content: str, said: str) -> None:
    file = tmp_path / name
    file.write_text(content)
    done = run_paper("--routes", file, "--feed", feed())
    assert done.returncode == 2
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_portfolio_is_archived_brought_back_and_started_again(daemon: Daemon, traded: str) -> None:
    before = facts_of(daemon.layout.session(traded).journal)
    archived = daemon.call(wire.PaperArchiveSession(session_id=traded))
    daemon.call(wire.PaperDeleteSession(session_id=traded))
    daemon.call(wire.PaperRestoreSession(path=archived.path))
    assert facts_of(daemon.layout.session(traded).journal) == before
    again = daemon.call(wire.PaperRestart(session_id=traded), timeout=90)
    assert again.routes == ROUTES
    daemon.ended(again.session_id)
    assert facts_of(daemon.layout.session(again.session_id).journal) == before
