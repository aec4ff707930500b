"""Prints docs/cli.md from the CLI's own help: `scripts/cli-reference > docs/cli.md`."""

from __future__ import annotations

import inspect

import click

from jesse_paper.errors import ERRORS
from jesse_paperd.cli import SECTIONS, main

_BEGINNING = """\
# The command line

`jesse-paper` asks the daemon and shows what it says: tables and plots on a terminal, plain text into a pipe, JSON with
`--json`. Colours go away in pipes and with `NO_COLOR`. (This page is made from the program's own help:
`scripts/cli-reference > docs/cli.md`.)

## Completion

```sh
eval "$(jesse-paper completion bash)"            # in ~/.bashrc
eval "$(jesse-paper completion zsh)"             # in ~/.zshrc, after compinit
jesse-paper completion fish | source             # in ~/.config/fish/config.fish
```

Commands, options, the sessions there are, and the strategies of the project.
"""


def reference() -> str:
    """The page as Markdown."""
    parts = [_BEGINNING]
    for section, commands in SECTIONS.items():
        parts.append(f"\n## {section}\n")
        for command in commands:
            parts += _described(command, f"jesse-paper {command.name}")
    parts.append("\n## Exit status\n\n| status | code | meaning |\n|---|---|---|\n")
    parts.append("| 0 | | done |\n| 1 | | the answer is no: not equal, not reached, refused, to be fixed |\n")
    for code, kind in sorted(ERRORS.items(), key=lambda item: item[1].exit_status):
        parts.append(f"| {kind.exit_status} | `{code}` | {kind.meaning} |\n")
    parts.append("| 130 | | left with Ctrl-C |\n")
    return "".join(parts)


def _described(command: click.Command, path: str) -> list[str]:
    if isinstance(command, click.Group):
        inner = [part for each in command.commands.values() for part in _described(each, f"{path} {each.name}")]
        return [f"\n### {path}\n\n{_text(command)}\n", *inner]
    context = click.Context(command, info_name=path)
    usage = " ".join(command.collect_usage_pieces(context))
    parts = [f"\n### {path}\n\n", f"`{path} {usage}`\n\n", _text(command) + "\n"]
    rows = [record for parameter in command.params if (record := parameter.get_help_record(context))]
    if rows:
        parts.append("\n| option | |\n|---|---|\n")
        parts += [f"| `{_escaped(option)}` | {_escaped(text)} |\n" for option, text in rows]
    return parts


def _text(command: click.Command) -> str:
    """The help as Markdown: what click is told to leave as it is are examples."""
    shown = []
    for block in inspect.cleandoc(command.help or "").split("\n\n"):
        if block.startswith("\b\n"):
            shown.append(f"```sh\n{block[2:]}\n```")
        else:
            shown.append(" ".join(block.split()))
    return "\n\n".join(shown)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    assert isinstance(main, click.Group)
    print(reference(), end="")
