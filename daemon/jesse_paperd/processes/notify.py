"""Telling systemd how the daemon is: sd_notify, without its library.

The protocol is one datagram of `NAME=VALUE` lines to the socket that NOTIFY_SOCKET names (man 3 sd_notify). Run by
anything else than systemd there is no such socket, and nothing is sent.
"""

from __future__ import annotations

import contextlib
import os
import socket


class Notifier:
    """Takes NOTIFY_SOCKET out of the environment: it is for this process alone, not for the ones it starts."""

    def __init__(self) -> None:
        address = os.environ.pop("NOTIFY_SOCKET", "")
        # A leading @ stands for the NUL of an abstract socket.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        watched = os.environ.pop("WATCHDOG_PID", "") in ("", str(os.getpid()))
        microseconds = os.environ.pop("WATCHDOG_USEC", "")
        #: Within so many seconds systemd wants a sign of life; None when it does not watch.
        self.watchdog_seconds = int(microseconds) / 1e6 if watched and microseconds.isdigit() else None

    def ready(self, status: str) -> None:
        """It serves; `status` is shown by `systemctl status`."""
        self._send(f"READY=1\nSTATUS={status}")

    def alive(self) -> None:
        """A sign of life."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """It is about to end."""
        self._send("STOPPING=1")

    def _send(self, state: str) -> None:
        if not self._address:
            return
        # Whoever started it may be gone, which is not a reason to end.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel, contextlib.suppress(OSError):
            channel.sendto(state.encode(), self._address)
