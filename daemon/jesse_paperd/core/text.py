"""Text from strategies and libraries, made fit to be stored: any string can come, not every string can be encoded."""

from __future__ import annotations

#: Longer texts are cut: a log line, an error message.
LONGEST = 10_000


def storable(text: object, longest: int = LONGEST) -> str:
    """The text with what UTF-8 cannot hold (lone surrogates) and NUL written as escapes, cut to a length."""
    told = str(text)
    if len(told) > longest:
        told = f"{told[:longest]} … ({len(told) - longest:,} characters more)"
    return told.encode(errors="backslashreplace").decode().replace("\0", "\\x00")
