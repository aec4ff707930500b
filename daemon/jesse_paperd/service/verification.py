"""Verifying sessions: a fork of the zygote reruns one and says what it found; the daemon passes it on."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import msgspec

from jesse_paperd.process.identity import watch
from jesse_paperd.process.zygote import Zygote, ZygoteDied, ZygoteUnavailable
from jesse_paperd.service.supervision import Process
from jesse_paperd.store.layout import Layout
from jesse_paperd.store.sqlite import connect_read_only
from jesse_paperd.wire import protocol as wire
from jesse_paperd.wire.errors import PaperError
from jesse_paperd.wire.rfc3339 import to_text


class _Difference(msgspec.Struct):
    what: str
    where: str
    journaled: object = None
    replayed: object = None

    def __str__(self) -> str:
        return f"{self.what}, {self.where}: the session has {self.journaled!r}, the other {self.replayed!r}"


class _Verification(msgspec.Struct):
    equal: bool
    trades: int
    compared: int
    method: str
    compared_until: int | None
    difference: _Difference | None
    replay: list[_Difference]
    limits: list[str]
    method_reason: str = ""


class _Finding(msgspec.Struct):
    verification: _Verification | None = None
    code: str = ""
    message: str = ""


class Verifier:
    """Runs verifications, one a session at a time; asking again while one runs waits for the same."""

    def __init__(self, layout: Layout, zygote: Zygote) -> None:
        self._layout = layout
        self._zygote = zygote
        self._running: dict[str, asyncio.Task[wire.Verified]] = {}

    async def verify(self, session_id: str, seconds: float) -> wire.Verified:
        """The result, or word that it is not done yet after so long."""
        task = self._running.get(session_id)
        if task is None:
            task = self._running[session_id] = asyncio.create_task(self._run(session_id))
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done:
            return wire.Verified(session_id=session_id, done=False, hint="it goes on: ask again for the result")
        self._running.pop(session_id, None)
        return task.result()

    async def _run(self, session_id: str) -> wire.Verified:
        base = self._layout.run / f"verify-{session_id}"
        copy, result, log = (base.with_suffix(suffix) for suffix in (".sqlite", ".json", ".log"))
        try:
            await asyncio.to_thread(_copy, self._layout.session(session_id).journal, copy)
            arguments = {
                "home": str(self._layout.home),
                "session_id": session_id,
                "verify": str(copy),
                "result": str(result),
            }
            try:
                identity = await self._zygote.fork(arguments, log, {})
            except (ZygoteUnavailable, ZygoteDied) as error:
                raise PaperError("engine_unavailable", f"the engine cannot verify now: {error}") from error
            descriptor = watch(identity)
            if descriptor is not None:
                process = Process(identity, descriptor)
                try:
                    await process.died()
                finally:
                    process.close()
            return self._read(session_id, result, log)
        finally:
            for path in (copy, result, log):
                path.unlink(missing_ok=True)

    def _read(self, session_id: str, result: Path, log: Path) -> wire.Verified:
        try:
            finding = msgspec.json.decode(result.read_bytes(), type=_Finding)
        except FileNotFoundError:
            last = (log.read_text(errors="replace").strip().splitlines() or ["no word"])[-1]
            raise PaperError(
                "strategy_failed", f"verifying {session_id} ended without a result: {last[:500]}"
            ) from None
        found = finding.verification
        if found is None:
            raise PaperError(finding.code, finding.message)
        until = found.compared_until
        return wire.Verified(
            session_id=session_id,
            done=True,
            equal=found.equal,
            trades=found.trades,
            compared=found.compared,
            method=found.method,
            compared_until=None if until is None else to_text(until),
            difference="" if found.difference is None else str(found.difference),
            replay_differences=[str(difference) for difference in found.replay],
            limits=found.limits,
            method_reason=found.method_reason,
        )


def _copy(journal: Path, target: Path) -> None:
    """A consistent copy of a journal that may be written meanwhile."""
    with (
        contextlib.closing(connect_read_only(journal)) as source,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        source.backup(copy)
    target.chmod(0o600)
