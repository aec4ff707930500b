"""Gamblers on small markets, as the other tests use them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.parity.candles import MIDNIGHT, MINUTE, Generated, split
from tests.parity.case import PROJECT, Case


def dense(seed: int = 7, minutes: int = 2000, volatility: float = 0.001, **account: Any) -> Case:
    """On a market without gaps."""
    return _gambler(Generated(seed, minutes, volatility=volatility), seed, **account)


def sparse(seed: int = 8, minutes: int = 3000, warmup_minutes: int = 300, **account: Any) -> Case:
    """On a thin market, from an odd minute on, after a warm-up.

    Without one, Jesse stumbles over a larger timeframe's first 20 candles: after a gap it looks for the candle that was
    left behind among 20 that it does not have.
    """
    thin = Generated(seed, minutes, start=MIDNIGHT + 37 * MINUTE, missing=0.2, outages=2)
    case = _gambler(thin, seed, **account)
    warmup, candles = split(case.candles["BTC-USDT"], warmup_minutes)
    return replace(case, candles={"BTC-USDT": candles}, warmup={"BTC-USDT": warmup})


def _gambler(generated: Generated, seed: int, **account: Any) -> Case:
    frames = account.pop("frames", "")
    return Case(
        "Gambler",
        {"BTC-USDT": generated.rows()},
        project=PROJECT,
        timeframe=account.pop("timeframe", "5m"),
        data_routes=tuple(tuple(frame.split(":")) for frame in frames.split(",") if frame),  # type: ignore[misc]
        hyperparameters={"seed": seed, "eager": 0.4, "frames": frames},
        **account,
    )
