"""What the engine needs to know of a session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from jesse_paperd.records.spec import RouteSpec, SessionSpec


@dataclass(frozen=True)
class EngineSettings:
    """All that the engine needs to know of a session.

    `exchange` is Jesse's name of the market; `routes` are what is traded there, each symbol once, all in one wallet;
    `data_routes` are further (symbol, timeframe), in Jesse's spelling; `fee` is a fraction.
    """

    routes: tuple[RouteSpec, ...]
    exchange: str
    market_type: Literal["spot", "futures"]
    starting_balance: float
    fee: float
    leverage: int
    leverage_mode: Literal["cross", "isolated"]
    warmup_candles: int
    data_routes: tuple[tuple[str, str], ...]
    seed: int
    gap_policy: Literal["skip", "fill"]
    #: Take the hyperparameters unchecked: those of a session that an earlier version started.
    hyperparameters_as_given: bool = False

    @property
    def traded(self) -> tuple[str, ...]:
        """The symbols that are traded, in the order of the routes."""
        return tuple(route.symbol for route in self.routes)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every symbol whose candles the engine needs, the traded ones first."""
        return tuple(dict.fromkeys((*self.traded, *(symbol for symbol, _ in self.data_routes))))

    @property
    def timeframes(self) -> tuple[str, ...]:
        """The timeframe of each route and data route."""
        return (*(route.timeframe for route in self.routes), *(timeframe for _, timeframe in self.data_routes))

    def for_jesse(self) -> dict[str, Any]:
        """The flat configuration that `jesse.research.backtest` takes."""
        return {
            "starting_balance": self.starting_balance,
            "fee": self.fee,
            "type": self.market_type,
            "futures_leverage": self.leverage,
            "futures_leverage_mode": self.leverage_mode,
            "exchange": self.exchange,
            "warm_up_candles": self.warmup_candles,
        }


def engine_settings(spec: SessionSpec) -> EngineSettings:
    """What the engine needs of a session's spec."""
    return EngineSettings(
        routes=spec.routes,
        exchange=spec.market,
        market_type=spec.market_type,
        starting_balance=spec.starting_balance,
        fee=spec.fee,
        leverage=spec.leverage,
        leverage_mode=spec.leverage_mode,
        warmup_candles=spec.warmup_candles,
        data_routes=spec.data_routes,
        seed=spec.seed,
        gap_policy=spec.gap_policy,
        hyperparameters_as_given=not spec.versions,
    )
