"""Whose failure an exception is, and where in the strategy it arose.

A session ends for good only by its strategy's own failure. What else goes wrong is a defect of this program or trouble
of the machine: the process dies, and the session is started again.
"""

from __future__ import annotations

import inspect
import linecache
import traceback
from pathlib import Path
from typing import Any

import jesse.exceptions

from jesse_paperd.core.text import storable
from jesse_paperd.engine.jesse.core import Strategy

_JESSES_STRATEGY = inspect.getfile(Strategy)
#: What Jesse raises about what a strategy did: an order that it cannot pay, a route that it has not.
_JESSES_ERRORS = tuple(
    value for value in vars(jesse.exceptions).values() if inspect.isclass(value) and issubclass(value, Exception)
)
_LONGEST_TRACEBACK = 6_000
_LONGEST_LINE = 200


def last_line(error: BaseException) -> str:
    """An exception as the last line of its traceback, on one line."""
    try:
        message = str(error)
    except BaseException as of_its_own:  # noqa: BLE001 - a strategy's own class may raise anything when it is shown
        message = f"<its text raised {type(of_its_own).__name__}>"
    text = storable(" ".join(message.split()), 2_000)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def is_the_strategys(error: BaseException, snapshot: Path) -> bool:
    """Whether an exception is the strategy's own: raised while its code, or Jesse's work for it, was on the stack.

    That is a frame of a file of its snapshot, or of Jesse's `Strategy` class, which calls its hooks and carries out
    what they ask for; or one of Jesse's own exceptions, which are about orders, routes and balances.

    Args:
        snapshot: the folder that its code was imported from.
    """
    if isinstance(error, (SystemExit, *_JESSES_ERRORS)):
        return True
    return any(_is_shown(file, snapshot) for file, _ in _frames(error))


def failure_of(error: BaseException, snapshot: Path) -> dict[str, Any]:
    """An exception for the journal: `error`, `traceback`, and the strategy's `file`, `line`, `function`, `source`.

    The place is the innermost one in the strategy's own code, its file relative to the project; it is left out when
    there is none. The traceback begins where Jesse or the strategy is called.
    """
    told: dict[str, Any] = {"error": last_line(error)}
    place = _syntax_error_in(error, snapshot)
    for file, frame in _frames(error):
        if place is None and _is_inside(file, snapshot):
            place = (file, frame.lineno, frame.name)
    if place is not None:
        file, line, function = place
        told |= {
            "file": str(Path(file).relative_to(snapshot)),
            "line": line,
            "function": function,
            "source": storable(linecache.getline(file, line or 0).strip(), _LONGEST_LINE),
        }
    if any(_is_shown(file, snapshot) for file, _ in _frames(error)):
        told["traceback"] = traceback_of(error, snapshot)
    return told


def traceback_of(error: BaseException, snapshot: Path) -> str:
    """The traceback from where Jesse calls the strategy on, as text; its end is kept when it is long.

    Files of the strategy are relative to the project.
    """
    shown = error.__traceback__
    while shown is not None and not _is_shown(shown.tb_frame.f_code.co_filename, snapshot):
        shown = shown.tb_next
    if shown is not None:
        error = error.with_traceback(shown)
    text = "".join(traceback.format_exception(error)).replace(f"{snapshot}/", "")
    return storable(text if len(text) <= _LONGEST_TRACEBACK else f"…{text[-_LONGEST_TRACEBACK:]}")


def place_in(told: dict[str, Any]) -> str:
    """A failure's place as people write it: `strategies/Name/__init__.py:12, in should_long`; empty without one."""
    return f"{told['file']}:{told['line']}, in {told['function']}" if "file" in told else ""


def route_in(error: BaseException) -> str:
    """The symbol of the route at whose work an exception was raised; empty where it was at none's."""
    current = error.__traceback__
    symbol = ""
    while current is not None:
        at_work = current.tb_frame.f_locals.get("self")
        if isinstance(at_work, Strategy) and at_work.symbol:
            symbol = str(at_work.symbol)
        current = current.tb_next
    return symbol


def _frames(error: BaseException) -> list[tuple[str, traceback.FrameSummary]]:
    """The frames of an exception and of what caused it, innermost first."""
    frames = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        frames += [(frame.filename, frame) for frame in reversed(traceback.extract_tb(current.__traceback__))]
        current = current.__cause__ or current.__context__
    return frames


def _syntax_error_in(error: BaseException, snapshot: Path) -> tuple[str, int | None, str] | None:
    cause = error.__cause__ or error
    if isinstance(cause, SyntaxError) and cause.filename and _is_inside(cause.filename, snapshot):
        return cause.filename, cause.lineno, "<module>"
    return None


def _is_shown(file: str, snapshot: Path) -> bool:
    return _is_inside(file, snapshot) or file == _JESSES_STRATEGY


def _is_inside(file: str, folder: Path) -> bool:
    return file.startswith(f"{folder}/")
