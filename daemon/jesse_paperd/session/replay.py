"""Stepping an engine once more through what a session consumed: its candles, and its changes of leverage among them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from jesse_paperd.core.minutes import Rows
from jesse_paperd.engine.engine import Engine
from jesse_paperd.records.journal import Facts, LeverageChange

#: Candles of a stretch of time, by symbol.
Block = dict[str, Rows]


def step_again(
    engine: Engine,
    changes: Iterable[LeverageChange],
    end: int,
    blocks: Callable[[int], Iterable[Block]],
    advance: Callable[[Block], None],
    note: Callable[[Facts], None],
) -> None:
    """Step an engine through candles and leverage changes as a session was stepped through them.

    Args:
        end: the market time up to which candles are stepped.
        blocks: the candles behind the engine's cursor that open before a time, in blocks of any size.
        advance: steps the engine through a block.
        note: takes what each block caused.
    """
    for change in changes:
        for block in blocks(change.at):
            advance(block)
            note(engine.take_facts())
        engine.set_leverage(change.leverage)
    for block in blocks(end):
        advance(block)
        note(engine.take_facts())
    note(engine.take_facts())
