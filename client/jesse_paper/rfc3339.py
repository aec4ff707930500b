"""Times as text: RFC 3339 in UTC on the wire, milliseconds since 1970 everywhere else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_text(ms: int) -> str:
    """Milliseconds as `2026-02-19T00:00:00Z`: the second in which they lie."""
    return f"{(_EPOCH + timedelta(seconds=ms // 1000)).isoformat().removesuffix('+00:00')}Z"


def to_ms(text: str) -> int:
    """Milliseconds of an RFC 3339 time, or of a date alone: midnight UTC.

    Raises:
        ValueError: it is not such a time, or lacks its offset from UTC.
    """
    wanted = f"{text!r} is no RFC 3339 time such as 2026-02-19T00:00:00Z or 2026-02-19"
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(wanted) from error
    if time.tzinfo is None:
        if len(text) != len("2026-02-19"):
            raise ValueError(f"{wanted}: it lacks its offset from UTC, such as Z")
        time = time.replace(tzinfo=UTC)
    return (time - _EPOCH) // _MILLISECOND
