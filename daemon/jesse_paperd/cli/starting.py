"""start and restart: a session comes up, says what it will trade, and shows how far a replay is."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import click

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paper.figures import money
from jesse_paper.protocol import ENDED
from jesse_paperd.cli.asking import ask, ask_patiently, json_option, print_json
from jesse_paperd.cli.completion import complete_sessions, complete_strategies
from jesse_paperd.cli.routes_file import read_routes
from jesse_paperd.terminal.printable import printable
from jesse_paperd.terminal.progress import Show, progress_bar, waiting
from jesse_paperd.terminal.sessions import describe
from jesse_paperd.terminal.tables import percent

#: How often a followed session is asked for.
_POLL_SECONDS = 0.15

follow_option = click.option(
    "--follow/--no-follow",
    "follows",
    default=None,
    help="Show a replay's progress to its end, and a live session's warm-up. [default: on a terminal, for replays]",
)


def trading_options(command: Any) -> Any:
    """The options that `start` and `run-paper` share."""
    options = [
        click.option("--timeframe", "-t", help="The strategy's timeframe. [default: 1h]"),
        click.option("--starting-balance", type=float, help="Simulated money, in the quote currency. [default: 10000]"),
        click.option("--leverage", type=float, help="Whole number; above 1 needs futures. [default: 1]"),
        click.option("--leverage-mode", help="cross or isolated. [default: cross]"),
        click.option("--fee", type=float, help="Of each fill, as a fraction. [default: 0.001]"),
        click.option("--feed", help="live, replay:FILE, replay:store or replay:postgres. [default: live]"),
        click.option("--speed", help="Of a replay: max, or a multiple of real time. [default: max]"),
        click.option("--warmup", "warmup_candles", type=int, help="Candles before the first decision. [default: 240]"),
        click.option(
            "--data-route", "data_routes", multiple=True, metavar="SYMBOL:TIMEFRAME", help="Further candles to read."
        ),
        click.option("--hyperparameters", metavar="JSON", help="Override the strategy's hyperparameters."),
        click.option("--gap-policy", help="skip or fill missing minutes. [default: skip]"),
        click.option(
            "--routes",
            "routes_file",
            type=click.Path(path_type=Path),
            help="Several routes in one wallet: a .json, .toml or routes.py file, in place of strategy and symbol.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def trading_arguments(values: dict[str, Any]) -> dict[str, Any]:
    """The options of `trading_options` as arguments of paper_start; what was not given is left out.

    Raises:
        PaperError: `invalid_argument` for a malformed data route, hyperparameters or file of routes.
    """
    values = _with_routes(values)
    given = {name: value for name, value in values.items() if value is not None}
    routes = []
    for route in given.pop("data_routes", ()):
        symbol, colon, timeframe = route.partition(":")
        if not colon:
            raise PaperError(
                "invalid_argument", f"--data-route: {route!r} is not SYMBOL:TIMEFRAME, such as ETH-USDT:4h"
            )
        routes.append({"symbol": symbol, "timeframe": timeframe})
    if routes:
        given["data_routes"] = routes
    if "hyperparameters" in given:
        try:
            given["hyperparameters"] = json.loads(given["hyperparameters"])
        except ValueError as error:
            raise PaperError("invalid_argument", f"--hyperparameters is no JSON: {error}") from error
    if given.get("feed", "").startswith("replay:"):
        given["feed"] = _absolute(given["feed"])
    return given


def _with_routes(values: dict[str, Any]) -> dict[str, Any]:
    """The options with what `--routes` names; without it, strategy and symbol must be there."""
    file = values.pop("routes_file", None)
    if file is None:
        for name in ("strategy", "symbol"):
            if values.get(name) is None:
                hint = "or give a file of several routes: --routes"
                raise PaperError("invalid_argument", f"Missing argument '{name.upper()}'.", hint)
        return values
    for name in ("strategy", "symbol", "timeframe", "hyperparameters"):
        if values.get(name) is not None:
            told = f"{name.upper() if name in ('strategy', 'symbol') else '--' + name} {values[name]!r}"
            raise PaperError("invalid_argument", f"{told} beside --routes: each route in the file has its own")
    found = read_routes(file)
    exchange = values.get("exchange")
    if exchange is not None and found.exchange and exchange != found.exchange:
        raise PaperError("invalid_argument", f"{file} names the exchange {found.exchange!r}, and not {exchange!r}")
    return {**values, "exchange": exchange or found.exchange or None, "routes": found.routes}


def _absolute(feed: str) -> str:
    """A replay's files by absolute paths: the daemon's working directory is another one."""
    if feed.split(":")[1] in ("store", "postgres"):
        return feed
    parts = []
    for part in feed.removeprefix("replay:").split(","):
        name, equals, path = part.rpartition("=")
        parts.append(f"{name}{equals}{Path(path).expanduser().absolute()}")
    return "replay:" + ",".join(parts)


@click.command()
@click.argument("strategy", required=False, shell_complete=complete_strategies)
@click.argument("symbol", required=False)
@click.option("--exchange", "-e", help="Jesse's name of it. [default: Binance]")
@trading_options
@click.option("--session-id", help="An id of your own: starting twice with it starts once.")
@click.option("--notes", help="Free text kept with the session.")
@follow_option
@json_option
def start(as_json: bool, follows: bool | None, **values: Any) -> None:
    """Start a session of STRATEGY on SYMBOL, or of several --routes in one wallet.

    On a terminal it says what will be traded, and shows a replay's progress: Ctrl-C leaves the session running. Into a
    pipe it prints the session's id alone.

    \b
    jesse-paper start SMACrossover BTC-USDT --timeframe 1h
    jesse-paper start DayTrader BTC-USDT -t 15m --leverage 3 --feed replay:candles.csv.gz --speed 600
    session=$(jesse-paper start SMACrossover BTC-USDT)
    jesse-paper start --exchange "Binance Spot" --routes routes.json
    """
    arguments = trading_arguments(values)
    several = len(arguments.get("routes", ()))
    what = f"{several} routes" if several else f"{values['strategy']} on {values['symbol']}"
    with waiting(f"Starting {what} …"):
        started = ask(wire.PaperStart, arguments, timeout=90)
    note = "this session was there already: nothing was started" if started.already_existed else ""
    _show(started, follows, as_json, note)


@click.command()
@click.argument("session_id", metavar="SESSION", shell_complete=complete_sessions)
@click.option("--continue", "goes_on", is_flag=True, help="Go on with a session that the daemon gave up.")
@click.option("--new-session-id", help="Id of the new session, which may then run beside SESSION. [default: SESSION-2]")
@follow_option
@json_option
def restart(session_id: str, goes_on: bool, new_session_id: str | None, follows: bool | None, as_json: bool) -> None:
    """Start another session with the settings of SESSION, which must have ended, and the strategy as it is now.

    With --new-session-id it may still run: the other one then runs beside it.

    \b
    jesse-paper restart sma                          # starts sma-2
    jesse-paper restart sma --new-session-id sma-b   # beside it
    jesse-paper restart sma --continue               # sma itself, where the daemon had given it up
    """
    arguments = {
        "session_id": session_id,
        "mode": "continue" if goes_on else "new",
        "new_session_id": new_session_id,
    }
    with waiting(f"Going on with {session_id} …" if goes_on else f"Starting again what {session_id} traded …"):
        started = ask(wire.PaperRestart, arguments, timeout=90)
    if goes_on:
        note = "the same session: it goes on from where the daemon had given it up"
    elif started.already_existed:
        note = "this session was there already: nothing was started"
    else:
        changed = "the strategy's code has changed since" if started.strategy_changed else "of the same strategy code"
        note = f"another session than {session_id}, {changed}"
    _show(started, follows, as_json, note)


def _show(started: wire.Started, follows: bool | None, as_json: bool, note: str) -> None:
    """Say what was started; follow it where that was asked for, or where somebody looks at a replay."""
    on_terminal = sys.stdout.isatty() and not as_json
    session = started.session_id
    if on_terminal:
        describe(started, note)
    replay = started.feed != "live"
    if follows is None:
        follows = on_terminal and sys.stderr.isatty() and replay
    if not follows:
        if as_json:
            print_json(started)
        elif not on_terminal:
            click.echo(session)
        else:
            click.secho(f"\n  jesse-paper watch {session}", dim=True)
        if started.status == "failed":
            _raise_failure(session)
        if started.hint and not as_json:
            click.echo(f"  {printable(started.hint)}", err=True)
        return
    if sys.stderr.isatty() and started.status not in ENDED:
        click.secho(f"\nCtrl-C leaves it running; jesse-paper watch {session} shows it again.", dim=True, err=True)
    ended = follow(session, until_running=not replay)
    if as_json:
        print_json(ended)
    elif not on_terminal:
        click.echo(session)
    else:
        _tell_end(ended)
    if ended.status == "failed":
        _raise_failure(session)


def _raise_failure(session: str) -> NoReturn:
    """Exit as a failed session does: after its id, print the reason and use the exit status of its code."""
    error = ask(wire.PaperStatus, {"session_id": session}).error
    raise PaperError("strategy_failed", f"{session} failed: {error}", f"jesse-paper logs {session}")


def _tell_end(ended: wire.Status) -> None:
    metrics = ended.metrics
    if ended.status == "failed":
        return
    why = "has traded all its candles" if ended.stop_reason == "feed_ended" else f"ended: {ended.stop_reason}"
    click.echo(
        f"✓ {why}: equity {money(metrics.current_equity)} ({percent(metrics.total_return)}), "
        f"{metrics.total_trades} trades, largest drawdown {metrics.max_drawdown:.2%}"
    )
    click.secho(f"  jesse-paper trades {ended.session_id}   equity, metrics, chart, report likewise", dim=True)


def follow(session_id: str, *, until_running: bool) -> wire.Status:
    """Show how far a session is until it has ended; its last state.

    Args:
        until_running: a live session has no end to wait for: return when its warm-up is over.

    Raises:
        PaperError: when the daemon stays away, or the session is gone.
    """
    with progress_bar() as show:
        while True:
            status: wire.Status = ask_patiently(wire.PaperStatus, {"session_id": session_id}, timeout=10)
            if status.status in ENDED or (until_running and status.status == "running"):
                return status
            _show_progress(show, status)
            time.sleep(_POLL_SECONDS)


def _show_progress(show: Show, status: wire.Status) -> None:
    health = status.health
    if status.status == "starting" or health.state == "warming_up":
        show("warming up", health.progress or 0.0, 1, "; ".join(health.reasons[:1]))
        return
    word = f"{status.metrics.total_return:+.2%}" if health.state == "ok" else f"[red]{health.state}"
    show("trading" if status.status == "running" else status.status, health.candles, health.candles_total, word)
