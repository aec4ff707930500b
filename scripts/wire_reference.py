"""Prints docs/wire.md from the operations' own declarations: `scripts/wire-reference > docs/wire.md`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib import import_module

import msgspec

from jesse_paper.codec import encode_reply, encode_request
from jesse_paper.errors import ERRORS
from jesse_paper.protocol import OPERATIONS, Declaration, Mutation, name_of

_BEGINNING = """\
# The wire

One request, one reply, over ZeroMQ REQ/REP (the daemon's socket is a ROUTER, so a DEALER works too). A request that
starts with `{` is JSON and is answered in JSON; anything else is MessagePack. (This page is made from
`client/jesse_paper/operations/`: `scripts/wire-reference > docs/wire.md`. A test sends every example below to a real
daemon.)

```python
import zmq

socket = zmq.Context().socket(zmq.REQ)
socket.connect("ipc:///home/ada/.jesse-paper/run/daemon.sock")
socket.send(b'{"v":1,"id":"1","body":{"op":"ping"}}')
print(socket.recv())
```

- `v` is the version of the wire, 1. `id` is yours, 1 to 200 characters; a reply carries its request's.
- A **question** changes nothing and may be repeated. A **mutation** is done once by its `id`: the same frame sent again
  is answered from the daemon's books, another body under the same id is refused.
- Fields at their default may be left out of a request; unknown ones are refused. Replies may gain fields: ignore what
  you do not know.
- Money is in the quote currency, fractions are fractions (0.05 is 5 %), times are RFC 3339 UTC in whole seconds.
  An undefined number is null, with the reason beside it.
- Instead of its answer, any request may get a `failure`.

```json
{"v":1,"id":"1","body":{"kind":"failure","code":"session_not_found","message":"…","hint":"…","retryable":false}}
```
"""
_SUBJECTS = (
    "sessions", "status", "trading", "performance", "logs", "strategies", "verification", "storage", "daemon",
)  # fmt: skip


def _pages() -> Iterator[str]:
    yield _BEGINNING
    yield "\n| code | retry | meaning |\n|---|---|---|\n"
    for code, kind in ERRORS.items():
        yield f"| `{code}` | {'yes' if kind.retryable else ''} | {kind.meaning} |\n"
    for subject in _SUBJECTS:
        module = import_module(f"jesse_paper.operations.{subject}")
        yield f"\n## {str(module.__doc__).strip()}\n"
        for declared in OPERATIONS.values():
            if declared.operation.__module__ == module.__name__:
                yield from _described(declared)


def _described(declared: Declaration) -> Iterator[str]:
    operation = declared.operation
    kind = "mutation" if issubclass(operation, Mutation) else "question"
    yield f"\n### {name_of(operation)}\n\n{_text(operation)} A {kind}, answered with `{_kind_of(declared)}`: "
    yield f"{_text(declared.answer)}\n\n"
    request = msgspec.msgpack.decode(encode_request("1", declared.request))
    reply = json.loads(encode_reply("1", declared.reply, json=True))
    yield f"```json\n{_shown(request)}\n```\n\n```json\n{_shown(reply)}\n```\n"


def _kind_of(declared: Declaration) -> str:
    return str(declared.answer.__struct_config__.tag)


def _text(struct: type[msgspec.Struct]) -> str:
    return " ".join(str(struct.__doc__).split())


def _shown(message: dict[str, object]) -> str:
    return json.dumps(message, indent=2, ensure_ascii=False)


if __name__ == "__main__":
    sys.stdout.write("".join(_pages()))
