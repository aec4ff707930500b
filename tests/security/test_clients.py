"""No client can starve, silence or impersonate another, and each may ask what its key says."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import zmq

from jesse_paper import protocol as wire
from jesse_paper.client import Curve, DaemonClient
from jesse_paper.codec import encode_request
from jesse_paper.errors import PaperError
from tests.support.breaking import start_trading
from tests.support.daemon import Daemon, eventually, running_daemon


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with running_daemon() as running:
        yield running.ready()


def code_of(client: DaemonClient, body: wire.Operation) -> str:
    """The code with which a request is refused; empty when it is answered."""
    try:
        client.call(body)
    except PaperError as error:
        return error.code
    return ""


def resident_mib(daemon: Daemon) -> int:
    """What the daemon has in memory."""
    assert daemon.process is not None
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) // 1024


def test_hundreds_of_abandoned_waits_hold_up_no_ping_no_list_and_no_stop(daemon: Daemon) -> None:
    start_trading(daemon, "waited-for", speed=60.0)
    start_trading(daemon, "beside", speed=60.0)
    context = zmq.Context()
    try:
        dealer = context.socket(zmq.DEALER)
        dealer.connect(daemon.endpoint)
        for n in range(600):
            wait = wire.PaperWait(session_ids=["waited-for"], min_trades=10**6, timeout_seconds=55)
            dealer.send_multipart([b"", encode_request(f"wait-{n}", wait)])
        with DaemonClient(daemon.endpoint) as client:
            for _ in range(5):
                assert client.call(wire.Ping(), timeout=10).sessions >= 2
            assert client.call(wire.PaperListSessions(), timeout=10).total >= 2
            assert client.call(wire.PaperStop("beside"), timeout=20).status == "stopped"
    finally:
        context.destroy(linger=0)
    daemon.stop_session("waited-for")


def test_a_client_that_never_reads_is_given_up_on_and_the_daemon_stays_small(daemon: Daemon) -> None:
    start_trading(daemon, "large", speed="max")
    daemon.ended("large")
    before = resident_mib(daemon)
    context = zmq.Context()
    try:
        dealer = context.socket(zmq.DEALER)
        dealer.setsockopt(zmq.RCVHWM, 1)
        dealer.connect(daemon.endpoint)
        ask = wire.PaperGetEquity(session_id="large", resolution="1m", max_points=10_000)
        for n in range(300):
            dealer.send_multipart([b"", encode_request(f"unread-{n}", ask)])
        with DaemonClient(daemon.endpoint) as client:
            client.call(wire.Ping())
            client.call(ask, timeout=60)
        assert resident_mib(daemon) - before < 300
    finally:
        context.destroy(linger=0)


def test_a_message_of_many_frames_is_dropped_and_others_are_answered(daemon: Daemon) -> None:
    context = zmq.Context()
    try:
        dealer = context.socket(zmq.DEALER)
        dealer.connect(daemon.endpoint)
        dealer.send_multipart([b"x"] * 1000)
        assert daemon.client.call(wire.Ping()).version
    finally:
        context.destroy(linger=0)


def greeted(daemon: Daemon) -> socket.socket:
    """A connection whose far side takes it for a DEALER, unless it is refused: https://rfc.zeromq.org/spec/23/"""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(daemon.endpoint.removeprefix("ipc://"))
    with contextlib.suppress(OSError):
        _greet(connection)
    return connection


def _greet(connection: socket.socket) -> None:
    connection.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32))
    ready = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
    connection.sendall(bytes([4, len(ready)]) + ready)


def test_a_locked_registry_costs_those_who_change_something_and_nobody_else(daemon: Daemon) -> None:
    start_trading(daemon, "noted", speed=60.0)
    context = zmq.Context()
    try:
        with contextlib.closing(sqlite3.connect(daemon.layout.registry, isolation_level=None)) as intruder:
            intruder.execute("BEGIN IMMEDIATE")
            dealer = context.socket(zmq.DEALER)
            dealer.connect(daemon.endpoint)
            for n in range(20):
                update = wire.PaperUpdateSession(session_id="noted", updates=wire.SessionUpdates(notes=str(n)))
                dealer.send_multipart([b"", encode_request(f"locked-{n}", update)])
            for n in range(5):
                dealer.send_multipart([b"", encode_request(f"ping-{n}", wire.Ping())])
            replies = [msgspec.msgpack.decode(dealer.recv_multipart()[-1], type=wire.ReplyEnvelope) for _ in range(25)]
            assert code_of(daemon.client, wire.PaperStop("noted")) == "busy"
        codes = [reply.body.code if isinstance(reply.body, wire.Failure) else "" for reply in replies]
        assert codes.count("busy") == 20
        assert codes.index("") < 5, "a ping waits for no write"
        assert daemon.status("noted").status == "running"
    finally:
        context.destroy(linger=0)
    daemon.stop_session("noted")


