"""Arrows between packages point one way."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.support.mcp_client import COMMAND

ROOT = Path(__file__).resolve().parents[2]
DAEMON = ROOT / "daemon" / "jesse_paperd"
FACADE = ROOT / "mcp_facade" / "jesse_paper_mcp"
CLIENT = ROOT / "client" / "jesse_paper"

#: What each part may import of the rest. A part is a package of the daemon, a module at its top, the public package
#: or the façade.
ARROWS: dict[str, set[str]] = {
    "jesse_paper": set(),
    "processes": {"core"},
    "core": {"jesse_paper"},
    "records": {"core", "jesse_paper"},
    "candles": {"core", "jesse_paper", "records"},
    "strategies": {"core", "jesse_paper"},
    "analytics": {"core", "jesse_paper", "records"},
    "feed": {"candles", "config", "core", "jesse_paper"},
    "engine": {"core", "jesse_paper", "records"},
    "session": {"candles", "core", "engine", "jesse_paper", "processes", "records", "strategies"},
    "verification": {"candles", "core", "engine", "jesse_paper", "processes", "records", "session"},
    "config": {"core", "jesse_paper"},
    "service": {"analytics", "candles", "config", "core", "feed", "jesse_paper", "processes", "records", "strategies"},
    "terminal": {"jesse_paper"},
    "cli": {"core", "jesse_paper", "jesse_paper_mcp", "local", "processes", "terminal"},
    "jesse_paper_mcp": {"jesse_paper"},
}
#: These put the parts together and may import all of them.
ROOTS = {"app", "fork", "local"}

#: Where the outside world may come in: part → the only packages beside the standard library that it may import.
OUTSIDE: dict[str, set[str]] = {
    "jesse_paper": {"msgspec", "zmq"},
    "processes": {"setproctitle"},
    "analytics": {"PIL", "jinja2", "matplotlib", "msgspec", "numpy"},
    "jesse_paper_mcp": {"anyio", "mcp", "msgspec", "tomlkit"},
    "terminal": {"click", "msgspec", "plotext", "rich"},
    "cli": {"click", "msgspec", "plotext", "pyarrow", "rich", "textual", "zmq"},
}
OURS = ("jesse_paper", "jesse_paperd", "jesse_paper_mcp")


def part_of(module: str) -> str:
    """The part that a module belongs to, by its dotted name; empty for the daemon's own package."""
    package, _, rest = module.partition(".")
    return rest.partition(".")[0] if package == "jesse_paperd" else package


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, anywhere in it, for type checking too, or names as a program to run."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else str(node.module)
        elif isinstance(node, ast.Constant) and node.value in MODULES:
            yield str(node.value)


def sources() -> Iterator[tuple[str, Path]]:
    for path in sorted(DAEMON.rglob("*.py")):
        part = path.relative_to(DAEMON).parts[0].removesuffix(".py")
        yield ("" if part == "__init__" else part), path
    for folder in (CLIENT, FACADE):
        for path in sorted(folder.rglob("*.py")):
            yield folder.name, path


def dotted(path: Path) -> str:
    """A file's module."""
    folder = next(folder for folder in (CLIENT, DAEMON, FACADE) if path.is_relative_to(folder))
    return ".".join(path.relative_to(folder.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {dotted(path): path for _, path in sources()}
FILES = [pytest.param(part, path, id=str(path.relative_to(ROOT))) for part, path in sources()]


@pytest.mark.parametrize(("part", "path"), FILES)
def test_a_module_imports_only_what_lies_below_it(part: str, path: Path):
    ours = {part_of(module) for module in imported(path) if module.split(".")[0] in OURS}
    assert part in ROOTS or ours - {part, ""} <= ARROWS.get(part, set())


@pytest.mark.parametrize(("part", "path"), FILES)
def test_only_the_engine_imports_jesse(part: str, path: Path):
    assert part == "engine" or "jesse" not in {module.split(".")[0] for module in imported(path)}


@pytest.mark.parametrize(("part", "path"), [file for file in FILES if file.values[0] in OUTSIDE])
def test_a_module_needs_no_more_of_the_outside_than_its_part_may(part: str, path: Path):
    packages = {module.split(".")[0] for module in imported(path)}
    assert packages - set(OURS) - set(sys.stdlib_module_names) <= OUTSIDE[part]


def test_only_one_module_knows_the_mcp_sdk():
    users = {path.name for path in FACADE.rglob("*.py") if any(m.split(".")[0] == "mcp" for m in imported(path))}
    assert users == {"sdk.py"}


def test_the_imports_of_parts_make_no_circle():
    graph: dict[str, set[str]] = {}
    for part, path in sources():
        lower = {part_of(module) for module in imported(path) if module.split(".")[0] in OURS}
        graph.setdefault(part, set()).update(lower - {part, ""})
    assert set(TopologicalSorter(graph).static_order()) >= set(ARROWS)


def test_the_imports_of_modules_make_no_circle():
    graph = {name: set(imported(path)) & (MODULES.keys() - {name}) for name, path in MODULES.items()}
    assert set(TopologicalSorter(graph).static_order()) == MODULES.keys()


def test_starting_the_facade_imports_neither_numpy_nor_jesse(tmp_path: Path):
    """From start to the answered list of tools, by what the interpreter itself reports of its imports."""
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    messages = [
        {"id": 1, "method": "initialize", "params": hello},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/list"},
    ]
    report = tmp_path / "imports"
    with (
        report.open("wb") as stderr,
        subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"},
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        for message in messages:
            process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        process.stdin.flush()
        _, listing = (json.loads(process.stdout.readline()) for _ in range(2))
        process.stdin.close()
    assert listing["result"]["tools"]
    modules = {line.rpartition("|")[2].strip() for line in report.read_text().splitlines() if "|" in line}
    assert "jesse_paper_mcp.facade" in modules
    assert {module.split(".")[0] for module in modules}.isdisjoint({"numpy", "jesse", "zmq", "ccxt", "pandas"})
