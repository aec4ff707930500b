"""Texts that name tools, for a toolset: a model must not be sent to a tool that it does not have."""

from __future__ import annotations

import re
from collections.abc import Collection

from jesse_paper.protocol import OPERATIONS

_TOOL = re.compile(r"\bpaper_[a-z_]+\b")
#: Sentences, and parts of one that stand for themselves.
_PARTS = re.compile(r"(?<=[.;!?])[ ]+")


def for_toolset(text: str, offered: Collection[str]) -> str:
    """The text without the sentences that name a tool which is not offered."""
    return "\n".join(_line(line, offered) for line in text.split("\n"))


def _line(line: str, offered: Collection[str]) -> str:
    parts = _PARTS.split(line)
    kept = [part for part in parts if not _absent(part, offered)]
    if len(kept) == len(parts):
        return line
    text = " ".join(kept)
    return f"{text[:-1]}." if text.endswith(";") else text


def _absent(text: str, offered: Collection[str]) -> set[str]:
    return {name for name in _TOOL.findall(text) if name in OPERATIONS and name not in offered}
