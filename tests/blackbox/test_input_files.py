"""Files that a client names: whatever they are, they are refused in words that quote nothing, and hold nobody up."""

from __future__ import annotations

import gzip
import os
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from jesse_paper import protocol as wire
from jesse_paper.client import DaemonClient
from jesse_paper.errors import PaperError
from jesse_paperd.candles.files import HEADER, MOST_BYTES
from tests.support.daemon import Daemon, running_daemon

SECRET = "correct-horse-battery-staple"
ROW = "1735689600000,1,2,1,2,5"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with running_daemon() as daemon:
        yield daemon


def pipe(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def link_to_zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def link_to_a_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("behind"))
    path.symlink_to(path.with_name("behind"))


def unreadable(path: Path) -> None:
    path.symlink_to("/proc/self/mem")


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)


def bomb(path: Path) -> None:
    with path.open("wb") as file:
        for _ in range(MOST_BYTES // 2**26 + 1):
            file.write(_SIXTY_FOUR_MIB)


_SIXTY_FOUR_MIB = gzip.compress(bytes(2**26), compresslevel=1)


def promises_much(path: Path) -> None:
    header = str({"descr": "<f8", "fortran_order": False, "shape": (10**13, 6)}).encode()
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header + b"\n")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (Path.mkdir, "is a directory"),
        (pipe, "is a named pipe"),
        (link_to_a_pipe, "is a named pipe"),
        (a_socket, "is a socket"),
        (link_to_zeros, "is a device"),
        (unreadable, "cannot be read"),
        (sparse, "at most 512 MiB"),
        (bomb, "unpacked, is too large: at most 512 MiB"),
        (promises_much, "not a complete NumPy file"),
        (lambda path: path.symlink_to(path), "Too many levels"),
        (lambda path: path.write_bytes(b""), "the header must be"),
    ],
)
def test_what_is_no_candle_file_is_refused_in_words(
    daemon: Daemon, tmp_path: Path, make: Callable[[Path], None], told: str
) -> None:
    make(tmp_path / "candles")
    with pytest.raises(PaperError) as caught:
        daemon.start_session(feed=f"replay:{tmp_path / 'candles'}")
    assert caught.value.code == "candles_invalid"
    assert told in caught.value.message
    assert str(tmp_path / "candles") in caught.value.message


def test_four_pipes_at_once_hold_nobody_up(daemon: Daemon, tmp_path: Path) -> None:
    paths = [tmp_path / f"pipe{i}" for i in range(8)]
    for path in paths:
        pipe(path)

    def start(path: Path) -> str:
        with DaemonClient(daemon.endpoint) as client, pytest.raises(PaperError) as caught:
            client.call(wire.PaperStart(strategy="SMACrossover", symbol="BTC-USDT", feed=f"replay:{path}"), timeout=60)
        return caught.value.code

    with ThreadPoolExecutor(len(paths)) as pool:
        assert set(pool.map(start, paths)) == {"candles_invalid"}
    assert daemon.call(wire.PaperListSessions(active_only=False)).total == 0


def csv(text: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(text) and None


def array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.array([[SECRET] * 6]))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (csv(f"root:{SECRET}:19000:0:99999:7:::\n"), "line 1: the header must be"),
        (csv(f"API_KEY={SECRET}\n"), "has 1 column"),
        (csv(f"a,b,{SECRET},d,e,f\n"), "has 6 columns of other names"),
        (csv(f"{HEADER}\n{ROW}\n{SECRET},1,2,1,2,5\n"), "line 3 has a value that is not a number: its timestamp"),
        (csv(f"{HEADER}\n{ROW}\n{SECRET}\n"), "line 3 has 1 value instead of 6"),
        (csv(f"{HEADER}\n{SECRET * 1000}\n"), "line 2 has 1 value instead of 6"),
        (array, "an (n, 6) array of numbers"),
        (lambda path: path.write_bytes(b"\x93NUMPY\x01\x00\x40\x00" + SECRET.encode() * 3), "complete NumPy file"),
        (lambda path: path.write_bytes(b"\x1f\x8b" + SECRET.encode()), "not a whole gzip file"),
        (lambda path: path.write_bytes(b"PAR1" + SECRET.encode() + b"PAR1"), "not a complete Parquet file"),
    ],
)
def test_an_error_quotes_nothing_of_a_file(
    daemon: Daemon, tmp_path: Path, make: Callable[[Path], None], told: str
) -> None:
    if "Parquet" in told:
        pytest.importorskip("pyarrow")
    make(tmp_path / "candles")
    with pytest.raises(PaperError) as caught:
        daemon.start_session(feed=f"replay:{tmp_path / 'candles'}")
    assert told in caught.value.message
    assert SECRET[:7] not in str(caught.value.message) + caught.value.hint


def test_a_parquet_file_of_texts_is_refused_by_its_column(daemon: Daemon, tmp_path: Path) -> None:
    table = pytest.importorskip("pyarrow").table({name: [1.0] for name in HEADER.split(",")} | {"close": [SECRET]})
    pytest.importorskip("pyarrow.parquet").write_table(table, tmp_path / "candles")
    with pytest.raises(PaperError, match="its column close must be of numbers"):
        daemon.start_session(feed=f"replay:{tmp_path / 'candles'}")


def test_what_takes_long_to_load_keeps_no_list_no_stop_and_no_end_waiting() -> None:
    """A database that takes connections and says nothing holds every thread that loads candles."""
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(6) as pool:
        url = f"postgresql://someone@127.0.0.1:{silent.getsockname()[1]}/jesse_db"
        with running_daemon(config=f'[jesse_database]\nurl = "{url}"\n') as daemon:
            daemon.start_session(session_id="other", speed="60")

            def start() -> str:
                body = wire.PaperStart(strategy="SMACrossover", symbol="BTC-USDT", feed="replay:postgres")
                with DaemonClient(daemon.endpoint) as client, pytest.raises(PaperError) as caught:
                    client.call(body, timeout=8)
                return caught.value.code

            starts = [pool.submit(start) for _ in range(6)]
            for _ in range(4):
                silent.accept()[0].detach()  # kept open: it hangs
            assert [row.session_id for row in daemon.call(wire.PaperListSessions(active_only=False)).sessions] == [
                "other"
            ]
            assert daemon.stop_session("other").status == "stopped"
            assert daemon.kill(signal.SIGTERM) == 0
            assert {each.result() for each in starts} <= {"shutting_down", "timeout", "feed_unavailable"}
