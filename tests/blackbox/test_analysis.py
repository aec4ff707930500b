"""Sessions looked at more closely: verified, compared, drawn, reported, exported."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from jesse_paper import protocol as wire
from jesse_paper.figures import money, prices
from jesse_paper.rfc3339 import to_ms
from jesse_paperd.candles.files import read_candle_file, write_candle_file
from tests.support.daemon import FUTURES_CANDLES, SPOT_CANDLES, Daemon, eventually, running_daemon


@pytest.fixture(scope="module")
def traded() -> Iterator[Daemon]:
    """A daemon with three sessions that have traded: `spot` and `futures` over May or December, `changed`."""
    with running_daemon() as daemon:
        futures = {"feed": f"replay:{FUTURES_CANDLES}", "exchange": "Binance Perpetual Futures"}
        daemon.start_session(session_id="spot", strategy="DayTrader", timeframe="15m")
        daemon.start_session(session_id="futures", leverage=3, **futures)
        daemon.start_session(session_id="changed", strategy="DayTrader", timeframe="15m", speed=60 * 8000, **futures)
        eventually("it trades", lambda: daemon.status("changed").metrics.total_trades)
        daemon.call(wire.PaperUpdateSession(session_id="changed", updates=wire.SessionUpdates(leverage=5)))
        for session_id in ("spot", "futures", "changed"):
            daemon.ended(session_id)
        yield daemon


def cli(daemon: Daemon, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from jesse_paperd.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, env=daemon.environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("session_id", ["spot", "futures"])
def test_a_session_equals_jesses_backtest_of_its_own_candles(traded: Daemon, session_id: str) -> None:
    verified = traded.call(wire.PaperVerify(session_id=session_id))
    assert verified.done
    assert verified.equal, verified
    assert verified.compared == verified.trades > 0


def test_a_session_with_a_leverage_change_equals_its_replay_and_says_what_was_compared(traded: Daemon) -> None:
    assert traded.status("changed").leverage == 5
    done = cli(traded, "verify", "changed")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "one leverage" in done.stdout


def test_sessions_that_share_time_are_compared_over_it(traded: Daemon) -> None:
    answer = traded.call(wire.PaperCompareSessions(session_ids=["futures", "changed"]))
    assert answer.correlation["futures"]["futures"] == pytest.approx(1)
    assert answer.whole["futures"] == traded.call(wire.PaperGetMetrics(session_id="futures")).metrics
    apart = traded.call(wire.PaperCompareSessions(session_ids=["futures", "spot"]))
    assert not apart.common
    assert "share no time" in apart.hint


def test_a_chart_is_a_png_and_a_report_one_page_that_loads_nothing(traded: Daemon, tmp_path: Path) -> None:
    picture = traded.call(wire.PaperChart(session_id="futures", theme="dark"))
    assert picture.png.startswith(b"\x89PNG")
    page = tmp_path / "report.html"
    assert cli(traded, "report", "futures", "-o", page).returncode == 0
    html = page.read_text()
    assert "SMACrossover" in html
    assert not any(loads in html for loads in ('src="http', "@import", 'href="http'))


def test_no_file_is_overwritten_unasked_and_none_through_a_link(traded: Daemon, tmp_path: Path) -> None:
    page, link = tmp_path / "report.html", tmp_path / "link.html"
    page.write_text("mine")
    link.symlink_to(page)
    for name in (page, link):
        done = cli(traded, "report", "futures", "-o", name)
        assert done.returncode == 2
        assert "exists" in done.stderr or "is a link" in done.stderr
    assert cli(traded, "report", "futures", "-o", link, "--force").returncode == 2
    assert page.read_text() == "mine"
    assert cli(traded, "report", "futures", "-o", page, "--force").returncode == 0
    assert "SMACrossover" in page.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.html", "report.html"]


def test_exports_hold_every_row_as_the_answers_have_it(traded: Daemon, tmp_path: Path) -> None:
    trades = traded.trades("spot")
    rows = list(csv.DictReader(io.StringIO(cli(traded, "export", "spot", "trades").stdout)))
    assert [row["trade_id"] for row in rows] == [trade.trade_id for trade in trades]
    assert [float(row["pnl"]) for row in rows] == [trade.pnl for trade in trades]
    target = tmp_path / "equity.parquet"
    done = cli(traded, "export", "spot", "equity", "-r", "1m", "-o", target)
    assert done.returncode == 0, done.stderr
    whole = pyarrow.parquet.read_table(target)
    curve = traded.call(wire.PaperGetEquity(session_id="spot", resolution="1m", max_points=10_000))
    assert whole.num_rows == curve.total_points
    assert whole["equity"].to_pylist()[-10_000:] == [point.equity for point in curve.equity_curve]


@pytest.mark.parametrize("what", ["trades", "orders"])
def test_a_parquet_export_has_times_as_times(traded: Daemon, tmp_path: Path, what: str) -> None:
    target = tmp_path / "rows.parquet"
    assert cli(traded, "export", "spot", what, "-o", target).returncode == 0
    rows = pyarrow.parquet.read_table(target)
    told = json.loads(cli(traded, "export", "spot", what, "--json").stdout)
    times = [name for name in rows.column_names if name.endswith(("_time", "_at"))]
    assert times
    for name in times:
        assert str(rows.schema.field(name).type) == "timestamp[ms, tz=UTC]"
        kept = [None if value is None else int(value.timestamp() * 1000) for value in rows[name].to_pylist()]
        assert kept == [to_ms(row[name]) if row.get(name) else None for row in told]


def test_tiny_prices_and_accounts_can_be_told_apart(tmp_path: Path) -> None:
    """A coin at 0.0000096 BTC in an account of 0.05 BTC, as people see it and as programs do."""
    rows = read_candle_file(SPOT_CANDLES)[: 10 * 1440].copy()
    rows[:, 1:5] = np.round(rows[:, 1:5] * 1e-10, 10)
    write_candle_file(tmp_path / "tiny.npy", rows)
    with running_daemon() as daemon:
        daemon.start_session(
            session_id="tiny", symbol="PEPE-BTC", timeframe="15m", starting_balance=0.05, exchange="Binance Spot",
            feed=f"replay:{tmp_path / 'tiny.npy'}",
        )  # fmt: skip
        daemon.ended("tiny")
        trades = daemon.trades("tiny")
        assert trades
        shown = cli(daemon, "trades", "tiny").stdout
        for values in ([t.entry_price for t in trades], [t.exit_price for t in trades]):
            texts = prices(values)
            assert len(set(texts)) == len(set(values))
            assert all(text in shown for text in texts)
        equity = daemon.status("tiny").current_equity
        assert f"{equity:.6f}".rstrip("0") in cli(daemon, "status", "tiny").stdout
        assert f"{equity:.6f}".rstrip("0") in cli(daemon, "ls", "--all").stdout
        assert money(equity) in daemon.call(wire.PaperChart(session_id="tiny")).description
        labels = re.findall(r"^ *([\d.]+)┤", cli(daemon, "equity", "tiny").stdout, re.MULTILINE)
        assert labels
        assert len(set(labels)) == len(labels)


def test_trades_can_be_filtered_by_side_and_time_without_changing_the_count_of_all(traded: Daemon) -> None:
    everything = traded.trades("futures")
    shorts = traded.call(wire.PaperGetTrades(session_id="futures", side="short"))
    assert shorts.total_trades == len(everything)
    assert shorts.trades == [t for t in everything if t.side == "short"]
    middle = everything[len(everything) // 2].exit_time
    late = traded.call(wire.PaperGetTrades(session_id="futures", since=middle))
    assert late.trades == [t for t in everything if t.exit_time >= middle]
    assert late.matching == len(late.trades)


def test_what_a_metric_means_can_be_read_without_a_session(traded: Daemon) -> None:
    shown = cli(traded, "metrics", "--explain").stdout
    assert all(name in shown for name in ("sharpe_ratio", "max_drawdown", "var_95"))
