"""The values that requests and answers are made of."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Timeframe = Literal[
    "1m", "3m", "5m", "15m", "30m", "45m", "1h", "2h", "3h", "4h", "6h", "8h", "12h",
    "1d", "3d", "1w", "1M", "1D", "3D", "1W",
]  # fmt: skip
Resolution = Literal["1m", "5m", "15m", "30m", "1h", "2h", "4h", "12h", "1d", "1w"]
SessionState = Literal["starting", "running", "stopping", "stopped", "restarting", "failed"]
#: The states that a session never leaves.
ENDED: frozenset[SessionState] = frozenset({"stopped", "failed"})
Undefined = Literal[
    "no_trades", "no_wins", "no_losses", "insufficient_samples", "zero_variance", "no_downside", "no_drawdown"
]
#: Ends a pattern: in Python, though not in JSON Schema, `$` also matches before a newline at the end.
NO_NEWLINE = r"(?!\n)"
SessionId = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_-]{1,64}$" + NO_NEWLINE,
        description="A session's id: 1 to 64 letters, digits, '_' or '-'.",
    ),
]
Symbol = Annotated[
    str,
    Meta(
        pattern=r"^[A-Z0-9.]{1,20}-[A-Z0-9.]{1,20}$" + NO_NEWLINE,
        description="Trading pair as BASE-QUOTE in capitals, such as 'BTC-USDT'.",
    ),
]
StrategyName = Annotated[
    str, Meta(min_length=1, max_length=100, description="Name of a strategy of the Jesse project: 'SMACrossover'.")
]
HyperparameterValue = (
    Annotated[float, Meta(ge=-1e15, le=1e15)]
    | Annotated[int, Meta(ge=-(10**15), le=10**15)]
    | Annotated[str, Meta(max_length=1000)]
    | bool
)


class TradedRoute(Struct, forbid_unknown_fields=True, frozen=True):
    """A symbol that a session trades: by which strategy, at which timeframe."""

    symbol: Symbol
    strategy: StrategyName
    timeframe: Annotated[Timeframe, Meta(description="The strategy's timeframe.")] = "1h"
    hyperparameters: Annotated[
        dict[str, HyperparameterValue] | None, Meta(description="Override the strategy's hyperparameters.")
    ] = None
