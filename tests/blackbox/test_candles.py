"""jesse-paper candles: import, export and list what is kept, beside a feed that writes to the same stores."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from jesse_paperd.candles.files import csv_text, read_candle_file, write_candle_file
from jesse_paperd.candles.store import CandleReader, CandleStore, Gap
from jesse_paperd.core.layout import Layout
from jesse_paperd.core.minutes import MINUTE, Rows
from jesse_paperd.feed.messages import CandleClosed, Subscription
from tests.blackbox.test_feed_process import BTC, SPEED, SPOT, FeedProcess, stand_in
from tests.fakes.market import random_market
from tests.support.daemon import SPOT_CANDLES

CANDLES = read_candle_file(SPOT_CANDLES)[:3000]
FIRST = int(CANDLES[0, 0])
MARKET = ("--exchange", SPOT, "--symbol", BTC)
COMMAND = (sys.executable, "-c", "from jesse_paperd.cli import main; main()", "candles")


def cli(home: Path, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env={**os.environ, "JESSE_PAPER_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def imported(home: Path, *arguments: str | Path) -> dict[str, object]:
    done = cli(home, "import", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "no progress where there is no terminal"
    (report,) = json.loads(done.stdout)["imported"]
    return dict(report)


def listed(home: Path) -> list[dict[str, object]]:
    done = cli(home, "ls", "--json")
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout)["markets"])


def kept(home: Path) -> Rows:
    return CandleReader(Layout(home).candle_store(SPOT)).range(BTC, 0, 2**53)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".npy", ".parquet"])
def test_what_is_imported_is_listed_and_exported_again_bit_for_bit(
    short_home: Path, tmp_path: Path, suffix: str
) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    write_candle_file(tmp_path / f"given{suffix}", CANDLES)
    report = imported(short_home, tmp_path / f"given{suffix}", *MARKET)
    assert (report["added"], report["known"], report["contradicting"]) == (3000, 0, 0)
    (line,) = listed(short_home)
    assert (line["exchange"], line["symbol"], line["candles"]) == (SPOT, BTC, 3000)
    assert (line["first"], line["last"]) == ("2024-12-01T00:00:00Z", "2024-12-03T01:59:00Z")
    assert (line["gap_minutes"], line["missing_minutes"]) == (0, 0)
    done = cli(short_home, "export", *MARKET, "-o", tmp_path / f"again{suffix}")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / f"again{suffix}").read_bytes() == (tmp_path / f"given{suffix}").read_bytes()
    part = cli(short_home, "export", *MARKET, "--since", "2024-12-01T00:10:00Z", "--until", "2024-12-01T00:12:00Z")
    assert part.stdout == csv_text(CANDLES[10:12])
    assert imported(short_home, tmp_path / f"given{suffix}", *MARKET)["known"] == 3000


def test_the_table_of_what_is_kept_and_an_empty_home(short_home: Path) -> None:
    empty = cli(short_home, "ls")
    assert "No candles" in empty.stdout
    assert list(short_home.iterdir()) == [], "looking makes nothing"
    assert cli(short_home, "import", SPOT_CANDLES, *MARKET).returncode == 0
    shown = cli(short_home, "ls").stdout
    for word in (SPOT, BTC, "40,320", "2024-12-01 00:00", "2024-12-28 23:59"):
        assert word in shown


def test_what_contradicts_a_kept_candle_is_counted_shown_and_left_out(short_home: Path, tmp_path: Path) -> None:
    imported(short_home, SPOT_CANDLES, *MARKET)
    before = kept(short_home)
    other = CANDLES.copy()
    other[100:120, 3] += 1
    write_candle_file(tmp_path / "other.npy", other)
    report = imported(short_home, tmp_path / "other.npy", *MARKET)
    assert (report["added"], report["known"], report["contradicting"]) == (0, 2980, 20)
    stored, refused = report["examples"][0]  # type: ignore[index]
    assert refused[2] == stored[2] + 1
    assert "20, not imported" in cli(short_home, "import", tmp_path / "other.npy", *MARKET).stdout
    assert np.array_equal(kept(short_home), before)


def test_missing_minutes_stay_open_unless_the_import_says_that_it_is_complete(short_home: Path, tmp_path: Path) -> None:
    write_candle_file(tmp_path / "holes.npy", np.delete(CANDLES, [5, 6, 70], axis=0))
    assert imported(short_home, tmp_path / "holes.npy", *MARKET)["missing_minutes"] == 3
    (line,) = listed(short_home)
    assert (line["gap_minutes"], line["missing_minutes"]) == (0, 3)
    imported(short_home, tmp_path / "holes.npy", *MARKET, "--complete")
    (line,) = listed(short_home)
    assert (line["gap_minutes"], line["missing_minutes"]) == (3, 0)
    reader = CandleReader(Layout(short_home).candle_store(SPOT))
    assert reader.gaps(BTC, 0, 2**53)[0] == Gap(FIRST + 5 * MINUTE, FIRST + 6 * MINUTE, "imported")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("nowhere.csv", *MARKET), "cannot be read"),
        (("bad.csv", *MARKET), "line 2001"),
        (("future.npy", *MARKET), "is not over"),
        (("good.npy", "--exchange", SPOT), "`symbol` is missing"),
        (("good.npy", "--exchange", SPOT, "--symbol", "btc/usdt"), "Did you mean 'BTC-USDT'"),
        (("good.npy", "--exchange", "Binanse Spot", "--symbol", BTC), "'Binance Spot'"),
        (("good.npy", *MARKET, "--since", "2024-01-01"), "imported whole"),
        (("postgres", *MARKET), "config.toml"),
        (("postgres", "--exchange", SPOT), "`symbol` is missing"),
    ],
)
def test_what_cannot_be_imported_is_said_and_nothing_is_half_done(
    short_home: Path, tmp_path: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    write_candle_file(tmp_path / "good.npy", CANDLES)
    lines = csv_text(CANDLES).splitlines()
    (tmp_path / "bad.csv").write_text("\n".join([*lines[:2000], lines[2000].replace(",", ",-", 1), *lines[2001:]]))
    future = CANDLES.copy()
    future[:, 0] += (time.time_ns() // 1_000_000 // MINUTE * MINUTE) - future[-1, 0]
    write_candle_file(tmp_path / "future.npy", future)
    source, *options = arguments
    done = cli(short_home, "import", source if source == "postgres" else tmp_path / source, *options)
    assert done.returncode in (2, 6), done
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert listed(short_home) == []


def test_what_cannot_be_exported_is_said_and_leaves_no_file(short_home: Path, tmp_path: Path) -> None:
    imported(short_home, SPOT_CANDLES, *MARKET)
    for options, complaint in (
        (("--exchange", SPOT, "--symbol", "ETH-USDT"), f"of {SPOT} it has {BTC}"),
        ((*MARKET, "--since", "2030-01-01"), "in that stretch"),
        ((*MARKET, "--since", "yesterday"), "--since"),
        ((*MARKET, "-o", tmp_path / "candles.xlsx"), ".parquet"),
        ((*MARKET, "-o", tmp_path / "no" / "candles.csv"), "cannot be written"),
    ):
        done = cli(short_home, "export", *options)
        assert done.returncode in (2, 6, 7), done
        assert complaint in done.stderr
        assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_on_a_terminal_the_import_shows_how_far_it_is(short_home: Path) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "import", SPOT_CANDLES, *MARKET],
        env={**os.environ, "JESSE_PAPER_HOME": str(short_home), "TERM": "xterm", "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        seen = b""
        try:
            while part := os.read(ours, 4096):
                seen += part
        except OSError:
            pass  # the terminal's other end is closed
        assert process.wait() == 0
    os.close(ours)
    assert b"40,320" in seen
    assert b"candles" in seen


def test_an_import_beside_a_running_feed_disturbs_neither(short_home: Path, tmp_path: Path) -> None:
    """The feed fetches a warm-up and follows live candles while the same market and another one are imported."""
    with stand_in("--seed", "5", "--speed", str(SPEED)) as exchange:
        (short_home / "config.toml").write_text(str(exchange["config"]))
        start = int(str(exchange["now"]))
        now, market = start // MINUTE * MINUTE, random_market(BTC, 5)
        since, early = now - 3000 * MINUTE, now - 40_000 * MINUTE
        truth = [[c.timestamp, c.open, c.close, c.high, c.low, c.volume] for c in market.finals(early, now)]
        write_candle_file(tmp_path / "truth.npy", np.array(truth))
        with FeedProcess(
            short_home, "--speed", str(SPEED), "--start", str(start), module="tests.fakes.fast_feed"
        ) as feed:
            feed.follow(Subscription(SPOT, BTC, since))
            feed.hear(CandleClosed)
            report = imported(short_home, tmp_path / "truth.npy", *MARKET)
            imported(short_home, SPOT_CANDLES, "--exchange", SPOT, "--symbol", "ETH-USDT")
            feed.hear(CandleClosed, lambda event: event.upto > now + 3 * MINUTE)
            assert feed.end() == 0
    assert report["contradicting"] == 0
    assert int(str(report["added"])) + int(str(report["known"])) == 40_000
    reader = CandleReader(Layout(short_home).candle_store(SPOT))
    frontier = reader.frontier(BTC, early)
    assert frontier is not None
    assert frontier > now + 3 * MINUTE
    final = market.finals(early, frontier)
    assert kept(short_home)[:, 0].tolist() == [candle.timestamp for candle in final]
    assert kept(short_home)[:, 2].tolist() == [candle.close for candle in final]


def test_a_store_that_is_locked_for_too_long_is_said(short_home: Path) -> None:
    imported(short_home, SPOT_CANDLES, *MARKET)
    store = CandleStore(Layout(short_home).candle_store(SPOT))
    store._db.execute("BEGIN IMMEDIATE")
    done = cli(short_home, "import", SPOT_CANDLES, "--exchange", SPOT, "--symbol", "ETH-USDT")
    assert done.returncode == 7
    assert "locked" in done.stderr
    assert "Traceback" not in done.stderr
    store._db.execute("ROLLBACK")
    store.close()
    assert len(listed(short_home)) == 1
