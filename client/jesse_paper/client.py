"""The daemon's client: one question, one answer, over ZeroMQ REQ.

The reliable request-reply pattern known as Lazy Pirate: there are time limits, a socket that owes an answer is thrown
away, and when the connection breaks, as it does when the daemon restarts, the request goes out again. It carries the
same request id, so that the daemon answers it from its books instead of acting twice. What a caller must be able to
tell apart when no answer comes:

    daemon_unreachable   the request was never sent: nothing was done
    timeout              it was sent, the answer did not come: it may or may not have been done
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
import uuid
from collections import deque
from types import TracebackType
from typing import NamedTuple, overload

import zmq

from jesse_paper.codec import decode_reply, encode_request
from jesse_paper.endpoint import default_endpoint, socket_file
from jesse_paper.errors import PaperError
from jesse_paper.protocol import OPERATIONS, A, Answer, Mutation, Operation, Question, name_of

#: How long a connection may take to stand. On one machine it takes less than a millisecond.
CONNECT_SECONDS = 2.0
#: How often a request goes out at most. A daemon that dies of it this often would die of it again.
ATTEMPTS = 3
#: A restarted daemon is found again this soon.
RECONNECT_MILLISECONDS = 20
HEARTBEAT_MILLISECONDS = 5_000
#: The daemon's public key, and this client's own pair.
KEY_VARIABLES = ("JESSE_PAPER_SERVER_KEY", "JESSE_PAPER_PUBLIC_KEY", "JESSE_PAPER_SECRET_KEY")
LONGEST_REPLY = 64 * 1024 * 1024


class Curve(NamedTuple):
    """The keys of an encrypted connection, each in Z85 (40 characters)."""

    server_public: str
    public: str
    secret: str


class _Connection:
    """A REQ socket, and word of whether its connection still stands."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        self._breaks = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._poller = zmq.Poller()
        self._poller.register(socket, zmq.POLLIN)
        self._poller.register(self._breaks, zmq.POLLIN)

    def stands_within(self, seconds: float) -> bool:
        """Whether there is a connection, waiting at most so long for one."""
        return bool(self._socket.poll(_milliseconds(seconds), zmq.POLLOUT))

    def ask(self, request: bytes, deadline: float) -> bytes | None:
        """The reply; None if the connection broke or the deadline passed: the request may have arrived or not."""
        while self._breaks.poll(0):
            self._breaks.recv_multipart()  # of connections before this one
        self._socket.setsockopt(zmq.SNDTIMEO, _milliseconds(deadline - time.monotonic()))
        try:
            self._socket.send(request)
        except zmq.Again:
            return None  # the connection broke a moment ago
        ready = dict(self._poller.poll(_milliseconds(deadline - time.monotonic())))
        return self._socket.recv() if self._socket in ready else None

    def close(self) -> None:
        """Close the socket; an outstanding reply is discarded."""
        self._socket.disable_monitor()
        self._breaks.close()
        self._socket.close()


