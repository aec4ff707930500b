"""A session run once more, undisturbed: the same spec, the same candles, the same requests at the same candles.

    .venv/bin/python -m tests.support.reference HOME TARGET SESSION…

runs each in a process of its own, which nothing kills and no daemon looks after, and leaves its journal in
TARGET/SESSION. It works on the files alone and imports the engine once.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import traceback
from pathlib import Path

import msgspec

from jesse_paperd.candles.opening import open_candles
from jesse_paperd.core.layout import Layout, SessionFiles
from jesse_paperd.core.minutes import MINUTE
from jesse_paperd.engine.output import Output
from jesse_paperd.records.journal import JournalReader
from jesse_paperd.records.registry import LeverageIntent, RegistryIntents
from jesse_paperd.session.session import Session, Surroundings
from jesse_paperd.session.watchdog import Watchdog


class Script:
    """What was asked of the session then, asked again at the same candle."""

    def __init__(self, reader: JournalReader) -> None:
        self._asked = [LeverageIntent(change.seq, change.leverage, change.at) for change in reader.leverage_changes()]
        outcome, progress = reader.outcome(), reader.progress()
        assert outcome is not None, "only what has ended can be run again"
        assert progress is not None
        closed_at = 0 if progress.last_candle is None else progress.last_candle + MINUTE
        self._stop_at = closed_at if outcome.reason == "stopped" else None

    def wants_stop(self) -> bool:
        return False

    def stop_at(self) -> int | None:
        return self._stop_at

    def leverages(self, after: int) -> list[LeverageIntent]:
        return [intent for intent in self._asked if intent.seq > after]


def run_again(layout: Layout, session_id: str, target: Path) -> None:
    """Run an ended session again in a folder of its own."""
    files = layout.session(session_id)
    again = SessionFiles(target / session_id)
    shutil.copytree(files.strategy, again.strategy)
    with contextlib.closing(RegistryIntents(layout.registry, session_id)) as intents:
        spec = intents.spec()
    with contextlib.closing(JournalReader(files.journal)) as reader:
        script = Script(reader)
    spec = msgspec.structs.replace(spec, speed="max")
    watchdog = Watchdog(again.strategy, 0, None, 1)
    Session(again, spec, open_candles(layout, spec), Output(), watchdog, Surroundings(script)).run()


def main() -> int:
    home, target, *sessions = sys.argv[1:]
    failed = 0
    for session_id in sessions:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                run_again(Layout(Path(home)), session_id, Path(target))
                status = 0
            except BaseException:  # noqa: BLE001 - a fork must never return into the loop
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        failed += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
