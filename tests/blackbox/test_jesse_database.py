"""Jesse's own `candle` table in a real Postgres as a source: for replays, for warm-ups, for imports. Never written."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paper.rfc3339 import to_text
from jesse_paperd.candles.files import read_candle_file, write_candle_file
from jesse_paperd.candles.jesse_database import JesseDatabase, database_of
from jesse_paperd.candles.store import CandleStore
from jesse_paperd.core.minutes import MINUTE, Rows
from jesse_paperd.feed.main import Feed
from jesse_paperd.feed.messages import CandleClosed, FeedProblem, Subscription
from tests.blackbox.test_candles import cli
from tests.blackbox.test_feed_process import FeedProcess, stand_in
from tests.fakes.event_loops import VirtualTimeLoop
from tests.fakes.market import Market, random_market
from tests.support import postgres
from tests.support.daemon import EXAMPLES, SPOT_CANDLES, Daemon, eventually, running_daemon
from tests.support.feed import BEGIN, World
from tests.support.postgres import Postgres

pytestmark = pytest.mark.skipif(bool(postgres.unable()), reason=postgres.unable() or "it is there")

SPOT, BTC = "Binance Spot", "BTC-USDT"
#: Five days of real candles, with a hole.
CANDLES = np.delete(read_candle_file(SPOT_CANDLES)[: 5 * 1440], slice(3000, 3007), axis=0)
FIRST, LAST = int(CANDLES[0, 0]), int(CANDLES[-1, 0])


def single(rows: Rows) -> Rows:
    """The numbers as Jesse's table keeps them: each the shortest that a four-byte float can be told by."""
    kept = rows.copy()
    kept[:, 1:] = [[float(str(np.float32(value))) for value in row] for row in rows[:, 1:].tolist()]
    return kept


@pytest.fixture(scope="module")
def jesse() -> Iterator[Postgres]:
    with postgres.cluster() as running:
        running.add(SPOT, BTC, CANDLES)
        yield running


@pytest.fixture
def database(jesse: Postgres) -> JesseDatabase:
    return read_database(jesse.url())


def read_database(url: str, **settings: str) -> JesseDatabase:
    found = database_of({"url": url, **settings}, "the test")
    assert found is not None
    return found


def contents(jesse: Postgres) -> list[tuple[object, ...]]:
    """Every row, its place and the transaction that wrote it, digested; and how many tables and indices there are."""
    return [
        *jesse.execute("SELECT count(*), sum(hashtext(concat(ctid, xmin, xmax, candle))::bigint) FROM candle"),
        *jesse.execute("SELECT count(*) FROM pg_class"),
    ]


# ── Reading ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_jesse_stored_is_read_as_jesse_reads_it(database: JesseDatabase) -> None:
    told: list[int] = []
    candles = database.read(SPOT, BTC, progress=told.append)
    assert candles.single
    assert np.array_equal(candles.rows, single(CANDLES))
    assert told[-1] == len(CANDLES)
    some = database.read(SPOT, BTC, FIRST + 10 * MINUTE, FIRST + 20 * MINUTE).rows
    assert some[:, 0].tolist() == list(range(FIRST + 10 * MINUTE, FIRST + 20 * MINUTE, MINUTE))
    assert database.read(SPOT, BTC, settled=True).rows[-1, 0] == CANDLES[-2, 0]
    assert len(database.read(SPOT, "NO-USDT").rows) == 0


def test_rows_of_older_versions_count_and_of_two_the_one_with_a_timeframe(jesse: Postgres) -> None:
    rows = CANDLES[:100]
    other = rows[50:60] * [1, 2, 2, 2, 2, 2]
    jesse.add("Old", "A-B", rows[:60], None)
    jesse.add("Old", "A-B", other[:5], "1m")
    jesse.add("Old", "A-B", other[5:], None)
    jesse.add("Old", "A-B", rows[60:], "1m")
    jesse.add("Old", "A-B", rows[:5] * [1, 3, 3, 3, 3, 3], "1h")
    read = read_database(jesse.url()).read("Old", "A-B").rows
    assert np.array_equal(read[:, 0], rows[:, 0])
    assert np.array_equal(read[:50], single(rows[:50]))
    assert np.array_equal(read[50:55], single(other[:5]))
    assert np.array_equal(read, read_database(jesse.url()).read("Old", "A-B").rows), "whichever it is, it stays"
    jesse.execute("DELETE FROM candle WHERE exchange = 'Old'")


