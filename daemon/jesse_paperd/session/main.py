"""The session process: one fork of the zygote that holds its session's lease and runs the session.

There is never a second process for a session. What fails beside the strategy ends only the process, with a word in the
lease that says why; the session is started again. SIGTERM only ends the process, between two commits.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import signal
import sqlite3
import uuid
from pathlib import Path
from typing import Any

from jesse_paper.errors import PaperError
from jesse_paperd.candles.opening import open_candles
from jesse_paperd.core.layout import Layout, SessionFiles
from jesse_paperd.engine.blame import last_line
from jesse_paperd.engine.output import Output
from jesse_paperd.processes.doorbell import Doorbell
from jesse_paperd.processes.lease import Lease, LeaseHeld
from jesse_paperd.processes.logfile import descriptor_of_crashes
from jesse_paperd.records.registry import RegistryIntents
from jesse_paperd.session.session import Left, Session, Surroundings
from jesse_paperd.session.watchdog import Watchdog

#: Exit statuses: the session ended (or was told to leave), another process has the lease, something unforeseen.
ENDED, LEFT, LEASE_HELD, CRASHED = 0, 10, 11, 70

log = logging.getLogger("session")


def main(arguments: dict[str, Any]) -> int:
    """Run a session's process; the exit status.

    Args:
        arguments: `home`, `session_id`, and `predecessor`: how the session's last process ended, if not well.
    """
    faulthandler.enable(descriptor_of_crashes())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    layout = Layout(Path(arguments["home"]))
    files = layout.session(arguments["session_id"])
    os.chdir(files.root)
    try:
        lease = Lease(files.lease)
    except LeaseHeld as error:
        log.info("not needed: %s", error)
        return LEASE_HELD
    try:
        return _run(layout, files, lease, str(arguments.get("predecessor", "")))
    except Left:
        log.info("left on SIGTERM")
        return LEFT
    except PaperError as error:
        log.error("%s: %s", error.code, error.message)
        lease.leave_word(error.code, error.message)
    except (OSError, sqlite3.Error) as error:
        log.exception("the disk or the system failed")
        lease.leave_word("storage_failed", last_line(error))
    except Exception as error:
        incident = uuid.uuid4().hex[:12]
        log.exception("incident %s", incident)
        lease.leave_word("internal", f"a defect of jesse-paper, not of the strategy: {last_line(error)} ({incident})")
    return CRASHED


def _run(layout: Layout, files: SessionFiles, lease: Lease, predecessor: str) -> int:
    intents = RegistryIntents(layout.registry, files.session_id)
    spec = intents.spec()
    output = Output()
    output.capture()
    watchdog = Watchdog(files.strategy, spec.candle_seconds, lease, CRASHED)
    with contextlib.closing(Doorbell(files.doorbell)) as doorbell:
        around = Surroundings(intents, lease, doorbell, predecessor)
        session = Session(files, spec, open_candles(layout, spec), output, watchdog, around)
        signal.signal(signal.SIGTERM, lambda *_: session.leave())
        watchdog.start()
        outcome = session.run()
    log.info("ended: %s %s", outcome.reason, outcome.error)
    return ENDED
