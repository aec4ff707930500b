"""Arrows between packages point one way."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.mcp_client import COMMAND

ROOT = Path(__file__).resolve().parents[2]
DAEMON = ROOT / "daemon" / "jesse_paperd"
FACADE = ROOT / "mcp_facade" / "jesse_paper_mcp"

#: What each part may import of the rest. A part is a package of the daemon, a module at its top, or the façade.
ARROWS: dict[str, set[str]] = {
    "wire": set(),
    "process": set(),
    "store": {"wire"},
    "analytics": {"store", "wire"},
    "market": {"store", "wire"},
    "trading": {"process", "store", "wire"},
    "config": {"store", "wire"},
    "service": {"analytics", "config", "market", "process", "store", "wire"},
    "cli": {"jesse_paper_mcp", "process", "wire"},
    "jesse_paper_mcp": {"wire"},
}
#: These put the parts together and may import all of them.
ROOTS = {"app", "candle_tool", "foreground"}

#: Where the outside world may come in: part → the only packages beside the standard library that it may import.
OUTSIDE: dict[str, set[str]] = {
    "wire": {"msgspec", "zmq"},
    "process": set(),
    "analytics": {"PIL", "matplotlib", "msgspec", "numpy"},
    "jesse_paper_mcp": {"anyio", "mcp", "msgspec"},
    "cli": {"click", "msgspec", "plotext", "pyarrow", "rich", "textual", "zmq"},
}


def part_of(module: str) -> str:
    """The part that a module belongs to, by its dotted name; empty for the daemon's own package."""
    package, _, rest = module.partition(".")
    return rest.partition(".")[0] if package == "jesse_paperd" else package


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "jesse_paperd":
                yield from (f"jesse_paperd.{alias.name}" for alias in node.names if alias.name != "__version__")
            else:
                yield str(node.module)


def sources() -> Iterator[tuple[str, Path]]:
    for path in sorted(DAEMON.rglob("*.py")):
        part = path.relative_to(DAEMON).parts[0].removesuffix(".py")
        yield ("" if part == "__init__" else part), path
    for path in sorted(FACADE.rglob("*.py")):
        yield "jesse_paper_mcp", path


FILES = [pytest.param(part, path, id=str(path.relative_to(ROOT))) for part, path in sources()]


@pytest.mark.parametrize(("part", "path"), FILES)
def test_a_module_imports_only_what_lies_below_it(part: str, path: Path):
    ours = {part_of(module) for module in imported(path) if module.split(".")[0] in ("jesse_paperd", "jesse_paper_mcp")}
    assert part in ROOTS or ours - {part, ""} <= ARROWS.get(part, set())


@pytest.mark.parametrize(("part", "path"), FILES)
def test_only_trading_imports_jesse(part: str, path: Path):
    assert part == "trading" or "jesse" not in {module.split(".")[0] for module in imported(path)}


@pytest.mark.parametrize(("part", "path"), [file for file in FILES if file.values[0] in OUTSIDE])
def test_a_module_needs_no_more_of_the_outside_than_its_part_may(part: str, path: Path):
    packages = {module.split(".")[0] for module in imported(path)}
    ours = {"jesse_paperd", "jesse_paper_mcp"}
    assert packages - ours - set(sys.stdlib_module_names) <= OUTSIDE[part]


def test_only_one_module_knows_the_mcp_sdk():
    users = {path.name for path in FACADE.rglob("*.py") if any(m.split(".")[0] == "mcp" for m in imported(path))}
    assert users == {"sdk.py"}


def test_the_arrows_make_no_circle():
    below: dict[str, set[str]] = {}

    def visit(part: str, above: tuple[str, ...]) -> set[str]:
        assert part not in above
        if part not in below:
            below[part] = {each for lower in ARROWS[part] for each in (lower, *visit(lower, (*above, part)))}
        return below[part]

    for part in ARROWS:
        visit(part, ())


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
