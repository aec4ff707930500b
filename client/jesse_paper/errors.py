"""The one error table: code → meaning, whether a retry can help, and the CLI's exit status.

    PaperError                 carries one row of the table, a message and a hint
    └── raised by the daemon's handlers, sent as a `Failure` reply, raised again by the client

A message names the field, the value and what would be right. It never holds a traceback: an internal error
carries an incident id, which the daemon's log explains.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

ErrorCode = Literal[
    "invalid_request",
    "invalid_argument",
    "request_id_reused",
    "version_mismatch",
    "session_not_found",
    "strategy_not_found",
    "conflict",
    "session_ended",
    "strategy_failed",
    "candles_invalid",
    "feed_unavailable",
    "engine_unavailable",
    "too_many_sessions",
    "busy",
    "forbidden",
    "storage_failed",
    "damaged",
    "daemon_unreachable",
    "timeout",
    "shutting_down",
    "internal",
]


class ErrorKind(NamedTuple):
    """One row of the table."""

    retryable: bool
    exit_status: int
    meaning: str


ERRORS: dict[ErrorCode, ErrorKind] = {
    # The request itself.
    "invalid_request": ErrorKind(False, 2, "the message is not a request that this daemon understands"),
    "invalid_argument": ErrorKind(False, 2, "an argument is missing, unknown, malformed or out of range"),
    "request_id_reused": ErrorKind(False, 2, "the request id was used before for another request"),
    "version_mismatch": ErrorKind(False, 2, "client and daemon speak different versions of the wire"),
    # What it names.
    "session_not_found": ErrorKind(False, 4, "no session has this id"),
    "strategy_not_found": ErrorKind(False, 4, "the Jesse project has no strategy of this name"),
    "conflict": ErrorKind(False, 5, "the session exists already, with other arguments"),
    "session_ended": ErrorKind(False, 5, "the session has ended and can no longer be changed"),
    # What it needs.
    "strategy_failed": ErrorKind(False, 6, "the strategy could not be imported, created or run"),
    "candles_invalid": ErrorKind(False, 6, "the candle file is missing, malformed or too short"),
    "feed_unavailable": ErrorKind(True, 7, "the market's candles cannot be had now"),
    "engine_unavailable": ErrorKind(False, 7, "the engine cannot start: Jesse is missing or of another version"),
    "too_many_sessions": ErrorKind(True, 7, "the limit of running sessions is reached"),
    "busy": ErrorKind(True, 7, "as many requests as the daemon takes, or its registry is locked; nothing was done"),
    "forbidden": ErrorKind(False, 5, "the client's key may not ask this; nothing was done"),
    "storage_failed": ErrorKind(True, 7, "the disk is full, read-only or damaged"),
    "damaged": ErrorKind(False, 7, "what is stored of a session is not what was written"),
    # The way there and back.
    "daemon_unreachable": ErrorKind(True, 3, "no daemon answers on the endpoint; nothing was done"),
    "timeout": ErrorKind(True, 3, "the daemon did not answer in time; it may or may not have acted"),
    "shutting_down": ErrorKind(True, 3, "the daemon is shutting down; nothing was done"),
    "internal": ErrorKind(False, 70, "a defect of the daemon; its log explains the incident"),
}


def code_of(text: str) -> ErrorCode:
    """An error code that was read from a reply or a journal; `internal` for one that only another version knows."""
    return text if text in ERRORS else "internal"


class PaperError(Exception):
    """An error that a client sees as written.

    Args:
        code: what kind of error it is.
        message: what failed, with the field, the value and what would be right.
        hint: what to do next, or empty.
    """

    def __init__(self, code: ErrorCode, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.kind = ERRORS[code]
        self.code = code
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[type[PaperError], tuple[ErrorCode, str, str]]:
        return type(self), (self.code, self.message, self.hint)
