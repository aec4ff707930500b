"""What would fail only when Jesse first calls a hook, found before the session starts."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from jesse_paperd.engine.jesse.core import Strategy

_ORDER = ("order",)
_ROUTE = ("strategy",)
#: The methods that Jesse calls on a strategy, and with what beside `self`.
HOOKS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("should_long", "should_short", "should_cancel_entry", "go_long", "go_short"), ()),
    **dict.fromkeys(("before", "after", "update_position", "update_chart", "on_cancel"), ()),
    **dict.fromkeys(("before_terminate", "terminate"), ()),
    **dict.fromkeys(("filters", "hyperparameters", "dna", "watch_list"), ()),
    **dict.fromkeys(("on_open_position", "on_increased_position", "on_reduced_position"), _ORDER),
    "on_close_position": ("order", "closed_trade"),
    **dict.fromkeys(("on_route_open_position", "on_route_close_position", "on_route_canceled"), _ROUTE),
    **dict.fromkeys(("on_route_increased_position", "on_route_reduced_position"), _ROUTE),
}


def problems_of(strategy: type, snapshot: Path) -> list[str]:
    """Every hook of a strategy that Jesse could not call: a property instead of a method, other arguments.

    Args:
        snapshot: the folder that it was imported from, to name its files.
    """
    return [
        problem
        for name, arguments in HOOKS.items()
        if (problem := _problem(strategy, name, arguments, snapshot)) is not None
    ]


def _problem(strategy: type, name: str, arguments: tuple[str, ...], snapshot: Path) -> str | None:
    hook = inspect.getattr_static(strategy, name)
    if hook is inspect.getattr_static(Strategy, name):
        return None
    if isinstance(hook, property):
        return f"{name} must be a method, not a property{_place(hook.fget, snapshot)}"
    if not callable(hook) and not isinstance(hook, staticmethod | classmethod):
        return f"{name} must be a method, and is {hook!r}"
    instance = object()
    bound = hook.__get__(instance, strategy) if hasattr(hook, "__get__") else hook
    try:
        signature = inspect.signature(bound, follow_wrapped=False)
    except (TypeError, ValueError):
        return None  # something written in C: it cannot be told
    try:
        signature.bind(*arguments)
    except TypeError:
        wanted, found = ", ".join(("self", *arguments)), ", ".join(("self", *signature.parameters))
        return f"{name}({found}) is called by Jesse as {name}({wanted}){_place(hook, snapshot)}"
    return None


def _place(function: Any, snapshot: Path) -> str:
    code = getattr(inspect.unwrap(function) if callable(function) else function, "__code__", None)
    if code is None or not code.co_filename.startswith(f"{snapshot}/"):
        return ""
    return f" ({Path(code.co_filename).relative_to(snapshot)}:{code.co_firstlineno})"
