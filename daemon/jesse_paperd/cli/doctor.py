"""doctor: checks everything a session needs, and says how to fix what is wrong.

Without a daemon it looks at what can be seen from outside; with one, the daemon tells what it sees itself.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import click
import msgspec

import jesse_paperd
from jesse_paper import protocol as wire
from jesse_paper.endpoint import default_endpoint, default_home
from jesse_paper.errors import PaperError
from jesse_paperd.cli.asking import ask, json_option, print_json
from jesse_paperd.cli.service_state import service_state
from jesse_paperd.terminal.tables import Styled, table, unwell

_CLOCK_TOLERANCE_MS = 1000
#: The exchange that is asked for by default, to see whether the network is there when no session says so.
_EXCHANGE = ("api.binance.com", 443)
_CONNECT_SECONDS = 3.0
#: Reading everything takes a while where there is much.
_FILES_SECONDS = 60.0
_APPEARS_SECONDS = 3.0
_CHECK_SECONDS = 60.0

State = Literal["ok", "warning", "wrong", "unknown"]
_MARKS = {
    "ok": Styled("✓", "green"),
    "warning": Styled("!", "yellow"),
    "wrong": Styled("✗", "bold red"),
    "unknown": Styled("?", "dim"),
}


class Finding(NamedTuple):
    """What one check found. `mend` says what to do unless it is ok; a warning bars no session."""

    check: str
    state: State
    found: str
    mend: str = ""


class Configuration(msgspec.Struct):
    """What the daemon's configuration comes to, as `jesse-paperd --check` tells."""

    home: str
    project: str
    endpoint: str


@click.command(short_help="Check everything, and say how to fix it.")
@json_option
def doctor(as_json: bool) -> None:
    """Check home, permissions, configuration, disk, service, socket, daemon, versions, engine, project, sessions,
    files, feed, clock.

    ✓ is well, ! is worth knowing, ✗ needs fixing, ? cannot be seen without a daemon. Exit status 1 when something
    needs fixing.

    \b
    jesse-paper doctor
    jesse-paper doctor --json | jq '.[] | select(.state == "wrong")'
    """
    findings = list(_findings())
    if as_json:
        print_json([finding._asdict() for finding in findings])
    else:
        rows: list[list[Any]] = []
        for f in findings:
            rows.append([_MARKS[f.state], f.check, f.found])
            if f.state in ("warning", "wrong") and f.mend:
                rows.append([" ", " ", Styled(f"→ {f.mend}", "yellow")])
        table(["", "check", "found"], rows, elastic="found")
    if any(finding.state == "wrong" for finding in findings):
        sys.exit(1)


def _findings() -> Iterator[Finding]:
    configuration, read = configuration_finding()
    try:
        _wait_for_a_daemon()
        pong: wire.Pong = ask(wire.Ping, {}, timeout=5)
        health: wire.DaemonHealth = ask(wire.PaperHealth, {})
    except PaperError as error:
        yield from _home(default_home())
        yield read
        yield service_finding(default_home())
        yield _disk(_free_mb(default_home()))
        yield from _no_daemon(error, configuration)
        return
    yield from _home(default_home())
    yield read
    yield service_finding(default_home())
    yield _disk(health.disk_free_mb)
    yield Finding("socket", "ok", default_endpoint())
    yield Finding("daemon", "ok", f"pid {pong.pid}, up since {pong.started_at[:19]}Z, {pong.sessions} sessions")
    yield _versions(pong)
    yield _engine(pong, health)
    yield _project(ask(wire.PaperListStrategies, {}))
    yield _sessions(ask(wire.PaperListSessions, {"active_only": True, "limit": 1000}))
    yield _files()
    yield _feed(health)
    yield _clock(health)


def _files() -> Finding:
    """What is kept of every session, read whole."""
    try:
        checked: wire.Checked = ask(wire.PaperCheckFiles, {}, timeout=_FILES_SECONDS)
    except PaperError as error:
        return Finding("files", "unknown", error.message)
    if checked.registry:
        return Finding("files", "warning", "; ".join(checked.registry), "compare `jesse-paper ls --all` with a backup")
    if not checked.damaged:
        return Finding("files", "ok", f"{checked.sessions} sessions are what was written")
    told = "; ".join(f"{each.session_id}: {', '.join(each.problems)}" for each in checked.damaged[:5])
    return Finding("files", "wrong", told, checked.damaged[0].remedy)


def _wait_for_a_daemon() -> None:
    """One that was started a moment ago makes its socket soon: `jesse-paperd & jesse-paper doctor`."""
    endpoint = default_endpoint()
    deadline = time.monotonic() + _APPEARS_SECONDS
    while endpoint.startswith("ipc://") and not Path(endpoint[6:]).exists() and time.monotonic() < deadline:
        time.sleep(0.1)


