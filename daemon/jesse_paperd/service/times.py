"""Times that a question names."""

from __future__ import annotations

from jesse_paper.errors import PaperError
from jesse_paper.rfc3339 import to_ms


def time_of(field: str, text: str | None) -> int | None:
    """Milliseconds of a time argument.

    Raises:
        PaperError: `invalid_argument`, naming the field.
    """
    try:
        return None if text is None else to_ms(text)
    except ValueError as error:
        raise PaperError("invalid_argument", f"{field}: {error}") from None


def span_of(since: str | None, until: str | None) -> tuple[int | None, int | None]:
    """Both ends of a span of time in milliseconds.

    Raises:
        PaperError: `invalid_argument` when one is not a time, or when it ends before it begins.
    """
    begin, end = time_of("since", since), time_of("until", until)
    if begin is not None and end is not None and begin > end:
        raise PaperError("invalid_argument", f"since: {since} is after until: {until}", "exchange the two")
    return begin, end
