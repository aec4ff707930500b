"""Arguments to an operation, or every problem of them at once.

msgspec stops at the first problem and names the type it wanted. A caller, above all a language model, corrects a
call in one go only if it is told of all problems: where each is, what is allowed, what came, and what was
probably meant. So each field is converted by itself here, and what fails is explained.

Lenient where the meaning is plain ("3" for 3, null for "use the default", an object sent as JSON text), strict
everywhere else: unknown fields, true for 1, NaN and Infinity are refused.
"""

from __future__ import annotations

import difflib
import functools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, get_type_hints

import msgspec
from msgspec import inspect

from jesse_paper.choices import in_declared_order, note_choices
from jesse_paper.errors import PaperError
from jesse_paper.operations.operation import Operation

StructT = TypeVar("StructT", bound=msgspec.Struct)

SHOWN_PROBLEMS = 20
SHOWN_CHARACTERS = 80


def parse(cls: type[StructT], arguments: Mapping[str, Any]) -> StructT:
    """The operation that `arguments` describe; the operation's tag is not among them.

    Raises:
        PaperError: `invalid_argument`, naming every problem.
    """
    problems: list[str] = []
    operation = _struct(cls, arguments, "", problems)
    if issubclass(cls, Operation):
        problems += cls.contradictions({name for name, value in arguments.items() if value not in (None, [])})
    if operation is None or problems:
        raise PaperError("invalid_argument", _summary(problems), "Correct the arguments and call again.")
    return operation


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the nearest known word, or nothing when none is near."""
    by_folded: dict[str, str] = {}
    for candidate in known:
        by_folded.setdefault(_folded(candidate), candidate)
    near = difflib.get_close_matches(_folded(word), by_folded, n=1, cutoff=0.7)
    return f" Did you mean {by_folded[near[0]]!r}?" if near else ""


def _folded(word: str) -> str:
    return re.sub(r"[\s_-]", "", word[:SHOWN_CHARACTERS]).lower()


def _summary(problems: list[str]) -> str:
    if len(problems) == 1:
        return problems[0]
    shown = [f"\n- {problem}" for problem in problems[:SHOWN_PROBLEMS]]
    if len(problems) > SHOWN_PROBLEMS:
        shown.append(f"\n- and {len(problems) - SHOWN_PROBLEMS} more")
    return f"{len(problems)} problems with the arguments:{''.join(shown)}"


# ── Conversion: by struct, list and leaf, collecting problems ──────────────────────────────────────────────────────


@functools.cache
def _fields(cls: type[msgspec.Struct]) -> dict[str, tuple[inspect.Field, Any]]:
    """By name: the field as msgspec sees it, and its annotation."""
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    hints = get_type_hints(cls, include_extras=True)
    note_choices(cls)
    return {field.encode_name: (field, hints[field.name]) for field in info.fields}


def _struct(cls: type[StructT], value: Any, path: str, problems: list[str]) -> StructT | None:
    fields = _fields(cls)
    value = _unquoted(value, Mapping)
    if not isinstance(value, Mapping):
        problems.append(f"{_named(path)} must be an object with fields of {_listed(fields)}, not {_shown(value)}.")
        return None
    before = len(problems)
    for name in value:
        if name not in fields:
            # Past what is shown they are only counted: finding near names takes time, which a caller could abuse.
            shown = len(problems) < SHOWN_PROBLEMS
            problems.append(_unknown(_joined(path, str(name)), str(name), fields) if shown else "")
    values = {}
    for name, (field, annotation) in fields.items():
        given = value.get(name)
        if given is None and not field.required:
            continue
        if name not in value:
            problems.append(f"{_named(_joined(path, name))} is missing: {_allowed(field.type)}.")
            continue
        values[field.name] = _value(field.type, annotation, given, _joined(path, name), problems)
    return cls(**values) if len(problems) == before else None


def _value(kind: inspect.Type, annotation: Any, value: Any, path: str, problems: list[str]) -> Any:
    bare = _bare(kind)
    if isinstance(bare, inspect.StructType):
        return _struct(bare.cls, value, path, problems)
    if isinstance(bare, inspect.ListType):
        value = _unquoted(value, list)
        item = _bare(bare.item_type)
        if isinstance(item, inspect.StructType) and isinstance(value, list | tuple) and _fits(bare, len(value)):
            return [_struct(item.cls, each, f"{path}[{i}]", problems) for i, each in enumerate(value)]
    if isinstance(bare, inspect.DictType):
        value = _unquoted(value, Mapping)
    try:
        converted = msgspec.convert(value, annotation, strict=False)
        _check_text_and_numbers(converted)
    except (msgspec.ValidationError, ValueError, RecursionError):
        problems.append(
            f"{_named(path)} must be {_allowed(kind)}, not {_shown(value)}.{_suggestion(kind, value)}",
        )
        return None
    return converted


def _unquoted(value: Any, wanted: Any) -> Any:
    """Models send nested objects as JSON text now and then; the meaning is plain."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            decoded = msgspec.json.decode(value)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return value
        return decoded if isinstance(decoded, wanted) else value
    return value


