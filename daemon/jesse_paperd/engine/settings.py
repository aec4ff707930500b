"""What the engine needs to know of a session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from jesse_paperd.records.spec import SessionSpec


@dataclass(frozen=True)
class EngineSettings:
    """All that the engine needs to know of a session.

    `exchange` is Jesse's name of the market, `timeframe` and `data_routes` are in Jesse's spelling; `data_routes`
    are further (symbol, timeframe) on the same exchange; `fee` is a fraction.
    """

    strategy_name: str
    exchange: str
    symbol: str
    timeframe: str
    market_type: Literal["spot", "futures"]
    starting_balance: float
    fee: float
    leverage: int
    leverage_mode: Literal["cross", "isolated"]
    warmup_candles: int
    data_routes: tuple[tuple[str, str], ...]
    hyperparameters: dict[str, Any] | None
    seed: int
    gap_policy: Literal["skip", "fill"]
    #: Take the hyperparameters unchecked: those of a session that an earlier version started.
    hyperparameters_as_given: bool = False

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every symbol whose candles the engine needs, the traded one first."""
        return tuple(dict.fromkeys((self.symbol, *(symbol for symbol, _ in self.data_routes))))

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
        strategy_name=spec.strategy,
        exchange=spec.market,
        symbol=spec.symbol,
        timeframe=spec.timeframe,
        market_type=spec.market_type,
        starting_balance=spec.starting_balance,
        fee=spec.fee,
        leverage=spec.leverage,
        leverage_mode=spec.leverage_mode,
        warmup_candles=spec.warmup_candles,
        data_routes=spec.data_routes,
        hyperparameters=spec.hyperparameters,
        seed=spec.seed,
        gap_policy=spec.gap_policy,
        hyperparameters_as_given=not spec.versions,
    )
