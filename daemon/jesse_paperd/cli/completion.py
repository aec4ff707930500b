"""Shell completion: the script that a shell loads, and what it asks for beyond commands and options."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paperd.cli.asking import ask

#: Somebody waits with a finger on the Tab key.
_SECONDS = 1.0


def complete_sessions(_context: click.Context, _parameter: Any, begun: str) -> list[CompletionItem]:
    """The sessions there are, with what they trade beside them."""
    try:
        answer: wire.Sessions = ask(wire.PaperListSessions, {"active_only": False, "limit": 1000}, timeout=_SECONDS)
    except PaperError:
        return []  # without a daemon there is nothing to offer, and no place to say so
    return [
        CompletionItem(s.session_id, help=f"{s.status}: {s.strategy} {s.symbol} {s.timeframe}")
        for s in answer.sessions
        if s.session_id.startswith(begun)
    ]


def complete_strategies(_context: click.Context, _parameter: Any, begun: str) -> list[CompletionItem]:
    """The strategies of the daemon's project."""
    try:
        answer: wire.Strategies = ask(wire.PaperListStrategies, {}, timeout=_SECONDS)
    except PaperError:
        return []
    return [CompletionItem(s.name, help=s.description) for s in answer.strategies if s.name.startswith(begun)]


@click.command(short_help="Complete commands and sessions in your shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes SHELL complete commands, options, sessions and strategies.

    \b
    eval "$(jesse-paper completion bash)"            # in ~/.bashrc
    eval "$(jesse-paper completion zsh)"             # in ~/.zshrc, after compinit
    jesse-paper completion fish | source             # in ~/.config/fish/config.fish
    """
    made = get_completion_class(shell)
    assert made is not None
    program = click.get_current_context().find_root()
    click.echo(made(program.command, {}, "jesse-paper", "_JESSE_PAPER_COMPLETE").source())
