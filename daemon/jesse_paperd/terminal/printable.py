"""Text from strategies, notes and errors as a terminal may have it: no control characters, nothing that turns it about.

An escape sequence in a note could clear an operator's screen, or hide a line from them.
"""

from __future__ import annotations

import re

#: Control characters but tab and newline, and the marks that change the direction of text.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """The text with such characters written as escapes."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
