"""Verifying a session in a process of its own: reads a copy of its journal, writes what was found as JSON."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import Any

import msgspec

from jesse_paper.errors import PaperError
from jesse_paperd.candles.opening import open_candles
from jesse_paperd.core.layout import Layout
from jesse_paperd.engine.settings import engine_settings
from jesse_paperd.engine.strategy import load_strategies
from jesse_paperd.processes.zygote_main import die_with
from jesse_paperd.records.journal import JournalReader
from jesse_paperd.records.registry import RegistryIntents
from jesse_paperd.records.verification import Finding, Verification
from jesse_paperd.verification.rerun import verify

_EVERYTHING = 10**9
#: Who imports this, once; `main` runs in a fork.
_ZYGOTE = os.getpid()
#: Sessions that trade come first.
_NICENESS = 10

log = logging.getLogger("verify")


def main(arguments: dict[str, Any]) -> int:
    """Verify a session. `arguments`: `home`, `session_id`, `verify` (the journal's copy) and `result` (a file)."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    # Nobody waits for it once the daemon is gone, and the zygote goes with the daemon.
    die_with(_ZYGOTE)
    os.nice(_NICENESS)
    layout = Layout(Path(arguments["home"]))
    os.chdir(layout.session(arguments["session_id"]).strategy)  # where the session runs
    try:
        finding = Finding(_verify(layout, arguments["session_id"], Path(arguments["verify"])))
    except PaperError as error:
        finding = Finding(code=error.code, message=error.message)
    result = Path(arguments["result"])
    part = result.with_suffix(".part")
    part.write_bytes(msgspec.json.encode(finding, enc_hook=float))
    part.rename(result)
    return 0


def _verify(layout: Layout, session_id: str, copy: Path) -> Verification:
    with contextlib.closing(RegistryIntents(layout.registry, session_id)) as intents:
        spec = intents.spec()
    strategies = load_strategies(layout.session(session_id).strategy, [route.strategy for route in spec.routes])
    candles = open_candles(layout, spec)
    warmup = candles.warmup()
    with contextlib.closing(JournalReader(copy)) as reader:
        progress = reader.progress()
        if warmup is None or progress is None or progress.last_candle is None:
            raise PaperError("invalid_argument", f"session {session_id} has not traded a candle yet")
        rows = candles.upto(0, progress.last_candle, _EVERYTHING)
        return verify(engine_settings(spec), strategies, warmup, candles.start(), rows, reader)
