"""What a verification found: the file in which its process says so."""

from __future__ import annotations

from typing import Any

import msgspec


class Divergence(msgspec.Struct, frozen=True):
    """The first difference of its kind between the journal and what it is compared with.

    `what` is orders, trades, equity, daily_balance or progress; `where` names the row and the field. A row that only
    one side has shows as None on the other.
    """

    what: str
    where: str
    journaled: Any = None
    replayed: Any = None

    def __str__(self) -> str:
        return f"{self.what}, {self.where}: the session has {self.journaled!r}, the other {self.replayed!r}"


class Verification(msgspec.Struct, frozen=True):
    """What verifying found. `difference` is the first one, against Jesse's backtest; `replay` against the journal.

    `method` says how Jesse went through the candles: `row counting`, its usual way on gap-free candles, where the
    session began on a boundary of all its timeframes, else `timestamp replay`, its way on candles with gaps;
    `method_reason` says why that one. `compared_until` is the market time up to which trades could be compared,
    `limits` says why not further.
    """

    equal: bool
    trades: int
    compared: int
    method: str
    compared_until: int | None
    difference: Divergence | None
    replay: list[Divergence]
    limits: list[str]
    method_reason: str = ""


class Finding(msgspec.Struct, frozen=True):
    """The file: a verification, or the error that says why there is none."""

    verification: Verification | None = None
    code: str = ""
    message: str = ""
