"""What a parity test runs, and what comes out. Free of Jesse, so that the tests' own process can build it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tests.parity.candles import Rows

PROJECT = Path(__file__).parent / "project"


@dataclass(frozen=True)
class Further:
    """A route beside the first one of a case."""

    symbol: str
    strategy: str
    timeframe: str
    hyperparameters: dict[str, Any] | None = None


@dataclass(frozen=True)
class Case:
    """Strategies on candles; the first symbol is the first route's. `project` None: strategies that ship with Jesse."""

    strategy: str
    candles: dict[str, Rows]
    warmup: dict[str, Rows] = field(default_factory=dict)
    project: Path | None = None
    timeframe: str = "1h"
    market: Literal["spot", "futures"] = "futures"
    leverage: int = 1
    leverage_mode: Literal["cross", "isolated"] = "cross"
    fee: float = 0.001
    balance: float = 10_000.0
    warmup_candles: int = 0
    data_routes: tuple[tuple[str, str], ...] = ()
    hyperparameters: dict[str, Any] | None = None
    further: tuple[Further, ...] = ()
    gap_policy: Literal["skip", "fill"] = "skip"
    seed: int = 1

    @property
    def start(self) -> int:
        """The first traded minute, which a session always knows: that of a traded market's first row."""
        traded = (next(iter(self.candles)), *(route.symbol for route in self.further))
        return min(int(self.candles[symbol][0, 0]) for symbol in traded)

    def __str__(self) -> str:
        rows = ", ".join(f"{symbol} {len(rows)}" for symbol, rows in self.candles.items())
        return (
            f"{self.strategy} {self.market} {self.timeframe} {self.leverage}x {self.leverage_mode} fee {self.fee} "
            f"warmup {self.warmup_candles} {self.hyperparameters or ''} {self.further or ''} rows: {rows}"
        )


@dataclass(frozen=True)
class Outcome:
    """Trades with their orders, balances, what the strategy noted; or what was raised."""

    trades: list[dict[str, Any]] = field(default_factory=list)
    balances: list[tuple[int, float]] = field(default_factory=list)
    wallet: float = 0.0
    liquidations: int = 0
    notes: list[Any] = field(default_factory=list)
    raised: str = ""


class Verdict(NamedTuple):
    """How a comparison went.

    `kind`: equal; raises (both the same); reads its mode (equal once Jesse's run has the flags of paper trading too);
    too short (the candles end within the warm-up); skipped (there is no strategy in it); differs.
    """

    kind: str
    detail: str
    trades: int
    case: str

    @property
    def good(self) -> bool:
        return self.kind != "differs"
