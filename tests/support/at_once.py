"""Requests that reach a daemon together: frames on one socket, sent before any answer is read."""

from __future__ import annotations

import msgspec
import zmq

from jesse_paper import protocol as wire
from jesse_paper.codec import encode_request
from tests.support.daemon import PATIENCE, Daemon

_decode = msgspec.msgpack.Decoder(wire.ReplyEnvelope).decode


def ask_at_once(daemon: Daemon, *requests: tuple[str, wire.Operation]) -> list[wire.Answer]:
    """The answers to (request id, body), in the order of the requests; those of one id in the order of their coming."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RCVTIMEO, int(PATIENCE * 1000))
        socket.connect(daemon.endpoint)
        for request_id, body in requests:
            socket.send_multipart([b"", encode_request(request_id, body)])
        replies: dict[str, list[wire.Answer]] = {}
        for _ in requests:
            reply = _decode(socket.recv_multipart()[-1])
            replies.setdefault(reply.id, []).append(reply.body)
    return [replies[request_id].pop(0) for request_id, _ in requests]


def codes_of(answers: list[wire.Answer]) -> list[str]:
    """The kinds of the answers, sorted; of failures their code."""
    return sorted(a.code if isinstance(a, wire.Failure) else str(a.__struct_config__.tag) for a in answers)
