"""How an exchange is asked: within its budget, and not while it is in trouble. In virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from jesse_paperd.feed.clock import VenueClock
from jesse_paperd.feed.failures import Failure, RequestFailed, backoff
from jesse_paperd.feed.gate import IN_FLIGHT, PATIENCE, Gate
from jesse_paperd.feed.limits import LIMITS, SHARE
from tests.fakes.event_loops import VirtualTimeLoop

T = TypeVar("T")


def run(story: Callable[[], Awaitable[T]]) -> T:
    async def told() -> T:
        return await story()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(told())


def now() -> float:
    return asyncio.get_running_loop().time()


class Exchange:
    """Answers, or fails as told, and remembers when it was asked."""

    def __init__(self, failure: Failure | None = None, retry_after: float | None = None, takes: float = 0.0) -> None:
        self.failure = failure
        self.retry_after = retry_after
        self.takes = takes
        self.asked: list[float] = []
        self.at_once = self.most_at_once = 0

    async def __call__(self) -> str:
        self.asked.append(now())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.takes)
        self.at_once -= 1
        if self.failure:
            raise RequestFailed(self.failure, "failed", self.retry_after)
        return "answer"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_minute_ever_holds_more_than_twice_the_budget(seed: int) -> None:
    async def story() -> None:
        chance = random.Random(seed)
        gate, exchange = Gate(100.0, now), Exchange(takes=0.1)
        weights: list[tuple[float, float]] = []

        async def one(weight: float, delay: float) -> None:
            await asyncio.sleep(delay)
            await gate.request(weight, exchange)
            weights.append((exchange.asked[-1], weight))

        await asyncio.gather(*(one(chance.choice([1, 2, 20]), chance.uniform(0, 300)) for _ in range(400)))
        for at, _ in weights:
            assert sum(weight for other, weight in weights if at <= other < at + 60) <= 200 + 1e-6
        assert exchange.most_at_once <= IN_FLIGHT

    run(story)


def test_what_is_urgent_goes_while_a_backlog_waits_for_budget() -> None:
    async def story() -> None:
        gate = Gate(60.0, now)
        backlog = Exchange()
        waiting = [asyncio.create_task(gate.request(1, backlog, reserve=12)) for _ in range(100)]
        await asyncio.sleep(1)
        assert len(backlog.asked) < 60
        urgent = Exchange()
        began = now()
        await gate.request(1, urgent)
        assert urgent.asked == [began]
        await asyncio.gather(*waiting)

    run(story)


@pytest.mark.parametrize(
    ("failure", "told", "rests"), [("limited", 37.0, 37.0), ("limited", None, 60.0), ("banned", None, 900.0)]
)
def test_a_refusal_closes_the_gate_for_as_long_as_the_exchange_says(
    failure: Failure, told: float | None, rests: float
) -> None:
    async def story() -> None:
        gate, exchange = Gate(600.0, now), Exchange(failure, told)
        with pytest.raises(RequestFailed):
            await gate.request(1, exchange)
        refused_at = now()
        assert gate.condition == failure
        exchange.failure = None
        assert await gate.request(1, exchange) == "answer"
        assert exchange.asked[1] >= refused_at + rests
        assert gate.condition == "up"

    run(story)


@pytest.mark.parametrize("failure", ["unreachable", "timeout", "unavailable"])
def test_an_exchange_that_does_not_answer_is_asked_ever_less_often(failure: Failure) -> None:
    async def story() -> None:
        gate, exchange = Gate(6000.0, now), Exchange(failure)

        async def market() -> None:
            while True:
                with contextlib.suppress(RequestFailed):
                    await gate.request(1, exchange)
                await asyncio.sleep(1)

        markets = [asyncio.create_task(market()) for _ in range(300)]
        await asyncio.sleep(3600)
        assert gate.condition == "down"
        per_minute = len([at for at in exchange.asked if at > 1800]) / 30
        assert 0.5 <= per_minute <= 2 * IN_FLIGHT + 2, "a few attempts a minute, however many markets wait"
        exchange.failure = None
        await asyncio.sleep(120)
        assert gate.condition == "up"
        for task in markets:
            task.cancel()

    run(story)


def test_single_failures_and_nonsense_do_not_close_the_gate() -> None:
    async def story() -> None:
        gate, exchange = Gate(6000.0, now), Exchange()
        for _ in range(20):
            for kind in ("timeout",) * (PATIENCE - 1):
                exchange.failure = kind
                with pytest.raises(RequestFailed):
                    await gate.request(1, exchange)
            exchange.failure = None
            await gate.request(1, exchange)
        exchange.failure = "malformed"
        for _ in range(20):
            with pytest.raises(RequestFailed):
                await gate.request(1, exchange)
        assert gate.condition == "up"
        assert gate.closed_for() == 0

    run(story)


def test_waits_grow_to_a_limit_and_differ() -> None:
    chance = random.Random(1)
    waits = [[backoff(failures, 60, chance) for _ in range(200)] for failures in range(1, 12)]
    assert all(0.5 <= wait <= 1.5 for wait in waits[0])
    assert all(30 <= wait <= 90 for wait in waits[-1])
    assert all(max(wait) > 1.5 * min(wait) for wait in waits), "they do not come back together"


def test_the_budget_is_below_the_limit_in_any_minute_for_every_exchange() -> None:
    for name, limits in LIMITS.items():
        assert 2 * limits.budget <= limits.per_minute, name
        assert 2 * SHARE < 1
        heaviest = max(limits.listing, limits.prices, limits.time, limits.weight_of(limits.page))
        assert heaviest <= limits.budget, f"{name}: a request must fit the bucket"


class Clocks:
    """A local clock that can be set, and one that cannot."""

    def __init__(self) -> None:
        self.local = 1_700_000_000_000
        self.monotonic = 50.0

    def pass_seconds(self, seconds: float, asleep: float = 0.0) -> None:
        self.local += round((seconds + asleep) * 1000)
        self.monotonic += seconds


def test_the_exchanges_clock_is_the_local_one_plus_the_offset_of_the_quickest_measurement() -> None:
    clocks = Clocks()
    clock = VenueClock(lambda: clocks.local, lambda: clocks.monotonic)
    assert clock.due()
    clock.learn(clocks.local - 4000, clocks.local, clocks.local + 60_000)
    assert (clock.offset, clock.uncertainty) == (62_000, 2000)
    clock.learn(clocks.local - 100, clocks.local, clocks.local + 60_000)
    clock.learn(clocks.local - 3000, clocks.local, clocks.local + 99_000)
    assert (clock.offset, clock.uncertainty) == (60_050, 50), "a slower answer tells less"
    assert clock.now() == clocks.local + 60_050
    assert not clock.due()
    clocks.pass_seconds(599)
    assert not clock.due()
    clocks.pass_seconds(2)
    assert clock.due()


@pytest.mark.parametrize("set_by", [-7_200_000, 900, 86_400_000])
def test_a_clock_that_was_set_or_a_machine_that_slept_is_noticed(set_by: int) -> None:
    clocks = Clocks()
    clock = VenueClock(lambda: clocks.local, lambda: clocks.monotonic)
    clock.learn(clocks.local, clocks.local, clocks.local)
    clocks.pass_seconds(10)
    assert not clock.jumped()
    clocks.local += set_by
    assert clock.jumped()
    assert clock.due()
    clock.learn(clocks.local, clocks.local, clocks.local - set_by)
    assert clock.offset == -set_by
    assert not clock.due()


def test_a_date_of_whole_seconds_is_as_uncertain_as_that() -> None:
    clocks = Clocks()
    clock = VenueClock(lambda: clocks.local, lambda: clocks.monotonic)
    clock.learn(clocks.local, clocks.local, clocks.local - 500, resolution=1000)
    assert (clock.offset, clock.uncertainty) == (0, 500)
