"""The real feed and the real ccxt client against stand-in exchanges, in virtual time."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import ccxt.async_support as ccxt
import pytest

from jesse_paperd.candles.store import CandleReader, Gap
from jesse_paperd.core.minutes import MINUTE
from jesse_paperd.feed.messages import FeedProblem
from jesse_paperd.feed.settings import ExchangeSettings
from tests.fakes.faults import LAGGING, ROWS, Fault
from tests.fakes.market import random_market
from tests.support.feed import BEGIN, World, in_virtual_time

SPOT, PERPETUAL, BYBIT, KRAKEN = "Binance Spot", "Binance Perpetual Futures", "Bybit USDT Perpetual", "Kraken Pro Spot"
BTC = "BTC-USDT"
NOW = BEGIN // MINUTE * MINUTE
#: No last prices: fewer requests, so quicker.
PLAIN: dict[str, object] = {"price_seconds": 0}


def ago(minutes: int) -> int:
    return NOW - minutes * MINUTE


def agree(world: World, exchange: str, symbol: str, since: int) -> int:
    """The stored candles are the exchange's final ones, each once, in order; returns the minutes until now."""
    stored, frontier = world.stored(exchange, symbol, since)
    server = world.servers[exchange]
    market = next(market for market in server.markets.values() if market.symbol == symbol)
    assert stored == market.finals(since, frontier)
    return (world.now() - frontier) // MINUTE


@pytest.mark.parametrize(
    ("exchange", "symbol", "quiet", "flat"),
    [
        (SPOT, BTC, 0.2, True),
        (PERPETUAL, BTC, 0.0, True),
        (BYBIT, BTC, 0.2, True),
        ("Bybit Spot", BTC, 0.0, True),
        (KRAKEN, "BTC-USD", 0.5, False),
    ],
)
def test_candles_of_each_exchange_are_followed_as_they_close(
    tmp_path: Path, exchange: str, symbol: str, quiet: float, flat: bool
) -> None:
    async def story(world: World) -> None:
        market = random_market(symbol, 7, quiet, flat)
        server = await world.exchange(exchange, [market], **PLAIN)
        await world.follow((exchange, symbol, ago(300)))
        await world.until(lambda: agree(world, exchange, symbol, ago(300)) == 0, minutes=5)
        before = len(server.asked)
        await world.minutes(30)
        assert agree(world, exchange, symbol, ago(300)) <= (0 if flat else 10)
        states = {state.state for state in world.states(symbol) if state.upto > NOW}
        assert states == ({"live"} if flat else {"live", "quiet"})
        if flat:
            assert 30 <= len(server.asked) - before <= 34, "one request a minute, and the time now and then"
            lateness = [event.upto for event in world.closed(symbol)][-29:]
            assert lateness == [NOW + minute * MINUTE for minute in range(2, 31)]

    in_virtual_time(tmp_path, story)