def test_every_number_that_a_wider_column_keeps_is_read(jesse: Postgres) -> None:
    jesse.execute("CREATE SCHEMA wide; CREATE TABLE wide.candle (LIKE public.candle)")
    for column in ("open", "close", "high", "low", "volume"):
        jesse.execute(f"ALTER TABLE wide.candle ALTER {column} TYPE double precision")
    jesse.execute("GRANT USAGE ON SCHEMA wide TO reader; GRANT SELECT ON wide.candle TO reader")
    jesse.add(SPOT, BTC, CANDLES, schema="wide")
    candles = read_database(jesse.url(), schema="wide").read(SPOT, BTC)
    assert not candles.single
    assert np.array_equal(candles.rows, CANDLES)
    jesse.execute("DROP SCHEMA wide CASCADE")


def test_a_row_that_is_no_candle_is_refused_with_its_time(jesse: Postgres) -> None:
    bad = CANDLES[:10].copy()
    bad[4, 4] = bad[4, 3] + 1
    jesse.add("Bad", "A-B", bad)
    with pytest.raises(PaperError, match=r"row 5 \(2024-12-01T00:04:00Z\) has an open or close outside low and high"):
        read_database(jesse.url()).read("Bad", "A-B")
    jesse.execute("DELETE FROM candle WHERE exchange = 'Bad'")


def test_what_is_wrong_with_the_database_is_said_in_words(jesse: Postgres, tmp_path: Path) -> None:
    def refused(database: JesseDatabase) -> PaperError:
        with pytest.raises(PaperError) as refusal:
            database.read(SPOT, BTC)
        assert "hunter2" not in f"{refusal.value.message} {refusal.value.hint}"
        return refusal.value

    nobody_listens = refused(read_database(f"postgresql://me:hunter2@/jesse_db?host={tmp_path}"))
    assert nobody_listens.code == "feed_unavailable"
    assert "cannot be reached" in nobody_listens.message
    assert "No such file or directory" in nobody_listens.message
    assert "'nowhere' does not exist" in refused(read_database(jesse.url(database="nowhere"))).message.replace('"', "'")
    assert "no table public.candle" in refused(read_database(jesse.url(database="postgres"))).message
    assert "no table other.candle" in refused(read_database(jesse.url(), schema="other")).message
    jesse.execute("CREATE ROLE stranger LOGIN")
    stranger = refused(read_database(jesse.url("stranger")))
    assert "does not let stranger read" in stranger.message
    assert "GRANT SELECT" in stranger.hint
    jesse.execute("CREATE SCHEMA ancient; CREATE TABLE ancient.candle (id uuid, timestamp bigint, exchange text)")
    jesse.execute("GRANT USAGE ON SCHEMA ancient TO reader; GRANT SELECT ON ancient.candle TO reader")
    assert "column" in refused(read_database(jesse.url(), schema="ancient")).message
    assert "is not a connection string" in refused(read_database("me:hunter2@somewhere")).message
    jesse.execute("DROP SCHEMA ancient CASCADE")


