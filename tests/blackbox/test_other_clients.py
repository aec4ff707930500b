"""The façade with clients of others, and on the other major of the MCP SDK."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from jesse_paper_mcp.tools import TOOLS
from tests.support.daemon import SPOT_CANDLES, Daemon
from tests.support.node import CLIENTS

ROOT = Path(__file__).resolve().parents[2]
FACADE = [str(Path(sys.executable).with_name("jesse-paper-mcp"))]
NAMES = [tool.name for tool in TOOLS]


def run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def life(session_id: str) -> list[tuple[str, dict[str, Any]]]:
    """A call of each tool, in the order of a session's life."""
    session = {"session_id": session_id}
    start = {"strategy": "DayTrader", "symbol": "BTC-USDT", "timeframe": "15m", "feed": f"replay:{SPOT_CANDLES}"}
    again = {"session_id": f"{session_id}-again"}
    return [
        ("paper_health", {}),
        ("paper_list_strategies", {}),
        ("paper_start", {**start, **session}),
        ("paper_list_sessions", {}),
        ("paper_wait", {"session_ids": [session_id], "timeout_seconds": 30}),
        ("paper_status", session),
        ("paper_get_trades", {**session, "limit": 5}),
        ("paper_get_orders", {**session, "limit": 5}),
        ("paper_get_logs", {**session, "limit": 5}),
        ("paper_get_events", {**session, "limit": 5}),
        ("paper_get_equity", {**session, "resolution": "1d"}),
        ("paper_get_metrics", session),
        ("paper_update_session", {**session, "updates": {"notes": "by another client"}}),
        ("paper_restart", {**session, "new_session_id": again["session_id"]}),
        ("paper_stop", again),
        ("paper_stop", session),
        ("paper_compare_sessions", {"session_ids": [session_id, again["session_id"]]}),
        ("paper_verify", session),
        ("paper_chart", session),
        ("paper_delete_session", again),
    ]


def check_conversation(told: dict[str, Any], session_id: str) -> None:
    """What a client tells of `life` and of a call that is refused after it."""
    assert [tool["name"] for tool in told["tools"]] == NAMES
    assert all(tool["inputSchema"]["type"] == "object" for tool in told["tools"])
    *results, refused = told["results"]
    assert {name for name, _ in life(session_id)} == set(NAMES)
    for (name, _), result in zip(life(session_id), results, strict=True):
        assert not result.get("isError"), (name, result)
        assert result["structuredContent"] == json.loads(result["content"][0]["text"])
    answers = dict(zip((name for name, _ in life(session_id)), results, strict=True))
    assert answers["paper_stop"]["structuredContent"]["status"] == "stopped"
    assert [block["type"] for block in answers["paper_chart"]["content"]] == ["text", "image"]
    assert refused["isError"]
    assert "Did you mean 'BTC-USDT'?" in refused["content"][0]["text"]
    assert f"paper://sessions/{session_id}" in {resource["uri"] for resource in told["resources"]}
    assert len(told["prompts"]) == 3


def conversation(session_id: str) -> str:
    return json.dumps([*life(session_id), ("paper_start", {"strategy": "DayTrader", "symbol": "btc/usdt"})])


