"""What a session is: everything that, with its candles, determines every number it reports."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import Literal

import msgspec

import jesse_paperd
from jesse_paperd.core.minutes import MINUTE

TIMEFRAME_MINUTES = {
    "1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "45m": 45,
    "1h": 60, "2h": 120, "3h": 180, "4h": 240, "6h": 360, "8h": 480, "12h": 720,
    "1D": 1440, "3D": 4320, "1W": 10080, "1M": 43200,
}  # fmt: skip


def jesse_timeframe(timeframe: str) -> str:
    """Jesse's spelling of a timeframe: days and weeks in capitals (`1d` → `1D`)."""
    return timeframe.replace("d", "D").replace("w", "W")


def versions_here() -> dict[str, str]:
    """The versions that can make a difference to a session's numbers."""
    return {
        "jesse-paper": jesse_paperd.__version__,
        "jesse": importlib.metadata.version("jesse"),
        "python": platform.python_version(),
    }


def wire_timeframe(timeframe: str) -> str:
    """The requirements' spelling of one of Jesse's timeframes: days and weeks in small letters (`1D` → `1d`)."""
    return timeframe.replace("D", "d").replace("W", "w")


class RouteSpec(msgspec.Struct, frozen=True):
    """A symbol that is traded: by which strategy, at which of Jesse's timeframes, with which hyperparameters."""

    symbol: str
    strategy: str
    timeframe: str
    hyperparameters: dict[str, float | int | str | bool] | None = None


class SessionSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A session as it was started: fixed for its whole life. New fields have defaults.

    `strategy`, `symbol`, `timeframe` and `hyperparameters` are the first route's, and the only one's where there are no
    `further_routes`. `exchange` is what the caller wrote, `market` the exchange it means. `candle_files` maps each
    symbol of a replay to the digest of its parsed file. `live_from` is the first traded minute of a live session, in
    milliseconds.
    """

    session_id: str
    strategy: str
    symbol: str
    timeframe: str
    exchange: str
    market: str
    market_type: Literal["spot", "futures"]
    starting_balance: float
    leverage: int
    leverage_mode: Literal["cross", "isolated"]
    fee: float
    warmup_candles: int
    feed: str
    speed: Literal["max"] | float
    data_routes: tuple[tuple[str, str], ...]
    hyperparameters: dict[str, float | int | str | bool] | None
    gap_policy: Literal["skip", "fill"]
    seed: int
    created_at: int
    strategy_digest: str
    candle_files: dict[str, str] = {}
    live_from: int | None = None
    candle_seconds: float = 0.0
    #: Of what it was started under, as `versions_here` tells them; empty for sessions of versions that kept none.
    versions: dict[str, str] = {}
    #: Doubts about how it was started, for whoever asks: another pair in the file's name, another venue than named.
    warnings: tuple[str, ...] = ()
    #: What is traded beside the first route, in the same wallet.
    further_routes: tuple[RouteSpec, ...] = ()

    @property
    def routes(self) -> tuple[RouteSpec, ...]:
        """All that is traded."""
        return RouteSpec(self.symbol, self.strategy, self.timeframe, self.hyperparameters), *self.further_routes

    def strategy_on(self, symbol: str) -> str:
        """The strategy that trades a symbol; empty where none does."""
        return next((route.strategy for route in self.routes if route.symbol == symbol), "")

    @property
    def traded(self) -> tuple[str, ...]:
        """The symbols that are traded, in the order of the routes."""
        return tuple(route.symbol for route in self.routes)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols whose candles the session reads, the traded ones first."""
        return tuple(dict.fromkeys((*self.traded, *(symbol for symbol, _ in self.data_routes))))

    @property
    def largest_timeframe_minutes(self) -> int:
        """Minutes of the largest timeframe of its routes: the unit of `warmup_candles`."""
        timeframes = (*(route.timeframe for route in self.routes), *(timeframe for _, timeframe in self.data_routes))
        return max(TIMEFRAME_MINUTES[timeframe] for timeframe in timeframes)

    @property
    def warmup_minutes(self) -> int:
        return self.warmup_candles * self.largest_timeframe_minutes

    def refusal_of_leverage(self, leverage: int) -> str:
        """Why the session cannot take a leverage; empty when it can, in whatever state it is."""
        if self.market_type == "spot":
            return f"{self.market} is a spot market: its leverage is always 1, so {leverage} cannot be set"
        return ""

    @property
    def live_since(self) -> int:
        """The first minute a live session needs, in milliseconds.

        Its warm-up begins with a whole candle of the largest timeframe, by the clock, and has the candle that is
        forming at the start beside the whole ones.
        """
        assert self.live_from is not None
        length = self.largest_timeframe_minutes * MINUTE
        return self.live_from // length * length - self.warmup_minutes * MINUTE