def _fits(kind: inspect.ListType, length: int) -> bool:
    return (kind.min_length or 0) <= length <= (math.inf if kind.max_length is None else kind.max_length)


def _check_text_and_numbers(value: Any) -> None:
    """Refuse what no message may hold: numbers that are not finite, text that is not Unicode.

    Raises:
        ValueError: at the first one.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("not finite")
    if isinstance(value, str):
        value.encode()  # a lone surrogate cannot be
    elif isinstance(value, Mapping):
        for key, each in value.items():
            _check_text_and_numbers(key)
            _check_text_and_numbers(each)
    elif isinstance(value, list | tuple):
        for each in value:
            _check_text_and_numbers(each)


# ── Explanation: what is allowed, what came, what was probably meant ───────────────────────────────────────────────


def _bare(kind: inspect.Type) -> inspect.Type:
    """Without metadata, and without the `| None` of an optional field."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        members = [member for member in kind.types if not isinstance(member, inspect.NoneType)]
        if len(members) == 1:
            return _bare(members[0])
    return kind


def _allowed(kind: inspect.Type) -> str:
    """What a value of this type may be, in words."""
    described = _described(kind)
    kind = _bare(kind)
    match kind:
        case inspect.LiteralType():
            return f"one of {_listed(map(str, in_declared_order(kind.values)))}"
        case inspect.UnionType():
            return " or ".join(_allowed(member) for member in kind.types if not isinstance(member, inspect.NoneType))
        case inspect.IntType():
            return f"a whole number{_range(kind)}"
        case inspect.FloatType():
            return f"a {'whole ' if kind.multiple_of == 1 else ''}number{_range(kind)}"
        case inspect.StrType(pattern=str()):
            return f"a text ({described.rstrip('.')})" if described else f"a text matching {kind.pattern}"
        case inspect.StrType():
            return f"a text{_length(kind, 'characters')}"
        case inspect.BoolType():
            return "true or false"
        case inspect.ListType():
            return f"a list{_length(kind, 'items')}, each {_allowed(kind.item_type)}"
        case inspect.DictType():
            return f"an object whose values are each {_allowed(kind.value_type)}"
        case inspect.StructType():
            return f"an object with fields of {_listed(field.encode_name for field in kind.fields)}"
    return "of another type"


def _described(kind: inspect.Type) -> str:
    """The innermost description: that of the type, such as `Symbol`, rather than of the field."""
    text = ""
    while True:
        if isinstance(kind, inspect.Metadata):
            text = (kind.extra_json_schema or {}).get("description", text)
            kind = kind.type
        elif isinstance(kind, inspect.UnionType):
            members = [member for member in kind.types if not isinstance(member, inspect.NoneType)]
            if len(members) != 1:
                return text
            kind = members[0]
        else:
            return text


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    low = f" from {kind.ge:g}" if kind.ge is not None else f" above {kind.gt:g}" if kind.gt is not None else ""
    up_to = " to" if kind.ge is not None else " up to"
    high = f"{up_to} {kind.le:.15g}" if kind.le is not None else f" to below {kind.lt:g}" if kind.lt is not None else ""
    return low + high


