"""The wire: everything that can be said on it, in an envelope. The operations stand in jesse_paper/operations/.

A request that starts with `{` is JSON and is answered in JSON; anything else is MessagePack:

    → {"v":1,"id":"1","body":{"op":"paper_list_sessions"}}
    ← {"v":1,"id":"1","body":{"kind":"sessions","sessions":[],"total":0}}
    ← {"v":1,"id":"1","body":{"kind":"failure","code":"session_not_found","message":"…","hint":"…","retryable":false}}

Evolution, so that old and new programs understand each other:

1. a new field has a default; 2. a field's type and meaning never change; 3. a tag (`op`, `kind`) and a field name
are never used again for something else; 4. requests refuse unknown fields, replies tolerate them.

Units everywhere: money in the quote currency, fractions as fractions (0.05 is 5 %), times as RFC 3339 UTC in whole
seconds (`2026-02-19T00:00:00Z`), durations in the unit that the name ends with. Undefined numbers are null, with the
reason beside them; never NaN or Infinity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Union

from msgspec import Meta, Struct

from jesse_paper.operations.daemon import *
from jesse_paper.operations.logs import *
from jesse_paper.operations.operation import *
from jesse_paper.operations.operation import check_all_are_declared
from jesse_paper.operations.performance import *
from jesse_paper.operations.sessions import *
from jesse_paper.operations.status import *
from jesse_paper.operations.storage import *
from jesse_paper.operations.strategies import *
from jesse_paper.operations.trading import *
from jesse_paper.operations.values import *
from jesse_paper.operations.verification import *

PROTOCOL_VERSION = 1

check_all_are_declared()

if TYPE_CHECKING:
    Request = Operation
    Reply = Answer
else:
    Request = Union[tuple(each.operation for each in OPERATIONS.values())]
    Reply = Union[(Failure, *dict.fromkeys(each.answer for each in OPERATIONS.values()))]


class RequestEnvelope(Struct, frozen=True):
    """A request as sent. `id` is at most 200 characters; a retry carries the same one."""

    v: int
    id: Annotated[str, Meta(min_length=1, max_length=200)]
    body: Request


class ReplyEnvelope(Struct, frozen=True):
    """A reply as sent, with the id of its request."""

    v: int
    id: str
    body: Reply
