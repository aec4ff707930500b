"""Waiting for sessions: answered when it is there, when it can no longer come, in time, or when the daemon ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paper.protocol import ENDED
from jesse_paperd.service.times import time_of
from jesse_paperd.service.views.status import Standing

Result = TypeVar("Result")

#: Looked again after so many seconds at first, and at the longest.
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 0.5
#: Of the time allowed, at most so much is kept for reading what the answer shows.
_FOR_THE_ANSWER = 0.5
#: However short a wait, looking at the sessions once may take so long.
_ONE_LOOK = 1.0


class Waits:
    """The waits that are under way.

    Args:
        look: where sessions stand, by their ids.
        rows: the lines of sessions, for the answer.
    """

    def __init__(
        self,
        look: Callable[[list[str]], Awaitable[dict[str, Standing]]],
        rows: Callable[[list[str]], Awaitable[list[wire.SessionRow]]],
    ) -> None:
        self._look = look
        self._rows = rows
        self._ending = asyncio.Event()

    def end(self) -> None:
        """Answer all of them now: the daemon is about to end."""
        self._ending.set()

    async def wait(self, body: wire.PaperWait) -> wire.Waited:
        """Wait as asked, and no longer, except for one look at the sessions.

        Raises:
            PaperError: `session_not_found`, `invalid_argument`; `shutting_down`, after which it can be asked again.
        """
        until = time_of("until_time", body.until_time)
        other = body.min_trades is not None or until is not None
        states = body.status if body.status is not None else ([] if other else sorted(ENDED))
        began = time.monotonic()
        allowed = began + max(body.timeout_seconds, _ONE_LOOK)
        deadline = began + body.timeout_seconds - min(_FOR_THE_ANSWER, body.timeout_seconds / 4)
        there: list[str] = []
        without: dict[str, str] = {}
        pause = _FIRST_PAUSE
        while True:
            standings = await self._within(max(deadline, began + _ONE_LOOK / 2), self._look(body.session_ids))
            if standings is not None:
                there = [
                    session
                    for session, standing in standings.items()
                    if standing.state in states
                    or (body.min_trades is not None and standing.trades >= body.min_trades)
                    or (until is not None and standing.closed_at >= until)
                ]
                without = {
                    session: f"it is {standing.state}"
                    for session, standing in standings.items()
                    if standing.state in ENDED and session not in there
                }
                count = len(standings)
                reached = len(there) == count if body.mode == "all" else bool(there)
                hopeless = bool(without) if body.mode == "all" else len(without) == count
                if reached or hopeless:
                    return await self._answer(body, allowed, reached, there, without)
            if time.monotonic() >= deadline:
                return await self._answer(body, allowed, False, there, without)
            await self._within(min(deadline, time.monotonic() + pause), asyncio.Event().wait())
            pause = min(_LONGEST_PAUSE, pause * 1.3)

    async def _answer(
        self, body: wire.PaperWait, allowed: float, reached: bool, there: list[str], without: dict[str, str]
    ) -> wire.Waited:
        rows = await self._within(allowed, self._rows(body.session_ids))
        hint = ""
        if not reached and without:
            reasons = {row.session_id: row.stop_reason for row in rows or [] if row.stop_reason}
            without = {
                session: state + (f" ({reasons[session]})" if session in reasons else "")
                for session, state in without.items()
            }
            hint = f"ended without it, so waiting longer is of no use: {', '.join(without)}"
        elif not reached:
            hint = "not yet: call paper_wait again to go on waiting"
        if rows is None:
            hint += "; the sessions could not be read in time"
        return wire.Waited(reached=reached, sessions=rows or [], reached_by=there, ended_without=without, hint=hint)

    async def _within(self, deadline: float, work: Awaitable[Result]) -> Result | None:
        """The result of the work, or None when it takes too long; the work is then abandoned."""
        task = asyncio.ensure_future(work)
        ending = asyncio.ensure_future(self._ending.wait())
        try:
            left = max(0.0, deadline - time.monotonic())
            done, _ = await asyncio.wait({task, ending}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if task in done:
                return task.result()
            if ending in done:
                raise PaperError("shutting_down", "the daemon is shutting down, so the wait was ended", "wait again")
            return None
        finally:
            ending.cancel()
            task.cancel()
