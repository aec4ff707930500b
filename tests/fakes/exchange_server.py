"""A stand-in exchange on loopback: real HTTP, in the exchange's own dialect, misbehaving on command.

    .venv/bin/python -m tests.fakes.exchange_server --exchange "Binance Spot" --symbol BTC-USDT

prints one JSON line with its address and the configuration that points the feed at it, and serves until it is killed.
`POST /-/faults` with a JSON list such as [{"kind":"status","status":429,"retry_after":"30"}] replaces its faults.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from jesse_paperd.core.minutes import MINUTE
from tests.fakes.dialects import DIALECTS, Dialect, Question
from tests.fakes.faults import LAGGING, ROWS, Fault, spoil
from tests.fakes.market import Market, random_market, recorded_market


class ExchangeServer:
    """One stand-in exchange. `now` is its clock; `asked` the (time, path, weight) of every request that came."""

    def __init__(self, dialect: Dialect, markets: list[Market], now: Callable[[], int], seed: int = 0) -> None:
        self.dialect = dialect
        self.markets = {dialect.pair(market): market for market in markets}
        self.now = now
        self.faults: list[Fault] = []
        self.asked: list[tuple[int, str, int]] = []
        self.headers_seen: set[str] = set()
        self._chance = random.Random(seed)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._port = 0
        self._opening: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def start(self, port: int = 0) -> None:
        """Listen; on a free port, or the one it had before."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", port or self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and cut every connection: from now on they are refused."""
        if self._server is not None:
            self._server.close()
            self._server = None
        connections, self._connections = self._connections, set()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    def weight_in_any_minute(self) -> int:
        """The most weight that was asked for within any 60 s."""
        most, total, first = 0, 0, 0
        for at, _, weight in self.asked:
            total += weight
            while self.asked[first][0] <= at - MINUTE:
                total -= self.asked[first][2]
                first += 1
            most = max(most, total)
        return most

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while await self._one_request(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client left, or the server was told to
        finally:
            self._connections.discard(task)
            writer.close()

    async def _one_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; returns whether the connection stays open."""
        head = await reader.readuntil(b"\r\n\r\n")
        request, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = request.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        url = urlsplit(target)  # absolute when it serves as a proxy
        if url.path.startswith("/-/"):
            self._command(url.path, body)
            return self._send(writer, 200, "[]", {})
        self.headers_seen |= headers.keys()
        now = self.now()
        query = dict(parse_qsl(url.query))
        weight = self.dialect.weight(url.path, query)
        self.asked.append((now, url.path, weight))
        struck = {fault.kind: fault for fault in self.faults if fault.strikes(url.path, now, self._chance)}
        if method != "GET":
            return self._send(writer, 405, "{}", {})
        if "silence" in struck:
            await reader.read()  # until the client gives up
            return False
        if "slow" in struck:
            await asyncio.sleep(struck["slow"].seconds)
            now = self.now()
        if "drop" in struck:
            return False
        if "status" in struck:
            told = struck["status"].retry_after
            return self._send(
                writer, struck["status"].status, '{"code":-1,"msg":"told to"}', {"Retry-After": told} if told else {}
            )
        used = sum(weight for at, _, weight in self.asked if at > now - MINUTE)
        if used > self.dialect.weight_limit:
            return self._send(writer, self.dialect.too_much, '{"code":-1003,"msg":"Too much"}', {"Retry-After": "120"})
        if "html" in struck:
            return self._send(writer, 200, "<html>Checking your browser</html>", {})
        status, answer = self.dialect.answer(Question(url.path, query, self.markets, now, self._rows(struck)))
        text = json.dumps(answer)
        if "truncate" in struck:
            text = text[: len(text) // 2]
        return self._send(writer, status, text, {"X-Mbx-Used-Weight-1m": str(used)}, cut="cut" in struck)

    def _rows(self, struck: dict[str, Fault]) -> Callable[[Market, int, int], list[Any]]:
        def rows(market: Market, first: int, upto: int) -> list[Any]:
            now = self.now()
            if LAGGING in struck:
                now -= round(self._chance.uniform(0, struck[LAGGING].seconds) * 1000)
            found: list[Any] = market.rows(first, min(upto, now + 1), now)
            for kind in (kind for kind in ROWS if kind in struck):
                found = spoil(struck[kind], found, self._chance, now)
            return found

        return rows

    def _send(
        self, writer: asyncio.StreamWriter, status: int, text: str, headers: dict[str, str], cut: bool = False
    ) -> bool:
        body = text.encode()
        sent = {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Date": formatdate(self.now() / 1000, usegmt=True),
            **headers,
        }
        head = f"HTTP/1.1 {status} told\r\n" + "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        writer.write(head.encode() + b"\r\n" + (body[: len(body) // 2] if cut else body))
        return not cut

    def _command(self, path: str, body: bytes) -> None:
        if path == "/-/faults":
            self.faults = [Fault(**values) for values in json.loads(body)]
        if any(fault.kind == "refuse" for fault in self.faults):
            self._opening = asyncio.create_task(self._refuse_for(max(f.seconds for f in self.faults)))

    async def _refuse_for(self, seconds: float) -> None:
        """Refuse connections for a while; the commands' connection too, so it ends by itself."""
        await self.stop()
        await asyncio.sleep(seconds)
        self.faults = []
        await self.start()


async def _serve(arguments: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    starts_at = arguments.start if arguments.start is not None else time.time_ns() // 1_000_000

    def now() -> int:
        return int(starts_at + arguments.clock_off * 1000 + (loop.time() - began) * 1000)

    markets = [
        recorded_market(symbol, arguments.candles, starts_at // MINUTE * MINUTE - arguments.history * MINUTE)
        if arguments.candles
        else random_market(symbol, arguments.seed, arguments.quiet)
        for symbol in arguments.symbol
    ]
    server = ExchangeServer(DIALECTS[arguments.exchange](), markets, now, arguments.seed)
    await server.start(arguments.port)
    config = f'[exchanges."{arguments.exchange}"]\nurls = "{server.url}"\n'
    print(json.dumps({"url": server.url, "config": config, "now": now()}), flush=True)
    await asyncio.Event().wait()


def main() -> int:
    from tests.fakes.event_loops import FastLoop

    parser = argparse.ArgumentParser(description="A stand-in exchange on loopback.")
    parser.add_argument("--exchange", choices=sorted(DIALECTS), default="Binance Spot")
    parser.add_argument("--symbol", action="append", required=True, help="Jesse's name of a pair; repeatable")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0, help="of random candles and of chance")
    parser.add_argument("--quiet", type=float, default=0.0, help="share of minutes without a trade")
    parser.add_argument("--candles", type=Path, help="a gzipped candle file to repeat instead of random candles")
    parser.add_argument("--history", type=int, default=20_000, help="minutes of the file that lie before the start")
    parser.add_argument("--start", type=int, help="its clock at the start, in milliseconds; default: the local clock")
    parser.add_argument("--clock-off", type=float, default=0.0, help="seconds by which its clock differs")
    parser.add_argument("--speed", type=float, default=1.0, help="how many times as fast its time runs")
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=lambda: FastLoop(arguments.speed)) as run:
        run.run(_serve(arguments))
    return 0


if __name__ == "__main__":
    sys.exit(main())
