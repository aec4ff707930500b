"""The ways in which an exchange misbehaves: chosen on command, at random from a seed where there is a choice."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jesse_paperd.candles.store import Candle
from jesse_paperd.core.minutes import MINUTE

#: Faults of the connection or of HTTP; the server carries them out.
#:   drop       closes the connection without an answer         cut       closes it in the middle of the answer
#:   silence    never answers and keeps the connection open     slow      answers after `seconds`
#:   status     answers with `status`, and `retry_after`        truncate  a whole answer with half of the JSON
#:   html       a page of HTML with status 200                  refuse    does not even accept connections
TRANSPORT = ("drop", "cut", "silence", "slow", "status", "truncate", "html", "refuse")


#: A replica that lags answers as of up to `seconds` ago: its newest rows are unfinished, or not there yet.
LAGGING = "lagging"


@dataclass
class Fault:
    """One way to misbehave, while it lasts."""

    kind: str
    #: Of each request that it could strike.
    chance: float = 1.0
    #: By the exchange's clock.
    since: int = 0
    until: float = math.inf
    #: Only requests with this in their path.
    path: str = ""
    status: int = 500
    retry_after: str | None = None
    seconds: float = 20.0
    _struck: set[Any] = field(default_factory=set)

    def strikes(self, path: str, now: int, chance: random.Random) -> bool:
        """Whether it strikes this request."""
        return self.since <= now < self.until and self.path in path and chance.random() < self.chance


def _duplicate(rows: list[Candle], chance: random.Random, *_: Any) -> list[Any]:
    return [*rows, chance.choice(rows)]


def _conflicting(rows: list[Candle], chance: random.Random, *_: Any) -> list[Any]:
    row = chance.choice(rows)
    return [*rows, row._replace(volume=row.volume + 1)]


def _out_of_order(rows: list[Candle], chance: random.Random, *_: Any) -> list[Any]:
    return chance.sample(rows, len(rows))


def _missing(rows: list[Candle], chance: random.Random, _: int, struck: set[Any]) -> list[Any]:
    """A row that is there is left out, once: what stays away is a gap, which is no fault."""
    left = [row for row in rows if row.timestamp not in struck]
    if not left:
        return list(rows)
    row = chance.choice(left)
    struck.add(row.timestamp)
    return [other for other in rows if other != row]


def _revised(rows: list[Candle], chance: random.Random, now: int, struck: set[Any]) -> list[Any]:
    """A minute that is long over is suddenly another."""
    old = [row for row in rows if row.timestamp + 2 * MINUTE <= now and row.timestamp in struck]
    struck.update(row.timestamp for row in rows if row.timestamp + 2 * MINUTE <= now)  # it was served once as it is
    if not old:
        return list(rows)
    row = chance.choice(old)
    return [row._replace(volume=row.volume + 1) if other == row else other for other in rows]


def _value(value: object) -> Callable[..., list[Any]]:
    def spoil(rows: list[Candle], chance: random.Random, *_: Any) -> list[Any]:
        index, column = chance.randrange(len(rows)), chance.choice(["open", "high", "low", "close"])
        return [row._replace(**{column: value}) if n == index else row for n, row in enumerate(rows)]

    return spoil


def _inconsistent(rows: list[Candle], chance: random.Random, *_: Any) -> list[Any]:
    index = chance.randrange(len(rows))
    return [row._replace(high=1e-9) if n == index else row for n, row in enumerate(rows)]


def _future(rows: list[Candle], chance: random.Random, now: int, *_: Any) -> list[Any]:
    return [*rows, rows[-1]._replace(timestamp=now // MINUTE * MINUTE + chance.randrange(1, 60) * MINUTE)]


def _off_grid(rows: list[Candle], chance: random.Random, *_: Any) -> list[Any]:
    return [*rows, rows[0]._replace(timestamp=rows[0].timestamp + chance.randrange(1, MINUTE))]


#: Faults of the rows themselves, each (rows, chance, now, what it struck before) → rows. Several strike in this order:
#: leaving out one of two conflicting rows would be a lie that nobody can see through.
ROWS: dict[str, Callable[..., list[Any]]] = {
    "missing": _missing,
    "revised": _revised,
    "duplicate": _duplicate,
    "conflicting": _conflicting,
    "out_of_order": _out_of_order,
    "nan": _value("NaN"),
    "zero": _value(0.0),
    "null": _value(None),
    "negative": _value(-1.0),
    "inconsistent": _inconsistent,
    "future": _future,
    "off_grid": _off_grid,
}


def spoil(fault: Fault, rows: list[Candle], chance: random.Random, now: int) -> list[Any]:
    """The rows as a fault of the rows leaves them."""
    return ROWS[fault.kind](rows, chance, now, fault._struck) if rows else rows
