"""Numbers as people read them: as many digits as the size of what is shown asks for.

An account may be 10,000 USDT or 0.05 BTC, a price 97,546.96 or 0.0000096. Two decimals would make the second of each
look the same after every trade; so there are at least two, and as many more as small values need.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

#: Significant digits. A price has its own few, and all of them count; an amount of money is computed, and has many.
PRICE, MONEY = 8, 5
#: Beyond this ratio the largest and the smallest of several values have no decimals in common that suit both.
_WIDEST = 10_000
_LEAST = 2


def price(value: float) -> str:
    """A price or a size."""
    return _shown(value, decimals([value], PRICE))


def money(value: float, sign: bool = False) -> str:
    """An amount of money; `sign`: with a plus where it is not negative."""
    return _shown(value, decimals([value], MONEY), sign)


def percent(value: float) -> str:
    """A fraction as a percentage with two decimals."""
    return f"{value:.2%}"


def or_dash(value: float | None, shape: Callable[[float], str]) -> str:
    """A number in a shape, or a dash where it is undefined."""
    return "–" if value is None else shape(value)


def prices(values: Iterable[float]) -> list[str]:
    """Prices or sizes that stand below each other: with decimals in common where that can be."""
    return _column(list(values), PRICE, sign=False)


def moneys(values: Iterable[float], sign: bool = False) -> list[str]:
    """Amounts of money that stand below each other."""
    return _column(list(values), MONEY, sign)


def ticks(low: float, high: float) -> int:
    """Decimals that tell apart the labels of an axis from `low` to `high`."""
    span = abs(high - low)
    return max(0, 2 - _exponent(span)) if span else _LEAST


def decimals(values: Iterable[float], digits: int) -> int:
    """Decimals at which the largest of the values has so many significant digits, and the smallest two of them.

    At least two, and no more than the values have at that precision: 0.0000096 is not shown as 0.0000096000.
    """
    sizes = [abs(value) for value in values if value and math.isfinite(value)]
    if not sizes:
        return _LEAST
    wanted = max(_LEAST, digits - 1 - _exponent(max(sizes)), 1 - _exponent(min(sizes)))
    return max([_LEAST, *(len(f"{size:.{wanted}f}".rstrip("0").partition(".")[2]) for size in sizes)])


def _column(values: list[float], digits: int, sign: bool) -> list[str]:
    sizes = [abs(value) for value in values if value and math.isfinite(value)]
    if sizes and max(sizes) > _WIDEST * min(sizes):
        return [_shown(value, decimals([value], digits), sign) for value in values]
    shared = decimals(sizes, digits)
    return [_shown(value, shared, sign) for value in values]


def _shown(value: float, places: int, sign: bool = False) -> str:
    return f"{value:{'+' if sign else ''},.{places}f}"


def _exponent(size: float) -> int:
    return math.floor(math.log10(size))
