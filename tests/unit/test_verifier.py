"""Results of verifications that nobody fetched: who gets them, and for how long."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from jesse_paperd.core.layout import Layout
from jesse_paperd.processes.fork_launcher import ForkLauncher
from jesse_paperd.processes.zygote import Zygote
from jesse_paperd.records.journal import Facts, Journal, Progress
from jesse_paperd.service import verifier as verifier_module
from jesse_paperd.service.verifier import Verifier
from tests.support.daemon import ROOT


def verifying(home: Path, ask: Callable[[Verifier, Layout], Awaitable[list[int]]]) -> list[int]:
    """The trades that each verification found, of a session with one candle."""

    async def run() -> list[int]:
        layout = Layout(home)
        layout.prepare()
        layout.session("one").root.mkdir()
        trade(layout, 1)
        zygote = Zygote("tests.fakes.counting_verification", layout.zygote, {**os.environ, "PYTHONPATH": str(ROOT)})
        verifier = Verifier(layout, ForkLauncher(layout, zygote, {}), 60.0)
        try:
            return await ask(verifier, layout)
        finally:
            await verifier.close()
            zygote.close()

    return asyncio.run(run())


def trade(layout: Layout, candles: int) -> None:
    journal = Journal(layout.session("one").journal)
    journal.commit(Facts(), Progress(candles=candles))
    journal.close()


async def left_alone(verifier: Verifier) -> None:
    """A verification that its client did not wait for, and that has come to its end."""
    assert not (await verifier.verify("one", 0.0)).done
    await asyncio.wait({verifier._reruns["one"].task})


def test_a_result_waits_for_whoever_asks_next_and_is_given_once(short_home: Path) -> None:
    async def ask(verifier: Verifier, _layout: Layout) -> list[int]:
        await left_alone(verifier)
        return [(await verifier.verify("one", 60.0)).trades for _ in range(3)]

    assert verifying(short_home, ask) == [1, 2, 3]


def test_a_result_of_long_ago_is_not_that_of_a_session_which_traded_on(
    short_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifier_module, "_FRESH_SECONDS", 0.0)

    async def ask(verifier: Verifier, layout: Layout) -> list[int]:
        await left_alone(verifier)
        trade(layout, 2)
        return [(await verifier.verify("one", 60.0)).trades]

    assert verifying(short_home, ask) == [2]


def test_who_was_told_to_ask_again_gets_the_result_though_the_session_trades_on(short_home: Path) -> None:
    async def ask(verifier: Verifier, layout: Layout) -> list[int]:
        await left_alone(verifier)
        trade(layout, 2)
        return [(await verifier.verify("one", 60.0)).trades]

    assert verifying(short_home, ask) == [1]
