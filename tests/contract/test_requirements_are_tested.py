"""docs/requirements.md: every requirement and every invariant names its tests, and the tests are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`(tests/\w+/\w+\.py)::(test_\w+)`")
ROWS = {
    name: NAMED.findall(tests)
    for name, tests in re.findall(
        r"^\| ([RI]\d+) \| .* \| (.*) \|$", (ROOT / "docs" / "requirements.md").read_text(), re.M
    )
}


def functions_of(file: str) -> set[str]:
    return {node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(node, ast.FunctionDef)}


def test_all_requirements_and_invariants_are_listed():
    assert set(ROWS) == {f"R{n}" for n in range(1, 13)} | {f"I{n}" for n in range(1, 12)}
    architecture = (ROOT / "docs" / "architecture.md").read_text()
    assert "requirements.md" in architecture


@pytest.mark.parametrize("name", ROWS)
def test_a_requirement_names_tests_that_are_there(name: str):
    assert ROWS[name], f"{name} names no test"
    for file, test in ROWS[name]:
        assert test in functions_of(file), f"{name}: {file} has no {test}"
