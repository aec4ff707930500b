"""Proof of a session's numbers."""

from __future__ import annotations

from jesse_paper import protocol as wire
from jesse_paperd.service.handlers.handler import handles
from jesse_paperd.service.parts import Parts

#: How long paper_verify waits before it says that it goes on: shorter than any client's patience.
_PATIENCE_SECONDS = 40.0


@handles(wire.PaperVerify)
async def verify(parts: Parts, body: wire.PaperVerify, _request_id: str) -> wire.Verified:
    parts.directory.record(body.session_id)
    return await parts.verifier.verify(body.session_id, _PATIENCE_SECONDS)
