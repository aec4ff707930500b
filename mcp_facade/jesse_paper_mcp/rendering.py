"""Answers and errors as a model reads them.

Clients differ in what they pass on: some drop the text of a result that has structured content, others show only the
text, and some lose the text of an error beside structured content. So an answer is told twice, the same way, and an
error once, as text.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Container
from typing import Any

import msgspec

from jesse_paper.errors import PaperError
from jesse_paper.protocol import Answer, Sessions, Waited
from jesse_paper_mcp.schemas import pictures
from jesse_paper_mcp.wording import for_toolset

JSON = dict[str, Any]

#: Characters of a result that every client passes on whole; some cut at about 12,000.
BUDGET = 10_000
#: Characters of it that are kept free when rows are counted.
_RESERVE = 100

#: What a session's process uses: the first to go where an answer is too long.
_OF_PROCESSES = ("pid", "cpu_seconds", "memory_mb", "last_candle_age_seconds")

#: After these nobody can say what happened; the rest of the error table means that nothing did.
_UNCLEAR = frozenset({"timeout", "internal", "storage_failed", "version_mismatch"})

_NEXT_STEPS = {
    "invalid_argument": "Correct the arguments and call again.",
    "session_not_found": "Call paper_list_sessions for the sessions that exist.",
    "strategy_not_found": "Choose one of the strategies that exist.",
    "conflict": "Choose another session_id, or repeat the arguments of the first call.",
    "session_ended": "Its records stay readable; paper_start starts a new session.",
    "timeout": "Check with paper_list_sessions or paper_status before you call again.",
    "too_many_sessions": "Stop a session with paper_stop first.",
    "internal": "Tell the user: the daemon's log explains the incident.",
}


def success(answer: Answer, offered: Collection[str]) -> JSON:
    """The result of a call that was done: the whole answer, structured and as the same compact JSON.

    Numbers that are not finite become null. Where the answer exceeds `BUDGET`, sessions lose what their processes use
    and then come in pages; rows of other answers keep only their principal fields. The answer says so before the rows.

    Args:
        offered: names of the tools on offer; its hint names no other.
    """
    content: JSON = msgspec.json.decode(msgspec.json.encode(answer))
    if content.get("hint"):
        content["hint"] = for_toolset(content["hint"], offered)
    content.pop(str(answer.__struct_config__.tag_field), None)
    images = [{"type": "image", "data": content.pop(name), "mimeType": "image/png"} for name in pictures(type(answer))]
    text = _compact(content)
    if len(text) > BUDGET and "sessions" in content and isinstance(answer, Sessions | Waited):
        content = _paged(content, paged=isinstance(answer, Sessions))
        text = _compact(content)
    elif len(text) > BUDGET:
        content = _slimmed(content, type(answer))
        text = _compact(content)
    return {"content": [{"type": "text", "text": text}, *images], "structuredContent": content, "isError": False}


def failure(tool: str, error: PaperError, offered: Collection[str], *, read_only: bool) -> JSON:
    """The result of a call that was not done: what failed, whether anything was done, what to do next, the code."""
    separator = "\n" if "\n" in error.message else " "
    steps = [for_toolset(step, offered) for step in _next_steps(error)]
    advice = [_outcome(error, read_only), *steps, f"[{error.code}]"]
    text = f"{tool} failed: {_sentence(error.message)}{separator}{' '.join(part for part in advice if part)}"
    return {"content": [{"type": "text", "text": text}], "isError": True}


def _outcome(error: PaperError, read_only: bool) -> str:
    if read_only or "nothing was" in error.message or "may or may not" in error.message:
        return ""
    return "It may or may not have been done." if error.code in _UNCLEAR else "Nothing was changed."


def _next_steps(error: PaperError) -> list[str]:
    """The error's own hint, and the step that its code suggests unless the hint says what to do already."""
    step = _NEXT_STEPS.get(error.code, "Try again later." if error.kind.retryable else "")
    if not error.hint:
        return [step]
    hint = _sentence(error.hint[:1].upper() + error.hint[1:])
    return [hint, step] if "paper_" in step and "paper_" not in hint else [hint]


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?", ":")) else f"{text}."


def _compact(content: JSON) -> str:
    return msgspec.json.encode(content).decode()


def _paged(content: JSON, *, paged: bool) -> JSON:
    """Sessions, without what their processes use; of those that still are too many, the first, each of them whole.

    Args:
        paged: the rest can be asked for by an offset.
    """
    rows = [_without(row, _OF_PROCESSES) for row in content["sessions"]]
    note = {"size_note": f"left out of each session, since the answer is long: {', '.join(_OF_PROCESSES)}"}
    rest = _without(content, {"sessions"})
    whole = rest | note | {"sessions": rows}
    if len(_compact(whole)) <= BUDGET:
        return whole
    room = BUDGET - _RESERVE - len(_compact(rest | note))
    shown = 0
    while shown < len(rows) and (room := room - len(_compact(rows[shown])) - 1) >= 0:
        shown += 1
    following = content.get("offset", 0) + shown
    more = f"call again with offset {following} for the next ones" if paged else "ask for fewer session_ids"
    note["size_note"] += f"; {shown} of these {len(rows)} are shown: {more}"
    if paged:
        rest |= {"next_offset": following, "hint": ""}
    return rest | note | {"sessions": rows[:shown]}


def _slimmed(content: JSON, answer: type[msgspec.Struct]) -> JSON:
    """The answer with the optional fields of its rows left out, the rows last so that a cut loses only rows."""
    optional = {name: fields for name, fields in _optional_fields(answer).items() if content.get(name)}
    full = {name: content[name] for name in optional}
    slim = {name: [_without(row, optional[name]) for row in rows] for name, rows in full.items()}
    rest = _without(content, full)
    count = max((len(rows) for rows in full.values()), default=0)
    fitting = count * max(0, BUDGET - _RESERVE - len(_compact(rest))) // len(_compact(full))
    note: JSON = {}
    if count > 1:
        omitted = sorted({name for fields in optional.values() for name in fields})
        note["size_note"] = (
            f"{count} rows make a long answer{', so omitted_fields are left out of each' if omitted else ''}. "
            f"Ask for {max(1, fitting)} rows or fewer to see everything."
        )
        note |= {"omitted_fields": omitted} if omitted else {}
    return rest | note | slim


@functools.cache
def _optional_fields(answer: type[msgspec.Struct]) -> dict[str, list[str]]:
    """By list of rows: the rows' fields with defaults, which came later than the principal ones."""
    found = {}
    for field in msgspec.structs.fields(answer):
        rows = msgspec.inspect.type_info(field.type)
        row = rows.item_type if isinstance(rows, msgspec.inspect.ListType) else None
        if isinstance(row, msgspec.inspect.StructType):
            found[field.encode_name] = [each.encode_name for each in row.fields if not each.required]
    return found


def _without(content: JSON, names: Container[str]) -> JSON:
    return {name: value for name, value in content.items() if name not in names}