def _length(kind: inspect.StrType | inspect.ListType, unit: str) -> str:
    if kind.min_length and kind.max_length:
        return f" of {kind.min_length} to {kind.max_length} {unit}"
    return f" of at most {kind.max_length} {unit}" if kind.max_length else ""


def _suggestion(kind: inspect.Type, value: Any) -> str:
    if not isinstance(value, str) or len(value) > SHOWN_CHARACTERS:
        return ""
    bare = _bare(kind)
    members = bare.types if isinstance(bare, inspect.UnionType) else (bare,)
    known = [
        str(each)
        for member in members
        if isinstance(member, inspect.LiteralType)
        for each in in_declared_order(member.values)
    ]
    if known:
        meant = _other_words(value, known)
        return f" Did you mean {meant!r}?" if meant is not None else did_you_mean(value, known)
    if isinstance(bare, inspect.StrType) and bare.pattern:
        for candidate in _respelled(value):
            if re.search(bare.pattern, candidate):
                return f" Did you mean {candidate!r}?"
    return ""


#: Words for what the protocol calls otherwise, by the way others call it.
_SYNONYMS = {
    "filled": "executed", "done": "executed", "closed": "executed",
    "open": "active", "pending": "active", "working": "active", "cancelled": "canceled",
    "buy": "long", "sell": "short", "both": "all",
    "ended": "stopped", "finished": "stopped", "completed": "stopped", "alive": "running", "error": "failed",
    "day": "1d", "daily": "1d", "hour": "1h", "hourly": "1h", "minute": "1m", "week": "1w", "weekly": "1w",
}  # fmt: skip
_MINUTES = {"m": 1, "h": 60, "d": 1440, "w": 10_080}
_LENGTH = re.compile(r"(\d{1,6})\s*(m|h|d|w)(?:in(?:ute)?s?|ours?|rs?|ays?|eeks?)?", re.IGNORECASE)


def _other_words(value: str, known: list[str]) -> str | None:
    """The known word that means the same: another word for it, or the same length of time (`60m` is `1h`)."""
    synonym = _SYNONYMS.get(value.lower())
    if synonym in known:
        return synonym
    if (minutes := _minutes(value)) is not None:
        return next((word for word in known if word != "1M" and _minutes(word) == minutes), None)
    return None


def _minutes(text: str) -> int | None:
    found = _LENGTH.fullmatch(text.strip())
    return int(found[1]) * _MINUTES[found[2].lower()] if found and text != "1M" else None


def _respelled(text: str) -> Iterator[str]:
    """Usual spellings of ids and pairs in the form that patterns here want: `btc/usdt` → `BTC-USDT`."""
    joined = re.sub(r"[^A-Za-z0-9.]+", "-", text.partition(":")[0]).strip("-")
    yield joined
    yield joined.upper()
    pair = re.fullmatch(r"([A-Z0-9]{2,})(USDT|USDC|FDUSD|BUSD|TUSD|USD|EUR|GBP|BTC|ETH)", joined.upper())
    if pair:
        yield f"{pair[1]}-{pair[2]}"


def _unknown(path: str, name: str, fields: Mapping[str, tuple[inspect.Field, Any]]) -> str:
    for outer, (field, _) in fields.items():
        inner = _bare(field.type)
        if isinstance(inner, inspect.StructType) and name in {each.encode_name for each in inner.fields}:
            return f"{_named(path)} does not belong here: put it inside `{outer}`."
    known = list(fields)
    takes = f"those that exist are {_listed(known)}" if known else "none is taken here"
    return f"{_named(path)} is not an argument; {takes}.{did_you_mean(name, known)}"


def _named(path: str) -> str:
    return f"`{_cut(path)}`" if path else "the arguments"


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)


def _shown(value: Any) -> str:
    """The value as JSON, bounded."""
    try:
        return _cut(json.dumps(value, ensure_ascii=False, default=repr))
    except (TypeError, ValueError, RecursionError):
        return f"a value of type {type(value).__name__} that JSON cannot express"


def _cut(text: str) -> str:
    text = text.encode(errors="replace").decode()
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}… ({len(text)} characters)"
