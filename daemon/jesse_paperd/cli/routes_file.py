"""`--routes FILE`: what a session of several routes trades, as JSON, as TOML, or as a Jesse project's old routes.py."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any, NamedTuple

from jesse_paper.errors import PaperError
from jesse_paperd.core.input_file import read_input_text, read_toml

_FORM = (
    'write a JSON list of objects: [{"symbol": "BTC-USDT", "strategy": "SMACrossover", "timeframe": "1h"}, …], '
    "or TOML with a table [[routes]] for each"
)


class Routes(NamedTuple):
    """What a file names. `exchange` is empty unless it is a routes.py, which names one."""

    routes: list[Any]
    exchange: str = ""


def read_routes(path: Path) -> Routes:
    """The routes in a file, as arguments of paper_start; what is wrong within a route is said where that is checked.

    Raises:
        PaperError: `invalid_argument`.
    """
    what = "the routes"
    if path.suffix == ".py":
        return _of_python(path, read_input_text(path, what))
    if path.suffix == ".toml":
        routes = read_toml(path, what).get("routes")
    else:
        try:
            routes = json.loads(read_input_text(path, what))
        except ValueError as error:
            raise PaperError("invalid_argument", f"--routes: {path} is no JSON: {error}", _FORM) from error
    if not isinstance(routes, list) or not routes:
        raise PaperError("invalid_argument", f"--routes: {path} names no list of routes", _FORM)
    return Routes(routes)


def _of_python(path: Path, text: str) -> Routes:
    """`routes = [(exchange, symbol, timeframe, strategy), …]`, as text: nothing of it is run."""
    try:
        assigned = [
            ast.literal_eval(node.value)
            for node in ast.parse(text).body
            if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["routes"]
        ]
        ((*rows,),) = assigned
        names = ("exchange", "symbol", "timeframe", "strategy")
        routes = [dict(zip(names, row, strict=True)) for row in rows]
        exchanges = {route.pop("exchange") for route in routes}
        (exchange,) = exchanges
    except (SyntaxError, ValueError, TypeError) as error:
        raise PaperError(
            "invalid_argument",
            f"--routes: {path} is not of the plain form routes = [(exchange, symbol, timeframe, strategy), …] "
            "with one exchange",
            _FORM,
        ) from error
    return Routes(routes, str(exchange))
