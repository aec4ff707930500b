"""What a strategy may see: a copy of its part of the Jesse project, as it was when its session started.

The snapshot is laid out as the project and holds

- the strategy's folder;
- of what its code imports, transitively: whole packages and modules at the project's root, other folders and modules
  among `strategies/`, each with the data files that lie in it;
- the files at the project's root and beside its strategies, but for hidden ones, up to 1 MiB each;
- what `snapshot_include` in the project's `jesse-paper.toml` names.

Hidden files and compiled code are left out. Imports are found by reading the code: nothing of it runs here. The session
imports its strategy before it is said to run, so what is missing at import is told at the start.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from jesse_paper.errors import PaperError
from jesse_paperd.core.disk import problem_of
from jesse_paperd.core.input_file import read_input_file, read_toml
from jesse_paperd.strategies.project import find

SETTINGS_FILE = "jesse-paper.toml"
_MOST_BYTES = 256 * 2**20
_MOST_FILES = 5_000
#: Of a file at the project's root: code and settings are smaller, databases and candles are not.
_MOST_AT_ROOT = 2**20
#: Lists the snapshot's files, since a strategy may write others beside them.
_MANIFEST = ".snapshot.json"


class ProjectSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`jesse-paper.toml` at a Jesse project's root.

    `snapshot_include` are patterns of further files that the project's strategies read, relative to the project, such
    as `models/*.json` or `data/**`.
    """

    snapshot_include: tuple[Annotated[str, Meta(min_length=1)], ...] = ()


def project_settings(project: Path) -> ProjectSettings:
    """The settings of a Jesse project; those of one without the file are the defaults.

    Raises:
        PaperError: `invalid_argument`, naming the file and the key.
    """
    path = project / SETTINGS_FILE
    if not path.exists():
        return ProjectSettings()
    try:
        return msgspec.convert(read_toml(path, "the project's settings"), ProjectSettings)
    except msgspec.ValidationError as error:
        hint = f"it may have: {', '.join(ProjectSettings.__struct_fields__)}"
        raise PaperError("invalid_argument", f"{path}: {error}", hint) from error


def take_snapshot(project: Path, names: Sequence[str], target: Path) -> str:
    """Copy what strategies may see into `target`, and return the digest of what was copied.

    Everything is looked at before anything is copied.

    Raises:
        PaperError: `strategy_not_found`; `strategy_failed` when a file cannot be read, is not a regular file or not
            Python, or when it is too much; `invalid_argument` for the project's settings; `storage_failed`.
    """
    selection = _Selection(project, names)
    for name in names:
        find(project, name)
        selection.add_tree(Path("strategies", name))
    selection.add_imports()
    selection.add_small_files(Path())
    selection.add_small_files(Path("strategies"))
    selection.add_included(project_settings(project).snapshot_include)
    room = _MOST_BYTES
    try:
        for relative, source in sorted(selection.files.items()):
            place = target / relative
            place.parent.mkdir(parents=True, exist_ok=True)
            content = read_input_file(source, "the strategy's file", room, "strategy_failed")
            room -= len(content)  # they may have grown since they were looked at
            place.touch(mode=0o600, exist_ok=False)
            place.write_bytes(content)
        (target / _MANIFEST).write_text(json.dumps(sorted(map(str, selection.files))))
        for path in target.rglob("*"):
            path.chmod(0o700 if path.is_dir() else 0o600)
    except OSError as error:
        if problem := problem_of(target.parent):
            raise PaperError("storage_failed", problem) from error
        raise PaperError("strategy_failed", f"strategy {', '.join(names)} cannot be copied: {error}") from error
    return digest_of(target)


def digest_of(snapshot: Path) -> str:
    """The digest of a snapshot: names and contents of the files that were copied."""
    manifest = snapshot / _MANIFEST
    there = {str(path.relative_to(snapshot)) for path in snapshot.rglob("*") if path.is_file()}
    names = there  # earlier versions kept no list
    if manifest.exists():
        try:
            names = set(msgspec.json.decode(manifest.read_bytes(), type=list[str]))
        except msgspec.MsgspecError:
            names = set()  # damaged: the digest is another one
    digest = hashlib.sha256()
    for path in sorted(map(Path, names)):
        # One that is gone, or lies elsewhere, makes the digest another one.
        content = (snapshot / path).read_bytes() if str(path) in there else b""
        digest.update(str(path).encode() + b"\0" + content + b"\0")
    return digest.hexdigest()


