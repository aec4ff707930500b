"""The client against daemons that misbehave: what a caller is told, and that nothing is done twice."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
import zmq

from jesse_paper import protocol as p
from jesse_paper.client import KEY_VARIABLES, Curve, DaemonClient
from jesse_paper.errors import PaperError
from tests.fakes.fake_daemon import (
    FakeDaemon,
    always_crashing,
    answering,
    crashing_at_first,
    garbage,
    held_until,
    silent,
)
from tests.support.daemon import eventually

EMPTY = p.Sessions(sessions=[], total=0)
STOP = p.PaperStop(session_id="a")
STOPPED = p.OPERATIONS["paper_stop"].reply


def error_of(client: DaemonClient, body: p.Operation, timeout: float = 0.2) -> PaperError:
    with pytest.raises(PaperError) as caught:
        client.call(body, timeout=timeout)
    return caught.value


def test_a_question_is_answered(endpoint: str):
    with FakeDaemon(endpoint, answering()), DaemonClient(endpoint) as client:
        assert client.call(p.PaperListSessions()) == EMPTY


def test_what_the_daemon_refuses_is_raised_as_it_said_it(endpoint: str):
    refusal = PaperError("session_not_found", "No session 'a'.", "List them.")
    with FakeDaemon(endpoint, answering(refusal)), DaemonClient(endpoint) as client:
        error = error_of(client, STOP, timeout=10)
    assert (error.code, error.message, error.hint) == (refusal.code, refusal.message, refusal.hint)


def test_every_call_has_an_id_of_its_own_unless_the_caller_gives_one(endpoint: str):
    with FakeDaemon(endpoint, answering()) as daemon, DaemonClient(endpoint) as client:
        client.call(STOP)
        client.call(STOP)
        client.call(STOP, request_id="mine")
    first, second, third = (request.id for request in daemon.requests)
    assert first != second
    assert third == "mine"


def test_a_request_lost_with_its_daemon_is_repeated_with_the_same_id(endpoint: str):
    with FakeDaemon(endpoint, crashing_at_first(answering())) as daemon, DaemonClient(endpoint) as client:
        assert client.call(STOP, timeout=60) == STOPPED
    first, second = daemon.requests
    assert first == second


def test_a_request_that_kills_every_daemon_is_given_up(endpoint: str):
    with FakeDaemon(endpoint, always_crashing) as daemon, DaemonClient(endpoint) as client:
        error = error_of(client, STOP, timeout=60)
    assert error.code == "timeout"
    assert "may or may not" in error.message
    assert len({request.id for request in daemon.requests}) == 1


def test_a_request_is_not_repeated_while_its_connection_stands(endpoint: str):
    with FakeDaemon(endpoint, silent) as daemon, DaemonClient(endpoint) as client:
        assert error_of(client, STOP, timeout=1).code == "timeout"
    assert len(daemon.requests) == 1


def test_without_a_socket_nothing_was_done(endpoint: str):
    with DaemonClient(endpoint) as client:
        error = error_of(client, STOP, timeout=60)
    assert error.code == "daemon_unreachable"
    assert "nothing was done" in error.message
    assert "jesse-paperd" in error.hint


@pytest.mark.usefixtures("socket_left_behind")
def test_a_socket_left_behind_by_a_killed_daemon_is_no_daemon(endpoint: str):
    with DaemonClient(endpoint) as client:
        assert error_of(client, STOP).code == "daemon_unreachable"


@pytest.mark.usefixtures("socket_left_behind")
def test_i11_a_request_made_while_the_daemon_was_down_is_not_done_later(endpoint: str):
    with DaemonClient(endpoint) as client:
        assert error_of(client, STOP).code == "daemon_unreachable"
        with FakeDaemon(endpoint, answering()) as daemon:
            client.call(p.PaperListSessions())
    assert [type(request.body) for request in daemon.requests] == [p.PaperListSessions]


def test_silence_to_a_request_that_changes_something_leaves_it_open_whether_it_was_done(endpoint: str):
    with FakeDaemon(endpoint, silent), DaemonClient(endpoint) as client:
        error = error_of(client, STOP)
    assert error.code == "timeout"
    assert "may or may not" in error.message
    assert "paper_status" in error.hint


def test_silence_to_a_question_changed_nothing(endpoint: str):
    with FakeDaemon(endpoint, silent), DaemonClient(endpoint) as client:
        error = error_of(client, p.PaperListSessions())
    assert error.code == "timeout"
    assert "nothing was changed" in error.message


def test_a_client_goes_on_after_silence(endpoint: str):
    with FakeDaemon(endpoint, silent) as daemon, DaemonClient(endpoint) as client:
        assert error_of(client, STOP).code == "timeout"
        daemon.behaviour = answering()
        assert client.call(p.PaperListSessions()) == EMPTY


def test_i7_a_client_outlives_restarts_of_the_daemon(endpoint: str):
    with DaemonClient(endpoint) as client:
        for _ in range(3):
            with FakeDaemon(endpoint, answering()):
                assert client.call(p.PaperListSessions()) == EMPTY
            assert error_of(client, STOP).code == "daemon_unreachable"


def test_garbage_is_told_apart_from_silence(endpoint: str):
    with FakeDaemon(endpoint, garbage), DaemonClient(endpoint) as client:
        assert error_of(client, STOP, timeout=10).code == "version_mismatch"


def test_threads_share_a_client_and_get_their_own_answers(endpoint: str):
    def echo(frame: bytes) -> bytes | None:
        session_id = daemon.requests[-1].body.session_id
        return answering(msgspec.structs.replace(STOPPED, session_id=session_id))(frame)

    with (
        FakeDaemon(endpoint, echo) as daemon,
        DaemonClient(endpoint) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        asked = [f"s{i}" for i in range(200)]
        told = pool.map(lambda id: client.call(p.PaperStop(session_id=id)).session_id, asked)
        assert list(told) == asked


def test_a_waiting_call_holds_up_no_other(endpoint: str):
    def only_lists(frame: bytes) -> bytes | None:
        return answering()(frame) if isinstance(daemon.requests[-1].body, p.PaperListSessions) else None

    with FakeDaemon(endpoint, only_lists) as daemon, DaemonClient(endpoint) as client, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.call, STOP, timeout=1)
        assert daemon.asked.wait(60)
        assert client.call(p.PaperListSessions()) == EMPTY
        with pytest.raises(PaperError, match="did not answer"):
            waiting.result()


def test_an_answer_in_time_is_waited_for(endpoint: str):
    released = threading.Event()
    with (
        FakeDaemon(endpoint, held_until(released, answering())),
        DaemonClient(endpoint) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        answer = pool.submit(client.call, STOP, timeout=60)
        released.set()
        assert answer.result() == STOPPED


def test_closing_waits_for_the_calls_under_way_and_refuses_later_ones(endpoint: str):
    released = threading.Event()
    with FakeDaemon(endpoint, held_until(released, answering())) as daemon, ThreadPoolExecutor(2) as pool:
        client = DaemonClient(endpoint)
        answer = pool.submit(client.call, p.PaperListSessions(), timeout=60)
        assert daemon.asked.wait(60)
        closing = pool.submit(client.close)
        eventually("later calls are refused", lambda: "closed" in error_of(client, STOP, timeout=60).message)
        assert not closing.done()
        released.set()
        assert answer.result() == EMPTY
        closing.result()


def test_many_threads_take_and_return_connections_without_a_race(endpoint: str):
    with FakeDaemon(endpoint, answering()), DaemonClient(endpoint) as client, ThreadPoolExecutor(16) as pool:
        assert set(map(repr, pool.map(lambda _: client.call(p.PaperListSessions()), range(500)))) == {repr(EMPTY)}


def test_without_a_free_descriptor_nothing_was_done(endpoint: str):
    """In a process of its own, which has none left."""
    program = (
        "import sys\n"
        "from jesse_paper.client import DaemonClient\n"
        "from jesse_paper.errors import PaperError\n"
        "from jesse_paper.protocol import PaperStop\n"
        "client = DaemonClient(sys.argv[1])\n"
        "client._context.set(1, 1)\n"  # ZMQ_IO_THREADS; sockets come later
        "client._context.set(2, 1)\n"  # ZMQ_MAX_SOCKETS: what a socket beyond it fails with is EMFILE
        "try: client.call(PaperStop(session_id='a'))\n"
        "except PaperError as error: print(error.code, error.message)\n"
    )
    with FakeDaemon(endpoint, answering()) as daemon:
        done = subprocess.run([sys.executable, "-c", program, endpoint], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("daemon_unreachable"), done.stderr
    assert not daemon.frames


@pytest.fixture
def server_keys() -> tuple[bytes, bytes]:
    return zmq.curve_keypair()


def client_keys(server_public: bytes) -> Curve:
    public, secret = zmq.curve_keypair()
    return Curve(server_public.decode(), public.decode(), secret.decode())


def test_over_tcp_a_question_is_asked_encrypted(server_keys: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch):
    public, secret = server_keys
    for name, key in zip(KEY_VARIABLES, client_keys(public), strict=True):
        monkeypatch.setenv(name, key)
    with (
        FakeDaemon("tcp://127.0.0.1:*", answering(), secret) as daemon,
        DaemonClient.from_environment(daemon.endpoint) as client,
    ):
        assert client.call(p.PaperListSessions()) == EMPTY


def test_a_daemon_without_the_expected_key_is_sent_nothing(server_keys: tuple[bytes, bytes]):
    _, secret = server_keys
    other, _ = zmq.curve_keypair()
    with (
        FakeDaemon("tcp://127.0.0.1:*", answering(), secret) as daemon,
        DaemonClient(daemon.endpoint, curve=client_keys(other)) as client,
    ):
        assert error_of(client, STOP).code == "daemon_unreachable"
    assert not daemon.frames


def test_a_raw_request_in_json_is_answered_in_json(endpoint: str):
    with FakeDaemon(endpoint, answering()), DaemonClient(endpoint) as client:
        reply = client.raw(b'{"v":1,"id":"1","body":{"op":"paper_list_sessions"}}')
    assert reply.startswith(b'{"v":1,"id":"1","body":{"kind":"sessions"')


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("tcp://127.0.0.1:5555", "CURVE"),
        ("udp://127.0.0.1:5555", "ipc:///path"),
        ("/run/daemon.sock", "ipc:///path"),
        ("ipc://", "ipc:///path"),
        ("", "ipc:///path"),
        ("ipc:///" + "x" * 107, "107 bytes"),
        ("ipc://@name", "abstract socket has no permissions"),
        ("ipc://run/daemon.sock", "an absolute path"),
        ("ipc://*", "an absolute path"),
    ],
)
def test_an_endpoint_that_cannot_be_is_refused(endpoint: str, said: str):
    with pytest.raises(PaperError) as caught:
        DaemonClient(endpoint)
    assert caught.value.code == "invalid_argument"
    assert said in f"{caught.value.message} {caught.value.hint}"


def test_a_malformed_address_is_refused_at_the_call():
    with DaemonClient("tcp://no where:5000", curve=Curve("x" * 40, "x" * 40, "x" * 40)) as client:
        assert error_of(client, STOP).code == "invalid_argument"
