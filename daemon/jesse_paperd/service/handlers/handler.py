"""How a method says which operation it handles."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from jesse_paper.protocol import A, Answer, Mutation, Operation, Question

Self = TypeVar("Self")
OperationT = TypeVar("OperationT", bound=Operation)

#: A handler, bound to what it belongs to: the operation and the request's id in, the answer out.
Handler = Callable[[Any, str], Awaitable[Answer]]
_Method = Callable[[Self, OperationT, str], Awaitable[A]]


def handles(
    operation: type[Question[A] | Mutation[A]],
) -> Callable[[_Method[Self, OperationT, A]], _Method[Self, OperationT, A]]:
    """Mark a method as the handler of an operation: it takes the operation and the request's id."""

    def mark(method: _Method[Self, OperationT, A]) -> _Method[Self, OperationT, A]:
        method.operation = operation  # type: ignore[attr-defined]
        return method

    return mark


def operations_of(kind: type) -> dict[type[Operation], str]:
    """The operations that a class handles, each with the name of the method."""
    return {method.operation: name for name, method in vars(kind).items() if hasattr(method, "operation")}
