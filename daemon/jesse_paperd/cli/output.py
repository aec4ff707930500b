"""`--output`: what kind of file it may be, and that nothing is overwritten unasked."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from jesse_paper.errors import PaperError

Command = Callable[..., Any]


def output_option(help: str) -> Callable[[Command], Command]:
    """`--output FILE`, and `--force` to overwrite it."""

    def add(command: Command) -> Command:
        force = click.option("--force", is_flag=True, help="Overwrite the output file without asking.")
        return click.option("--output", "-o", type=click.Path(path_type=Path), help=help)(force(command))

    return add


def check_output(path: Path, force: bool, *endings: str) -> None:
    """Refuse a name that promises another kind of file, and one that should not be overwritten.

    Args:
        force: overwrite a file without asking. Nothing but a regular file is overwritten.
        endings: of the kinds of files that there are, the first one first.

    Raises:
        PaperError: `invalid_argument`.
        click.Abort: when the user says no.
    """
    if path.suffix and not path.name.lower().endswith(endings):
        raise PaperError(
            "invalid_argument",
            f"--output: {path.suffix} is not a kind of file that this command writes",
            f"{path.name} may end in {' or '.join(endings)}",
        )
    if path.is_symlink() or (path.exists() and not path.is_file()):
        kind = "a link" if path.is_symlink() else "a folder" if path.is_dir() else "no regular file"
        raise PaperError("invalid_argument", f"--output: {path} is {kind}", "name a file to write")
    if force or not path.exists() or not path.stat().st_size:
        return
    if sys.stdin.isatty():
        click.confirm(f"{path} exists. Overwrite it?", abort=True, err=True)
        return
    raise PaperError("invalid_argument", f"--output: {path} exists", "--force overwrites it")
