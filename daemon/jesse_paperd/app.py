"""The daemon: lock, open, reconcile, serve, until SIGTERM or SIGINT. Sessions live on after it.

Usage: jesse-paperd [--config FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import logging
import os
import resource
import signal
import sys
from pathlib import Path

from jesse_paper.errors import PaperError
from jesse_paperd.candles.jesse_database import database_of
from jesse_paperd.config import Config, load
from jesse_paperd.core.layout import Layout
from jesse_paperd.feed.settings import settings_of
from jesse_paperd.processes.engine_environment import session_environment
from jesse_paperd.processes.fork_launcher import ForkLauncher
from jesse_paperd.processes.notify import Notifier
from jesse_paperd.processes.stall import StallWatch
from jesse_paperd.processes.zygote import Zygote
from jesse_paperd.records.journal import Outcome
from jesse_paperd.records.record import Record, now_ms
from jesse_paperd.records.recovery import open_registry
from jesse_paperd.service.capacity import Capacity
from jesse_paperd.service.deletion import retain
from jesse_paperd.service.directory import Directory
from jesse_paperd.service.dispatcher import Dispatcher
from jesse_paperd.service.feed_process import FeedKeeper
from jesse_paperd.service.manager import SessionManager
from jesse_paperd.service.parts import Parts
from jesse_paperd.service.serial import Lines
from jesse_paperd.service.server import Server
from jesse_paperd.service.session_data import SessionData
from jesse_paperd.service.verifier import Verifier
from jesse_paperd.service.views.sessions import final as final_of
from jesse_paperd.service.waiting import Waits
from jesse_paperd.service.workers import Workers

log = logging.getLogger("jesse_paperd")

_GRACE_SECONDS = 5.0


async def run(config: Config, layout: Layout, config_file: Path) -> None:
    """Serve until a signal to end comes."""
    notifier = Notifier()
    registry = open_registry(layout)
    zygote = Zygote("jesse_paperd.fork", layout.zygote, session_environment(config.session_environment))
    launcher = ForkLauncher(layout, zygote, config.limits.of_process())
    data = SessionData(layout)
    workers = Workers()

    async def conclude(record: Record, outcome: Outcome | None) -> None:
        final = await workers.read(final_of, data, record, outcome)
        ended_at = outcome.ended_at if outcome is not None else now_ms()
        await workers.write(registry.end, record.session_id, ended_at, final)
        log.info("session %s ended: %s", record.session_id, final.stop_reason)

    feed = FeedKeeper(layout.home, config_file, config.restart, launcher.wake)
    manager = SessionManager(config, layout, registry, launcher, data, workers, feed, conclude)
    directory = Directory(registry, manager, feed, data, workers, config.stalled_seconds)
    parts = Parts(
        config=config,
        layout=layout,
        registry=registry,
        launcher=launcher,
        manager=manager,
        feed=feed,
        data=data,
        workers=workers,
        directory=directory,
        capacity=Capacity(layout, registry, manager, config.limits.sessions),
        lines=Lines(),
        verifier=Verifier(layout, launcher, config.limits.verify_seconds),
        waits=Waits(directory.standings, directory.rows_of),
        started_at=now_ms(),
    )
    dispatcher = Dispatcher(parts)
    server = Server(config, dispatcher, parts.waits)
    stall_watch = StallWatch()
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    # Answering comes first: importing the engine takes seconds, and nobody waits for it who need not.
    serving = asyncio.create_task(server.serve())
    launcher.start()
    manager.reconcile()
    log.info("serving %s, home %s, project %s", config.endpoint, config.home, config.project)
    notifier.ready(f"serving {config.endpoint}")
    chores = [
        asyncio.create_task(chore) for chore in (_show_life(notifier), retain(parts), manager.keep_intents_for_ever())
    ]
    await asyncio.wait({serving, asyncio.create_task(ending.wait())}, return_when=asyncio.FIRST_COMPLETED)
    notifier.stopping()
    log.info("ending; %d sessions live on", manager.running())
    for chore in chores:
        chore.cancel()
    stall_watch.close()
    serving.cancel()
    await server.close(_GRACE_SECONDS)
    await dispatcher.close()
    await manager.close()
    await feed.close()
    launcher.close()
    workers.close()
    registry.close()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


async def _show_life(notifier: Notifier) -> None:
    """Ping the service manager from the event loop, so that a hung loop is noticed."""
    while notifier.watchdog_seconds is not None:
        notifier.alive()
        await asyncio.sleep(notifier.watchdog_seconds / 3)


def take_lock(layout: Layout) -> int:
    """Hold the home's lock for this process's life. Taken before the socket is bound: binding a path steals it.

    Raises:
        PaperError: `conflict`, naming the daemon that has it.
    """
    descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        raise PaperError(
            "conflict",
            f"another daemon, pid {holder}, serves the home {layout.home}",
            "stop that one first, or give this one a home of its own (JESSE_PAPER_HOME)",
        ) from None
    # Of one length, so that it is rewritten in place even on a full disk.
    os.pwrite(descriptor, f"{os.getpid():<31}\n".encode(), 0)
    return descriptor


def allow_descriptors() -> None:
    """Take as many descriptors as the system allows: a session needs one, its journal's reader three."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> None:
    """Run the daemon in the foreground."""
    parser = argparse.ArgumentParser(prog="jesse-paperd", description="The paper-trading daemon.")
    parser.add_argument("--config", type=Path, help="a TOML file; default <home>/config.toml")
    parser.add_argument("--check", action="store_true", help="check the configuration, say what it comes to, and end")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    os.umask(0o077)
    allow_descriptors()
    try:
        config = load(arguments.config)
        layout = Layout(Path(config.home))
        config_file = arguments.config.absolute() if arguments.config else layout.home / "config.toml"
        settings_of(config.exchanges, str(config_file))
        if arguments.check:
            print(json.dumps({"home": config.home, "project": config.project, "endpoint": config.endpoint}))
            return
        database_of(config.jesse_database, str(config_file))
        layout.prepare()
        lock = take_lock(layout)
        os.chdir(layout.home)
        asyncio.run(run(config, layout, config_file))
        os.close(lock)
        # At once: Python would wait for a thread that still reads what a start named, and nobody waits for that start.
        sys.stderr.flush()
        os._exit(0)
    except PaperError as error:
        sys.stderr.write(f"jesse-paperd: {error.message}\n" + (f"  {error.hint}\n" if error.hint else ""))
        sys.exit(error.kind.exit_status)
