"""What a strategy's source says of itself, read without running it."""

from __future__ import annotations

import ast
from pathlib import Path

from jesse_paperd.wire.protocol import Hyperparameter, Strategy


def outline(project: Path, name: str) -> Strategy:
    """A strategy's docstring and declared hyperparameters.

    Only literal values are read: a hyperparameter whose default is computed is listed without it.
    """
    file = project / "strategies" / name / "__init__.py"
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError) as error:
        return Strategy(name=name, problem=f"{type(error).__name__}: {error}"[:500])
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    strategy = next((node for node in classes if node.name == name), classes[-1] if classes else None)
    if strategy is None:
        return Strategy(name=name, description=_first_paragraph(ast.get_docstring(tree)))
    methods = {node.name: node for node in strategy.body if isinstance(node, ast.FunctionDef)}
    return Strategy(
        name=name,
        description=_first_paragraph(ast.get_docstring(strategy) or ast.get_docstring(tree)),
        hyperparameters=_hyperparameters(methods.get("hyperparameters")),
        goes_short="go_short" in methods,
    )


def _first_paragraph(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())[:500]


def _hyperparameters(method: ast.FunctionDef | None) -> list[Hyperparameter]:
    """The dictionaries in the list that `hyperparameters` returns."""
    found = []
    for node in ast.walk(method) if method is not None else ():
        if not isinstance(node, ast.Dict):
            continue
        values = {
            key.value: _literal(value)
            for key, value in zip(node.keys, node.values, strict=True)
            if isinstance(key, ast.Constant) and isinstance(key.value, str)
        }
        name = values.get("name")
        if isinstance(name, str):
            found.append(
                Hyperparameter(
                    name=name,
                    type=str(values.get("type") or ""),
                    default=values.get("default"),
                    min=_number(values.get("min")),
                    max=_number(values.get("max")),
                )
            )
    return found


def _literal(node: ast.expr) -> float | str | bool | None:
    if isinstance(node, ast.Name):  # int, float: the types that Jesse's hyperparameters have
        return node.id
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        return None
    return value if isinstance(value, bool | int | float | str) else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
