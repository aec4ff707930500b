"""What an operation is: a request, its answer and a worked example, declared together.

Operation          a request's body; its tag `op` is the operation's name
├── Question[A]    changes nothing: safe to repeat, safe for a monitor; answered with an `A`
└── Mutation[A]    changes something: the envelope's id is its idempotency key
Answer             a reply's body; the tag `kind` tells them apart
└── Failure        why a request was not done
"""

from __future__ import annotations

from collections.abc import Container
from typing import Generic, NamedTuple, TypeVar, get_args

from msgspec import Struct
from msgspec.structs import fields


class Answer(Struct, tag_field="kind", kw_only=True, frozen=True):
    """A reply's body."""


class Failure(Answer, tag="failure", frozen=True):
    """Why a request was not done; `code` is a key of the error table (jesse_paper/errors.py)."""

    code: str
    message: str
    hint: str = ""
    retryable: bool = False


A = TypeVar("A", bound=Answer)


class Operation(Struct, tag_field="op", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A request's body."""

    @classmethod
    def contradictions(cls, given: Container[str]) -> list[str]:  # noqa: ARG003
        """What is wrong with which fields are given together, though each by itself is right; a sentence each."""
        return []

    def given(self) -> set[str]:
        """The names of the fields that are not at their default."""
        defaults = {field.name: field.default for field in fields(type(self))}
        return {name for name, default in defaults.items() if getattr(self, name) not in (default, [])}


class Question(Operation, Generic[A], frozen=True):
    """An operation that changes nothing."""


class Mutation(Operation, Generic[A], frozen=True):
    """An operation that changes something."""


class Declaration(NamedTuple):
    """An operation as it was declared.

    Attributes:
        operation: the request's type; its tag is the operation's name.
        answer: the type of the answer.
        request, reply: the worked example.
    """

    operation: type[Operation]
    answer: type[Answer]
    request: Operation
    reply: Answer


#: By name, in the order of declaration.
OPERATIONS: dict[str, Declaration] = {}


def declare(request: Question[A] | Mutation[A], reply: A) -> None:
    """Make an operation known by a worked example: a request, and the reply to it.

    Raises:
        TypeError: it is neither a `Question` nor a `Mutation`, or the reply is not what it is answered with.
    """
    operation = type(request)
    if not isinstance(request, Question | Mutation):
        raise TypeError(f"{operation.__name__} must be a Question or a Mutation")
    (answer,) = get_args(vars(operation)["__orig_bases__"][0])
    if type(reply) is not answer:
        raise TypeError(f"{operation.__name__} is answered with {answer.__name__}, not {type(reply).__name__}")
    OPERATIONS[name_of(operation)] = Declaration(operation, answer, request, reply)


def name_of(operation: type[Operation]) -> str:
    """An operation's name: its tag."""
    return str(operation.__struct_config__.tag)


def check_all_are_declared() -> None:
    """Check that every operation is declared.

    Raises:
        TypeError: an operation has no declaration.
    """
    declared = {declaration.operation for declaration in OPERATIONS.values()}
    kinds: list[type[Operation]] = [Operation, Question, Mutation]
    known = {found for kind in kinds for found in kind.__subclasses__()} - set(kinds)
    if undeclared := known - declared:
        raise TypeError(f"operations without a declaration: {', '.join(sorted(c.__name__ for c in undeclared))}")
