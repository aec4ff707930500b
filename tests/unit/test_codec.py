"""Frames: what is understood, and that nothing else does more than be refused."""

from __future__ import annotations

import json
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jesse_paper import protocol as p
from jesse_paper.codec import BadRequest, decode_reply, decode_request, encode_reply, encode_request, failure
from jesse_paper.errors import ERRORS, ErrorCode, PaperError

ENCODERS = pytest.mark.parametrize("encode", [msgspec.json.encode, msgspec.msgpack.encode], ids=["json", "msgpack"])


def refused(frame: bytes) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        decode_request(frame)
    return caught.value


def test_a_request_survives_the_way():
    body = p.PaperStart(strategy="S", symbol="BTC-USDT", hyperparameters={"fast": 5}, speed=60.0)
    assert decode_request(encode_request("7", body)) == (1, "7", body, False)


def test_a_request_tells_an_older_daemon_nothing_that_it_need_not_know():
    frame = encode_request("7", p.PaperGetTrades(session_id="a", limit=100, offset=5))
    body = {"op": "paper_get_trades", "session_id": "a", "offset": 5}
    assert msgspec.msgpack.decode(frame) == {"v": 1, "id": "7", "body": body}


@pytest.mark.parametrize("cls", [known.operation for known in p.OPERATIONS.values()], ids=list(p.OPERATIONS))
def test_a_field_that_is_left_out_arrives_with_its_default(cls: type[p.Operation]):
    examples = {"session_id": "a", "session_ids": ["a", "b"], "strategy": "S", "symbol": "BTC-USDT", "path": "/a"}
    body = cls(**{name: value for name, value in examples.items() if name in cls.__struct_fields__})
    assert decode_request(encode_request("7", body)).body == body


def test_a_request_in_json_is_answered_in_json():
    request = decode_request(b'{"v":1,"id":"1","body":{"op":"paper_list_sessions"}}')
    reply = json.loads(encode_reply(request.id, p.Sessions(sessions=[], total=0), request.json))
    assert reply["id"] == "1"
    assert reply["body"]["kind"] == "sessions"
    assert reply["body"]["total"] == 0


def test_a_failure_arrives_as_the_error_it_was():
    sent = PaperError("session_not_found", "no session 'a'", "list them")
    with pytest.raises(PaperError) as caught:
        decode_reply(encode_reply("7", failure(sent), json=False), "7")
    assert (caught.value.code, caught.value.message, caught.value.hint) == (sent.code, sent.message, sent.hint)


def test_an_error_code_of_a_newer_daemon_keeps_its_words():
    frame = encode_reply("7", p.Failure(code="moon_phase", message="The moon is wrong."), json=False)
    with pytest.raises(PaperError, match="The moon is wrong") as caught:
        decode_reply(frame, "7")
    assert caught.value.code in ERRORS
    assert "moon_phase" in caught.value.message


@ENCODERS
def test_lenient_values_are_converted_in_requests(encode):
    frame = encode({"v": 1, "id": "1", "body": {"op": "paper_get_trades", "session_id": "a", "limit": "7"}})
    assert decode_request(frame).body == p.PaperGetTrades(session_id="a", limit=7)


