"""A home with sessions in it, to be damaged a copy at a time; and what its daemon would say of it."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paperd.core.layout import Layout
from jesse_paperd.records.record import Record
from jesse_paperd.records.recovery import open_registry
from jesse_paperd.service.process_view import ProcessView
from jesse_paperd.service.session_data import SessionData
from jesse_paperd.service.views import logs, performance, status, trading

_WHOLE = 10_000


def flip(path: Path, chance: random.Random, bits: int = 1) -> list[int]:
    """Flip random bits of a file; their positions."""
    content = bytearray(path.read_bytes())
    places = [chance.randrange(len(content) * 8) for _ in range(bits)]
    for place in places:
        content[place // 8] ^= 1 << place % 8
    path.write_bytes(content)
    return places


@contextmanager
def copy_of(home: Path, folder: Path) -> Iterator[Layout]:
    """A copy of a home, for one damage."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(home, folder, ignore=shutil.ignore_patterns("run", "log", "zygote", "output"))
    layout = Layout(folder)
    layout.prepare()
    try:
        yield layout
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def everything(layout: Layout) -> dict[str, Any]:
    """What a daemon says of a home: every session by its list, and every answer about it, or the refusal's code.

    Raises:
        Exception: whatever a client would have seen as a defect.
    """
    registry = open_registry(layout)
    try:
        data = SessionData(layout)
        told: dict[str, Any] = {"damaged": dict(registry.damaged), "notes": len(registry.notes)}
        for record in registry.all():
            told[record.session_id] = _answers(data, record)
            data.forget(record.session_id)
        return told
    finally:
        registry.close()


def _answers(data: SessionData, record: Record) -> dict[str, Any]:
    view, name = ProcessView(), record.session_id
    asked = {
        "row": lambda: status.row(data, record, view),
        "status": lambda: status.status(data, record, view, None),
        "trades": lambda: trading.trades(data, record, wire.PaperGetTrades(session_id=name, limit=1000)),
        "orders": lambda: trading.orders(data, record, wire.PaperGetOrders(session_id=name, limit=1000)),
        "equity": lambda: performance.equity(
            data, record, wire.PaperGetEquity(session_id=name, resolution="1m", max_points=_WHOLE)
        ),
        "events": lambda: logs.events(data, record, view, wire.PaperGetEvents(session_id=name, limit=1000)),
        "logs": lambda: logs.logs(data, record, view, wire.PaperGetLogs(session_id=name, after=0, limit=1000)),
    }
    found: dict[str, Any] = {}
    for what, ask in asked.items():
        try:
            found[what] = ask()
        except PaperError as error:
            found[what] = error.code
    return found


def silent(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Answers that changed without a word: neither the same nor refused as damaged."""
    wrong = []
    if after["notes"] or after["damaged"]:
        return []
    for name, answers in before.items():
        if name in ("notes", "damaged"):
            continue
        found = after.get(name)
        if found is None:
            wrong.append(f"{name} is gone")
            continue
        for what, answer in answers.items():
            if found[what] in ("damaged", "storage_failed"):
                continue
            if found[what] != answer and not (what in ("row", "status") and _says_so(found[what])):
                wrong.append(f"{name}: {what}")
    return wrong


def _says_so(answer: Any) -> bool:
    health = answer.health if isinstance(answer.health, str) else answer.health.state
    return health in ("unreadable", "damaged")
