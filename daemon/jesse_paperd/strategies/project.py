"""The strategies of a Jesse project, by their folders."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from jesse_paper.errors import PaperError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def available(project: Path) -> list[str]:
    """The names of the project's strategies, sorted."""
    try:
        folders = list((project / "strategies").iterdir())
    except OSError:
        return []
    return sorted(f.name for f in folders if _NAME.fullmatch(f.name) and (f / "__init__.py").is_file())


def find(project: Path, name: str) -> Path:
    """The folder of a strategy.

    Raises:
        PaperError: `strategy_not_found`, saying which exist.
    """
    names = available(project)
    if name in names:
        return project / "strategies" / name
    if not _NAME.fullmatch(name):
        message = f"strategy {name!r} is not a strategy's name: a name is letters, digits and '_', not a path"
    else:
        message = f"the Jesse project {project} has no strategy {name!r}"
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        hint = f"did you mean {' or '.join(near)}? It has: {', '.join(names[:50])}"
    elif names:
        hint = f"it has: {', '.join(names[:50])}"
    else:
        hint = "set JESSE_PAPER_PROJECT to a Jesse project: a folder with strategies/<Name>/__init__.py"
    raise PaperError("strategy_not_found", message, hint)