@pytest.fixture(scope="session")
def other_major(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with this distribution and mcp 2.x."""
    folder = tmp_path_factory.mktemp("mcp2")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    run(Path(sys.executable).with_name("uv"), "pip", "install", "--quiet", "--python", python, ROOT, "mcp>=2,<3")
    version = run(python, "-c", "import importlib.metadata as m; print(m.version('mcp'))")
    assert version.startswith("2.")
    return python


@pytest.mark.slow
def test_the_inspector_sees_every_tool_and_calls_each(daemon: Daemon, node: dict[str, str]) -> None:
    def inspect(*arguments: str) -> Any:
        command = ("mcp-inspector", "--cli", *FACADE, "--endpoint", daemon.endpoint, *arguments, "--format", "json")
        return json.loads(run(*command, env=node))["result"]

    # The count: an inspector that cannot read the schemas shows none and exits 0.
    assert [tool["name"] for tool in inspect("--method", "tools/list")["tools"]] == NAMES
    for name, arguments in life("inspected"):
        given = ("--tool-name", name, "--tool-args-json", json.dumps(arguments))
        result = inspect("--method", "tools/call", *given)
        assert not result.get("isError"), result
    assert len(inspect("--method", "prompts/list")["prompts"]) == 3


@pytest.mark.slow
def test_the_typescript_client_runs_a_session_through_its_life(daemon: Daemon, node: dict[str, str]) -> None:
    script = CLIENTS / "typescript_client.mjs"
    command = ("node", script, *FACADE, "--endpoint", daemon.endpoint, conversation("typescript"))
    check_conversation(json.loads(run(*command, env=node)), "typescript")


def stand_ins(session_id: str) -> dict[str, dict[str, Any]]:
    """What is asked for instead of the things of the conformance suite's model server, which ours does not have.

    What the suite then checks is the form of the answers. The resource of a template must tell of "123", the prompt of
    its two arguments; the tool with progress must last for three notifications, as a wait for the session "lasting".
    """
    wait = {"session_ids": ["lasting"], "timeout_seconds": 7}
    return {
        "test_simple_text": {"name": "paper_list_sessions", "arguments": {}},
        "test_image_content": {"name": "paper_chart", "arguments": {"session_id": session_id}},
        "test_error_handling": {"name": "paper_status", "arguments": {"session_id": "never-was"}},
        "test_tool_with_progress": {"name": "paper_wait", "arguments": wait},
        "test://static-text": {"uri": "paper://sessions"},
        "test://template/123/data": {"uri": f"paper://sessions/{session_id}"},
        "test_simple_prompt": {"name": "review_session", "arguments": {"session_id": session_id}},
        "test_prompt_with_arguments": {
            "name": "compare_sessions",
            "arguments": {"session_ids": "testValue1, testValue2"},
        },
        "ref/prompt test_prompt_with_arguments": {
            "ref": {"type": "ref/prompt", "name": "review_session"},
            "argument": {"name": "session_id", "value": session_id[:1]},
        },
    }


@pytest.mark.slow
def test_the_conformance_suite_finds_no_fault_that_is_not_expected(
    daemon: Daemon, node: dict[str, str], tmp_path: Path
) -> None:
    daemon.start_session(session_id="123", strategy="DayTrader", timeframe="15m", feed=f"replay:{SPOT_CANDLES}")
    daemon.ended("123")
    daemon.start_session(session_id="lasting", strategy="DayTrader", timeframe="15m", speed=60.0)
    bridge = subprocess.Popen(
        ["node", CLIENTS / "http_bridge.mjs", *FACADE, "--endpoint", daemon.endpoint],
        env={**node, "STANDS_FOR": json.dumps(stand_ins("123"))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert bridge.stdin is not None
    assert bridge.stdout is not None
    try:
        expected = CLIENTS / "conformance-expected-failures.yml"
        told = run(
            "conformance", "server", "--url", bridge.stdout.readline().strip(), "--requirements", "2025-11-25",
            "--expected-failures", expected, "--output-dir", tmp_path, env=node, cwd=tmp_path,
        )  # fmt: skip
    finally:
        bridge.stdin.close()
        bridge.wait(60)
        bridge.stdout.close()
    failed = {line.split()[1].rstrip(":") for line in told.splitlines() if line.startswith("✗ ")}
    passed = {line.split()[1].rstrip(":") for line in told.splitlines() if line.startswith("✓ ")}
    assert failed <= {line[4:] for line in expected.read_text().splitlines() if line.startswith("  - ")}, told
    # A suite that does not run passes too.
    assert passed >= {
        "server-initialize", "ping", "tools-list", "tools-call-simple-text", "tools-call-image", "tools-call-error",
        "tools-call-with-progress", "resources-list", "resources-read-text", "resources-templates-read",
        "prompts-list", "prompts-get-simple", "prompts-get-with-args", "completion-complete",
    }, told  # fmt: skip


@pytest.mark.packaging
@pytest.mark.parametrize(
    ("client_is_2", "facade_is_2"), [(True, True), (True, False), (False, True)], ids=["2-to-2", "2-to-1", "1-to-2"]
)
def test_both_majors_of_the_sdk_understand_each_other(
    daemon: Daemon, other_major: Path, client_is_2: bool, facade_is_2: bool
) -> None:
    client = other_major if client_is_2 else Path(sys.executable)
    facade = [str(other_major), "-m", "jesse_paper_mcp"] if facade_is_2 else FACADE
    session_id = f"major-{client_is_2:d}{facade_is_2:d}"
    command = (client, CLIENTS / "python_client.py", *facade, "--endpoint", daemon.endpoint, conversation(session_id))
    check_conversation(json.loads(run(*command, cwd=daemon.home)), session_id)
