"""The main job, end to end, with real parts: supervisord, daemon, MCP client, Jesse's engine, real candles.

Every step checks what it claims; the first that does not hold ends the run with status 1. `--quick` replays faster.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
CANDLES = ROOT / "examples" / "candles" / "binance-BTC-USDT-1m-2024-12.csv.gz"
TOOLS = {
    *("paper_start", "paper_stop", "paper_status", "paper_get_trades", "paper_get_equity", "paper_get_metrics"),
    *("paper_list_sessions", "paper_update_session"),
}
SESSION = "main-job"
console = Console(highlight=False)


class NotHeldError(Exception):
    """A claim of the main job did not hold."""


def check(claim: str, held: bool, seen: object = "") -> None:
    """Say a claim, and end the run when it does not hold."""
    console.print(f"  [green]✓[/] {claim}" if held else f"  [red]✗ {claim}[/] (saw: {seen})")
    if not held:
        raise NotHeldError(claim)


def children(pid: int) -> dict[int, str]:
    """The living descendants of a process, with their command lines."""
    found: dict[int, str] = {}
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
    lines = [line.split(None, 2) for line in listed.stdout.splitlines()]
    parents = [pid]
    while parents:
        parent = str(parents.pop())
        for child, ppid, *args in lines:
            if ppid == parent:
                found[int(child)] = args[0] if args else ""
                parents.append(int(child))
    return found


async def until(what: str, seconds: float, condition: Callable[[], Any]) -> Any:
    """Wait for a condition, at most so long; its value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        await asyncio.sleep(0.05)
    raise NotHeldError(f"{what}: not within {seconds:g} seconds")


class Facade:
    """A real MCP client connected to the façade over stdio."""

    def __init__(self, session: ClientSession, pid: int) -> None:
        self.session = session
        self.pid = pid

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await self.session.call_tool(tool, arguments)
        if result.isError:
            raise NotHeldError(f"{tool}: {result.content[0].text}")
        assert result.structuredContent is not None
        return result.structuredContent


@contextlib.asynccontextmanager
async def facade(environment: dict[str, str], *, killed: bool = False) -> AsyncIterator[Facade]:
    """Connect to a new façade; `killed` says that it will not live to the end."""
    before = set(children(os.getpid()))
    parameters = StdioServerParameters(command=str(BIN / "jesse-paper-mcp"), env=environment)
    try:
        async with stdio_client(parameters) as streams, ClientSession(*streams) as session:
            await session.initialize()
            (pid,) = [p for p, args in children(os.getpid()).items() if p not in before and "jesse-paper-mcp" in args]
            yield Facade(session, pid)
    except* (BrokenPipeError, OSError):
        if not killed:
            raise


