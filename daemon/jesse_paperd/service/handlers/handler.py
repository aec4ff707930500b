"""The registry of handlers: each operation of the protocol has exactly one, a function marked with `handles`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from jesse_paper.protocol import OPERATIONS, A, Answer, Mutation, Operation, Question
from jesse_paperd.service.parts import Parts

OperationT = TypeVar("OperationT", bound=Operation)

#: The parts of the service, the operation and the request's id in; the answer out.
_Handler = Callable[[Parts, OperationT, str], Awaitable[A]]

HANDLERS: dict[type[Operation], Callable[[Parts, Any, str], Awaitable[Answer]]] = {}


def handles(operation: type[Question[A] | Mutation[A]]) -> Callable[[_Handler[OperationT, A]], _Handler[OperationT, A]]:
    """Mark a function as the handler of an operation.

    Raises:
        TypeError: the operation has one already.
    """

    def mark(handler: _Handler[OperationT, A]) -> _Handler[OperationT, A]:
        if operation in HANDLERS:
            raise TypeError(f"{operation.__name__} has two handlers")
        HANDLERS[operation] = handler
        return handler

    return mark


def check_all_are_handled() -> None:
    """Check that every operation has a handler.

    Raises:
        TypeError: an operation has none.
    """
    missing = {known.operation.__name__ for known in OPERATIONS.values()} - {known.__name__ for known in HANDLERS}
    if missing:
        raise TypeError(f"operations without a handler: {', '.join(sorted(missing))}")
