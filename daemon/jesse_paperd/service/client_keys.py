"""Who a client is and what it may ask: over TCP by its CURVE key, on the local socket as the daemon's user."""

from __future__ import annotations

import logging
import os
import time
from typing import Any

import zmq
import zmq.asyncio
from zmq.auth.asyncio import AsyncioAuthenticator

from jesse_paper.endpoint import socket_file
from jesse_paper.roles import Role
from jesse_paperd.config import Config

log = logging.getLogger(__name__)

_REFUSALS_LOGGED_SECONDS = 60.0
_REFUSALS_KEPT = 1_000


class ClientKeys:
    """CURVE with a fixed list of clients, each with its role; connections with other keys are refused.

    A local socket needs no key: the kernel says whose process connects, and only the daemon's own user's may.
    """

    def __init__(self, context: zmq.asyncio.Context, config: Config) -> None:
        self._is_local = socket_file(config.endpoint) is not None
        self._secret = config.curve_secret_key.encode()
        self._roles = config.client_roles
        #: Key → when it was last logged as refused.
        self._refusals: dict[str, float] = {}
        self._authenticator: AsyncioAuthenticator | None = None
        if not self._is_local:
            self._authenticator = AsyncioAuthenticator(context)
            self._authenticator.start()
            self._authenticator.configure_curve_callback(domain="*", credentials_provider=self)

    def guard(self, socket: zmq.Socket[Any]) -> None:
        """Have a socket, not yet bound, take the connections of these clients alone."""
        if self._is_local:
            socket.setsockopt(zmq.IPC_FILTER_UID, os.geteuid())
        else:
            socket.curve_server = True
            socket.curve_secretkey = self._secret

    def role_of(self, frame: zmq.Frame) -> Role:
        """What the sender of a frame may ask."""
        return "admin" if self._is_local else self._roles.get(str(frame.get("User-Id")), "read")

    def callback(self, _domain: str, key: bytes) -> bool:
        """Whether a key, in Z85, may connect. The authenticator calls this name."""
        if key.decode() in self._roles:
            return True
        self._log_refusal(key.decode())
        return False

    def close(self) -> None:
        if self._authenticator is not None:
            self._authenticator.stop()

    def _log_refusal(self, key: str) -> None:
        """Log a refused key, once a minute."""
        now = time.monotonic()
        if now - self._refusals.get(key, -_REFUSALS_LOGGED_SECONDS) >= _REFUSALS_LOGGED_SECONDS:
            if len(self._refusals) >= _REFUSALS_KEPT:
                self._refusals.clear()
            self._refusals[key] = now
            log.warning("a client with the key %s was refused: it is not in curve_clients", key)