def test_a_second_subscription_asks_nothing_and_the_last_one_to_leave_ends_it(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        server = await world.exchange(SPOT, [random_market(BTC, 1)], **PLAIN)
        await world.follow((SPOT, BTC, ago(500)))
        await world.minutes(1.1)
        asked = len(server.asked)
        await world.follow((SPOT, BTC, ago(500)), (SPOT, BTC, ago(200)))
        await world.minutes(0.3)
        assert len(server.asked) == asked
        await world.follow((SPOT, BTC, ago(200)))
        await world.minutes(5)
        assert agree(world, SPOT, BTC, ago(500)) == 0
        await world.follow()
        asked = len(server.asked)
        await world.minutes(10)
        assert len(server.asked) == asked, "nobody follows: nobody asks"
        await world.follow((SPOT, BTC, ago(100)))
        await world.minutes(2)
        assert agree(world, SPOT, BTC, ago(500)) == 0, "the minutes meanwhile were fetched"
        assert [path for _, path, _ in server.asked].count("/api/v3/exchangeInfo") == 1

    in_virtual_time(tmp_path, story)


def test_two_hundred_sessions_over_twenty_markets_are_twenty_subscriptions_under_budget(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        symbols = [f"C{number}-USDT" for number in range(20)]
        server = await world.exchange(PERPETUAL, [random_market(symbol, 3) for symbol in symbols])
        chance = random.Random(5)
        subscriptions = [(PERPETUAL, symbol, ago(chance.randrange(100, 2000))) for symbol in symbols * 10]
        await world.follow(*subscriptions)
        await world.minutes(4)
        for symbol in symbols:
            assert agree(world, PERPETUAL, symbol, min(since for _, s, since in subscriptions if s == symbol)) == 0
        settled = [path for at, path, _ in server.asked if at >= BEGIN + 2 * MINUTE]
        assert settled.count("/fapi/v1/klines") == 20 * 2
        assert settled.count("/fapi/v2/ticker/price") <= 13, "one request for all prices, every ten seconds"
        assert world.venues(PERPETUAL)[-1].markets == 20
        assert server.weight_in_any_minute() <= 0.9 * server.dialect.weight_limit

    in_virtual_time(tmp_path, story)


def test_a_large_backlog_stays_within_the_budget_and_live_candles_come_meanwhile(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        symbols = [f"C{number}-USDT" for number in range(10)]
        markets = [random_market(symbol, 3) for symbol in symbols]
        server = await world.exchange(BYBIT, markets, **PLAIN, weight_per_minute=20)
        await world.follow(*((BYBIT, symbol, ago(30)) for symbol in symbols))
        await world.minutes(2)
        await world.follow(*((BYBIT, symbol, ago(4_000)) for symbol in symbols))
        await world.minutes(2)
        assert min(world.states(symbol)[-1].progress for symbol in symbols) < 1, "40 pages, 10 a minute to spare"
        await world.minutes(5)
        states = [state for symbol in symbols for state in world.states(symbol) if state.upto > NOW]
        assert {state.state for state in states} == {"live"}
        assert {agree(world, BYBIT, symbol, ago(4_000)) for symbol in symbols} == {0}
        assert server.weight_in_any_minute() <= 40

    in_virtual_time(tmp_path, story)


def test_a_longer_warm_up_is_fetched_while_live_candles_go_on(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await world.exchange(SPOT, [random_market(BTC, 2)], **PLAIN)
        await world.follow((SPOT, BTC, ago(10)))
        await world.minutes(3)
        reader = CandleReader(world.layout.candle_store(SPOT))
        assert reader.missing(BTC, ago(4000), ago(0)) == [(ago(4000), ago(10))]
        await world.follow((SPOT, BTC, ago(10)), (SPOT, BTC, ago(4000)))
        await world.minutes(2)
        assert reader.missing(BTC, ago(4000), ago(0)) == []
        assert agree(world, SPOT, BTC, ago(4000)) == 0
        assert {state.state for state in world.states(BTC) if state.upto >= NOW} == {"live"}

    in_virtual_time(tmp_path, story)


#: fault → how it is told, and whether nothing can become final while it lasts.
BLOCKING = {
    "drop": Fault("drop"),
    "cut": Fault("cut"),
    "silence": Fault("silence"),
    "5xx": Fault("status", status=503),
    "gateway": Fault("status", status=502),
    "429": Fault("status", status=429, retry_after="45"),
    "429 without a time": Fault("status", status=429),
    "418": Fault("status", status=418, retry_after="120"),
    "truncated": Fault("truncate"),
    "html": Fault("html"),
}
HARMFUL = {
    "slow": Fault("slow", seconds=8),
    "now and then slower than the time limit": Fault("slow", seconds=15, chance=0.4),
    "drop half": Fault("drop", chance=0.5),
    LAGGING: Fault(LAGGING, seconds=50, chance=0.7),
    **{kind: Fault(kind, chance=0.7) for kind in ROWS},
}


#: Faults whose rows are refused.
REFUSED = {"conflicting", "nan", "zero", "null", "negative", "inconsistent", "future", "off_grid"}


@pytest.mark.parametrize("name", [*BLOCKING, *HARMFUL])
def test_under_each_fault_the_candles_stay_the_exchanges_and_staleness_is_told(tmp_path: Path, name: str) -> None:
    async def story(world: World) -> None:
        fault = BLOCKING.get(name) or HARMFUL[name]
        fault.since, fault.until = BEGIN + 4 * MINUTE, BEGIN + 12 * MINUTE
        follows = [(SPOT, BTC), (BYBIT, "ETH-USDT")]
        for exchange, symbol in follows:
            server = await world.exchange(exchange, [random_market(symbol, 11, quiet=0.1)], seed=4, **PLAIN)
            server.faults = [fault]
        await world.follow(*((exchange, symbol, ago(60)) for exchange, symbol in follows))
        await world.minutes(4)
        assert {state.state for symbol in (BTC, "ETH-USDT") for state in world.states(symbol)[-1:]} == {"live"}
        before = len(world.events)
        await world.minutes(7.5)
        for exchange, symbol in follows:
            during = [s for s in world.events[before:] if s in world.states(symbol)]
            if name in BLOCKING:
                last = world.states(symbol)[-1]
                assert last.state == "stale"
                assert exchange in last.reason
                assert last.behind_since is not None
                assert last.stale_times >= 1
                assert {state.state for state in during} == {"live", "stale"}
            assert agree(world, exchange, symbol, ago(60)) <= 9
        await world.minutes(9)
        for exchange, symbol in follows:
            assert agree(world, exchange, symbol, ago(60)) == 0
            last = world.states(symbol)[-1]
            assert last.state == "live", "it recovers by itself"
            assert world.venues(exchange)[-1].state == "up"
            assert (last.revisions > 0) == (name == "revised")
            assert (last.rejected_rows > 0) == (name in REFUSED)

    in_virtual_time(tmp_path, story)


def test_refused_connections_and_a_restarted_exchange_are_survived(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        server = await world.exchange(SPOT, [random_market(BTC, 1)], **PLAIN)
        await world.follow((SPOT, BTC, ago(60)))
        await world.minutes(3)
        await server.stop()
        asked = world.venues(SPOT)[-1].requests
        await world.minutes(30)
        assert world.states(BTC)[-1].state == "stale"
        assert "cannot be reached" in world.states(BTC)[-1].reason
        assert world.venues(SPOT)[-1].state == "down"
        assert world.venues(SPOT)[-1].requests - asked < 120, "a dead host is asked a few times a minute"
        await server.start()
        await world.minutes(3)
        assert agree(world, SPOT, BTC, ago(60)) == 0
        assert world.states(BTC)[-1].state == "live"
        assert world.states(BTC)[-1].stale_times == 1

    in_virtual_time(tmp_path, story)


@pytest.mark.parametrize("status", [429, 418, 403])
def test_after_a_refusal_the_exchange_is_left_alone_for_as_long_as_it_said(tmp_path: Path, status: int) -> None:
    async def story(world: World) -> None:
        server = await world.exchange(SPOT, [random_market(f"C{n}-USDT", 1) for n in range(5)])
        await world.follow(*((SPOT, f"C{n}-USDT", ago(60)) for n in range(5)))
        await world.minutes(2)
        server.faults = [Fault("status", status=status, retry_after="300")]
        await world.until(lambda: world.venues(SPOT)[-1].state != "up")
        refused_at, asked = world.now(), len(server.asked)
        server.faults = []
        assert world.venues(SPOT)[-1].state == ("limited" if status == 429 else "banned")
        assert abs(world.venues(SPOT)[-1].retry_at - refused_at - 300_000) <= 2_000
        await world.minutes(4.9)
        assert len(server.asked) == asked
        await world.minutes(2)
        assert agree(world, SPOT, "C0-USDT", ago(60)) == 0
        assert world.venues(SPOT)[-1].state == "up"

    in_virtual_time(tmp_path, story)


def _mixture(chance: random.Random) -> list[Fault]:
    """Everything at once: each fault for some stretches, at some rate.

    But for revisions: which version was the first to be final then depends on when the others let it be.
    """
    kinds = ["drop", "cut", "silence", "slow", "truncate", "html", LAGGING, *ROWS, "status", "status", "status"]
    kinds.remove("revised")
    faults = []
    for kind in kinds * 2:
        since = BEGIN + round(chance.uniform(-1, 50) * MINUTE)
        status, retry_after = chance.choice([(500, None), (503, None), (504, None), (429, "20"), (418, "60")])
        faults.append(
            Fault(
                kind,
                chance.choice([0.05, 0.2, 0.6]),
                since,
                since + round(chance.uniform(0.5, 8) * MINUTE),
                status=status,
                retry_after=retry_after,
                seconds=chance.uniform(1, 40),
            )
        )
    return faults


def mixture(path: Path, seed: int, hours: float) -> None:
    print(f"seed {seed}")

    async def story(world: World) -> None:
        chance = random.Random(seed)
        follows = {SPOT: BTC, BYBIT: "ETH-USDT", KRAKEN: "SOL-USD"}
        for exchange, symbol in follows.items():
            gap = ago(-chance.randrange(60))
            market = random_market(symbol, seed, 0.2, exchange != KRAKEN, ((gap, gap + 4 * MINUTE),))
            server = await world.exchange(exchange, [market], seed, **PLAIN)
            server.faults = _mixture(chance)
        await world.follow(*((exchange, symbol, ago(200)) for exchange, symbol in follows.items()))
        for _ in range(round(hours * 3)):
            await world.minutes(20)
            for exchange, symbol in follows.items():
                agree(world, exchange, symbol, ago(200))
            if chance.random() < 0.3:
                await world.restart_feed()
                await world.follow(*((exchange, symbol, ago(200)) for exchange, symbol in follows.items()))
        for server in world.servers.values():
            server.faults = []
        await world.minutes(20)
        for exchange, symbol in follows.items():
            assert agree(world, exchange, symbol, ago(200)) <= (10 if exchange == KRAKEN else 0)
            assert world.states(symbol)[-1].state in ("live", "quiet")
            server = world.servers[exchange]
            assert server.weight_in_any_minute() <= server.dialect.weight_limit

    in_virtual_time(path, story)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_under_a_random_mixture_of_faults_the_candles_stay_the_exchanges(tmp_path: Path, seed: int) -> None:
    mixture(tmp_path, seed, hours=1)


@pytest.mark.slow
def test_under_many_random_mixtures_the_candles_stay_the_exchanges(tmp_path: Path) -> None:
    for _ in range(20):
        seed = random.randrange(2**32)
        home = tmp_path / str(seed)
        home.mkdir()
        mixture(home, seed, hours=3)


@pytest.mark.parametrize("error", [-7 * 3_600_000, -40_000, 3_000, 90_000, 5 * 86_400_000])
def test_a_wrong_local_clock_is_reported_and_shifts_no_candle(tmp_path: Path, error: int) -> None:
    async def story(world: World) -> None:
        for exchange in (SPOT, BYBIT, "Kraken Pro Spot"):
            market = random_market("BTC-USD", 4) if exchange == KRAKEN else random_market(BTC, 4)
            await world.exchange(exchange, [market])
        # The daemon reckons by its own clock when it says from when on.
        await world.follow((SPOT, BTC, ago(60)), (BYBIT, BTC, ago(60) + error), (KRAKEN, "BTC-USD", ago(60)))
        await world.minutes(10)
        assert agree(world, SPOT, BTC, ago(60)) == 0
        assert agree(world, KRAKEN, "BTC-USD", ago(60)) == 0
        assert agree(world, BYBIT, BTC, min(ago(0), ago(60) + error // MINUTE * MINUTE)) == 0
        for exchange in (SPOT, BYBIT, KRAKEN):
            last = world.venues(exchange)[-1]
            assert last.clock_offset_ms is not None
            assert abs(last.clock_offset_ms + error) <= 1000

    in_virtual_time(tmp_path, story, clock_error=error)


def test_the_clock_of_an_exchange_that_does_not_tell_it_is_read_off_its_responses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = ccxt.kraken.describe
    monkeypatch.setattr(ccxt.kraken, "describe", lambda self: _without_time(described(self)))

    async def story(world: World) -> None:
        server = await world.exchange(KRAKEN, [random_market("BTC-USD", 4)], **PLAIN)
        await world.follow((KRAKEN, "BTC-USD", ago(60)))
        await world.minutes(5)
        assert agree(world, KRAKEN, "BTC-USD", ago(60)) == 0
        assert "/0/public/Time" not in {path for _, path, _ in server.asked}
        last = world.venues(KRAKEN)[-1]
        assert last.clock_offset_ms is not None
        assert abs(last.clock_offset_ms - 7_200_000) <= 500

    in_virtual_time(tmp_path, story, clock_error=-7_200_000)


def _without_time(description: dict[str, Any]) -> dict[str, Any]:
    return {**description, "has": {**description["has"], "fetchTime": None}}


@pytest.mark.parametrize("step", [-3 * 3_600_000, -700, 45_000, 2 * 3_600_000])
def test_a_local_clock_that_is_set_meanwhile_is_noticed(tmp_path: Path, step: int) -> None:
    async def story(world: World) -> None:
        await world.exchange(SPOT, [random_market(BTC, 4)], **PLAIN)
        await world.follow((SPOT, BTC, ago(60)))
        await world.minutes(3)
        world.clock_error += step
        await world.minutes(5)
        assert agree(world, SPOT, BTC, ago(60)) == 0
        assert {state.state for state in world.states(BTC) if state.upto > NOW} == {"live"}
        assert world.venues(SPOT)[-1].clock_offset_ms == -step

    in_virtual_time(tmp_path, story)


@pytest.mark.parametrize("error", [-3_600_000, 3_600_000])
def test_without_a_measured_clock_no_unfinished_candle_becomes_final(tmp_path: Path, error: int) -> None:
    async def story(world: World) -> None:
        server = await world.exchange(SPOT, [random_market(BTC, 4, quiet=0.5)], **PLAIN)
        server.faults = [Fault("status", path="/time", status=404)]
        await world.follow((SPOT, BTC, ago(60)))
        for _ in range(20):
            await world.minutes(1)
            agree(world, SPOT, BTC, ago(60))
        server.faults = []
        await world.minutes(5)
        assert agree(world, SPOT, BTC, ago(60)) == 0

    in_virtual_time(tmp_path, story, clock_error=error)


def test_after_a_sleep_of_the_machine_the_minutes_meanwhile_come_first_and_in_order(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await world.exchange(SPOT, [random_market(BTC, 4)], **PLAIN)
        await world.follow((SPOT, BTC, ago(60)))
        await world.minutes(3)
        world.asleep += 5 * 3_600_000
        await world.minutes(1)
        assert agree(world, SPOT, BTC, ago(60)) == 0
        uptos = [event.upto for event in world.closed(BTC)]
        assert uptos == sorted(uptos)

    in_virtual_time(tmp_path, story)


def test_a_restarted_feed_goes_on_from_the_store(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        server = await world.exchange(PERPETUAL, [random_market(BTC, 6)], **PLAIN)
        await world.follow((PERPETUAL, BTC, ago(1000)))
        await world.minutes(3)
        await world.restart_feed()
        asked = len(server.asked)
        await world.minutes(30)
        assert len(server.asked) == asked
        await world.follow((PERPETUAL, BTC, ago(1000)))
        await world.minutes(0.1)
        assert [path for _, path, _ in server.asked[asked:]] == ["/fapi/v1/time", "/fapi/v1/klines"]
        assert agree(world, PERPETUAL, BTC, ago(1000)) == 0

    in_virtual_time(tmp_path, story)


def test_what_the_exchange_changes_later_is_counted_and_not_used(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        server = await world.exchange(SPOT, [random_market(BTC, 6)], **PLAIN)
        await world.follow((SPOT, BTC, ago(60)))
        await world.minutes(3)
        before, _ = world.stored(SPOT, BTC, ago(60))
        server.faults = [Fault("revised", _struck=set(range(ago(60), ago(-10), MINUTE)))]
        await world.minutes(3)
        assert world.stored(SPOT, BTC, ago(60))[0][: len(before)] == before
        assert world.states(BTC)[-1].revisions == 3
        reader = CandleReader(world.layout.candle_store(SPOT))
        assert len(reader.revisions(BTC)) == 3

    in_virtual_time(tmp_path, story)


@pytest.mark.parametrize(("exchange", "symbol"), [(SPOT, BTC), (BYBIT, BTC), (KRAKEN, "BTC-USD")])
def test_a_gap_of_the_exchange_is_recorded_and_passed(tmp_path: Path, exchange: str, symbol: str) -> None:
    """One long ago and longer than a page of Bybit's, one while it is followed."""

    async def story(world: World) -> None:
        old = (ago(600), ago(520)) if exchange == KRAKEN else (ago(4000), ago(2500))
        new = (ago(-5), ago(-12))
        market = random_market(symbol, 9, gaps=(old, new))
        since = ago(700) if exchange == KRAKEN else ago(4300)
        await world.exchange(exchange, [market], **PLAIN)
        await world.follow((exchange, symbol, since))
        await world.until(lambda: agree(world, exchange, symbol, since) == 0, minutes=4)
        await world.minutes(10 - (world.now() - BEGIN) / MINUTE)
        state = world.states(symbol)[-1]
        assert state.state == ("quiet" if exchange == KRAKEN else "stale")
        await world.minutes(8)
        assert world.states(symbol)[-1].state == "live"
        assert agree(world, exchange, symbol, since) == 0
        reader = CandleReader(world.layout.candle_store(exchange))
        gaps = reader.gaps(symbol, since, world.now())
        assert {gap.reason for gap in gaps} == {"no_candle"}
        absent = {minute for gap in gaps for minute in range(gap.first, gap.last + 1, MINUTE)}
        assert absent == {*range(*old, MINUTE), *range(*new, MINUTE)}
        assert world.states(symbol)[-1].gap_minutes == len(absent)

    in_virtual_time(tmp_path, story)


@pytest.mark.parametrize("exchange", [SPOT, BYBIT])
def test_before_a_market_was_listed_there_is_no_history(tmp_path: Path, exchange: str) -> None:
    async def story(world: World) -> None:
        await world.exchange(exchange, [random_market(BTC, 9, listed_at=ago(100))], **PLAIN)
        await world.follow((exchange, BTC, ago(5000)))
        await world.minutes(3)
        reader = CandleReader(world.layout.candle_store(exchange))
        gaps = reader.gaps(BTC, 0, world.now())
        assert sum((gap.last - gap.first) // MINUTE + 1 for gap in gaps) == 4900
        assert gaps[0].reason == "no_history"
        assert agree(world, exchange, BTC, ago(5000)) == 0

    in_virtual_time(tmp_path, story)


def test_an_exchange_that_serves_only_its_newest_candles_says_so_in_the_gap(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await world.exchange(KRAKEN, [random_market("BTC-USD", 9)], **PLAIN)
        await world.follow((KRAKEN, "BTC-USD", ago(2000)))
        await world.minutes(1.2)
        reader = CandleReader(world.layout.candle_store(KRAKEN))
        (gap,) = reader.gaps("BTC-USD", 0, world.now())
        assert gap == Gap(ago(2000), gap.last, "no_history")
        assert abs(gap.last - ago(720)) <= 2 * MINUTE
        stored, frontier = world.stored(KRAKEN, "BTC-USD", gap.last + MINUTE)
        assert len(stored) == (frontier - gap.last) // MINUTE - 1

    in_virtual_time(tmp_path, story)


def test_an_exchange_that_answers_nothing_at_all_makes_no_gap(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        market = random_market(BTC, 9)
        server = await world.exchange(BYBIT, [market], **PLAIN)
        await world.follow((BYBIT, BTC, ago(60)))
        await world.minutes(2)
        market.listed_at = 2**60
        market._known.clear()
        await world.minutes(30)
        assert world.states(BTC)[-1].state == "stale"
        assert "its publication" in world.states(BTC)[-1].reason
        market.listed_at = 0
        market._known.clear()
        await world.minutes(2)
        assert agree(world, BYBIT, BTC, ago(60)) == 0
        assert CandleReader(world.layout.candle_store(BYBIT)).gaps(BTC, 0, world.now()) == []
        assert len(server.asked) < 120

    in_virtual_time(tmp_path, story)


def test_an_unknown_pair_is_refused_with_the_nearest_and_found_once_it_is_listed(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        server = await world.exchange(PERPETUAL, [random_market("SOL-USDT", 1), random_market(BTC, 1)], **PLAIN)
        await world.follow((PERPETUAL, "SOLL-USDT", ago(10)), (PERPETUAL, BTC, ago(10)))
        await world.minutes(2)
        refused = world.states("SOLL-USDT")[-1]
        assert refused.state == "refused"
        assert "SOL-USDT" in refused.reason
        assert world.states(BTC)[-1].state == "live", "the others do not suffer"
        server.markets["SOLLUSDT"] = random_market("SOLL-USDT", 1)
        await world.minutes(61)
        assert world.states("SOLL-USDT")[-1].state == "live"

    in_virtual_time(tmp_path, story)


def test_what_cannot_be_followed_is_reported_and_the_rest_is_followed(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await world.exchange(SPOT, [random_market(BTC, 1)], **PLAIN)
        await world.follow(("Binanse", BTC, ago(10)), ("Custom Data", BTC, ago(10)), (SPOT, BTC, ago(10)))
        await world.minutes(1.5)
        problems = [event.message for event in world.events if isinstance(event, FeedProblem)]
        assert len(problems) == 2
        assert "Binanse" in problems[0]
        assert "no live candles" in problems[1]
        assert agree(world, SPOT, BTC, ago(10)) == 0

    in_virtual_time(tmp_path, story)


@pytest.mark.parametrize("exchange", [SPOT, PERPETUAL, BYBIT])
def test_the_last_price_moves_between_candles(tmp_path: Path, exchange: str) -> None:
    async def story(world: World) -> None:
        await world.exchange(exchange, [random_market(BTC, 1), random_market("ETH-USDT", 1)])
        await world.follow((exchange, BTC, ago(10)), (exchange, "ETH-USDT", ago(10)))
        await world.minutes(5)
        seen = {(state.last_price, state.last_price_at) for state in world.states(BTC) if state.last_price}
        assert len(seen) >= 25
        last = world.states(BTC)[-1]
        assert last.last_price_at is not None
        assert world.now() - last.last_price_at <= 12_000
        (market,) = (m for m in world.servers[exchange].markets.values() if m.symbol == BTC)
        shown = market.seen_at(last.last_price_at // MINUTE * MINUTE, last.last_price_at)
        assert shown is not None
        assert last.last_price == shown.close

    in_virtual_time(tmp_path, story)


def test_requests_go_through_the_proxy_and_carry_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BINANCE_API_KEY", "BINANCE_APIKEY", "BINANCE_SECRET", "CCXT_APIKEY", "apiKey"):
        monkeypatch.setenv(name, "not-to-be-read")

    async def story(world: World) -> None:
        server = await world.exchange(SPOT, [random_market(BTC, 1)])
        world.settings[SPOT] = ExchangeSettings(urls="http://exchange.invalid", proxy=server.url)
        await world.follow((SPOT, BTC, ago(10)))
        await world.minutes(3)
        assert agree(world, SPOT, BTC, ago(10)) == 0
        assert not {name for name in server.headers_seen if "key" in name or "auth" in name or "sign" in name}

    in_virtual_time(tmp_path, story)
