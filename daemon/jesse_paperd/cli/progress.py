"""How far a session is: the bar that `start` and `run-paper` show on a terminal, on stderr."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from jesse_paper import protocol as wire
from jesse_paperd.cli.asking import ask_patiently

#: Shows (what is done, how much of it, of how much, a word to go with it).
Show = Callable[[str, float, float | None, str], None]

_POLL_SECONDS = 0.15
ENDED = ("stopped", "failed")


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
    """A turning mark while something takes its time; nothing where there is no terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True, highlight=False).status(what):
        yield


@contextlib.contextmanager
def progress_bar() -> Iterator[Show]:
    """A bar with speed and remaining time; nothing where there is no terminal."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None, complete_style="green"),
        TextColumn("{task.fields[done]}", justify="right"),
        TextColumn("[green]{task.fields[rate]}", justify="right"),
        TextColumn("[cyan]{task.fields[left]}", justify="right"),
        TextColumn("{task.fields[word]}"),
        console=Console(stderr=True, highlight=False),
        transient=True,
        expand=True,
    )
    with bar:
        task = bar.add_task("", total=None, done="", rate="", left="", word="")

        def show(what: str, done: float, total: float | None, word: str) -> None:
            if what != bar.tasks[0].description:
                bar.reset(task, description=what, total=total)
            bar.update(task, completed=done, total=total, word=word, **_told(bar.tasks[0], done, total))

        yield show


def _told(task: Any, done: float, total: float | None) -> dict[str, Any]:
    if total == 1:  # a fraction, of something that has no better unit
        return {"done": f"{done:.0%}", "rate": "", "left": ""}
    of = f" / {total:,.0f}" if total is not None else ""
    left = task.time_remaining
    return {
        "done": f"{done:,.0f}{of} candles",
        "rate": f"{task.speed:,.0f}/s" if task.speed else "",
        "left": f"{_duration(left)} left" if left is not None and total is not None else "",
    }


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} days"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


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
            _show(show, status)
            time.sleep(_POLL_SECONDS)


def _show(show: Show, status: wire.Status) -> None:
    health = status.health
    if status.status == "starting" or health.state == "warming_up":
        show("warming up", health.progress or 0.0, 1, "; ".join(health.reasons[:1]))
        return
    word = f"{status.metrics.total_return:+.2%}" if health.state == "ok" else f"[red]{health.state}"
    show("trading" if status.status == "running" else status.status, health.candles, health.candles_total, word)
