"""Traps: a process that reaches a named moment kills itself, the zygote or the daemon. For a test's PYTHONPATH only.

A file `TRAPS/<moment>` arms the trap; its content names the victim. Whoever springs it moves the file to
`TRAPS/sprung/`, so that each is sprung once, and counted. The product knows nothing of this: its functions are
wrapped when their modules are imported.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple


class Moment(NamedTuple):
    """Before or after a call of a function, in processes of one role."""

    role: str
    module: str
    function: str
    after: bool = False


#: By what has happened and what has not.
MOMENTS = {
    "registered, not supervised": Moment("daemon", "jesse_paperd.records.registry", "Registry.add", after=True),
    "about to fork": Moment("daemon", "jesse_paperd.processes.zygote", "Zygote.fork"),
    "done, not answered": Moment("daemon", "jesse_paperd.records.registry", "Registry.answer"),
    "reconciling": Moment("daemon", "jesse_paperd.service.supervision", "Supervision._adopt"),
    "ended, not registered": Moment("daemon", "jesse_paperd.records.registry", "Registry.end"),
    "forked, no log": Moment("zygote", "jesse_paperd.processes.logfile", "redirect_output"),
    "forked, no lease": Moment("zygote", "jesse_paperd.processes.lease", "Lease.__init__"),
    "leased, no journal": Moment("zygote", "jesse_paperd.processes.lease", "Lease.__init__", after=True),
    "journal made, not begun": Moment("zygote", "jesse_paperd.core.sqlite", "_migrate"),
    "stepped, not committed": Moment("zygote", "jesse_paperd.records.journal", "Journal.commit"),
    "amid a commit": Moment("zygote", "jesse_paperd.records.journal", "_insert", after=True),
    "committed": Moment("zygote", "jesse_paperd.records.journal", "Journal.commit", after=True),
    "replaying": Moment("zygote", "jesse_paperd.session.replay_check", "ReplayCheck.compare"),
    "replayed": Moment("zygote", "jesse_paperd.session.replay_check", "ReplayCheck.finish"),
    "leaving": Moment("zygote", "jesse_paperd.records.journal", "Journal.close"),
    "candles half stored": Moment("feed", "jesse_paperd.candles.store", "_cover"),
    "candles stored": Moment("feed", "jesse_paperd.candles.store", "CandleStore.commit", after=True),
}


def _role() -> str:
    """What this process is, by how it was started; a session is what its zygote was."""
    started = " ".join(sys.orig_argv)
    roles = {"zygote_main": "zygote", "jesse_paperd.app": "daemon", "fast_feed": "feed", "feed.main": "feed"}
    return next((role for part, role in roles.items() if part in started), "")


def spring(folder: Path, moment: str) -> None:
    """Kill whom the trap is armed for, if it is armed."""
    armed = folder / moment
    if not armed.exists():
        return
    claimed = folder / "sprung" / f"{moment}.{time.monotonic_ns()}.{os.getpid()}"
    try:
        victim = armed.read_text()
        armed.rename(claimed)
    except OSError:
        return  # another process was quicker
    try:
        os.kill(_pid_of(victim), signal.SIGKILL)
    except ProcessLookupError:
        claimed.unlink()


def _pid_of(victim: str) -> int:
    if victim == "daemon":
        return int((Path(os.environ["JESSE_PAPER_HOME"]) / "run" / "lock").read_text())
    return os.getppid() if victim == "zygote" else os.getpid()


def trapped(function: Callable[..., Any], folder: Path, moment: str, after: bool) -> Callable[..., Any]:
    def wrapper(*arguments: Any, **named: Any) -> Any:
        if not after:
            spring(folder, moment)
        result = function(*arguments, **named)
        if after:
            spring(folder, moment)
        return result

    return wrapper


class TrapSetter(importlib.abc.MetaPathFinder):
    """Wraps the functions of a module right after it was imported."""

    def __init__(self, folder: Path, role: str) -> None:
        self._folder = folder
        self._moments = {name: moment for name, moment in MOMENTS.items() if moment.role == role}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        here = {name: moment for name, moment in self._moments.items() if moment.module == fullname}
        spec = importlib.machinery.PathFinder.find_spec(fullname, path) if here else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            for name, moment in here.items():
                *owners, function = moment.function.split(".")
                owner = getattr(module, owners[0]) if owners else module
                setattr(owner, function, trapped(getattr(owner, function), self._folder, name, moment.after))

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _set_traps() -> None:
    """In every Python process that has this folder on its path and TRAPS in its environment."""
    if "TRAPS" in os.environ and (role := _role()):
        sys.meta_path.insert(0, TrapSetter(Path(os.environ["TRAPS"]), role))


def _quicken_the_feed() -> None:
    """Have the feed run on the stand-in exchange's clock. FAST_FEED: its speed, its start, and ours at that moment."""
    if _role() == "feed" and "FAST_FEED" in os.environ and "fast_feed" not in " ".join(sys.orig_argv):
        speed, start, began = map(float, os.environ["FAST_FEED"].split())
        now = int(start + (time.monotonic() - began) * speed * 1000)
        theirs = sys.orig_argv[sys.orig_argv.index("jesse_paperd.feed.main") + 1 :]
        arguments = ["-m", "tests.fakes.fast_feed", "--speed", str(speed), "--start", str(now), *theirs]
        os.execv(sys.executable, [sys.executable, *arguments])


_quicken_the_feed()
_set_traps()
