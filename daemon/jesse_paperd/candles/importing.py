"""Candles from elsewhere into the candle store: all of them checked first, then stretch by stretch.

Each stretch is a transaction so short that a feed which writes to the same store hardly waits for it. An import that is
cut off leaves whole stretches, every minute of them as final as any; the same import again does the rest.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from jesse_paper.errors import PaperError
from jesse_paper.rfc3339 import to_text
from jesse_paperd.candles.store import Candle, CandleStore
from jesse_paperd.core.minutes import MINUTE, Rows

#: Minutes of one transaction: about 50 ms.
STRETCH = 20_000
#: So many contradictions are shown, all are counted.
SHOWN = 5


class Contradiction(NamedTuple):
    """A minute of which the store has another candle; `stored` stays."""

    stored: Candle
    refused: Candle


class Imported(msgspec.Struct, kw_only=True):
    """What became of an import of one market, in candles."""

    exchange: str
    symbol: str
    first: str
    last: str
    candles: int
    added: int = 0
    #: Final before, with equal values.
    known: int = 0
    #: Final before with other values, or as a minute without a candle: the store stays as it is.
    contradicting: int = 0
    #: Minutes between the first and the last that the import does not have.
    missing_minutes: int = 0
    examples: list[Contradiction] = []


def import_candles(
    store: CandleStore,
    exchange: str,
    symbol: str,
    rows: Rows,
    now: int,
    complete: bool = False,
    single: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Imported:
    """Add candles to the store of their exchange.

    Args:
        rows: in Jesse's order, checked, at least one.
        now: the local clock in milliseconds, beyond which there can be no final candle.
        complete: these are all that the exchange had from the first to the last: minutes without one become gaps.
        single: they were kept as four-byte floats and are compared as such.
        progress: told how many candles are done.

    Raises:
        PaperError: `candles_invalid` for a minute that is not over, with nothing imported; `storage_failed`.
    """
    first, last = int(rows[0, 0]), int(rows[-1, 0])
    if last + MINUTE > now:
        raise PaperError(
            "candles_invalid",
            f"the candle of {to_text(last)} is not over by this machine's clock, {to_text(now // 1000 * 1000)}",
            "leave it out, or set the clock",
        )
    missing = (last - first) // MINUTE + 1 - len(rows)
    report = Imported(
        exchange=exchange, symbol=symbol, first=to_text(first), last=to_text(last), candles=len(rows),
        missing_minutes=missing, examples=[],
    )  # fmt: skip
    for start in range(0, len(rows), STRETCH):
        part, rest = rows[start : start + STRETCH], rows[start + STRETCH :]
        upto = int(rest[0, 0]) if len(rest) else last + MINUTE
        try:
            adopted = store.adopt(symbol, part, now, upto if complete else None, single)
        except sqlite3.Error as error:
            raise PaperError(
                "storage_failed",
                f"the candle store of {exchange} cannot be written: {error}",
                f"the first {start:,} candles are imported; the same import again does the rest",
            ) from error
        report.added += adopted.added
        report.known += adopted.known
        report.contradicting += len(adopted.contradicted) + len(adopted.in_gaps)
        room = SHOWN - len(report.examples)
        report.examples += [Contradiction(*pair) for pair in adopted.contradicted[:room]]
        progress(start + len(part))
    return report
