"""mcp install: the façade's entry in an MCP client's configuration."""

from __future__ import annotations

import click
import msgspec

from jesse_paper_mcp.install import CLIENTS, config_file, install, snippet
from jesse_paperd.cli.asking import json_option


@click.group("mcp")
def mcp() -> None:
    """Connect MCP clients: Claude Code, Claude Desktop, Cursor, Codex, Gemini CLI, VS Code."""


@mcp.command("install")
@click.option("--client", required=True, type=click.Choice(list(CLIENTS)), help="The client to configure.")
@click.option("--read-only", is_flag=True, help="Offer only the tools that change nothing.")
@click.option("--autostart", is_flag=True, help="Have the client start the daemon where none runs.")
@click.option("--print", "only_print", is_flag=True, help="Write nothing; print what to paste.")
@json_option
def install_command(client: str, read_only: bool, autostart: bool, only_print: bool, as_json: bool) -> None:
    """Put jesse-paper into a client's configuration, keeping what is there.

    \b
    jesse-paper mcp install --client claude-code          # .mcp.json in this folder
    jesse-paper mcp install --client codex --read-only    # a monitor: nothing that changes a session
    jesse-paper mcp install --client cursor --print       # write nothing
    """
    options = [option for option, given in (("--read-only", read_only), ("--autostart", autostart)) if given]
    text = snippet(client, *options)
    path = config_file(client) if only_print else install(client, *options)
    if as_json:
        told = {"client": client, "file": str(path), "written": not only_print, "entry": text}
        click.echo(msgspec.json.encode(told).decode())
    elif only_print:
        click.echo(f"Into {path}:", err=True)
        click.echo(text, nl=False)
    else:
        click.echo(f"{CLIENTS[client].title}: written to {path}. Restart the client.")