class Job:
    """The main job in a home of its own."""

    def __init__(self, home: Path, quick: bool) -> None:
        self.home = home
        self.speed = 60 * (1500 if quick else 600)  # candles a second
        self.environment = {
            **os.environ,
            "JESSE_PAPER_HOME": str(home),
            "JESSE_PAPER_PROJECT": str(ROOT / "examples"),
        }
        self.environment.pop("JESSE_PAPER_ENDPOINT", None)
        self.supervisord: subprocess.Popen[bytes] | None = None

    def cli(self, *arguments: str) -> str:
        done = subprocess.run(
            [BIN / "jesse-paper", *arguments], env=self.environment, capture_output=True, text=True, check=False
        )
        return done.stdout if done.returncode == 0 else ""

    def supervisorctl(self, *arguments: str) -> str:
        command = [BIN / "supervisorctl", "-c", ROOT / "supervisord.conf", *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False).stdout

    async def run(self) -> None:
        console.rule("supervisord starts the daemon")
        self.supervisord = subprocess.Popen(
            [BIN / "supervisord", "-n", "-c", ROOT / "supervisord.conf"],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        await until("the daemon answers", 20, lambda: self.cli("ping", "--json"))
        check("the daemon answers under supervisord", "RUNNING" in await self.running(), self.supervisorctl("status"))

        console.rule("an MCP client starts a session")
        async with facade(self.environment, killed=True) as first:
            tools = {tool.name for tool in (await first.session.list_tools()).tools}
            console.print("  tools: " + ", ".join(sorted(tools)))
            check("the façade has the eight tools", tools >= TOOLS, tools)
            started = await first.call(
                "paper_start",
                strategy="SMACrossover",
                symbol="BTC-USDT",
                timeframe="1h",
                session_id=SESSION,
                feed=f"replay:{CANDLES}",
                speed=self.speed,
            )
            check("the session runs", started["status"] == "running", started)
            pid = (await first.call("paper_status", session_id=SESSION))["health"]["pid"]
            await self.watch(first, 0.25)
            seen = (await first.call("paper_status", session_id=SESSION))["health"]["candles"]
            console.rule("the façade is killed")
            os.kill(first.pid, signal.SIGKILL)

        async with facade(self.environment) as second:
            health = (await second.call("paper_status", session_id=SESSION))["health"]
            check(
                f"a new façade finds the session gone on: {seen:,} → {health['candles']:,} candles",
                (health["candles"] > seen and health["pid"] == pid),
                health,
            )
            await self.watch(second, 0.4)
            seen = (await second.call("paper_status", session_id=SESSION))["health"]["candles"]

            console.rule("the daemon is restarted")
            daemon = (await self.ping())["pid"]
            self.supervisorctl("restart", "jesse-paperd")
            await until("a new daemon answers", 20, lambda: self.another(daemon))
            health = (await second.call("paper_status", session_id=SESSION))["health"]
            check(
                f"a new daemon finds the session gone on: {seen:,} → {health['candles']:,} candles",
                (health["candles"] > seen and health["pid"] == pid and health["restarts"] == 0),
                health,
            )
            await self.watch(second, 0.6)

            console.rule("what it did")
            for command in ("status", "trades", "equity", "metrics"):
                shown = self.cli(command, SESSION)
                console.print(shown, markup=False, soft_wrap=True)
                check(f"jesse-paper {command} shows something", bool(shown))
            trades = await second.call("paper_get_trades", session_id=SESSION)
            check(f"it has closed trades: {trades['total_trades']}", trades["total_trades"] > 0)

            console.rule("the session is stopped")
            stopped = await second.call("paper_stop", session_id=SESSION)
            check(f"it stopped: {stopped['stop_reason']}", stopped["status"] == "stopped", stopped)
            again = await second.call("paper_stop", session_id=SESSION)
            check("a second stop gives the same answer", again == stopped, again)
            names = ("total_return", "sharpe_ratio", "max_drawdown", "win_rate", "total_trades", "final_equity")
            for name in names:
                console.print(f"    {name:14} {stopped['final_metrics'][name]}")
            gone = await until(
                "the session's process is gone", 5, lambda: not Path(f"/proc/{pid}").exists() or self.dead(pid)
            )
            check("its process is gone", bool(gone))

    async def watch(self, client: Facade, share: float) -> None:
        """Show the session's progress until this share of the candles is consumed."""
        total = 27_000  # December's minutes after the warm-up; only for the bar
        columns = (TextColumn("  replaying"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[equity]}"))
        with Progress(*columns, console=console, transient=not console.is_terminal) as bar:
            task = bar.add_task("", total=total, equity="")

            async def far_enough() -> bool:
                status = await client.call("paper_status", session_id=SESSION)
                if status["status"] not in ("running", "restarting"):
                    raise NotHeldError(f"the session is {status['status']}: {status['error']}")
                equity = f"equity {status['current_equity']:,.2f}, {status['metrics']['total_trades']} trades"
                bar.update(task, completed=status["health"]["candles"], equity=equity)
                return bool(status["health"]["candles"] >= share * total)

            await until("the session goes on", 120, far_enough)

    async def running(self) -> str:
        return str(await until("supervisord says RUNNING", 10, lambda: self.running_now()))

    def running_now(self) -> str:
        status = self.supervisorctl("status")
        return status if "RUNNING" in status else ""

    async def ping(self) -> dict[str, Any]:
        import json

        return dict(json.loads(self.cli("ping", "--json")))

    def another(self, daemon: int) -> bool:
        answer = self.cli("ping", "--json")
        return bool(answer) and f'"pid":{daemon},' not in answer

    def dead(self, pid: int) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return ") Z " in Path(f"/proc/{pid}/stat").read_text()
        return True

    def close(self) -> bool:
        """Shut everything down; whether nothing is left."""
        if self.supervisord is None:
            return True
        processes = children(self.supervisord.pid)
        self.supervisorctl("shutdown")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.supervisord.wait(20)
        if self.supervisord.poll() is None:
            self.supervisord.kill()
            return False
        deadline = time.monotonic() + 10
        while not all(self.dead(pid) for pid in processes) and time.monotonic() < deadline:
            time.sleep(0.05)
        return all(self.dead(pid) for pid in processes)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="replay three times as fast")
    parser.add_argument("--keep", action="store_true", help="keep the home directory")
    arguments = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="jesse-paper-"))
    (home / "log").mkdir(mode=0o700)
    job = Job(home, arguments.quick)
    held = False
    try:
        asyncio.run(job.run())
        held = True
    except* NotHeldError as errors:
        for error in errors.exceptions:
            console.print(f"[red]did not hold: {error}[/]")
    finally:
        console.rule("shutting down")
        clean = job.close()
        console.print("  [green]✓[/] everything is shut down" if clean else "  [red]✗ processes were left[/]")
        if held and clean and not arguments.keep:
            shutil.rmtree(home)
        else:
            console.print(f"  home and logs: {home}")
    return 0 if held and clean else 1


if __name__ == "__main__":
    sys.exit(main())