def test_a_message_without_an_end_is_cut_off_and_others_are_answered(daemon: Daemon) -> None:
    before = resident_mib(daemon)
    frame = b"\x03" + (900_000).to_bytes(8, "big") + bytes(900_000)  # long, and more follow
    sent: list[int] = []
    with greeted(daemon) as connection, DaemonClient(daemon.endpoint) as other:
        assert other.call(wire.Ping()).version
        with contextlib.suppress(OSError):
            for n in range(4000):
                connection.sendall(frame)
                sent.append(n)
        assert other.call(wire.Ping()).version, "on a connection that was closed as well"
    assert 100 < len(sent) < 4000
    eventually("the memory is given back", lambda: resident_mib(daemon) - before < 200)
    start_trading(daemon, "afterwards", speed=60.0)
    daemon.stop_session("afterwards")


def takes_another(daemon: Daemon) -> bool:
    """Whether a client that comes now is answered."""
    with DaemonClient(daemon.endpoint) as client:
        return not code_of(client, wire.Ping())


def test_more_connections_than_there_are_descriptors_end_no_daemon_and_no_conversation() -> None:
    crowded = Daemon()
    crowded.program = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024)); {Daemon.program}"
    with contextlib.closing(crowded):
        crowded.start()
        with DaemonClient(crowded.endpoint) as early, contextlib.ExitStack() as connections:
            assert early.call(wire.Ping()).version
            for _ in range(1500):
                connections.enter_context(greeted(crowded))
            # One that comes before its connection was counted may be answered once.
            eventually("no others are taken", lambda: not takes_another(crowded))
            assert early.call(wire.PaperHealth()).version
        eventually("others are taken again", lambda: takes_another(crowded))
        assert "no others are taken until some end" in crowded.output()


@contextlib.contextmanager
def free_port() -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    yield port


def test_a_key_may_ask_what_its_role_says() -> None:
    server, *clients = ([key.decode() for key in zmq.curve_keypair()] for _ in range(4))
    monitor, agent, operator = clients
    with free_port() as port:
        daemon = Daemon(
            config=f'endpoint = "tcp://127.0.0.1:{port}"\ncurve_secret_key = "{server[1]}"\n'
            f'curve_clients = ["{monitor[0]} read", "{agent[0]} operate", "{operator[0]}"]\n'
        )
        daemon.environment.pop("JESSE_PAPER_ENDPOINT")
        daemon.process = daemon.spawn()

        def client_with(keys: list[str]) -> DaemonClient:
            return DaemonClient(f"tcp://127.0.0.1:{port}", curve=Curve(server[0], *keys))

        try:
            with client_with(monitor) as reads, client_with(agent) as operates, client_with(operator) as administers:
                eventually("it answers", lambda: not code_of(administers, wire.Ping()))
                start = wire.PaperStart(strategy="None", symbol="BTC-USDT")
                assert code_of(reads, wire.PaperListSessions()) == ""
                assert code_of(reads, start) == "forbidden"
                assert code_of(reads, wire.PaperStop("none")) == "forbidden"
                assert code_of(operates, start) == "strategy_not_found"
                assert code_of(operates, wire.PaperStop("none")) == "session_not_found"
                assert code_of(operates, wire.PaperDeleteSession("none")) == "forbidden"
                assert code_of(operates, wire.PaperRestoreSession("/none")) == "forbidden"
                assert code_of(administers, wire.PaperDeleteSession("none")) == "session_not_found"
        finally:
            daemon.close()


def test_a_role_that_is_none_is_refused_at_the_start() -> None:
    daemon = Daemon(config=f'curve_clients = ["{"0" * 40} root"]')
    assert daemon.spawn().wait(60) == 2
    assert "'root' is not a role" in daemon.output()
    daemon.close()


def test_a_file_in_the_place_of_the_socket_is_refused_and_kept() -> None:
    daemon = Daemon()
    file = daemon.home / "precious"
    file.write_text("precious")
    daemon.environment["JESSE_PAPER_ENDPOINT"] = f"ipc://{file}"
    assert daemon.spawn().wait(60) == 2
    assert "exists and is not a socket" in daemon.output()
    assert file.read_text() == "precious"
    daemon.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a socket of another user")
def test_a_client_asks_no_socket_of_another_user(short_home: Path) -> None:
    path = short_home / "theirs.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        os.chown(path, 12345, 12345)
        with DaemonClient(f"ipc://{path}") as client, pytest.raises(PaperError, match="another user"):
            client.call(wire.Ping())
