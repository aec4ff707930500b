"""The façade's entry in the configuration of MCP clients, with absolute paths, beside what is there already."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple

import tomlkit
from tomlkit.exceptions import TOMLKitError

from jesse_paper.errors import PaperError
from jesse_paper.validation import did_you_mean

NAME = "jesse-paper"
#: Clients start servers with an environment of their own, so what names the daemon is written down, and what a
#: daemon that the façade starts (`--autostart`) must know.
VARIABLES = ("JESSE_PAPER_HOME", "JESSE_PAPER_ENDPOINT", "JESSE_PAPER_PROJECT")


class Client(NamedTuple):
    """Where a client keeps its MCP servers.

    Attributes:
        title: for people.
        path: its file; `~` is the user's home, `{config}` the system's folder for applications' settings.
        section: the field that holds the servers.
    """

    title: str
    path: str
    section: str


CLIENTS = {
    "claude-code": Client("Claude Code, in this folder", ".mcp.json", "mcpServers"),
    "claude-desktop": Client("Claude Desktop", "{config}/Claude/claude_desktop_config.json", "mcpServers"),
    "cursor": Client("Cursor", "~/.cursor/mcp.json", "mcpServers"),
    "codex": Client("Codex", "~/.codex/config.toml", "mcp_servers"),
    "gemini": Client("Gemini CLI", "~/.gemini/settings.json", "mcpServers"),
    "vscode": Client("Visual Studio Code", "{config}/Code/User/mcp.json", "servers"),
}


def config_file(client: str) -> Path:
    """The file of a client that `install` writes.

    Raises:
        PaperError: `invalid_argument` if the client is not known.
    """
    applications = "~/Library/Application Support" if sys.platform == "darwin" else "~/.config"
    path = Path(_known(client).path.format(config=os.environ.get("XDG_CONFIG_HOME") or applications))
    return path.expanduser().absolute()


def snippet(client: str, *options: str) -> str:
    """What to paste into the client's configuration.

    Args:
        options: of `jesse-paper-mcp`, such as `--read-only`.

    Raises:
        PaperError: `invalid_argument` if the client is not known.
    """
    section = _known(client).section
    if config_file(client).suffix == ".toml":
        return _with_toml_entry(config_file(client), "", section, _entry(options))
    return json.dumps({section: {NAME: _entry(options)}}, indent=2) + "\n"


def install(client: str, *options: str) -> Path:
    """Put the façade into the client's configuration; an entry of ours that is there already is replaced.

    Returns:
        The file, which was replaced as a whole: no reader sees half of it.

    Raises:
        PaperError: `invalid_argument` if the client is not known or its file is not what it should be. Nothing is
            written then.
    """
    path = config_file(client)
    if path.is_symlink():  # people keep such files elsewhere and link them
        path = path.resolve()
    before = path.read_text() if path.exists() else ""
    if path.suffix == ".toml":
        after = _with_toml_entry(path, before, _known(client).section, _entry(options))
    else:
        after = _with_json_entry(path, before, _known(client).section, _entry(options))
    if after != before:
        _replace(path, after)
    return path


def _known(client: str) -> Client:
    if client not in CLIENTS:
        known = ", ".join(CLIENTS)
        raise PaperError("invalid_argument", f"client {client!r} is none of {known}.{did_you_mean(client, CLIENTS)}")
    return CLIENTS[client]


def _entry(options: tuple[str, ...]) -> dict[str, Any]:
    command = Path(sys.executable).with_name("jesse-paper-mcp")
    words = [str(command)] if command.exists() else [sys.executable, "-P", "-m", "jesse_paper_mcp"]
    environment = {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}
    for name in {"JESSE_PAPER_HOME", "JESSE_PAPER_PROJECT"} & environment.keys():
        environment[name] = str(Path(environment[name]).expanduser().absolute())
    return {"command": words[0], "args": [*words[1:], *options], "env": environment}


def _with_json_entry(path: Path, before: str, section: str, entry: Mapping[str, Any]) -> str:
    try:
        settings = json.loads(before) if before.strip() else {}
    except ValueError as error:
        raise _unreadable(path, f"it is not JSON: {error}") from error
    servers = settings.setdefault(section, {}) if isinstance(settings, dict) else None
    if not isinstance(servers, dict):
        raise _unreadable(path, f"it holds no object {section!r}")
    servers[NAME] = entry
    return json.dumps(settings, indent=2, ensure_ascii=False) + "\n"


def _with_toml_entry(path: Path, before: str, section: str, entry: Mapping[str, Any]) -> str:
    """The file with the entry in it; its comments and its order stay."""
    try:
        document = tomlkit.parse(before)
        servers = document.setdefault(section, tomlkit.table(is_super_table=True))
        if not isinstance(servers, MutableMapping):
            raise _unreadable(path, f"it holds no table {section!r}")
        in_one_line = isinstance(servers, tomlkit.items.InlineTable)
        servers[NAME] = _toml_entry(entry, tomlkit.inline_table() if in_one_line else tomlkit.table())
        return tomlkit.dumps(document)
    except (TOMLKitError, ValueError, TypeError) as error:
        raise _unreadable(path, f"it is not TOML that the entry fits in: {error}") from error


def _toml_entry(entry: Mapping[str, Any], table: tomlkit.items.AbstractTable) -> tomlkit.items.AbstractTable:
    table.update({"command": entry["command"], "args": entry["args"]})
    if entry["env"]:
        environment = tomlkit.inline_table()
        environment.update(entry["env"])
        table["env"] = environment
    return table


def _unreadable(path: Path, why: str) -> PaperError:
    return PaperError(
        "invalid_argument", f"{path} was left as it is: {why}.", "Correct it, or paste the entry yourself."
    )


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    if path.exists():
        shutil.copymode(path, name)
    Path(name).replace(path)
