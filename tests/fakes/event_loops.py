"""Event loops whose time is not ours, so that hours of a market take seconds and no test sleeps.

Everything in asyncio, aiohttp included, takes its time from the loop: timeouts, keep-alive, sleeps. The program under
test runs unchanged on either loop; only the wall clock that it is given must be derived from the loop's time.
"""

from __future__ import annotations

import asyncio
import selectors
import time


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Time stands still while anything can run, and jumps to the next timer when nothing can.

    Client and server must both live on the loop: what goes over loopback is then always delivered before time moves.
    """

    def __init__(self) -> None:
        self._virtual = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self._virtual

    def jump(self, seconds: float) -> None:
        self._virtual += seconds + 1e-9


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events or timeout == 0:
            return events
        events = super().select(0)  # what was sent over loopback just now is there by now
        if not events and timeout is None:
            return super().select(None)
        if not events and timeout is not None:
            self._loop.jump(timeout)
        return events


class FastLoop(asyncio.SelectorEventLoop):
    """Time runs `speed` times as fast as ours: for a program in a process of its own."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        super().__init__(_ShorteningSelector(speed))

    def time(self) -> float:
        return time.monotonic() * self._speed


class _ShorteningSelector(selectors.DefaultSelector):
    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(timeout if timeout is None else timeout / self._speed)