class _Selection:
    """The files of a snapshot to be: relative path → where it lies, each looked at and counted."""

    def __init__(self, project: Path, names: Sequence[str]) -> None:
        self._project = project
        self._names = dict.fromkeys(names)
        self._bytes = 0
        self._folders: set[str] = set()
        self._imported: set[Path] = set()
        self.files: dict[Path, Path] = {}

    def add_tree(self, folder: Path) -> None:
        """A folder of the project with all that is not hidden; links are followed, each folder once."""
        place = self._project / folder
        real = os.path.realpath(place)
        if real in self._folders:
            return
        self._folders.add(real)
        try:
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError as error:
            raise PaperError("strategy_failed", f"{folder} cannot be read: {error.strerror}") from error
        for entry in entries:
            if entry.name.startswith(".") or entry.name == "__pycache__" or entry.name.endswith(".pyc"):
                continue
            if entry.is_dir():
                self.add_tree(folder / entry.name)
            else:
                self._add_file(folder / entry.name)

    def add_imports(self) -> None:
        """What the code so far imports of the project, and what that imports."""
        while new := [path for path in self.files if path.suffix == ".py" and path not in self._imported]:
            for path in sorted(new):
                self._imported.add(path)
                for module in sorted(self._imports(path)):
                    self._add_module(module)

    def add_small_files(self, folder: Path) -> None:
        """The small files in a folder itself, which strategies name relative to the project."""
        with os.scandir(self._project / folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if not entry.name.startswith(".") and entry.is_file() and entry.stat().st_size <= _MOST_AT_ROOT:
                    self._add_file(folder / entry.name)

    def add_included(self, patterns: tuple[str, ...]) -> None:
        """What the project's settings name."""
        for pattern in patterns:
            if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
                raise PaperError(
                    "invalid_argument",
                    f"{SETTINGS_FILE}: snapshot_include: {pattern!r} leads out of the project",
                    "name files relative to the project, such as 'models/*.json'",
                )
            found = [path.relative_to(self._project) for path in _matching(self._project, pattern)]
            if not found:
                raise PaperError(
                    "invalid_argument", f"{SETTINGS_FILE}: snapshot_include: {pattern!r} matches no file of the project"
                )
            for path in found:
                if (self._project / path).is_dir():
                    self.add_tree(path)
                else:
                    self._add_file(path)
        self.add_imports()

    def _add_file(self, path: Path) -> None:
        if path in self.files:
            return
        source = self._project / path
        try:
            found = source.stat()
        except OSError as error:
            raise PaperError("strategy_failed", f"{path} cannot be read: {error.strerror}") from error
        if not stat.S_ISREG(found.st_mode):
            raise PaperError("strategy_failed", f"{path} is not a regular file, and a snapshot holds only such")
        self.files[path] = source
        self._bytes += found.st_size
        if self._bytes > _MOST_BYTES or len(self.files) > _MOST_FILES:
            raise PaperError(
                "strategy_failed",
                f"strategy {', '.join(self._names)} and what it imports of the project come to more than "
                f"{_MOST_BYTES // 2**20} MiB or {_MOST_FILES:,} files; at {path.parent} that was passed",
                "move what the strategy does not read out of the folders that it imports",
            )

    def _imports(self, path: Path) -> set[tuple[str, ...]]:
        """The dotted names that a file imports, as tuples; relative ones resolved against its place."""
        source = read_input_file(self.files[path], "the strategy's file", _MOST_BYTES, "strategy_failed")
        try:
            tree = ast.parse(source, str(path))
        except (SyntaxError, ValueError) as error:
            if path not in [Path("strategies", name, "__init__.py") for name in self._names]:
                return set()  # it matters only if it is imported, and then the import says so
            line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
            reason = error.msg if isinstance(error, SyntaxError) else error
            raise PaperError("strategy_failed", f"{path}{line}: no valid Python: {reason}") from error
        package = path.parts[:-1]
        found: set[tuple[str, ...]] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found.update(tuple(alias.name.split(".")) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else ()
                module = (*base, *(node.module.split(".") if node.module else ()))
                # The imported name may itself be a module.
                found.update((*module, alias.name) for alias in node.names)
            elif isinstance(node, ast.Call) and (name := _imported_by_name(node)) is not None:
                found.add(tuple(name.split(".")))
        return found

    def _add_module(self, module: tuple[str, ...]) -> None:
        """What the project has of a module: the whole package at its root, or the file."""
        if module[0] == "jesse":
            return  # it is installed, whatever lies in the project
        inside = 2 if module[0] == "strategies" and len(module) > 1 else 1
        place = Path(*module[:inside])
        if (self._project / place).is_dir() and place != Path("strategies"):
            self.add_tree(place)
        elif (self._project / place.with_suffix(".py")).is_file():
            self._add_file(place.with_suffix(".py"))
        if inside == 2 and (self._project / "strategies" / "__init__.py").is_file():
            self._add_file(Path("strategies", "__init__.py"))


def _imported_by_name(call: ast.Call) -> str | None:
    """The module that a call of `import_module` or `__import__` names by a literal; None for any other call."""
    function = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if function not in ("import_module", "__import__") or not call.args:
        return None
    name = call.args[0]
    return name.value if isinstance(name, ast.Constant) and isinstance(name.value, str) else None


def _matching(project: Path, pattern: str) -> Iterator[Path]:
    """The unhidden paths that a pattern matches; `folder/**` is the folder with all that is in it."""
    pattern = pattern.removesuffix("/**") or "*"
    for path in sorted(project.glob(pattern)):
        relative = path.relative_to(project)
        if not any(part.startswith(".") for part in relative.parts):
            yield path
