"""The declared order of enumerations.

msgspec keeps the values of a `Literal` sorted, in what it tells about types and in schemas: 12h, 15m, 1d, 1h. People
and models read better what the protocol declares: 1m, 5m, 15m, 1h.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

_declared: dict[frozenset[Any], tuple[Any, ...]] = {}


@functools.cache
def note_choices(cls: type[msgspec.Struct]) -> None:
    """Learn the enumerations of a struct, and of the structs within it."""
    for annotation in get_type_hints(cls, include_extras=True).values():
        _note(annotation)


def in_declared_order(values: Iterable[Any]) -> tuple[Any, ...]:
    """The values of an enumeration that `note_choices` has met, as it was written down."""
    values = tuple(values)
    return _declared.get(frozenset(values), values)


def _note(annotation: Any) -> None:
    if get_origin(annotation) is Literal:
        _declared[frozenset(get_args(annotation))] = get_args(annotation)
    elif isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        note_choices(annotation)
    else:
        for part in get_args(annotation):
            _note(part)
