"""doctor: checks everything a session needs, and says how to mend what is wrong."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import msgspec

import jesse_paperd
from jesse_paperd.cli.asking import ask, json_option
from jesse_paperd.cli.tables import table
from jesse_paperd.wire import protocol as wire
from jesse_paperd.wire.endpoint import default_endpoint, default_home
from jesse_paperd.wire.errors import PaperError

#: Less than this, and SQLite may soon have no room to commit.
_LOW_DISK_MB = 500
_CLOCK_TOLERANCE_MS = 1000


class Finding(NamedTuple):
    """One check. `mend` says what to do when it is not well."""

    what: str
    well: bool
    found: str
    mend: str = ""


@click.command(short_help="Check everything, and say how to mend it.")
@json_option
def doctor(as_json: bool) -> None:
    """Check home, daemon, engine, project, feed, disk and service; exit status 1 when something is wrong."""
    findings = list(_check())
    if as_json:
        click.echo(msgspec.json.encode([finding._asdict() for finding in findings]).decode())
    else:
        rows = [["✓" if f.well else "✗", f.what, f.found] for f in findings]
        table(["", "check", "found"], rows)
        for finding in findings:
            if not finding.well:
                click.echo(f"✗ {finding.what}: {finding.mend}")
    if not all(finding.well for finding in findings):
        sys.exit(1)


def _check() -> Iterator[Finding]:
    home = default_home()
    yield _home(home)
    yield _disk(home)
    yield _service()
    try:
        pong = ask(wire.Ping, {}, timeout=5)
    except PaperError as error:
        yield Finding("daemon", False, f"{default_endpoint()}: {error.message}", error.hint)
        return
    yield Finding("daemon", True, f"{default_endpoint()}, pid {pong.pid}, up since {pong.started_at}")
    yield Finding(
        "versions",
        pong.version == jesse_paperd.__version__,
        f"daemon {pong.version}, this program {jesse_paperd.__version__}, Jesse {pong.jesse_version or 'loading'}",
        "run daemon and programs of one installation, and restart the daemon",
    )
    yield Finding(
        "engine",
        pong.engine != "unavailable",
        pong.engine,
        "see log/daemon.log in the home; is it installed? pip install 'jesse-paper[engine]'",
    )
    yield _project()
    yield from _feed(ask(wire.PaperHealth, {}))


def _home(home: Path) -> Finding:
    try:
        status = home.stat()
    except OSError as error:
        return Finding("home", False, f"{home}: {error.strerror}", "the daemon makes it at its first start")
    mode = stat.S_IMODE(status.st_mode)
    well = status.st_uid == os.geteuid() and not mode & 0o077
    return Finding("home", well, f"{home}, mode {mode:04o}", f"chown it to the daemon's user; chmod 700 {home}")


def _disk(home: Path) -> Finding:
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(place).free / 1e6
    return Finding("disk", free >= _LOW_DISK_MB, f"{free:,.0f} MB free", "make room: a full disk pauses sessions")


def _project() -> Finding:
    answer = ask(wire.PaperListStrategies, {})
    broken = [s.name for s in answer.strategies if s.problem]
    found = f"{answer.project}: {len(answer.strategies)} strategies" + (
        f", broken: {', '.join(broken)}" if broken else ""
    )
    mend = f"mend {', '.join(broken)}" if broken else answer.hint
    return Finding("Jesse project", bool(answer.strategies) and not broken, found, mend)


def _feed(health: wire.DaemonHealth) -> Iterator[Finding]:
    stale = [f"{m.exchange} {m.symbol}: {m.reason}" for m in health.markets if m.state in ("stale", "refused")]
    well = health.feed != "down" and not stale
    found = f"{health.feed}, {len(health.markets)} markets" + (f"; {'; '.join(stale[:3])}" if stale else "")
    yield Finding("feed", well, found, "see `jesse-paper feeds` and docs/live-candles.md")
    offsets = [e.clock_offset_ms for e in health.exchanges if e.clock_offset_ms is not None]
    worst = max(offsets, key=abs, default=0)
    yield Finding(
        "clock",
        abs(worst) <= _CLOCK_TOLERANCE_MS,
        f"{worst} ms from the exchanges'" if offsets else "nothing to compare with: no live session",
        "set the clock (candles are timed by the exchange's clock, so none is shifted)",
    )


def _service() -> Finding:
    """What keeps the daemon alive, as far as this machine tells."""
    if shutil.which("systemctl"):
        for scope in ("--user", "--system"):
            done = subprocess.run(
                ["systemctl", scope, "is-active", "jesse-paperd"], capture_output=True, text=True, check=False
            )
            if done.stdout.strip() not in ("", "inactive", "unknown"):
                return Finding(
                    "service", done.stdout.strip() == "active", f"systemd {scope}: {done.stdout.strip()}",
                    f"systemctl {scope} status jesse-paperd",
                )  # fmt: skip
    socket = default_home() / "supervisor.sock"
    if socket.exists():
        return Finding("service", True, f"supervisord, {socket}")
    return Finding(
        "service", True, "neither systemd nor supervisord: it will not be started again by itself (docs/operations.md)"
    )
