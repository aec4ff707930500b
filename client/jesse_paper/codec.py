"""Frames to messages and back, for both ends. What a frame looks like stands in protocol.py.

A server answers in the codec in which it was asked, so it learns that, and the id, even of a request that it
refuses (`BadRequest`).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from jesse_paper.errors import ERRORS, PaperError
from jesse_paper.protocol import (
    OPERATIONS,
    PROTOCOL_VERSION,
    Answer,
    Failure,
    Operation,
    ReplyEnvelope,
    RequestEnvelope,
)
from jesse_paper.validation import did_you_mean, parse

_decode_json = msgspec.json.Decoder(RequestEnvelope).decode
_decode_msgpack = msgspec.msgpack.Decoder(RequestEnvelope).decode
_reply_decoder = msgspec.msgpack.Decoder(ReplyEnvelope)

#: What msgspec raises for frames that are malformed, nested too deep, or not what the type says.
_UNREADABLE = (msgspec.MsgspecError, ValueError, TypeError, RecursionError, OverflowError)


class Decoded(NamedTuple):
    """A request, and how its reply is to be encoded."""

    v: int
    id: str
    body: Operation
    json: bool


class BadRequest(Exception):
    """A request that cannot be done, with what its reply needs. `id` is empty where the frame had none."""

    def __init__(self, error: PaperError, *, id: str, json: bool) -> None:
        super().__init__(error.message)
        self.error = error
        self.id = id
        self.json = json


# ── The daemon's side ──────────────────────────────────────────────────────────────────────────────────────────────


def decode_request(frame: bytes) -> Decoded:
    """A request from its frame.

    Raises:
        BadRequest: for whatever else the frame holds; nothing else is raised.
    """
    # No envelope in MessagePack starts with an ASCII byte, so that people who mistype JSON can read the answer.
    json = not frame or frame[0] < 0x80
    try:
        envelope = _decode_json(frame) if json else _decode_msgpack(frame)
    except _UNREADABLE:
        return _decode_leniently(frame, json)
    if envelope.v != PROTOCOL_VERSION:
        raise BadRequest(_other_version(envelope.v), id=envelope.id, json=json)
    if envelope.body.contradictions(envelope.body.given()):
        return _decode_leniently(frame, json)
    return Decoded(envelope.v, envelope.id, envelope.body, json)


def encode_reply(id: str, answer: Answer, json: bool) -> bytes:
    """The frame of a reply."""
    encode = msgspec.json.encode if json else msgspec.msgpack.encode
    return encode(ReplyEnvelope(v=PROTOCOL_VERSION, id=id, body=answer))


def failure(error: PaperError) -> Failure:
    """The reply that carries an error."""
    return Failure(code=error.code, message=error.message, hint=error.hint, retryable=error.kind.retryable)


def _decode_leniently(frame: bytes, json: bool) -> Decoded:
    """Either a request whose values only need converting ("3" for 3), or the reasons why it is none."""
    try:
        envelope = msgspec.json.decode(frame) if json else msgspec.msgpack.decode(frame)
    except _UNREADABLE as error:
        raise BadRequest(
            PaperError("invalid_request", f"The message is neither JSON nor MessagePack: {str(error)[:200]}.", _FORM),
            id="",
            json=json,
        ) from error
    id = envelope.get("id") if isinstance(envelope, Mapping) else None
    known_id = id if isinstance(id, str) and 1 <= len(id) <= 200 else ""
    try:
        return Decoded(PROTOCOL_VERSION, known_id, _body(envelope, known_id), json)
    except PaperError as error:
        raise BadRequest(error, id=known_id, json=json) from error


_FORM = 'A request looks like {"v":1,"id":"1","body":{"op":"ping"}}.'


def _body(envelope: Any, known_id: str) -> Operation:
    if not isinstance(envelope, Mapping):
        raise PaperError("invalid_request", "The message is not an object.", _FORM)
    # The version comes first: what another version means by the rest is not ours to judge.
    if envelope.get("v") != PROTOCOL_VERSION or isinstance(envelope["v"], bool):
        raise _other_version(envelope.get("v"))
    if not known_id:
        raise PaperError("invalid_request", "`id` must be a text of 1 to 200 characters.", _FORM)
    body = envelope.get("body")
    if not isinstance(body, Mapping):
        raise PaperError("invalid_request", "`body` must be an object with the field `op`.", _FORM)
    op = body.get("op")
    known = OPERATIONS.get(op) if isinstance(op, str) else None
    if known is None:
        meant = did_you_mean(op, OPERATIONS) if isinstance(op, str) else ""
        named = (
            f"`op` {op[:80]!r} is not an operation" if isinstance(op, str) else "`op` must be the name of an operation"
        )
        raise PaperError("invalid_request", f"{named}; those that exist are {', '.join(OPERATIONS)}.{meant}", _FORM)
    return parse(known.operation, {name: value for name, value in body.items() if name != "op"})


def _other_version(version: Any) -> PaperError:
    named = version if isinstance(version, int) else "unknown"
    return PaperError(
        "version_mismatch",
        f"The message is of version {str(named)[:20]} of the wire; this side speaks version {PROTOCOL_VERSION}.",
        "Run jesse-paperd, jesse-paper-mcp and jesse-paper of one installation, then restart the daemon.",
    )


# ── The client's side ──────────────────────────────────────────────────────────────────────────────────────────────


def encode_request(id: str, body: Operation) -> bytes:
    """The frame of a request, in MessagePack.

    What is at its default is left out: an older daemon, which would refuse a field that it does not know, understands
    everything that uses nothing new.
    """
    cls = type(body)
    told = {name: value for name, default in _defaults(cls).items() if (value := getattr(body, name)) != default}
    told[str(cls.__struct_config__.tag_field)] = cls.__struct_config__.tag
    return msgspec.msgpack.encode({"v": PROTOCOL_VERSION, "id": id, "body": told})


@functools.cache
def _defaults(cls: type[Operation]) -> dict[str, Any]:
    """By field: its default, or NODEFAULT, which no value equals."""
    return {
        field.encode_name: field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        for field in msgspec.structs.fields(cls)
    }


def decode_reply(frame: bytes, id: str) -> Answer:
    """The answer to the request with this id.

    Raises:
        PaperError: what a `Failure` carries; `version_mismatch` if it is not a reply that this version knows.
    """
    try:
        envelope = _reply_decoder.decode(frame)
    except _UNREADABLE as error:
        raise _unreadable_reply(frame) from error
    answer: Answer = envelope.body
    if envelope.v != PROTOCOL_VERSION:
        raise _other_version(envelope.v)
    if isinstance(answer, Failure):
        raise _received(answer)
    if envelope.id != id:
        raise _unreadable_reply(frame)
    return answer


def _received(answer: Failure) -> PaperError:
    if answer.code in ERRORS:
        return PaperError(answer.code, answer.message, answer.hint)
    # A newer daemon may have codes that this side does not know: keep what it said.
    return PaperError("internal", f"{answer.message} ({answer.code})", answer.hint)


def _unreadable_reply(frame: bytes) -> PaperError:
    try:
        version = msgspec.msgpack.decode(frame)["v"]
    except (*_UNREADABLE, LookupError):
        version = PROTOCOL_VERSION
    if version != PROTOCOL_VERSION:
        return _other_version(version)
    return PaperError(
        "version_mismatch",
        "What came back is not a reply that this client understands: another program answers on the endpoint, or "
        "the daemon is of another version.",
        "Check the endpoint, run programs of one installation, and restart the daemon.",
    )
