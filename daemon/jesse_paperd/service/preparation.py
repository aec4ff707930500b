"""From a request to start to a session's spec: everything that can be checked before a process is made."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from pathlib import Path

import msgspec

from jesse_paper.errors import ErrorCode, PaperError
from jesse_paper.protocol import PaperStart
from jesse_paperd.candles.replayed import ReplayedCandles
from jesse_paperd.config import Config
from jesse_paperd.core.layout import Layout
from jesse_paperd.core.minutes import MINUTE
from jesse_paperd.feed.exchanges import resolve
from jesse_paperd.records.record import now_ms
from jesse_paperd.records.spec import RouteSpec, SessionSpec, jesse_timeframe, versions_here
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
    project = Path(config.project)
    first, *further = _routes(project, body)
    data_routes = _data_routes(body, (first, *further))
    symbols = tuple(dict.fromkeys((first.symbol, *(r.symbol for r in further), *(symbol for symbol, _ in data_routes))))
    candle_files = keep_replay(config, layout, exchange.name, body.feed, symbols)
    files = layout.session(session_id)
    try:
        files.root.mkdir(mode=0o700)
        digest = take_snapshot(project, [route.strategy for route in (first, *further)], files.strategy)
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
        strategy=first.strategy,
        symbol=first.symbol,
        timeframe=first.timeframe,
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
        hyperparameters=first.hyperparameters,
        gap_policy=body.gap_policy,
        seed=int.from_bytes(hashlib.sha256(session_id.encode()).digest()[:4]),
        created_at=created_at,
        strategy_digest=digest,
        candle_files=candle_files,
        live_from=None if candle_files else created_at // MINUTE * MINUTE,
        candle_seconds=config.limits.candle_seconds,
        versions=versions_here(),
        warnings=tuple(doubts_about(body, exchange, symbols)),
        further_routes=tuple(further),
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


def _routes(project: Path, body: PaperStart) -> list[RouteSpec]:
    """What is to be traded.

    Raises:
        PaperError: `strategy_not_found`, or `invalid_argument` with all that is wrong with the routes.
    """
    asked = body.all_routes()
    routes = [RouteSpec(r.symbol, r.strategy, jesse_timeframe(r.timeframe), r.hyperparameters) for r in asked]
    if not body.routes:
        find(project, routes[0].strategy)
        return routes
    problems, hints = [], []
    for index, route in enumerate(routes):
        try:
            find(project, route.strategy)
        except PaperError as error:
            problems.append(f"routes[{index}].strategy: {error.message}")
            hints.append(error.hint)
        if any(route.symbol == other.symbol for other in routes[:index]):
            problems.append(f"routes[{index}].symbol: {route.symbol} is traded by an earlier route already")
        if (quote := _quote_of(route)) != (wanted := _quote_of(routes[0])):
            problems.append(f"routes[{index}].symbol: {route.symbol} is in {quote}, and the wallet is in {wanted}")
    if problems:
        code: ErrorCode = "strategy_not_found" if len(hints) == len(problems) else "invalid_argument"
        raise PaperError(
            code, "; ".join(problems), hints[0] if hints else "each symbol once, all of one quote currency"
        )
    return routes


def _quote_of(route: RouteSpec) -> str:
    return route.symbol.rpartition("-")[2]


def _data_routes(body: PaperStart, traded: tuple[RouteSpec, ...]) -> tuple[tuple[str, str], ...]:
    routes = tuple((route.symbol, jesse_timeframe(route.timeframe)) for route in body.data_routes)
    for index, route in enumerate(routes):
        if any(route == (other.symbol, other.timeframe) for other in traded):
            raise PaperError(
                "invalid_argument",
                f"data_routes[{index}]: {route[0]} at {route[1]} is the route that is traded already",
            )
        if route in routes[:index]:
            raise PaperError("invalid_argument", f"data_routes[{index}]: {route[0]} at {route[1]} is named twice")
    return routes
