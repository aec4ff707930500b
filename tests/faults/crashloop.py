"""Kills everything, at any moment, again and again, and then looks for what was lost.

    scripts/crashloop 1000 [--seed S] [--report FILE]

Sessions replay real candles, and follow a stand-in exchange, while SIGKILL strikes the daemon, its zygote, the feed,
the façade and the sessions: at random moments, and at named ones (tests/fakes/traps). At the end each session is run
once more, undisturbed, and every row of its journal is compared. Exit status 0 only if nothing was lost or doubled.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jesse_paper import protocol as wire
from jesse_paper.client import DaemonClient
from jesse_paper.errors import PaperError
from jesse_paperd.processes.identity import identify, send_signal, watch
from tests.fakes.traps.sitecustomize import MOMENTS
from tests.support.breaking import children, facts_of, short_candles
from tests.support.daemon import ETHER_CANDLES, FUTURES_CANDLES, ROOT, SPOT_CANDLES, Daemon
from tests.support.mcp_client import LineClient

CONFIG = """
stalled_seconds = 30
start_seconds = 5
[restart]
limit = 1000
first_seconds = 0.02
longest_seconds = 0.5
"""
#: The stand-in exchange's time runs so many times as fast.
EXCHANGE_SPEED = 240
#: How often each is struck. Who needs the engine imported anew takes seconds to come back, the others milliseconds.
WEIGHTS = {"session": 80, "daemon": 2, "zygote": 2, "feed": 3, "façade": 4, "trap": 40}
#: So few of these are struck while one comes back.
RARE = 0.1
PATH = [os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else []


class Sessions:
    """Keeps sessions of several kinds going: starts them, asks things of them, takes their ends down."""

    def __init__(self, daemon: Daemon, at_once: int, chance: random.Random) -> None:
        self._daemon = daemon
        self._at_once = at_once
        self._chance = chance
        self._kinds = _kinds()
        self.acknowledged: list[str] = []
        self.ended: set[str] = set()
        self.regressions: list[str] = []
        self.engine_is_ready = False
        self._trades: Counter[str] = Counter()

    def tend(self, client: DaemonClient, finishing: bool) -> None:
        """One round: what is missing is started, what runs is looked at, what is live may be stopped."""
        self.engine_is_ready = False
        self.engine_is_ready = client.call(wire.Ping(), timeout=2).engine == "ready"
        rows = {
            row.session_id: row
            for row in client.call(wire.PaperListSessions(active_only=False, limit=1000), timeout=5).sessions
        }
        self.regressions += [name for name in self.acknowledged if name not in rows]
        self.ended |= {name for name, row in rows.items() if row.status in ("stopped", "failed")}
        running = [name for name in self.acknowledged if name not in self.ended]
        for name in running:
            self._look(client, name)
            if name.startswith("live") and (finishing or self._chance.random() < 0.02):
                client.call(wire.PaperStop(session_id=name), request_id=f"stop {name}", timeout=60)
            elif name.startswith("leveraged") and self._chance.random() < 0.1:
                updates = wire.SessionUpdates(leverage=self._chance.randint(1, 10))
                client.call(wire.PaperUpdateSession(session_id=name, updates=updates), timeout=5)
        if not finishing and len(running) < self._at_once:
            self._start(client)

    def _start(self, client: DaemonClient) -> None:
        number = len(self.acknowledged)
        name, arguments = self._kinds[number % len(self._kinds)]
        session_id = f"{name}-{number}"
        body = wire.PaperStart(session_id=session_id, **arguments)
        # The same request, with the same id, until it is answered: it must never start a second session.
        while session_id not in self.acknowledged:
            with contextlib.suppress(PaperError):
                client.call(body, request_id=f"start {session_id}", timeout=20)
                self.acknowledged.append(session_id)

    def _look(self, client: DaemonClient, name: str) -> None:
        with contextlib.suppress(PaperError):  # one that has no journal yet
            total = client.call(wire.PaperGetTrades(session_id=name, limit=1), timeout=5).total_trades
            if total < self._trades[name]:
                self.regressions.append(name)
            self._trades[name] = max(total, self._trades[name])


def _kinds() -> list[tuple[str, dict[str, Any]]]:
    """Kinds of sessions by name; a replay of eight days takes some ten seconds."""
    spot, futures = (f"replay:{short_candles(8, source)}" for source in (SPOT_CANDLES, FUTURES_CANDLES))
    btc = {"symbol": "BTC-USDT"}
    day, cross = ({**btc, "strategy": s, "timeframe": t} for s, t in (("DayTrader", "15m"), ("SMACrossover", "30m")))
    both = f"BTC-USDT={short_candles(8, FUTURES_CANDLES)},ETH-USDT={short_candles(8, ETHER_CANDLES)}"
    routes = [wire.TradedRoute("BTC-USDT", "DayTrader", "15m"), wire.TradedRoute("ETH-USDT", "SMACrossover", "30m")]
    pace = {"speed": 60 * 800.0}
    return [
        ("spot", {**day, **pace, "feed": spot}),
        ("leveraged", {**day, **pace, "feed": futures, "leverage": 3}),
        ("live", {**btc, "strategy": "SMACrossover", "timeframe": "5m", "warmup_candles": 60}),
        ("cross", {**cross, **pace, "feed": spot, "warmup_candles": 60}),
        ("portfolio", {**pace, "routes": routes, "feed": f"replay:{both}", "leverage": 2}),
        ("isolated", {**day, **pace, "feed": futures, "leverage": 5, "leverage_mode": "isolated"}),
    ]


class Killer:
    """Strikes, and counts by what was struck and when."""

    def __init__(self, daemon: Daemon, traps: Path, chance: random.Random) -> None:
        self._daemon = daemon
        self._traps = traps
        self._chance = chance
        self.struck: Counter[str] = Counter()
        self.facade: LineClient | None = None

    def strike(self, engine_is_ready: bool) -> None:
        """Kill one process at random, or arm a trap."""
        (target,) = self._chance.choices(list(WEIGHTS), list(WEIGHTS.values()))
        if target != "session" and not engine_is_ready and self._chance.random() > RARE:
            return
        if target == "trap":
            self._arm(engine_is_ready)
            return
        victims = list(self._victims(target))
        if victims and self._kill(self._chance.choice(victims)):
            self.struck[f"{target}, at random"] += 1

    def disarm(self) -> None:
        for trap in self._traps.iterdir():
            if trap.is_file():
                trap.unlink()

    def count(self) -> Counter[str]:
        """Kills so far, by what and when."""
        sprung: Counter[str] = Counter()
        for path in (self._traps / "sprung").iterdir():
            if (moment := path.name.split(".")[0]) in MOMENTS:
                role = MOMENTS[moment].role.replace("zygote", "session")
                victim = path.read_text()
                sprung[f"{role}, {moment}" if victim == "self" else f"{victim}, a session {moment}"] += 1
        return self.struck + sprung

    def _arm(self, engine_is_ready: bool) -> None:
        """Arm a trap, the rather the more seldom its moment was struck so far."""
        struck = Counter(path.name.split(".")[0] for path in (self._traps / "sprung").iterdir())
        (moment,) = self._chance.choices(list(MOMENTS), [1 / (1 + struck[name]) for name in MOMENTS])
        role = MOMENTS[moment].role
        victim = self._chance.choice(["self", "self", "self", "zygote", "daemon"]) if role == "zygote" else "self"
        dear = (victim, role) != ("self", "zygote") and role != "feed"
        if dear and not engine_is_ready and self._chance.random() > RARE:
            return
        with tempfile.NamedTemporaryFile("w", dir=self._traps / "sprung", delete=False) as trap:
            trap.write(victim)
        Path(trap.name).rename(self._traps / moment)

    def _victims(self, target: str) -> Iterator[int]:
        assert self._daemon.process is not None
        if target == "daemon":
            yield self._daemon.process.pid
        elif target == "façade":
            yield from [self.facade.process.pid] if self.facade is not None else []
        elif target == "session":
            yield from self._daemon.session_pids().values()
        else:
            part = {"zygote": "zygote_main", "feed": "feed"}[target]
            yield from (pid for pid, command in children(self._daemon.process.pid).items() if part in command)

    def _kill(self, pid: int) -> bool:
        identity = identify(pid)
        descriptor = watch(identity) if identity is not None else None
        if descriptor is None:
            return False
        try:
            return send_signal(descriptor, signal.SIGKILL)
        finally:
            os.close(descriptor)


class CrashLoop:
    """One run, in a home of its own."""

    def __init__(self, kills: int, seed: int, at_once: int) -> None:
        self._wanted = kills
        self._chance = random.Random(seed)
        self._folder = Path(tempfile.mkdtemp(prefix="jp-traps-", dir="/tmp"))
        (self._folder / "sprung").mkdir()
        self._daemon = Daemon(config=CONFIG)
        self._killer = Killer(self._daemon, self._folder, random.Random(self._chance.random()))
        self._sessions = Sessions(self._daemon, at_once, random.Random(self._chance.random()))
        self._finishing = threading.Event()
        self._defects: list[str] = []

    def run(self) -> dict[str, Any]:
        """Everything; what came of it."""
        began = time.monotonic()
        with self._exchange():
            try:
                self._daemon.process = self._daemon.spawn()
                threads = [threading.Thread(target=work) for work in (self._tend, self._talk)]
                for thread in threads:
                    thread.start()
                self._strike()
                self._await_ends()
                for thread in threads:
                    thread.join()
                struck = time.monotonic() - began
                lost, doubled = self._compare()
            finally:
                self._finishing.set()
                self._daemon.close()
        counted = self._killer.count()
        return {
            "kills": counted.total(),
            "sessions": len(self._sessions.acknowledged),
            "lost": lost,
            "doubled": doubled,
            "by": dict(sorted(counted.items())),
            "rows": self._rows,
            "defects": self._defects,
            "seconds": round(struck),
        }

    def _strike(self) -> None:
        shown = time.monotonic()
        while (count := self._killer.count().total()) < self._wanted:
            self._revive()
            self._killer.strike(self._sessions.engine_is_ready)
            if time.monotonic() - shown > 10:
                shown = time.monotonic()
                sessions = self._sessions
                told = f"{count} kills, {len(sessions.acknowledged)} sessions, {len(sessions.ended)} of them ended"
                print(told, file=sys.stderr, flush=True)
            time.sleep(self._chance.expovariate(1 / 0.15))
        self._killer.disarm()

    def _revive(self) -> None:
        """What supervisord does for the daemon, and an MCP client for its server."""
        process = self._daemon.process
        assert process is not None
        if process.poll() is not None:
            self._daemon.process = self._daemon.spawn()

    def _await_ends(self) -> None:
        self._finishing.set()
        deadline = time.monotonic() + 600
        while self._sessions.ended < set(self._sessions.acknowledged):
            self._revive()
            if time.monotonic() > deadline:
                waiting = set(self._sessions.acknowledged) - self._sessions.ended
                self._defects.append(f"have not ended: {', '.join(sorted(waiting))}")
                return
            time.sleep(0.1)

    def _tend(self) -> None:
        with DaemonClient(self._daemon.endpoint) as client:
            while not (self._finishing.is_set() and self._sessions.ended >= set(self._sessions.acknowledged)):
                if self._defects:
                    return
                with contextlib.suppress(PaperError):
                    self._sessions.tend(client, self._finishing.is_set())
                time.sleep(0.1)

    def _talk(self) -> None:
        """Ask through the façade, and have another one whenever it was killed."""
        while not self._finishing.is_set():
            facade = self._killer.facade = LineClient(self._daemon.endpoint)
            with contextlib.suppress(OSError, ValueError):  # killed amid a line
                facade.handshake()
                while not self._finishing.is_set():
                    answer = facade.request(
                        "tools/call", {"name": "paper_list_sessions", "arguments": {"active_only": False}}
                    )
                    listed = answer["result"].get("structuredContent", {}).get("total")
                    if listed is not None and listed < len(self._sessions.acknowledged) - 1:
                        self._defects.append(f"the façade listed {listed} sessions")
                    time.sleep(0.2)
            self._killer.facade = None
            facade.process.kill()
            facade.process.communicate()

    def _compare(self) -> tuple[int, int]:
        """Run every session again, undisturbed; rows that the disturbed ones lack, and rows that they have too much."""
        sessions = self._sessions
        self._defects += [f"{name} went back" for name in sessions.regressions]
        target = self._folder / "again"
        target.mkdir()
        command = [sys.executable, "-m", "tests.support.reference", str(self._daemon.home), str(target)]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
        path = {"PYTHONPATH": ":".join([str(ROOT), *PATH])}
        subprocess.run([*command, *sessions.acknowledged], cwd=target, env={**environment, **path}, check=True)
        lost = doubled = self._rows = 0
        for name in sessions.acknowledged:
            files = self._daemon.layout.session(name)
            found, expected = facts_of(files.journal), facts_of(target / name / "journal.sqlite")
            for table in expected:
                before, after = Counter(expected[table]), Counter(found[table])
                self._rows += before.total()
                if before != after:
                    self._defects.append(f"{name}: {table} differ")
                    if os.environ.get("CRASHLOOP_SHOW"):
                        print(name, table, before - after, after - before, file=sys.stderr)
                lost += (before - after).total()
                doubled += (after - before).total()
        return lost, doubled

    @contextlib.contextmanager
    def _exchange(self) -> Iterator[None]:
        """A stand-in exchange on a fast clock, and a feed on the same one."""
        command = [sys.executable, "-m", "tests.fakes.exchange_server", "--symbol", "BTC-USDT"]
        with subprocess.Popen([*command, "--speed", str(EXCHANGE_SPEED)], cwd=ROOT, stdout=subprocess.PIPE) as exchange:
            assert exchange.stdout is not None
            told = json.loads(exchange.stdout.readline())
            with (self._daemon.home / "config.toml").open("a") as config:
                config.write(told["config"])
            self._daemon.environment.update(
                PYTHONPATH=":".join([str(ROOT / "tests" / "fakes" / "traps"), str(ROOT), *PATH]),
                TRAPS=str(self._folder),
                FAST_FEED=f"{EXCHANGE_SPEED} {told['now']} {time.monotonic()}",
            )
            try:
                yield
            finally:
                exchange.kill()


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill everything, again and again, and look for what was lost.")
    parser.add_argument("kills", type=int, nargs="?", default=100)
    parser.add_argument("--seed", type=int, default=None, help="default: random; printed at the end")
    parser.add_argument("--sessions", type=int, default=5, help="running at once (default: 5)")
    parser.add_argument("--report", type=Path, help="write what was struck and what was lost as JSON")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(10**6)
    report = {**CrashLoop(arguments.kills, seed, arguments.sessions).run(), "seed": seed}
    for what, count in report["by"].items():
        print(f"{count:6}  {what}")
    for defect in report["defects"][:20]:
        print(f"        {defect}")
    print(f"{report['rows']:,} rows compared, after {report['seconds']} s")
    if arguments.report:
        arguments.report.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    tally = {name: report[name] for name in ("kills", "sessions", "lost", "doubled", "seed")}
    print(" ".join(f"{name}={value}" for name, value in tally.items()))
    return 1 if report["defects"] or report["lost"] or report["doubled"] else 0


if __name__ == "__main__":
    sys.exit(main())
