"""When a candle is final: pure rules over the replies of one exchange. docs/live-candles.md tells them in prose.

1. A row counts only if it is well-formed, on the minute grid, consistent and not in the exchange's future. Nothing is
   ever repaired. Two different rows for one minute in one reply refuse that minute.
2. Row t is final when the same reply holds a later row; or when its minute is over and two replies, 5 s apart, gave
   it alike.
3. A minute that is absent although a later one is there is a gap only when a second reply, asked long enough after
   the first, lacks it too. A minute whose row is refused in twenty replies over ten minutes is a gap too.
4. Minutes become final in order: the first one that is not proven holds back all later ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from jesse_paperd.candles.rules import fault_of
from jesse_paperd.candles.store import Candle, Gap
from jesse_paperd.core.minutes import MINUTE

#: How long after its first appearance an unproven row must come again unchanged.
EQUAL_AFTER = 5_000
#: Age at which an exchange has had time to fill in what it left out.
SETTLED = 60 * MINUTE
#: How long, and in how many replies, a minute may be there but malformed before it is given up.
MALFORMED_FOR = 10 * MINUTE
MALFORMED_TIMES = 20
#: A row may open this much after what we take for the exchange's time: the clock is measured, not known.
FUTURE_TOLERANCE = 2_000


@dataclass(frozen=True)
class Reply:
    """The rows of one reply after rule 1."""

    #: Well-formed candles, oldest first, one a minute.
    candles: list[Candle]
    #: Minutes whose rows were refused, with the reason.
    refused: dict[int, str]
    #: How many rows were refused, those without a usable time included.
    refused_rows: int


def examine(rows: Sequence[Sequence[object]], now: int) -> Reply:
    """Apply rule 1 to the rows of a reply.

    Args:
        rows: each [open time in milliseconds, open, high, low, close, volume].
        now: the exchange's time.
    """
    good: dict[int, Candle] = {}
    refused: dict[int, str] = {}
    count = 0
    for row in rows:
        time, problem, candle = _check(row, now)
        if not problem and time is not None and candle is not None:
            if time not in refused and good.setdefault(time, candle) == candle:
                continue
            problem = "two different rows for one minute"
        count += 1
        if time is not None:
            refused[time] = problem
            good.pop(time, None)
    return Reply(sorted(good.values()), refused, count)


def _check(row: Sequence[object], now: int) -> tuple[int | None, str, Candle | None]:
    """The row's minute if it names one, what is wrong with it, and the candle if nothing is."""
    if not isinstance(row, list | tuple) or len(row) < 6:
        return None, "not a row of six values", None
    time, *values = row[:6]
    if isinstance(time, bool) or not isinstance(time, int) or time <= 0 or time % MINUTE:
        return None, "off the minute grid", None
    if time > now + FUTURE_TOLERANCE:
        return None, "in the exchange's future", None
    numbers = [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)]
    if len(numbers) != 5:
        return time, "a value that is not a number", None
    if fault := fault_of(*numbers):
        return time, fault, None
    return time, "", Candle(time, *numbers)


@dataclass
class Verdict:
    """What one reply makes final: every minute from where it began below `upto`."""

    upto: int
    candles: list[Candle] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    #: What holds the next minute back, or empty when the reply simply has no more.
    waits_for: str = ""
    #: When to look again because of that, or None.
    again_at: int | None = None