class DaemonClient:
    """Asks the daemon on one endpoint. Threads may share it; every call has a socket to itself.

    Args:
        endpoint: `ipc:///path/to/daemon.sock`, or `tcp://host:port` together with `curve`.
        curve: keys for a TCP endpoint.

    Raises:
        PaperError: `invalid_argument` for an endpoint of another form.
    """

    def __init__(self, endpoint: str, *, curve: Curve | None = None) -> None:
        self.endpoint = endpoint
        self._curve = curve
        self._socket_file = socket_file(endpoint)
        if self._socket_file is None and curve is None:
            raise PaperError(
                "invalid_argument",
                f"endpoint {endpoint!r} cannot be used: TCP needs CURVE keys.",
                f"Set {', '.join(KEY_VARIABLES)}.",
            )
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        #: Connected sockets that have answered all they were asked: connecting anew takes longer than a question.
        self._idle: deque[_Connection] = deque()
        self._closed = False
        self._under_way = 0
        #: Guards the two above.
        self._changed = threading.Condition()

    @classmethod
    def from_environment(cls, endpoint: str | None = None) -> DaemonClient:
        """The client of the daemon that the environment names; keys for TCP are in three more variables.

        JESSE_PAPER_SERVER_KEY is the daemon's public key, JESSE_PAPER_PUBLIC_KEY and JESSE_PAPER_SECRET_KEY are this
        client's own.

        Raises:
            PaperError: `invalid_argument` for an endpoint that cannot be used.
        """
        keys = [os.environ.get(name, "") for name in KEY_VARIABLES]
        return cls(endpoint or default_endpoint(), curve=Curve(*keys) if all(keys) else None)

    def __enter__(self) -> DaemonClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and not issubclass(kind, Exception):
            # Ctrl-C may come between the making of a socket and its keeping: none may hold up the end.
            self._context.destroy(linger=0)
        else:
            self.close()

    def close(self) -> None:
        """Wait for the calls under way in other threads, then free everything. A later call is refused."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not self._under_way)
        while self._idle:
            self._idle.pop().close()
        self._context.term()

    @overload
    def call(self, body: Question[A] | Mutation[A], *, request_id: str | None = None, timeout: float = 10.0) -> A: ...

    @overload
    def call(self, body: Operation, *, request_id: str | None = None, timeout: float = 10.0) -> Answer: ...

    def call(self, body: Operation, *, request_id: str | None = None, timeout: float = 10.0) -> Answer:
        """The daemon's answer.

        Args:
            body: the operation.
            request_id: identifies the request: one with an id that the daemon has seen is answered, not done again.
                Random by default.
            timeout: seconds that the whole call may take.

        Raises:
            PaperError: whatever the daemon answered instead; `daemon_unreachable`, `timeout` or `version_mismatch`.
        """
        id = request_id or uuid.uuid4().hex
        frame = self._exchange(encode_request(id, body), timeout, harmless=not isinstance(body, Mutation))
        answer = decode_reply(frame, id)
        expected = OPERATIONS[name_of(type(body))].answer
        if type(answer) is not expected:
            raise PaperError(
                "version_mismatch",
                f"{name_of(type(body))} was answered with {type(answer).__name__}, not with {expected.__name__}.",
                "Run jesse-paperd and its clients of one installation.",
            )
        return answer

    def raw(self, request: bytes, timeout: float = 10.0) -> bytes:
        """The daemon's reply to a frame as it stands, for looking at the wire: JSON is answered in JSON.

        Raises:
            PaperError: `daemon_unreachable` or `timeout`.
        """
        return self._exchange(request, timeout, harmless=False)

    def _exchange(self, request: bytes, timeout: float, *, harmless: bool) -> bytes:
        with self._changed:
            if self._closed:
                raise PaperError("daemon_unreachable", "This client was closed; nothing was done.", "Make another one.")
            self._under_way += 1
        try:
            return self._try(request, timeout, harmless)
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def _try(self, request: bytes, timeout: float, harmless: bool) -> bytes:
        """Send it until it is answered, or the daemon or the time is gone."""
        deadline = time.monotonic() + timeout
        if not self._answers() or self._is_another_users():
            raise self._unreachable()
        for attempt in range(ATTEMPTS):
            sent = attempt > 0
            try:
                connection = self._connection()
            except PaperError as error:
                raise self._unanswered(timeout, harmless) if sent else error from error
            reply: bytes | None = None
            try:
                patience = deadline - time.monotonic()
                # A daemon that was there a moment ago is waited for: only it knows what became of the request.
                if not connection.stands_within(patience if sent else min(patience, CONNECT_SECONDS)):
                    raise self._unanswered(timeout, harmless) if sent else self._unreachable()
                reply = connection.ask(request, deadline)
                if reply is not None:
                    return reply
                if time.monotonic() >= deadline:
                    break
            finally:
                if reply is None:
                    connection.close()
                else:
                    self._idle.append(connection)
        raise self._unanswered(timeout, harmless)

    def _connection(self) -> _Connection:
        """An idle one, else a new one."""
        with contextlib.suppress(IndexError):
            return self._idle.pop()
        socket: zmq.Socket[bytes] | None = None
        try:
            socket = self._context.socket(zmq.REQ)
            return self._connect(socket)
        except BaseException as error:
            if socket is not None:
                socket.close()
            if isinstance(error, zmq.ZMQError):
                raise self._unusable(error) from error
            raise

    def _connect(self, socket: zmq.Socket[bytes]) -> _Connection:
        socket.setsockopt(zmq.LINGER, 0)
        # Without it a request sent while no daemon runs would wait in a queue, and be done when one comes up.
        socket.setsockopt(zmq.IMMEDIATE, 1)
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MILLISECONDS)
        socket.setsockopt(zmq.MAXMSGSIZE, LONGEST_REPLY)
        if self._curve is not None:
            _encrypt(socket, self._curve)
            # A broken network says nothing by itself.
            socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MILLISECONDS)
        connection = _Connection(socket)
        try:
            socket.connect(self.endpoint)
        except BaseException:
            connection.close()
            raise
        return connection

    def _unusable(self, error: zmq.ZMQError) -> PaperError:
        """No socket can be had, or none for this endpoint."""
        if error.errno == errno.EMFILE:
            return PaperError(
                "daemon_unreachable",
                "This process has as many files open as it may; nothing was done.",
                "Close some, or raise the limit: ulimit -n",
            )
        return PaperError("invalid_argument", f"endpoint {self.endpoint!r} cannot be used: {error}.")

    def _answers(self) -> bool:
        """False when it is certain, without waiting, that nobody listens."""
        return self._socket_file is None or self._socket_file.exists()

    def _is_another_users(self) -> bool:
        """Whether the socket is not this user's or root's: whoever listens there could answer anything."""
        if self._socket_file is None:
            return False
        with contextlib.suppress(OSError):
            return self._socket_file.stat().st_uid not in (os.geteuid(), 0)
        return False

    def _unreachable(self) -> PaperError:
        foreign = self._is_another_users()
        if self._socket_file is not None and self._answers() and (foreign or not os.access(self._socket_file, os.W_OK)):
            return PaperError(
                "daemon_unreachable",
                f"The daemon's socket {self._socket_file} belongs to another user; nothing was done.",
                "Run as the user who runs jesse-paperd, or name that user's own endpoint.",
            )
        return PaperError(
            "daemon_unreachable",
            f"No daemon answers on {self.endpoint}; nothing was done.",
            "Start it with `jesse-paperd` (or under supervisord or systemd), then call again; "
            "JESSE_PAPER_HOME or JESSE_PAPER_ENDPOINT name another one.",
        )

    def _unanswered(self, timeout: float, harmless: bool) -> PaperError:
        if harmless:
            message, hint = "nothing was changed", "Call again; it may be busy or restarting."
        else:
            message = "the request may or may not have been done"
            hint = "Check with paper_list_sessions or paper_status; repeating it with the same request id is safe."
        return PaperError("timeout", f"The daemon did not answer within {timeout:g} s; {message}.", hint)


def _encrypt(socket: zmq.Socket[bytes], curve: Curve) -> None:
    """Give a socket its keys.

    Raises:
        PaperError: `invalid_argument`.
    """
    try:
        socket.curve_serverkey = curve.server_public.encode()
        socket.curve_publickey = curve.public.encode()
        socket.curve_secretkey = curve.secret.encode()
    except (zmq.ZMQError, UnicodeEncodeError) as error:
        raise PaperError(
            "invalid_argument",
            f"the keys in {', '.join(KEY_VARIABLES)} cannot be used: each has 40 characters",
            "jesse-paper keygen makes a pair",
        ) from error


def _milliseconds(seconds: float) -> int:
    return max(0, round(seconds * 1000))
