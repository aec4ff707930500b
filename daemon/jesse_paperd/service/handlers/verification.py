"""Proof of a session's numbers."""

from __future__ import annotations

from jesse_paper import protocol as wire
from jesse_paperd.service.directory import Directory
from jesse_paperd.service.handlers.handler import handles
from jesse_paperd.service.verification import Verifier

#: How long paper_verify waits before it says that it goes on: shorter than any client's patience.
_PATIENCE_SECONDS = 40.0


class VerificationHandlers:
    """Has sessions verified."""

    def __init__(self, directory: Directory, verifier: Verifier) -> None:
        self._directory = directory
        self._verifier = verifier

    @handles(wire.PaperVerify)
    async def verify(self, body: wire.PaperVerify, _request_id: str) -> wire.Verified:
        self._directory.record(body.session_id)
        return await self._verifier.verify(body.session_id, _PATIENCE_SECONDS)
