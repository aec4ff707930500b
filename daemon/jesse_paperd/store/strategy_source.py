"""A strategy's source as it was when its session started.

The snapshot holds the strategy's folder and every module of the Jesse project that it imports, found by reading the
imports, transitively. Neither the daemon nor the snapshot runs any of it. A module that the strategy finds in another
way (a name built at run time) is not in the snapshot, and importing it fails at the start with a clear message.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import re
import shutil
from pathlib import Path

from jesse_paperd.store.disk import problem_of
from jesse_paperd.wire.errors import PaperError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
_MAX_BYTES = 256 * 2**20


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


def take_snapshot(project: Path, name: str, target: Path) -> str:
    """Copy a strategy into `target`, laid out as in the project, and return the digest of what was copied.

    Raises:
        PaperError: `strategy_not_found`, or `strategy_failed` when a file cannot be read or is no Python.
    """
    folder = find(project, name)
    try:
        shutil.copytree(folder, target / "strategies" / name, ignore=_IGNORED, dirs_exist_ok=True)
        pending = sorted((target / "strategies" / name).rglob("*.py"))
        while pending:
            for module in _imports(pending.pop(), target):
                pending.extend(_copy_module(project, target, module))
    except OSError as error:
        if problem := problem_of(target.parent):
            raise PaperError("storage_failed", problem) from error
        raise PaperError("strategy_failed", f"strategy {name} cannot be copied: {error}") from error
    files = sorted(path for path in target.rglob("*") if path.is_file())
    if sum(path.stat().st_size for path in files) > _MAX_BYTES:
        raise PaperError("strategy_failed", f"strategy {name} and what it imports exceed {_MAX_BYTES // 2**20} MiB")
    for path in target.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return digest_of(target)


def digest_of(snapshot: Path) -> str:
    """The digest of a snapshot: names and contents of its files."""
    digest = hashlib.sha256()
    for path in sorted(path for path in snapshot.rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(snapshot)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _imports(file: Path, root: Path) -> set[tuple[str, ...]]:
    """The dotted names that a file imports, as tuples; relative ones resolved against its place in the snapshot."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise PaperError("strategy_failed", f"{file.relative_to(root)} is no valid Python: {error}") from error
    package = file.relative_to(root).parts[:-1]
    found: set[tuple[str, ...]] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = (*base, *(node.module.split(".") if node.module else ()))
            # The imported name may itself be a module.
            found.update((*module, alias.name) for alias in node.names)
    return found


def _copy_module(project: Path, target: Path, module: tuple[str, ...]) -> list[Path]:
    """Copy what the project has of a module; the Python files that are new in the snapshot."""
    new: list[Path] = []
    if module[0] == "strategies" and len(module) > 1 and (project / "strategies" / module[1]).is_dir():
        # Another strategy, with whatever data files stand beside its code.
        destination = target / "strategies" / module[1]
        if not destination.exists():
            shutil.copytree(project / "strategies" / module[1], destination, ignore=_IGNORED)
            new += sorted(destination.rglob("*.py"))
        return new
    for depth in range(1, len(module) + 1):
        place = Path(*module[:depth])
        for file in (place / "__init__.py", place.with_suffix(".py")):
            source, destination = project / file, target / file
            if source.is_file() and not destination.exists():
                destination.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, destination)
                new.append(destination)
    return new
