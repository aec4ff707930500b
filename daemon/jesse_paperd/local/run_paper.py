"""One session in the foreground, without a daemon: what `jesse-paper run-paper` runs.

It is the session of session/session.py in a home of its own, which is removed at the end.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import IO, Any

import msgspec

from jesse_paper import protocol as wire
from jesse_paper.endpoint import default_home
from jesse_paper.errors import PaperError, code_of
from jesse_paperd.candles.opening import open_candles
from jesse_paperd.config import Config, load
from jesse_paperd.core.layout import Layout
from jesse_paperd.feed.messages import FeedProblem, MarketState, Subscription, SubscriptionList, decode_event, encode
from jesse_paperd.feed.settings import settings_of
from jesse_paperd.records.journal import JournalReader, Outcome, Progress
from jesse_paperd.records.record import Record
from jesse_paperd.records.registry import LeverageIntent
from jesse_paperd.records.spec import SessionSpec
from jesse_paperd.service.feed_process import FeedKeeper
from jesse_paperd.service.preparation import prepare
from jesse_paperd.service.process_view import ProcessView
from jesse_paperd.service.replay_candles import names_no_file
from jesse_paperd.service.session_data import SessionData
from jesse_paperd.service.views.performance import equity
from jesse_paperd.service.views.sessions import final, started
from jesse_paperd.service.views.trading import trades
from jesse_paperd.terminal.failing import error_object, fail
from jesse_paperd.terminal.printable import printable

_EVERYTHING = 10**9
#: Fields of the answer to a start that say nothing of a run in the foreground.
_NOT_OF_A_RUN = ("kind", "hint", "already_existed", "strategy_changed")


class Interruption:
    """Stand-in for the registry's intents: asks for a stop after Ctrl-C."""

    def __init__(self) -> None:
        self.interrupted = False

    def wants_stop(self) -> bool:
        return self.interrupted

    def leverages(self, _after: int) -> list[LeverageIntent]:
        return []

    def stop_at(self) -> None:
        return None


def run(task: dict[str, Any]) -> None:
    """Run the session and print what came of it.

    Raises:
        PaperError: why it could not begin, or why it failed, after what it had done until then was printed.
    """
    body = msgspec.convert(task["arguments"], wire.PaperStart)
    # Python's own standard output is kept for the result: a strategy may print.
    with tempfile.TemporaryDirectory(prefix="jesse-paper-") as folder, os.fdopen(os.dup(1), "w") as output:
        os.dup2(2, 1)
        config = Config(home=folder, project=task["project"], endpoint="")
        if names_no_file(body.feed):
            config = msgspec.structs.replace(load(), project=task["project"])
        layout = Layout(Path(folder))
        layout.prepare()
        spec = prepare(config, layout, body, "run-paper")
        os.chdir(layout.session(spec.session_id).root)
        if sys.stderr.isatty():
            _describe(layout, spec)
        outcome = _trade(layout, spec)
        failure = None
        if outcome.reason == "failed":
            names = ", ".join(dict.fromkeys(route.strategy for route in spec.routes))
            whose = "the session" if outcome.code == "internal" else f"strategy {names}"
            failure = PaperError(code_of(outcome.code), f"{whose} failed: {outcome.error}")
            _print_traceback(layout, spec)
        _report(layout, spec, outcome, failure, task, output)
        if failure is not None:
            raise failure


def _describe(layout: Layout, spec: SessionSpec) -> None:
    from jesse_paperd.terminal.sessions import describe

    record = Record(spec, "", spec.created_at, "running", None, None, None, None)
    describe(started(SessionData(layout), record, ProcessView(), already_existed=False))
    sys.stderr.write("\nCtrl-C ends it as `stop` would.\n")


