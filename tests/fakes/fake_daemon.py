"""A daemon that misbehaves on purpose: everything a client must survive, in one place.

It speaks the real wire on a real socket, in a thread of the test. What it does with a request is a function from the
frame to the reply's frame, or None for no reply.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import zmq

from jesse_paper.codec import BadRequest, Decoded, decode_request, encode_reply, failure
from jesse_paper.errors import PaperError
from jesse_paper.protocol import OPERATIONS, Answer, Sessions, name_of

Behaviour = Callable[[bytes], bytes | None]


def answering(answer: Answer | PaperError | None = None) -> Behaviour:
    """Answers every request in the same way; by default as its worked example says, and lists with an empty list."""

    def behave(frame: bytes) -> bytes:
        try:
            request = decode_request(frame)
        except BadRequest as bad:
            return encode_reply(bad.id, failure(bad.error), bad.json)
        name = name_of(type(request.body))
        usual = Sessions(sessions=[], total=0) if name == "paper_list_sessions" else OPERATIONS[name].reply
        reply = failure(answer) if isinstance(answer, PaperError) else answer or usual
        return encode_reply(request.id, reply, request.json)

    return behave


def silent(_frame: bytes) -> None:
    """Takes requests and never answers."""


def garbage(_frame: bytes) -> bytes:
    """Answers with something that is no message at all."""
    return b"\xc1 no message \xff"


def crashing_at_first(behaviour: Behaviour) -> Behaviour:
    """Dies of the first request and comes back: the connection breaks, and nobody knows what was done."""
    seen: list[bytes] = []

    def behave(frame: bytes) -> bytes | None:
        seen.append(frame)
        if len(seen) == 1:
            raise Crash
        return behaviour(frame)

    return behave


def always_crashing(_frame: bytes) -> None:
    """Dies of every request."""
    raise Crash


def held_until(released: threading.Event, behaviour: Behaviour) -> Behaviour:
    """Answers, but only when the test says so."""

    def behave(frame: bytes) -> bytes | None:
        assert released.wait(60)
        return behaviour(frame)

    return behave


class Crash(Exception):
    """Makes the daemon drop its socket and bind it anew."""


class FakeDaemon:
    """Binds `endpoint` and treats every request by `behaviour` until the `with` block ends.

    With a secret key it talks CURVE only.
    """

    def __init__(self, endpoint: str, behaviour: Behaviour, secret_key: bytes = b"") -> None:
        self.endpoint = endpoint
        self._secret_key = secret_key
        self.behaviour = behaviour
        self.frames: list[bytes] = []
        #: Set once it has received a request.
        self.asked = threading.Event()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._router = self._bound()
        self._stop = self._context.socket(zmq.PAIR)
        self._stop.bind("inproc://stop")
        self._thread = threading.Thread(target=self._serve)

    @property
    def requests(self) -> list[Decoded]:
        """What it was asked, in order."""
        return [decode_request(frame) for frame in self.frames]

    def __enter__(self) -> FakeDaemon:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.send(b"")
        self._thread.join()
        self._stop.close()
        self._context.term()
        if self.endpoint.startswith("ipc://"):  # now and then ZeroMQ leaves the file, as only a killed daemon should
            Path(self.endpoint.removeprefix("ipc://")).unlink(missing_ok=True)

    def _bound(self) -> zmq.Socket[bytes]:
        router = self._context.socket(zmq.ROUTER)
        router.setsockopt(zmq.LINGER, 0)
        if self._secret_key:
            router.curve_server = True
            router.curve_secretkey = self._secret_key
        router.bind(self.endpoint)
        self.endpoint = router.getsockopt_string(zmq.LAST_ENDPOINT)  # the port, where any would do
        return router

    def _serve(self) -> None:
        stopped = self._context.socket(zmq.PAIR)
        stopped.connect("inproc://stop")
        poller = zmq.Poller()
        poller.register(stopped, zmq.POLLIN)
        poller.register(self._router, zmq.POLLIN)
        while stopped not in dict(poller.poll()):
            peer, empty, frame = self._router.recv_multipart()
            self.frames.append(frame)
            self.asked.set()
            try:
                reply = self.behaviour(frame)
            except Crash:
                poller.unregister(self._router)
                self._router.close()
                self._router = self._bound()
                poller.register(self._router, zmq.POLLIN)
                continue
            if reply is not None:
                self._router.send_multipart([peer, empty, reply])
        stopped.close()
        self._router.close()
