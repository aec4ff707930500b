"""The tools are what the requirements name, and what clients take."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import jsonschema
import pytest

from jesse_paper import protocol as p
from jesse_paper.errors import ERRORS
from jesse_paper_mcp import view
from jesse_paper_mcp.facade import Facade
from jesse_paper_mcp.install import CLIENTS
from jesse_paper_mcp.prompts import PROMPTS
from jesse_paper_mcp.resources import TEMPLATES
from jesse_paper_mcp.tools import NO_TOOLS, TOOLS, Tool, select
from jesse_paperd.service import handlers  # noqa: F401 - registers them
from jesse_paperd.service.handlers.handler import HANDLERS

SESSION = {"session_id": ("string", True, None)}
TIMEFRAMES = ["1m", "5m", "15m", "1h", "4h", "1d"]

#: By tool, from the requirements: argument → (type, required, default). `strategy` and `symbol` have `routes` in their
#: place: the schema requires neither, and a call without both is refused.
REQUIRED_ARGUMENTS: dict[str, dict[str, tuple[str, bool, Any]]] = {
    "paper_start": {
        "strategy": ("string", False, None),
        "symbol": ("string", False, None),
        "timeframe": ("string", False, "1h"),
        "exchange": ("string", False, "Binance"),
        "starting_balance": ("number", False, 10000),
        "leverage": ("number", False, 1),
        "session_id": ("string", False, None),
        "fee": ("number", False, 0.001),
    },
    "paper_stop": SESSION,
    "paper_status": SESSION,
    "paper_get_trades": {**SESSION, "limit": ("integer", False, 100), "offset": ("integer", False, 0)},
    "paper_get_equity": {**SESSION, "resolution": ("string", False, "1h")},
    "paper_get_metrics": SESSION,
    "paper_list_sessions": {},
    "paper_update_session": {**SESSION, "updates": ("object", False, None)},
}

MAIN_METRICS = ["total_return", "sharpe_ratio", "max_drawdown", "win_rate", "total_trades"]
ALL_METRICS = [
    *MAIN_METRICS, "sortino_ratio", "profit_factor", "avg_trade", "avg_winning_trade", "avg_losing_trade", "var_95",
    "volatility", "current_equity", "unrealized_pnl",
]  # fmt: skip

#: By tool, from the requirements: the fields of its result, by the path of the object that holds them.
REQUIRED_RESULTS: dict[str, dict[str, list[str]]] = {
    "paper_start": {
        "": ["session_id", "status", "strategy", "symbol", "timeframe", "exchange", "starting_balance", "started_at"]
    },
    "paper_stop": {
        "": ["session_id", "status", "stopped_at", "duration_hours", "final_metrics"],
        "final_metrics": [*MAIN_METRICS, "final_equity"],
    },
    "paper_status": {
        "": [
            "session_id", "status", "strategy", "symbol", "current_equity", "unrealized_pnl", "positions",
            "open_orders", "metrics",
        ],
        "positions": ["side", "size", "entry_price", "current_price", "unrealized_pnl"],
        "metrics": MAIN_METRICS,
    },
    "paper_get_trades": {
        "": ["session_id", "total_trades", "trades"],
        "trades": [
            "trade_id", "entry_time", "exit_time", "side", "entry_price", "exit_price", "size", "pnl", "pnl_pct",
            "fees",
        ],
    },
    "paper_get_equity": {
        "": ["session_id", "resolution", "equity_curve"],
        "equity_curve": ["timestamp", "equity", "drawdown", "unrealized_pnl"],
    },
    "paper_get_metrics": {"": ["session_id", "metrics"], "metrics": ALL_METRICS},
    "paper_list_sessions": {
        "": ["sessions", "total"],
        "sessions": ["session_id", "strategy", "symbol", "status", "started_at", "duration_hours"],
    },
    "paper_update_session": {"": ["session_id", "status", "updated_fields"]},
}  # fmt: skip

EVERY_TOOL = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)


@pytest.fixture(scope="module")
def listed() -> dict[str, dict[str, Any]]:
    facade = Facade("ipc:///nowhere", select("all", read_only=False))
    return {tool["name"]: tool for tool in facade.list_tools()["tools"]}


def subschemas(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schema and every schema within it."""
    yield schema
    nested = [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]
    nested += [schema[key] for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict)]
    for each in nested:
        yield from subschemas(each)


def properties_at(schema: dict[str, Any], path: str) -> dict[str, Any]:
    """The properties of the object, or of the rows of the list, in a field; of the whole for no path."""
    target = schema["properties"][path] if path else schema
    return target.get("items", target)["properties"]


@pytest.mark.parametrize("name", REQUIRED_ARGUMENTS)
def test_arguments_have_the_names_types_and_defaults_of_the_requirements(listed, name: str):
    schema = listed[name]["inputSchema"]
    for argument, (kind, required, default) in REQUIRED_ARGUMENTS[name].items():
        found = schema["properties"][argument]
        assert found["type"] == kind
        assert (argument in schema.get("required", [])) == required
        assert found.get("default") == default


@pytest.mark.parametrize("name", REQUIRED_ARGUMENTS)
def test_arguments_beyond_the_requirements_are_optional(listed, name: str):
    required = {argument for argument, (_, needed, _) in REQUIRED_ARGUMENTS[name].items() if needed}
    assert set(listed[name]["inputSchema"].get("required", [])) == required