def _trade(layout: Layout, spec: SessionSpec) -> Outcome:
    from jesse_paperd.terminal.progress import progress_bar, waiting

    # Imported here, in its place: this takes seconds, and the arguments were good so far.
    with waiting("Importing the engine …"):
        from jesse_paperd.engine.output import Output
        from jesse_paperd.session.session import Session, Surroundings
        from jesse_paperd.session.watchdog import Watchdog

    # What the strategy prints goes to the terminal of whoever runs it.
    files = layout.session(spec.session_id)
    # Whoever runs it sees that it hangs, and has Ctrl-C.
    watchdog = Watchdog(files.strategy, 0, None, 1)
    interruption = Interruption()

    def interrupt(*_: object) -> None:
        interruption.interrupted = True

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    with _followed(layout, spec), progress_bar() as bar:

        def show(progress: Progress, total: int | None) -> None:
            bar("trading", progress.candles, total, "")

        around = Surroundings(interruption, on_progress=show)
        return Session(files, spec, open_candles(layout, spec), Output(), watchdog, around).run()


@contextlib.contextmanager
def _followed(layout: Layout, spec: SessionSpec) -> Iterator[None]:
    """A feed of its own for a live session, which ends with it. What goes wrong with it is told on stderr."""
    if spec.live_from is None:
        yield
        return
    config = default_home() / "config.toml"
    settings_of(load().exchanges, str(config))
    command = [*FeedKeeper.PROGRAM, "--home", str(layout.home), "--config", str(config)]
    subscriptions = SubscriptionList([Subscription(spec.market, symbol, spec.live_since) for symbol in spec.symbols])
    feed = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the session, which still needs its feed to end properly
    )
    assert feed.stdin is not None
    with feed, contextlib.closing(feed.stdin):
        feed.stdin.write(encode(subscriptions) + b"\n")
        feed.stdin.flush()
        Thread(target=_tell_problems, args=(feed.stdout,), daemon=True).start()
        yield


def _tell_problems(events: IO[bytes]) -> None:
    told = ""
    for line in events:
        event = decode_event(line)
        problem = event.message if isinstance(event, FeedProblem) else told
        if isinstance(event, MarketState):
            problem = f"{event.symbol} is {event.state}: {event.reason}" if event.reason else ""
        if problem not in ("", told):
            sys.stderr.write(f"{printable(problem)}\n")
        told = problem


def _print_traceback(layout: Layout, spec: SessionSpec) -> None:
    with contextlib.closing(JournalReader(layout.session(spec.session_id).journal)) as reader:
        for _, _, level, message in reader.logs()[-20:]:
            sys.stderr.write(printable(f"{level}: {message}\n"))


def _report(
    layout: Layout, spec: SessionSpec, outcome: Outcome, failure: PaperError | None, task: dict[str, Any], output: Any
) -> None:
    record = Record(spec, "", spec.created_at, "stopped", None, None, outcome.ended_at, None)
    data = SessionData(layout)
    session = started(data, record, ProcessView(), already_existed=False)
    stopped = final(data, record, outcome)
    closed = trades(data, record, wire.PaperGetTrades(session_id=spec.session_id, limit=_EVERYTHING))
    asked = wire.PaperGetEquity(session_id=spec.session_id, resolution=task["resolution"], max_points=_EVERYTHING)
    curve = equity(data, record, asked)
    if task["json"]:
        told = msgspec.to_builtins(session)
        document = {
            "session": {name: told[name] for name in told if name not in _NOT_OF_A_RUN}
            | {"stop_reason": stopped.stop_reason, "stopped_at": stopped.stopped_at},
            "final_metrics": stopped.final_metrics,
            "trades": closed.trades,
            "equity_curve": curve.equity_curve,
            **({"error": error_object(failure)} if failure is not None else {}),
        }
        output.write(msgspec.json.encode(document).decode() + "\n")
        return
    # The tables go where they were meant to.
    output.flush()
    os.dup2(output.fileno(), 1)
    from jesse_paperd.terminal.plots import plot_equity
    from jesse_paperd.terminal.sessions import show_metrics

    if curve.equity_curve:
        plot_equity(curve)
    show_metrics(stopped.final_metrics)


def main() -> None:
    """Run the task given as JSON in the first argument."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("session").setLevel(logging.CRITICAL)  # its failure is told below
    task = json.loads(sys.argv[1])
    try:
        run(task)
    except PaperError as error:
        fail(error, task["json"])


if __name__ == "__main__":
    main()
