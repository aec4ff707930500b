"""docs/cli.md is made from the CLI's help, and the help has what an operator looks for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from jesse_paperd.cli import SECTIONS

ROOT = Path(__file__).resolve().parents[2]

COMMANDS = {
    f"{command.name} {each.name}" if isinstance(command, click.Group) else str(command.name): each
    for commands in SECTIONS.values()
    for command in commands
    for each in (command.commands.values() if isinstance(command, click.Group) else [command])
}
#: Full-screen views, a shell's script, candles as a file.
WITHOUT_JSON = {"top", "watch", "completion", "candles export"}


def test_the_page_of_the_command_line_is_what_its_command_prints():
    made = [sys.executable, str(ROOT / "scripts" / "cli_reference.py")]
    page = subprocess.run(made, capture_output=True, text=True, check=True).stdout
    assert page == (ROOT / "docs" / "cli.md").read_text(), "make it anew: scripts/cli-reference > docs/cli.md"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_an_example(name: str):
    command = COMMANDS[name]
    assert command.help is not None
    assert "\b\n" in command.help
    assert f"jesse-paper {name}" in command.help


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_answers_can_answer_in_json(name: str):
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert ("--json" in options) != (name in WITHOUT_JSON)
