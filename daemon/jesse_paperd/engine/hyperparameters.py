"""Hyperparameters given at the start: checked against what the strategy declares, and made of the declared type."""

from __future__ import annotations

import difflib
import math
from typing import Any

from jesse_paper.errors import PaperError

#: Types by the names that Jesse's optimizer knows, and two that it does not.
_TYPES = ("int", "float", "categorical", "str", "bool")


def checked(strategy: str, declared: list[dict[str, Any]], given: dict[str, Any]) -> dict[str, Any]:
    """The given values, each as its declaration wants it: `12.0` and `"12"` are 12 where an int is declared.

    Args:
        strategy: its name, for messages.
        declared: what `hyperparameters()` returned.

    Raises:
        PaperError: `invalid_argument`, with every problem at once: name, value and what would be right.
    """
    by_name = {str(parameter["name"]): parameter for parameter in declared}
    problems, values = [], {}
    for name, value in given.items():
        if name not in by_name:
            problems.append(_unknown(strategy, name, list(by_name)))
            continue
        try:
            values[name] = _converted(by_name[name], value)
        except ValueError as error:
            problems.append(f"{name}: {error}")
    if problems:
        hint = "; ".join(f"{name}: {_described(parameter)}" for name, parameter in by_name.items())
        raise PaperError(
            "invalid_argument", f"hyperparameters: {'; '.join(problems)}", hint and f"{strategy} has {hint}"
        )
    return values


def problems_of_declaration(declared: Any) -> list[str]:
    """What is wrong with what a strategy's `hyperparameters()` returned."""
    if not isinstance(declared, list | tuple):
        return [f"hyperparameters() must return a list of dictionaries, and returned {type(declared).__name__}"]
    problems = []
    for index, parameter in enumerate(declared):
        if not isinstance(parameter, dict):
            problems.append(f"hyperparameters()[{index}] must be a dictionary, and is {type(parameter).__name__}")
        elif lacking := [key for key in ("name", "default") if key not in parameter]:
            problems.append(f"hyperparameters()[{index}] lacks {' and '.join(map(repr, lacking))}")
    return problems


def type_of(parameter: dict[str, Any]) -> str:
    """The declared type's name; that of the default where none is declared."""
    declared = parameter.get("type")
    if declared is None:
        return "categorical" if "options" in parameter else type(parameter["default"]).__name__
    return declared.__name__ if isinstance(declared, type) else str(declared).strip("'\"")


def _converted(parameter: dict[str, Any], value: Any) -> Any:
    """The value as the declaration wants it.

    Raises:
        ValueError: saying what it is, and what would be right.
    """
    kind = type_of(parameter)
    if "options" in parameter or kind == "categorical":
        return _option(parameter.get("options") or [], value)
    if kind == "bool":
        if isinstance(value, bool):
            return value
        if str(value).lower() in ("true", "false"):
            return str(value).lower() == "true"
        raise ValueError(f"{value!r} is not true or false")
    if kind in ("int", "float"):
        number = _number(value, kind, _described(parameter))
        low, high = parameter.get("min"), parameter.get("max")
        if (low is not None and number < low) or (high is not None and number > high):
            raise ValueError(f"{value!r} is out of bounds ({_described(parameter)})")
        return number
    if kind == "str" and not isinstance(value, str):
        raise ValueError(f"{value!r} is not a text")
    return value


def _number(value: Any, kind: str, described: str) -> int | float:
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not a number ({described})".replace("True", "true").replace("False", "false"))
    try:
        number = float(value)
    except ValueError:
        raise ValueError(f"{value!r} is not a number ({described})") from None
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not a finite number ({described})")
    if kind == "float":
        return number
    if number != int(number):
        raise ValueError(f"{value!r} is not a whole number ({described})")
    return int(value) if isinstance(value, int) else int(number)


def _option(options: list[Any], value: Any) -> Any:
    if value in options and not isinstance(value, bool):
        return next(option for option in options if option == value)
    alike = [option for option in options if str(option).lower() == str(value).lower()]
    if len(alike) == 1:
        return alike[0]
    near = difflib.get_close_matches(str(value), list(map(str, options)), n=1)
    guess = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{value!r} is none of {', '.join(map(repr, options))}{guess}")


def _described(parameter: dict[str, Any]) -> str:
    """A declaration in a few words: `int, 2 to 30`."""
    if "options" in parameter:
        return f"one of {', '.join(map(repr, parameter['options']))}"
    kind, low, high = type_of(parameter), parameter.get("min"), parameter.get("max")
    if low is not None and high is not None:
        return f"{kind}, {low} to {high}"
    return f"{kind}, at least {low}" if low is not None else f"{kind}, at most {high}" if high is not None else kind


def _unknown(strategy: str, name: str, known: list[str]) -> str:
    if not known:
        return f"{name!r} cannot be given: {strategy} declares no hyperparameters"
    near = difflib.get_close_matches(name, known, n=1)
    return f"{strategy} has no {name!r}" + (f", did you mean {near[0]!r}?" if near else "")