def _home(home: Path) -> Iterator[Finding]:
    try:
        status = home.stat()
    except OSError as error:
        yield Finding("home", "wrong", f"{home}: {error.strerror}", "the daemon makes it when it starts: jesse-paperd")
        yield Finding("permissions", "unknown", "there is no home")
        return
    ours = status.st_uid == os.geteuid()
    mend = f"run as the user who owns it, or: chown -R {os.geteuid()} {home}"
    yield Finding("home", "ok" if ours else "wrong", f"{home}" + ("" if ours else f", of user {status.st_uid}"), mend)
    open_to_others = [
        f"{path} is {mode:04o}"
        for path in (home, home / "run", home / "registry.sqlite")
        if path.exists() and (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077
    ]
    mend = f"keep others out: chmod -R go= {home}"
    yield Finding("permissions", "wrong" if open_to_others else "ok", ", ".join(open_to_others) or "yours alone", mend)


def configuration_finding() -> tuple[Configuration | None, Finding]:
    """What it comes to, if it is valid: read by the daemon's own program, which alone knows what it takes."""
    program = [sys.executable, "-P", "-c", "from jesse_paperd.app import main; main()", "--check"]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=_CHECK_SECONDS)
    if done.returncode == 0:
        configuration = msgspec.json.decode(done.stdout, type=Configuration)
        file = default_home() / "config.toml"
        return configuration, Finding("configuration", "ok", str(file) if file.exists() else "the defaults, no file")
    told = done.stderr.strip().splitlines() or ["no word"]
    if "ModuleNotFoundError" in told[-1]:
        mend = "pip install 'jesse-paper[engine]', unless the daemon runs elsewhere"
        return None, Finding("configuration", "warning", f"the daemon is not installed here: {told[-1]}", mend)
    message = told[0].removeprefix("jesse-paperd: ")
    mend = told[1].strip() if len(told) > 1 else "correct that line; docs/operations.md has the keys"
    return None, Finding("configuration", "wrong", message, mend)


def service_finding(home: Path) -> Finding:
    """What keeps the daemon alive, as far as this machine tells."""
    found = service_state(home)
    if found is None:
        mend = "jesse-paper service install --systemd (or --supervisord) has it started again by itself"
        return Finding("service", "warning", "neither systemd nor supervisord runs the daemon", mend)
    return Finding("service", "ok" if found.runs else "wrong", f"{found.manager}: {found.state}", found.mend)


def _free_mb(home: Path) -> float:
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    return shutil.disk_usage(place).free / 1e6


def _disk(free_mb: float) -> Finding:
    mend = "make room: jesse-paper disk shows what takes it; a full disk pauses sessions and loses nothing"
    return Finding("disk", "ok" if free_mb >= wire.LOW_DISK_MB else "wrong", f"{free_mb:,.0f} MB free", mend)


def _no_daemon(error: PaperError, configuration: Configuration | None) -> Iterator[Finding]:
    endpoint = default_endpoint()
    file = Path(endpoint.removeprefix("ipc://")) if endpoint.startswith("ipc://") else None
    if configuration is not None and configuration.endpoint != endpoint:
        mend = f"export JESSE_PAPER_ENDPOINT={configuration.endpoint}"
        yield Finding("socket", "wrong", f"{endpoint}, but the configuration says {configuration.endpoint}", mend)
    elif file is None:
        yield Finding("socket", "unknown", endpoint)
    elif not file.exists():
        yield Finding("socket", "wrong", f"{file} is not there", "a daemon makes it: start one")
    elif not os.access(file, os.W_OK):
        yield Finding("socket", "wrong", f"{file} belongs to another user", "run as that user")
    else:
        yield Finding("socket", "warning", f"{file} is there, without a daemon", "nothing: the next daemon replaces it")
    yield Finding("daemon", "wrong", error.message, error.hint)
    yield Finding("versions", "unknown", f"this program {jesse_paperd.__version__}")
    yield Finding("engine", "unknown", "the daemon imports it")
    yield _project_folder(configuration)
    yield Finding("sessions", "unknown", "the daemon knows them")
    yield Finding("files", "unknown", "the daemon reads them")
    yield Finding("feed", "unknown", "the daemon runs it")
    yield Finding("clock", "unknown", "the feed compares it")


def _versions(pong: wire.Pong) -> Finding:
    same = pong.version == jesse_paperd.__version__
    found = (
        f"daemon {pong.version}, this program {jesse_paperd.__version__}, Jesse {pong.jesse_version or 'not loaded'}"
    )
    mend = "run daemon and programs of one installation, and restart the daemon"
    return Finding("versions", "ok" if same else "wrong", found, mend)