class Finality:
    """What is remembered between the replies of one market: minutes that wait for confirmation."""

    def __init__(self, quiet_minutes_are_flat: bool, history: int = 0) -> None:
        """How the exchange treats minutes without trades, and how many minutes back it serves (0: all)."""
        self._flat = quiet_minutes_are_flat
        self._history = history
        self._absent: list[tuple[int, int, int]] = []  # (first, upto, seen first): ascending, disjoint
        self._refused: dict[int, tuple[int, int]] = {}  # minute → seen first, how often since
        self._unproven: tuple[Candle, int] | None = None  # the newest row, seen first

    def judge(
        self, first: int, upto: int, reply: Reply, now: int, proven: int = 0, known_before: bool = True
    ) -> Verdict:
        """Apply rules 2 to 4 to a reply.

        Args:
            first, upto: the minutes in question; those from `upto` on are final already or not over.
            reply: what the exchange had from `first` on.
            now: the exchange's time at which it was asked.
            proven: minutes below this are known to be over although the reply holds no later row.
            known_before: whether anything before `first` is final; if not, absence there is the end of history.
        """
        newest = reply.candles[-1].timestamp if reply.candles else 0
        over = min(upto, max(newest, proven))
        rows = [candle for candle in reply.candles if first <= candle.timestamp < upto]
        refused = {minute: why for minute, why in reply.refused.items() if first <= minute < over}
        before = {minute: self._refused.get(minute, (now, 0)) for minute in refused}
        self._refused = {minute: (seen, times + 1) for minute, (seen, times) in before.items()}
        absent = _complement(first, over, [*(candle.timestamp for candle in rows), *refused])
        self._absent = _aged(absent, self._absent, now)
        pieces = [
            *(_Piece(c.timestamp, c.timestamp + MINUTE, candle=c) for c in rows),
            *(_Piece(minute, minute + MINUTE, self._refused[minute][0], why) for minute, why in refused.items()),
            *(_Piece(*stretch) for stretch in self._absent),
        ]
        oldest_served = now - self._history * MINUTE if self._history else 0
        verdict = Verdict(first)
        for piece in sorted(pieces, key=lambda piece: piece.first):
            ready, waits_for = self._ready(piece, over, now)
            if ready > now:
                verdict.waits_for = waits_for
                verdict.again_at = min(ready, now + EQUAL_AFTER)
                break
            verdict.upto = piece.upto
            if piece.candle:
                verdict.candles.append(piece.candle)
            elif piece.refused:
                _add_gap(verdict.gaps, Gap(piece.first, piece.upto - MINUTE, "malformed"))
            else:
                served = (known_before or piece.first > first) and piece.first >= oldest_served
                _add_gap(verdict.gaps, Gap(piece.first, piece.upto - MINUTE, "no_candle" if served else "no_history"))
        return verdict

    def _ready(self, piece: _Piece, over: int, now: int) -> tuple[int, str]:
        """When a piece becomes final as it is, and what it waits for until then."""
        if piece.candle:
            if piece.first < over:
                return now, ""
            if self._unproven is None or self._unproven[0] != piece.candle:
                self._unproven = (piece.candle, now)
            return self._unproven[1] + EQUAL_AFTER, "a later row, or the same one again"
        if piece.refused:
            enough = self._refused[piece.first][1] >= MALFORMED_TIMES
            return (piece.seen if enough else now) + MALFORMED_FOR, f"a usable row: {piece.refused}"
        if now - piece.upto > SETTLED:
            return piece.seen + 1_000, "a second reply without these old minutes"
        # Where every minute has a row, one that is missing most likely comes late.
        wait = MINUTE if self._flat else EQUAL_AFTER
        return piece.seen + wait, "the missing minutes, or a second reply without them"


class _Piece(NamedTuple):
    """Consecutive minutes of one kind: a candle, a refused row, or absence."""

    first: int
    upto: int
    seen: int = 0
    refused: str = ""
    candle: Candle | None = None


def _complement(first: int, upto: int, minutes: list[int]) -> list[tuple[int, int]]:
    """The stretches from `first` below `upto` without any of the minutes, ascending."""
    stretches = []
    for minute in [*sorted(m for m in minutes if first <= m < upto), upto]:
        if minute > first:
            stretches.append((first, minute))
        first = minute + MINUTE
    return stretches


def _aged(stretches: list[tuple[int, int]], old: list[tuple[int, int, int]], now: int) -> list[tuple[int, int, int]]:
    """The stretches, cut where they overlap older ones, each part with the time at which it was first seen."""
    aged = []
    position = 0
    for first, upto in stretches:
        while position < len(old) and old[position][1] <= first:
            position += 1
        for index in range(position, len(old)):
            old_first, old_upto, seen = old[index]
            if old_first >= upto:
                break
            if first < old_first:
                aged.append((first, old_first, now))
            first = max(first, old_first)
            aged.append((first, min(upto, old_upto), seen))
            first = min(upto, old_upto)
        if first < upto:
            aged.append((first, upto, now))
    return aged


def _add_gap(gaps: list[Gap], gap: Gap) -> None:
    if gaps and gaps[-1].last + MINUTE == gap.first and gaps[-1].reason == gap.reason:
        gap = Gap(gaps.pop().first, gap.last, gap.reason)
    gaps.append(gap)
