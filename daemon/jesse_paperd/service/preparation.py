"""From a request to start to a session's spec: everything that can be checked before a process is made."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from pathlib import Path

import msgspec

from jesse_paper.errors import PaperError
from jesse_paper.protocol import PaperStart
from jesse_paperd.candles.replayed import ReplayedCandles
from jesse_paperd.config import Config
from jesse_paperd.core.layout import Layout
from jesse_paperd.core.minutes import MINUTE
from jesse_paperd.feed.exchanges import resolve
from jesse_paperd.records.record import now_ms
from jesse_paperd.records.spec import SessionSpec, jesse_timeframe, versions_here
from jesse_paperd.service.doubts import doubts_about, doubts_about_prices
from jesse_paperd.service.replay_candles import keep_replay
from jesse_paperd.strategies.project import find
from jesse_paperd.strategies.snapshot import take_snapshot


def prepare(config: Config, layout: Layout, body: PaperStart, session_id: str) -> SessionSpec:
    """Check a request to start, take the strategy's snapshot and keep a replay's candles.

    On an error nothing is left behind.

    Raises:
        PaperError: with the field, the value and what would be right.
    """
    exchange = resolve(body.exchange, body.leverage)
    leverage = int(body.leverage)  # a whole number, by the protocol
    timeframe = jesse_timeframe(body.timeframe)
    data_routes = _data_routes(body, timeframe)
    project = Path(config.project)
    find(project, body.strategy)
    symbols = tuple(dict.fromkeys((body.symbol, *(symbol for symbol, _ in data_routes))))
    candle_files = keep_replay(config, layout, exchange.name, body.feed, symbols)
    files = layout.session(session_id)
    try:
        files.root.mkdir(mode=0o700)
        digest = take_snapshot(project, body.strategy, files.strategy)
    except FileExistsError:
        raise PaperError(
            "conflict",
            f"the directory of session {session_id!r} exists already, and the registry has no such session",
            f"choose another session_id; {files.root} may be the rest of a restored backup",
        ) from None
    except BaseException as error:
        shutil.rmtree(files.root, ignore_errors=True)
        if isinstance(error, OSError):
            raise PaperError("storage_failed", f"{files.root} cannot be made: {error.strerror}") from error
        raise
    created_at = now_ms()
    spec = SessionSpec(
        session_id=session_id,
        strategy=body.strategy,
        symbol=body.symbol,
        timeframe=timeframe,
        exchange=body.exchange,
        market=exchange.name,
        market_type=exchange.market,
        starting_balance=float(body.starting_balance),
        leverage=leverage,
        leverage_mode=body.leverage_mode,
        fee=float(body.fee),
        warmup_candles=body.warmup_candles,
        feed=body.feed,
        speed=body.speed,
        data_routes=data_routes,
        hyperparameters=body.hyperparameters,
        gap_policy=body.gap_policy,
        seed=int.from_bytes(hashlib.sha256(session_id.encode()).digest()[:4]),
        created_at=created_at,
        strategy_digest=digest,
        candle_files=candle_files,
        live_from=None if candle_files else created_at // MINUTE * MINUTE,
        candle_seconds=config.limits.candle_seconds,
        versions=versions_here(),
        warnings=tuple(doubts_about(body, exchange, symbols)),
    )
    if candle_files:
        try:
            candles = ReplayedCandles(layout, spec)  # refuses files that end before the warm-up does
            doubts = doubts_about_prices(layout, spec, candles)
            spec = msgspec.structs.replace(spec, warnings=(*spec.warnings, *doubts))
        except PaperError:
            shutil.rmtree(files.root, ignore_errors=True)
            raise
    return spec


def new_session_id() -> str:
    """A session id that no other session has: the time in milliseconds, so that ids sort by age, and a random end."""
    return f"paper_{now_ms():011x}{secrets.token_hex(3)}"


def _data_routes(body: PaperStart, timeframe: str) -> tuple[tuple[str, str], ...]:
    routes = tuple((route.symbol, jesse_timeframe(route.timeframe)) for route in body.data_routes)
    for index, route in enumerate(routes):
        if route == (body.symbol, timeframe):
            raise PaperError(
                "invalid_argument",
                f"data_routes[{index}]: {route[0]} at {route[1]} is the route that is traded already",
            )
        if route in routes[:index]:
            raise PaperError("invalid_argument", f"data_routes[{index}]: {route[0]} at {route[1]} is named twice")
    return routes