def _engine(pong: wire.Pong, health: wire.DaemonHealth) -> Finding:
    if pong.engine == "unavailable":
        found = f"unavailable, no session can be started: {health.engine_problem or 'the log says why'}"
        remedy = health.engine_remedy or "is it installed? pip install 'jesse-paper[engine]'"
        return Finding("engine", "wrong", found, f"{remedy}, then restart the daemon")
    return Finding("engine", "ok", "importing Jesse, a few seconds" if pong.engine == "warming" else pong.engine)


def _project(answer: wire.Strategies) -> Finding:
    broken = [s for s in answer.strategies if s.problem]
    if broken:
        found = f"{answer.project}: {'; '.join(f'{s.name}: {s.problem}' for s in broken[:3])}"
        return Finding("Jesse project", "wrong", found, f"fix {', '.join(s.name for s in broken)}")
    names = ", ".join(s.name for s in answer.strategies[:5]) + (", …" if len(answer.strategies) > 5 else "")
    if not answer.strategies:
        mend = (
            answer.hint
            or "set JESSE_PAPER_PROJECT to a Jesse project, and restart the daemon; jesse-paper init makes one"
        )
        return Finding("Jesse project", "wrong", f"{answer.project}: no strategy", mend)
    return Finding("Jesse project", "ok", f"{answer.project}: {names}")


def _project_folder(configuration: Configuration | None) -> Finding:
    if configuration is None:
        return Finding("Jesse project", "unknown", "the configuration names it")
    project = Path(configuration.project)
    strategies = sorted(file.parent.name for file in project.glob("strategies/*/__init__.py"))
    mend = "set JESSE_PAPER_PROJECT to a folder with strategies/NAME/__init__.py; jesse-paper init makes one"
    found = f"{project}: {len(strategies)} strategies"
    return Finding("Jesse project", "ok" if strategies else "wrong", found, mend)


def _sessions(answer: wire.Sessions) -> Finding:
    """What runs, and what failed within the last day."""
    failed = [s.session_id for s in answer.sessions if s.status == "failed"]
    marked = [f"{s.session_id} {s.status}, {s.health}" for s in answer.sessions if unwell(s.status, s.health)]
    running = f"{answer.total - len(failed)} active"
    if not failed and not marked:
        return Finding("sessions", "ok", running)
    told = [running, *([f"{len(failed)} failed within 24 hours: {_few(failed)}"] if failed else []), *marked[:3]]
    first = failed[0] if failed else next(s.session_id for s in answer.sessions if unwell(s.status, s.health))
    mend = f"jesse-paper status {first} says why, jesse-paper logs {first} more"
    return Finding("sessions", "warning", "; ".join(told), mend)


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


def _feed(health: wire.DaemonHealth) -> Finding:
    see = "jesse-paper feeds shows more; docs/live-candles.md explains it"
    if health.feed == "down":
        return Finding(
            "feed", "wrong", "its process is down", "the daemon's log says why; it is started again by itself"
        )
    bad = [f"{m.exchange} {m.symbol}: {m.reason}" for m in health.markets if m.state in ("stale", "refused")]
    bad += [f"{e.exchange}: {e.reason}" for e in health.exchanges if e.state != "up" and e.reason]
    if bad:
        return Finding("feed", "wrong", "; ".join(bad[:3]), see)
    if health.markets:
        return Finding("feed", "ok", f"{len(health.markets)} markets are followed")
    return exchange_finding(*_EXCHANGE)


def exchange_finding(host: str, port: int) -> Finding:
    """Whether live candles could be had: no session asks for any now, so only the way there is tried."""
    try:
        socket.create_connection((host, port), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        mend = "replays need no network; for live sessions fix the network, or set a proxy: docs/live-candles.md"
        return Finding("feed", "warning", f"idle; {host} cannot be reached: {error.strerror or error}", mend)
    return Finding("feed", "ok", f"idle; {host} can be reached")


def _clock(health: wire.DaemonHealth) -> Finding:
    offsets = [e.clock_offset_ms for e in health.exchanges if e.clock_offset_ms is not None]
    if not offsets:
        return Finding("clock", "ok", "nothing to compare with: no live session")
    worst = max(offsets, key=abs)
    mend = "set the clock (timedatectl set-ntp true); candles keep the exchange's time, so none is shifted"
    return Finding(
        "clock", "ok" if abs(worst) <= _CLOCK_TOLERANCE_MS else "wrong", f"{worst:+,} ms from the exchanges'", mend
    )