def test_jesses_own_settings_are_read_only_where_they_are_named(
    jesse: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = tmp_path / ".env"
    env.write_text(
        f"PASSWORD=dashboard\nPOSTGRES_HOST={jesse.folder}\nPOSTGRES_NAME='jesse_db'\n"
        "POSTGRES_PORT=5432\nPOSTGRES_USERNAME=reader\nPOSTGRES_PASSWORD=hunter2\n"
    )
    monkeypatch.chdir(tmp_path)
    assert database_of({}, "the test") is None
    database = database_of({"env_file": str(env)}, "the test")
    assert database is not None
    assert len(database.read(SPOT, BTC).rows) == len(CANDLES)
    assert "hunter2" not in database.name


def test_the_password_is_found_where_it_may_be(
    jesse: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    jesse.execute(f"CREATE ROLE {postgres.GUARDED} LOGIN PASSWORD 'open sesame'; GRANT SELECT ON candle TO guarded")
    url = jesse.url(postgres.GUARDED)
    (tmp_path / "password").write_text("open sesame\n")
    for settings in ({"password": "open sesame"}, {"password_file": str(tmp_path / "password")}):
        assert len(read_database(url, **settings).read(SPOT, BTC).rows) == len(CANDLES)
    for settings in ({}, {"password": "hunter2"}):
        with pytest.raises(PaperError, match="password") as refused:
            read_database(url, **settings).read(SPOT, BTC)
        assert refused.value.code == "feed_unavailable"
        assert "hunter2" not in refused.value.message
    with pytest.raises(PaperError, match="password_file"):
        read_database(url, password_file=str(tmp_path / "nowhere")).read(SPOT, BTC)
    monkeypatch.setenv("JESSE_PAPER_DATABASE_PASSWORD", "open sesame")
    assert len(read_database(url, password="hunter2").read(SPOT, BTC).rows) == len(CANDLES)


@pytest.mark.parametrize(
    ("section", "complaint"),
    [
        ({"host": "localhost"}, "host"),
        ({"schema": "public"}, "either url or env_file"),
        ({"url": "postgresql:///x", "env_file": "/y"}, "either url or env_file"),
        ({"url": 5}, "url"),
    ],
)
def test_a_section_that_is_not_valid_is_refused_with_its_key(section: dict[str, object], complaint: str) -> None:
    with pytest.raises(PaperError, match=complaint) as refused:
        database_of(section, "config.toml")
    assert refused.value.message.startswith("config.toml: jesse_database")


@pytest.mark.parametrize("password", ["hunter2@open", "hunter2/sesame@x", "open/hunter2", "hunter2%zz", "hun ter2"])
def test_a_password_that_a_url_cannot_hold_is_never_told(password: str) -> None:
    with pytest.raises(PaperError) as refused:
        read_database(f"postgresql://someone:{password}@127.0.0.1:1/jesse_db").read(SPOT, BTC)
    assert refused.value.code in ("invalid_argument", "feed_unavailable")
    told = refused.value.message + refused.value.hint
    assert not any(part in told for part in ("hunter2", "sesame", "ter2", "open@"))


# ── Replaying ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def daemon(jesse: Postgres) -> Iterator[Daemon]:
    with running_daemon(config=jesse.config) as running:
        yield running


def journal(daemon: Daemon, session_id: str) -> tuple[object, object, object]:
    """What a session came to, without its random ids."""
    daemon.ended(session_id)
    trades = [msgspec.structs.replace(trade, trade_id="", order_ids=[]) for trade in daemon.trades(session_id)]
    curve = daemon.call(wire.PaperGetEquity(session_id=session_id, resolution="1m", max_points=10_000)).equity_curve
    return trades, curve, daemon.status(session_id).metrics


def test_a_replay_from_the_table_has_the_ledger_of_a_file_of_the_same_candles_and_changes_nothing(
    daemon: Daemon, jesse: Postgres, tmp_path: Path
) -> None:
    before = contents(jesse)
    write_candle_file(tmp_path / "same.npy", single(CANDLES))
    same = {"timeframe": "5m", "warmup_candles": 60}
    daemon.start_session(session_id="table", feed="replay:postgres", **same)
    daemon.start_session(session_id="file", feed=f"replay:{tmp_path / 'same.npy'}", **same)
    assert journal(daemon, "table") == journal(daemon, "file")
    assert daemon.status("table").metrics.total_trades > 5
    assert daemon.status("table").health.missing_minutes == 7
    assert daemon.call(wire.PaperVerify(session_id="table")).equal
    assert contents(jesse) == before


def test_a_stretch_can_be_named_and_recovery_needs_no_database(daemon: Daemon, jesse: Postgres) -> None:
    jesse.add(SPOT, "ETH-USDT", CANDLES)
    started = daemon.start_session(
        session_id="stretch", symbol="ETH-USDT", timeframe="5m", warmup_candles=60, speed=60_000,
        feed="replay:postgres:2024-12-02..2024-12-04T12:00:00Z",
    )  # fmt: skip
    assert started.feed.startswith("replay:postgres:")
    jesse.execute("DELETE FROM candle WHERE symbol = 'ETH-USDT'")
    eventually("it trades", lambda: daemon.status("stretch").health.candles > 100)
    os.kill(daemon.session_pids()["stretch"], signal.SIGKILL)
    daemon.ended("stretch")
    status = daemon.status("stretch")
    assert status.health.restarts == 1
    assert status.stop_reason == "feed_ended"
    assert status.health.last_candle == "2024-12-04T11:59:00Z"


@pytest.mark.parametrize(
    ("feed", "arguments", "complaint"),
    [
        ("replay:postgres", {"symbol": "BTC-USD"}, "Binance Spot BTC-USDT"),
        ("replay:postgres", {"exchange": "Bybit Spot"}, "Binance Spot BTC-USDT"),
        ("replay:postgres:2020-01-01..2021-01-01", {}, "from 2024-12-01T00:00:00Z to 2024-12-05T23:59:00Z"),
        ("replay:postgres:2024-13-01..", {}, "2024-13-01"),
        ("replay:postgres:2024-12-02..2024-12-01", {}, "not before"),
        ("replay:postgres:2024-12-02", {}, "FROM..TO"),
        ("replay:store", {}, "jesse-paper candles import"),
    ],
)
def test_a_replay_that_cannot_be_says_what_there_is(
    daemon: Daemon, feed: str, arguments: dict[str, str], complaint: str
) -> None:
    with pytest.raises(PaperError) as refused:
        daemon.start_session(session_id="refused", feed=feed, **arguments)
    assert complaint in f"{refused.value.message} {refused.value.hint}"
    assert refused.value.code in ("candles_invalid", "invalid_argument")
    assert not daemon.layout.session("refused").root.exists()


# ── Warming up ─────────────────────────────────────────────────────────────────────────────────────────────────────

BYBIT, KRAKEN = "Bybit Spot", "Kraken Pro Spot"
NOW = BEGIN // MINUTE * MINUTE


def ago(minutes: int) -> int:
    return NOW - minutes * MINUTE


class Followed(World):
    """A feed that knows Jesse's database. It is asked at once: in virtual time nothing else may go on meanwhile."""

    database: JesseDatabase | None = None

    def _new_feed(self) -> Feed:
        return Feed(self.layout, self.settings, self.events.append, self.local, self.database)

    def problems(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, FeedProblem)]


def with_database(home: Path, database: JesseDatabase, story: Callable[[Followed], Awaitable[None]]) -> None:
    async def at_once(function: Callable[..., object], *arguments: object, **named: object) -> object:
        return function(*arguments, **named)

    async def told() -> None:
        world = Followed(home)
        try:
            await story(world)
        finally:
            await world.close()

    with pytest.MonkeyPatch.context() as patch, asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        patch.setattr(Followed, "database", database)
        patch.setattr(asyncio, "to_thread", at_once)
        runner.run(told())


def table_of(market: Market, first: int, upto: int) -> Rows:
    """What Jesse stored of a market; the prices of these have no more digits than its table keeps."""
    return np.array([[c.timestamp, c.open, c.close, c.high, c.low, c.volume] for c in market.finals(first, upto)])


def test_a_warm_up_takes_from_the_store_then_from_the_table_and_only_the_rest_from_the_exchange(
    jesse: Postgres, tmp_path: Path
) -> None:
    market = random_market(BTC, 8)
    jesse.add(BYBIT, BTC, table_of(market, ago(4500), ago(60)))
    # What Jesse has of the newest minutes may be from before they were over.
    jesse.add(BYBIT, BTC, table_of(market, ago(60), ago(2)) * [1, 1, 1, 2, 1, 1])
    before = contents(jesse)

    async def story(world: Followed) -> None:
        server = await world.exchange(BYBIT, [market], price_seconds=0)
        store = CandleStore(world.layout.candle_store(BYBIT))
        store.commit(BTC, ago(5000), ago(4000), market.finals(ago(5000), ago(4000)), [], NOW)
        store.close()
        await world.follow((BYBIT, BTC, ago(5000)))
        await world.minutes(3)
        candles, frontier = world.stored(BYBIT, BTC, ago(5000))
        assert candles == market.finals(ago(5000), frontier)
        assert frontier == ago(-3)
        asked = [path for _, path, _ in server.asked if path.endswith("/kline")]
        assert len(asked) <= 5, "the last hour, and each minute's own candle: 4,000 would be at least four more"
        assert (world.states(BTC)[-1].state, world.states(BTC)[-1].progress) == ("live", 1.0)
        assert world.problems() == []

    with_database(tmp_path, read_database(jesse.url()), story)
    assert contents(jesse) == before


def test_the_table_has_what_the_exchange_no_longer_serves(jesse: Postgres, tmp_path: Path) -> None:
    market = random_market("BTC-USD", 9)
    jesse.add(KRAKEN, "BTC-USD", table_of(market, ago(3000), ago(200)))

    async def story(world: Followed) -> None:
        await world.exchange(KRAKEN, [market], price_seconds=0)
        await world.follow((KRAKEN, "BTC-USD", ago(100)))
        await world.minutes(2)
        await world.follow((KRAKEN, "BTC-USD", ago(100)), (KRAKEN, "BTC-USD", ago(3000)))
        await world.minutes(3)
        candles, frontier = world.stored(KRAKEN, "BTC-USD", ago(3000))
        assert candles == market.finals(ago(3000), frontier)
        assert frontier >= ago(-4)

    with_database(tmp_path, read_database(jesse.url()), story)


def test_a_database_that_is_away_is_told_and_the_exchange_is_asked_for_everything(tmp_path: Path) -> None:
    market = random_market(BTC, 8)

    async def story(world: Followed) -> None:
        await world.exchange(SPOT, [market], price_seconds=0)
        await world.follow((SPOT, BTC, ago(1500)))
        await world.minutes(3)
        candles, frontier = world.stored(SPOT, BTC, ago(1500))
        assert candles == market.finals(ago(1500), frontier)
        assert frontier >= ago(-2)
        (problem,) = world.problems()
        assert "cannot be reached" in problem
        assert problem.endswith("Binance Spot is asked instead")

    with_database(tmp_path, read_database(f"postgresql:///jesse_db?host={tmp_path}"), story)


def test_the_feed_finds_the_database_in_the_daemons_configuration(jesse: Postgres, short_home: Path) -> None:
    with stand_in("--seed", "3") as exchange:
        (short_home / "config.toml").write_text(f"{exchange['config']}{jesse.config}")
        now = int(str(exchange["now"])) // MINUTE * MINUTE
        jesse.add(SPOT, BTC, table_of(random_market(BTC, 3), now - 3000 * MINUTE, now - 100 * MINUTE))
        with FeedProcess(short_home) as feed:
            feed.follow(Subscription(SPOT, BTC, now - 3000 * MINUTE))
            feed.hear(CandleClosed, lambda event: event.upto == now - 101 * MINUTE)
            feed.hear(CandleClosed, lambda event: event.upto >= now)
            assert feed.end() == 0
    jesse.execute("DELETE FROM candle WHERE exchange = %s AND timestamp > %s", (SPOT, LAST))


# ── Importing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_table_is_imported_and_replayed_from_the_store(daemon: Daemon, jesse: Postgres) -> None:
    jesse.add("Binance Futures", "OLD-USDT", CANDLES[:10])
    jesse.add("Custom Data", "GOLD-USD", CANDLES[:10])
    before = contents(jesse)
    done = cli(daemon.home, "import", "postgres", "--until", "2025-01-01", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "left out: 'Binance Futures' is not an exchange that Jesse 3.5.3 knows\n"
    reports = {(each["exchange"], each["symbol"]): each for each in json.loads(done.stdout)["imported"]}
    assert reports[SPOT, BTC]["added"] == len(CANDLES) - 1, "the newest may have been stored before it was over"
    assert reports[SPOT, BTC]["missing_minutes"] == 7
    assert reports["Custom Data", "GOLD-USD"]["added"] == 10
    assert contents(jesse) == before
    with pytest.raises(PaperError, match="does not know 7 minutes") as refused:
        daemon.start_session(session_id="stored", feed="replay:store")
    assert "--complete" in refused.value.hint
    again = cli(daemon.home, "import", "postgres", "-e", SPOT, "-s", BTC, "--complete", "--json")
    assert json.loads(again.stdout)["imported"][0]["known"] == len(CANDLES) - 1
    same = {"timeframe": "5m", "warmup_candles": 60}
    daemon.start_session(session_id="stored", feed="replay:store", **same)
    daemon.start_session(session_id="direct", feed=f"replay:postgres:..{to_text(LAST)}", **same)
    assert journal(daemon, "stored") == journal(daemon, "direct")
    none = cli(daemon.home, "import", "postgres", "-e", SPOT, "-s", "ETH-USD")
    assert none.returncode == 6
    assert "Binance Spot BTC-USDT" in none.stderr
    jesse.execute("DELETE FROM candle WHERE exchange IN ('Binance Futures', 'Custom Data')")


def test_run_paper_replays_from_the_database_of_the_homes_configuration(daemon: Daemon, tmp_path: Path) -> None:
    command = "from jesse_paperd.cli import main; main()"
    options = ["-s", "SMACrossover", "-t", "5m", "--warmup", "60", "--feed", "replay:postgres"]
    done = subprocess.run(
        [sys.executable, "-c", command, "run-paper", SPOT, BTC, *options, "--project", str(EXAMPLES), "--json"],
        env={**os.environ, "JESSE_PAPER_HOME": str(daemon.home)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["session"]["feed"] == "replay:postgres"
