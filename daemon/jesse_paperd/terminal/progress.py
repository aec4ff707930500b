"""How far something is: a bar or a turning mark on a terminal, on stderr."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

#: Shows (what is done, how much of it, of how much, a word to go with it).
Show = Callable[[str, float, float | None, str], None]


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
