"""JSON schemas of the tools, from the wire's structs.

msgspec's own schemas are right but not what clients take: a `$ref` at the root makes some show no tools at all and
report success, an optional argument as a union with null confuses others, and enumerations are sorted and untyped.
Here everything stands in place.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import msgspec

from jesse_paper.choices import in_declared_order, note_choices
from jesse_paper.protocol import NO_NEWLINE, OPERATIONS

Schema = dict[str, Any]

_REFERENCE = "#/$defs/"
_NULL = {"type": "null"}


def input_schema(operation: type[msgspec.Struct]) -> Schema:
    """The arguments of a tool: unknown ones are refused, optional ones may be left out."""
    schema = _each(_message(operation), _optional_instead_of_null)
    del schema["description"]  # the tool's own description says it
    return schema


def output_schema(answer: type[msgspec.Struct]) -> Schema:
    """The structured content of a tool's result. Newer daemons may add fields to it; pictures stand beside it."""
    schema = _each(_message(answer), _without_default)
    for name in pictures(answer):
        schema["properties"].pop(name)
        schema["required"].remove(name)
    return schema


@functools.cache
def pictures(answer: type[msgspec.Struct]) -> list[str]:
    """The fields of an answer that hold a PNG, which a client gets as an image and not as text."""
    return [field.encode_name for field in msgspec.structs.fields(answer) if field.type is bytes]


def _message(cls: type[msgspec.Struct]) -> Schema:
    """The schema of a message without its tag."""
    note_choices(cls)
    components = _components()
    schema = _each(_inlined(components[cls.__name__], components), _readable)
    tag = cls.__struct_config__.tag_field
    schema["properties"].pop(tag, None)
    required = [name for name in schema.pop("required", ()) if name != tag]
    return {**schema, "required": required} if required else schema


@functools.cache
def _components() -> dict[str, Schema]:
    """The schemas of all structs of the wire, by name. One by one they would take three times as long."""
    messages = [part for known in OPERATIONS.values() for part in (known.operation, known.answer)]
    _, components = msgspec.json.schema_components(messages, ref_template=_REFERENCE + "{name}")
    return components


def _inlined(schema: Schema, components: dict[str, Schema]) -> Schema:
    """Without references. The wire's structs do not contain themselves."""

    def inline(part: Schema) -> Schema:
        if "$ref" not in part:
            return part
        # What stands beside the reference (a field's own description) is more to the point than the struct's.
        beside = {key: value for key, value in part.items() if key != "$ref"}
        return _inlined(components[part["$ref"].removeprefix(_REFERENCE)], components) | beside

    return _each(schema, inline)


def _readable(part: Schema) -> Schema:
    part = {key: value for key, value in part.items() if key != "title"}
    if "enum" in part:
        part = {"type": "string", **part, "enum": list(in_declared_order(part["enum"]))}
    if part.get("required") == []:
        del part["required"]
    if "pattern" in part:
        part["pattern"] = part["pattern"].removesuffix(NO_NEWLINE)
    if "description" in part:
        part["description"] = " ".join(part["description"].split())
    return part


def _optional_instead_of_null(part: Schema) -> Schema:
    if isinstance(part.get("default"), dict) or part.get("default", "") is None:
        part = {key: value for key, value in part.items() if key != "default"}
    if _NULL in part.get("anyOf", ()):
        members = [member for member in part["anyOf"] if member != _NULL]
        beside = {key: value for key, value in part.items() if key != "anyOf"}
        part = {**members[0], **beside} if len(members) == 1 else {"anyOf": members, **beside}
    return part


def _without_default(part: Schema) -> Schema:
    return {key: value for key, value in part.items() if key != "default"}


def _each(schema: Schema, change: Callable[[Schema], Schema]) -> Schema:
    """The schema with every schema within it changed, innermost first."""
    schema = dict(schema)
    if "properties" in schema:
        schema["properties"] = {name: _each(each, change) for name, each in schema["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            schema[key] = _each(schema[key], change)
    if "anyOf" in schema:
        schema["anyOf"] = [_each(each, change) for each in schema["anyOf"]]
    return change(schema)