@ENCODERS
@pytest.mark.parametrize(
    ("message", "code", "said"),
    [
        ([], "invalid_request", "not an object"),
        ({}, "version_mismatch", "version"),
        ({"v": 2, "id": "1", "body": {"op": "ping"}}, "version_mismatch", "version 2"),
        ({"v": True, "id": "1", "body": {"op": "ping"}}, "version_mismatch", "version"),
        ({"v": "1", "id": "1", "body": {"op": "ping"}}, "version_mismatch", "version"),
        ({"v": 1, "body": {"op": "ping"}}, "invalid_request", "`id`"),
        ({"v": 1, "id": "", "body": {"op": "ping"}}, "invalid_request", "`id`"),
        ({"v": 1, "id": 7, "body": {"op": "ping"}}, "invalid_request", "`id`"),
        ({"v": 1, "id": "x" * 201, "body": {"op": "ping"}}, "invalid_request", "200"),
        ({"v": 1, "id": "1"}, "invalid_request", "`body`"),
        ({"v": 1, "id": "1", "body": "ping"}, "invalid_request", "`body`"),
        ({"v": 1, "id": "1", "body": {}}, "invalid_request", "`op`"),
        ({"v": 1, "id": "1", "body": {"op": 7}}, "invalid_request", "`op`"),
        ({"v": 1, "id": "1", "body": {"op": "paper_lst_sessions"}}, "invalid_request", "'paper_list_sessions'?"),
        ({"v": 1, "id": "1", "body": {"op": "ping", "x": 1}}, "invalid_argument", "`x`"),
        ({"v": 1, "id": "1", "body": {"op": "paper_stop", "session_id": "a\n"}}, "invalid_argument", "session_id"),
    ],
)
def test_a_bad_request_is_refused_with_its_reason_and_its_id(encode, message, code: str, said: str):
    bad = refused(encode(message))
    assert bad.error.code == code
    assert said in bad.error.message
    id = message.get("id") if isinstance(message, dict) else None
    assert bad.id == (id if id == "1" else "")


def test_a_refusal_comes_in_the_codec_of_the_request():
    assert refused(b'{"v":2,"id":"1"}').json
    assert refused(b"hello?").json
    assert refused(b" 7").json
    assert not refused(msgspec.msgpack.encode({"v": 2, "id": "1"})).json


@pytest.mark.parametrize("levels", [10_000, 1_000_000])
def test_deep_nesting_is_refused(levels: int):
    assert refused(b"[" * levels).error.code == "invalid_request"
    assert refused(b"\x91" * levels).error.code == "invalid_request"
    body = b'{"v":1,"id":"1","body":{"op":"paper_start","notes":' + b"[" * 500 + b"]" * 500 + b"}}"
    assert refused(body).error.code == "invalid_argument"


def messages() -> st.SearchStrategy:
    leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary()
    values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(leaves, inner), max_leaves=10)
    keys = st.sampled_from(["op", "session_id", "limit", "updates", "symbol", "leverage"]) | leaves
    bodies = st.dictionaries(keys, values) | st.fixed_dictionaries(
        {"op": st.sampled_from(sorted(p.OPERATIONS))}, optional={"session_id": values, "updates": values}
    )
    return st.fixed_dictionaries({"v": st.just(1) | values, "id": st.text() | values, "body": bodies | values})


@given(st.binary() | st.binary().map(lambda tail: b"{" + tail) | messages().map(msgspec.msgpack.encode))
def test_i11_any_frame_is_a_request_or_is_refused(frame: bytes):
    try:
        decode_request(frame)
    except BadRequest as bad:
        # What refuses it can itself be sent.
        decode_request_reply = encode_reply(bad.id, failure(bad.error), bad.json)
        assert decode_request_reply


def test_a_reply_of_another_request_is_not_taken():
    frame = encode_reply("8", p.Sessions(sessions=[], total=0), json=False)
    with pytest.raises(PaperError, match="not a reply that this client understands"):
        decode_reply(frame, "7")


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xc1",
        b"hello",
        msgspec.msgpack.encode({"v": 2, "id": "7", "body": {"kind": "sessions", "sessions": [], "total": 0}}),
        msgspec.msgpack.encode({"v": 2, "id": "7", "frames": []}),
        msgspec.msgpack.encode({"v": 1, "id": "7", "body": {"kind": "hologram"}}),
    ],
)
def test_a_reply_of_another_version_is_a_version_mismatch_with_the_fix_in_it(frame: bytes):
    with pytest.raises(PaperError) as caught:
        decode_reply(frame, "7")
    assert caught.value.code == "version_mismatch"
    assert "restart the daemon" in caught.value.hint


def test_replies_tolerate_fields_of_newer_daemons():
    frame = msgspec.msgpack.encode(
        {"v": 1, "id": "7", "new": 1, "body": {"kind": "sessions", "sessions": [], "total": 0, "new": 1}}
    )
    assert decode_reply(frame, "7") == p.Sessions(sessions=[], total=0)


def test_every_error_code_has_its_row_in_the_table() -> None:
    assert set(get_args(ErrorCode)) == set(ERRORS)