def test_enumerations_hold_those_of_the_requirements_in_order_of_length(listed):
    for tool, argument in (("paper_start", "timeframe"), ("paper_get_equity", "resolution")):
        choices = listed[tool]["inputSchema"]["properties"][argument]["enum"]
        assert [choice for choice in choices if choice in TIMEFRAMES] == TIMEFRAMES


def test_updates_take_leverage_and_notes(listed):
    updates = listed["paper_update_session"]["inputSchema"]["properties"]["updates"]
    assert {name: schema["type"] for name, schema in updates["properties"].items()} == {
        "leverage": "number",
        "notes": "string",
    }


@pytest.mark.parametrize("name", REQUIRED_RESULTS)
def test_results_have_the_fields_of_the_requirements(listed, name: str):
    for path, fields in REQUIRED_RESULTS[name].items():
        assert set(fields) <= set(properties_at(listed[name]["outputSchema"], path))


def test_the_tools_are_the_operations_and_the_daemon_handles_each_and_gives_the_answer_promised():
    handled = {operation: get_type_hints(handler)["return"] for operation, handler in HANDLERS.items()}
    assert handled == {known.operation: known.answer for known in p.OPERATIONS.values()}
    assert {tool.operation for tool in TOOLS} == set(handled) - NO_TOOLS
    # A report is a file for people, which the CLI writes; what takes space is the operator's business.
    others = {p.Ping, p.PaperReport, p.PaperDiskUse, p.PaperCheckFiles}
    others |= {p.PaperArchiveSession, p.PaperRestoreSession, p.PaperRepairSession}
    assert others == NO_TOOLS


@EVERY_TOOL
def test_schemas_are_valid_and_hold_everything_in_place(listed, tool: Tool):
    for kind in ("inputSchema", "outputSchema"):
        schema = listed[tool.name][kind]
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["type"] == "object"
        for part in subschemas(schema):
            assert "$ref" not in part
            assert "enum" not in part or part["type"] == "string"


@EVERY_TOOL
def test_inputs_are_closed_bounded_and_know_no_null(listed, tool: Tool):
    for part in subschemas(listed[tool.name]["inputSchema"]):
        assert part.get("type") != "null"
        if "properties" in part:
            assert part["additionalProperties"] is False
        if part.get("type") in ("number", "integer"):
            assert {"minimum", "exclusiveMinimum"} & set(part)
            assert {"maximum", "exclusiveMaximum"} & set(part)
        if "default" in part:
            jsonschema.validate(part["default"], part)


@EVERY_TOOL
def test_the_tag_of_the_wire_is_no_field_of_a_tool(listed, tool: Tool):
    assert "op" not in listed[tool.name]["inputSchema"]["properties"]
    assert "kind" not in listed[tool.name]["outputSchema"]["properties"]


@EVERY_TOOL
def test_descriptions_are_written_for_a_model(listed, tool: Tool):
    assert 100 < len(tool.description) < 700
    assert "simulated money" in tool.description.lower()
    for argument, schema in listed[tool.name]["inputSchema"]["properties"].items():
        assert schema.get("description"), argument


@EVERY_TOOL
def test_annotations_tell_readers_from_changers(listed, tool: Tool):
    annotations = listed[tool.name]["annotations"]
    assert annotations["readOnlyHint"] == issubclass(tool.operation, p.Question)
    if annotations["readOnlyHint"]:
        assert not annotations["destructiveHint"]
        assert annotations["idempotentHint"]


def test_a_call_and_its_repetition_end_before_clients_give_up():
    for tool in TOOLS:
        assert tool.timeout * (1 if tool.read_only else 2) < 60


def test_the_order_of_the_tools_is_that_of_the_table(listed):
    assert list(listed) == [tool.name for tool in TOOLS]


def test_read_only_offers_no_tool_that_changes_anything():
    assert set(select("all", read_only=True)) == {tool.name for tool in TOOLS if tool.read_only}
    assert {"paper_start", "paper_stop", "paper_update_session"}.isdisjoint(select("all", read_only=True))


def test_the_core_is_what_the_requirements_name():
    assert list(select("core", read_only=False)) == list(REQUIRED_ARGUMENTS)


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("toolset", ["core", "all"])
def test_no_text_names_a_tool_that_is_not_on_offer(toolset: str, read_only: bool):
    facade = Facade("ipc:///nowhere", select(toolset, read_only=read_only))
    offered = {tool["name"] for tool in facade.list_tools()["tools"]}
    told = json.dumps([facade.instructions, facade.list_tools()])
    named = {word for word in re.findall(r"paper_[a-z_]+", told) if word in p.OPERATIONS}
    assert named == offered
    assert "simulated money" in facade.instructions


def test_the_documentation_names_every_tool_client_option_resource_prompt_and_error():
    page = (Path(__file__).resolve().parents[2] / "docs" / "mcp.md").read_text()
    documented = {
        *(tool.name for tool in TOOLS),
        *(prompt.name for prompt in PROMPTS),
        *(template[0] for template in TEMPLATES),
        *CLIENTS,
        *ERRORS.keys() - {"invalid_request", "request_id_reused"},  # no tool call can meet these
        "--read-only",
        "--toolset",
        "--endpoint",
        "--autostart",
        view.URI,
    }
    assert {name for name in documented if name not in page} == set()
