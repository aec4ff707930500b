"""What a client may ask: by its CURVE key over the network; whoever reaches the local socket may ask everything.

read      questions alone: a monitor
operate   and start, stop, change and restart sessions: an agent
admin     everything: an operator
"""

from __future__ import annotations

from typing import Literal, get_args

from jesse_paper.protocol import Operation, PaperRestart, PaperStart, PaperStop, PaperUpdateSession, Question

Role = Literal["read", "operate", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)

_OPERATE: frozenset[type[Operation]] = frozenset({PaperStart, PaperStop, PaperUpdateSession, PaperRestart})


def role_for(operation: type[Operation]) -> Role:
    """The least role that may ask an operation. One that is named nowhere is the admin's."""
    if issubclass(operation, Question):
        return "read"
    return "operate" if operation in _OPERATE else "admin"


def may(role: Role, operation: type[Operation]) -> bool:
    """Whether a role may ask an operation."""
    return ROLES.index(role) >= ROLES.index(role_for(operation))
