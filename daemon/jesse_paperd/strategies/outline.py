"""What a strategy's source says of itself, read without running it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from jesse_paper.errors import PaperError
from jesse_paper.protocol import Hyperparameter, Strategy
from jesse_paperd.core.input_file import LONGEST_TEXT, read_input_file


def outline(project: Path, name: str) -> Strategy:
    """A strategy's docstring and declared hyperparameters.

    Only literal values are read: a hyperparameter whose default is computed is listed without it.
    """
    file = project / "strategies" / name / "__init__.py"
    try:
        tree = ast.parse(read_input_file(file, "the strategy", LONGEST_TEXT))
    except PaperError as error:
        return Strategy(name=name, problem=error.message)
    except SyntaxError as error:
        return Strategy(name=name, problem=f"{file.relative_to(project)}, line {error.lineno}: {error.msg}")
    except ValueError as error:
        return Strategy(name=name, problem=f"{file.relative_to(project)}: {error}"[:500])
    constants = _constants(tree)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    strategy = next((node for node in classes if node.name == name), classes[-1] if classes else None)
    if strategy is None:
        return Strategy(name=name, description=_first_paragraph(ast.get_docstring(tree)))
    methods = {node.name: node for node in strategy.body if isinstance(node, ast.FunctionDef)}
    return Strategy(
        name=name,
        description=_first_paragraph(ast.get_docstring(strategy) or ast.get_docstring(tree)),
        hyperparameters=_hyperparameters(methods.get("hyperparameters"), constants),
        goes_short="go_short" in methods,
    )


def _first_paragraph(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())[:500]


def _constants(tree: ast.Module) -> dict[str, Any]:
    """The module's own names for literal values."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = _literal(node.value, {})
    return {name: value for name, value in found.items() if value is not None}


def _hyperparameters(method: ast.FunctionDef | None, constants: dict[str, Any]) -> list[Hyperparameter]:
    """The dictionaries in the list that `hyperparameters` returns."""
    found = []
    for node in ast.walk(method) if method is not None else ():
        if not isinstance(node, ast.Dict):
            continue
        values = {
            key.value: value
            for key, value in zip(node.keys, node.values, strict=True)
            if isinstance(key, ast.Constant) and isinstance(key.value, str)
        }
        told = {key: _literal(value, constants) for key, value in values.items()}
        if isinstance(told.get("name"), str):
            found.append(
                Hyperparameter(
                    name=told["name"],
                    type=_type(values.get("type")),
                    default=_scalar(told.get("default")),
                    min=_number(told.get("min")),
                    max=_number(told.get("max")),
                    options=_options(told.get("options")),
                )
            )
    return found


def _type(node: ast.expr | None) -> str:
    """The type's name, whether it is given as `int` or as a text."""
    if isinstance(node, ast.Name):
        return node.id
    value = _literal(node, {}) if node is not None else None
    return value.strip("'\"") if isinstance(value, str) else ""


def _literal(node: ast.expr, constants: dict[str, Any]) -> Any:
    """The value of a literal, or of one of the module's constants; None for what is computed."""
    if isinstance(node, ast.Name):
        return constants.get(node.id)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def _scalar(value: Any) -> int | float | str | bool | None:
    return value if isinstance(value, bool | int | float | str) else None


def _number(value: Any) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _options(value: Any) -> list[int | float | str | bool] | None:
    if not isinstance(value, list | tuple):
        return None
    return [option for option in value if isinstance(option, bool | int | float | str)]
