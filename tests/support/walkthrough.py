"""The worked examples of the wire, in an order in which each finds what it needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from jesse_paper import protocol as wire
from tests.support.daemon import SPOT_CANDLES, Daemon

#: What the examples say, in place of what differs from machine to machine.
CANDLES, PROJECT, HOME = "/srv/candles/BTC-USDT.csv.gz", "/home/ada/project", "/home/ada/.jesse-paper"
#: These come first, and in this order; the questions follow, and then `_LAST`.
_FIRST = ("paper_start", "paper_wait", "paper_update_session", "paper_restart", "paper_stop")
_LAST = ("paper_archive_session", "paper_delete_session", "paper_restore_session", "paper_repair_session")


def walk(daemon: Daemon) -> Iterator[tuple[wire.Declaration, wire.Answer]]:
    """Ask a fresh daemon every example; each with the daemon's answer, in which names are as in the examples."""
    others = [name for name in wire.OPERATIONS if name not in (*_FIRST, *_LAST)]
    for name in (*_FIRST, *others, *_LAST):
        declared = wire.OPERATIONS[name]
        yield declared, _renamed(daemon, daemon.call(_here(daemon, declared.request)))
        if name == "paper_restart":
            daemon.ended("sma-2")


def _places(daemon: Daemon) -> dict[str, str]:
    return {CANDLES: str(SPOT_CANDLES), HOME: str(daemon.home), PROJECT: str(daemon.project)}


def _here(daemon: Daemon, request: wire.Operation) -> wire.Operation:
    text = msgspec.json.encode(request).decode()
    for there, here in _places(daemon).items():
        text = text.replace(there, here)
    return msgspec.json.decode(text, type=type(request))


def _renamed(daemon: Daemon, answer: wire.Answer) -> Any:
    text = msgspec.json.encode(answer).decode()
    for there, here in _places(daemon).items():
        text = text.replace(here, there)
    return msgspec.json.decode(text, type=type(answer))
