"""Installing the façade into a client's configuration keeps what is there."""

from __future__ import annotations

import json
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from jesse_paper.errors import PaperError
from jesse_paper_mcp.install import CLIENTS, NAME, config_file, install, snippet
from jesse_paperd.cli import main

EVERY_CLIENT = pytest.mark.parametrize("client", CLIENTS)


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home of the test's own, which is the working directory too."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("JESSE_PAPER_ENDPOINT", raising=False)
    monkeypatch.delenv("JESSE_PAPER_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parsed(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text()) if path.suffix == ".toml" else json.loads(path.read_text())


def servers(client: str) -> dict[str, Any]:
    return parsed(config_file(client))[CLIENTS[client].section]


@EVERY_CLIENT
def test_a_client_without_configuration_gets_one_with_absolute_paths(client: str, user: Path):
    path = install(client, "--read-only")
    assert path == config_file(client)
    assert user in path.parents
    entry = servers(client)[NAME]
    assert Path(entry["command"]).is_absolute()
    assert Path(entry["command"]).exists()
    assert entry["args"][-1] == "--read-only"


@EVERY_CLIENT
def test_installing_twice_changes_nothing_more_and_other_options_replace_the_entry(client: str):
    first = install(client).read_text()
    assert install(client).read_text() == first
    install(client, "--read-only")
    assert servers(client)[NAME]["args"][-1] == "--read-only"
    assert install(client).read_text() == first


@EVERY_CLIENT
def test_the_snippet_to_paste_is_what_is_installed(client: str):
    assert install(client).read_text() == snippet(client)


@pytest.mark.parametrize("client", [name for name in CLIENTS if name != "codex"])
def test_other_servers_and_settings_are_kept_in_json(client: str):
    path = config_file(client)
    path.parent.mkdir(parents=True, exist_ok=True)
    section = CLIENTS[client].section
    path.write_text(json.dumps({"theme": "dark – très", section: {"other": {"command": "x"}}}))
    path.chmod(0o600)
    install(client)
    assert parsed(path)["theme"] == "dark – très"
    assert servers(client)["other"] == {"command": "x"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


CODEX = """\
# My settings
model = "some-model"

[mcp_servers.other]
command = "x"  # keep me

[mcp_servers.jesse-paper]
command = "/old/jesse-paper-mcp"

[mcp_servers.jesse-paper.env]
JESSE_PAPER_HOME = "/old"

[mcp_servers.jesse-paper-two]
command = "y"

[profiles.deep]
effort = "high"
"""


def test_other_servers_settings_and_comments_are_kept_in_toml():
    path = config_file("codex")
    path.parent.mkdir(parents=True)
    path.write_text(CODEX)
    install("codex")
    assert servers("codex")["other"] == {"command": "x"}
    assert servers("codex")["jesse-paper-two"] == {"command": "y"}
    assert parsed(path)["profiles"] == {"deep": {"effort": "high"}}
    assert "# My settings" in path.read_text()
    assert "# keep me" in path.read_text()
    assert "/old" not in path.read_text()


def test_servers_in_one_line_are_kept_in_toml():
    path = config_file("codex")
    path.parent.mkdir(parents=True)
    path.write_text('mcp_servers = { other = { command = "x" }, jesse-paper = { command = "/old" } }\n')
    install("codex")
    assert servers("codex")["other"] == {"command": "x"}
    assert "/old" not in path.read_text()


def test_a_linked_file_stays_linked(user: Path):
    real = user / "dotfiles" / "mcp.json"
    real.parent.mkdir()
    real.write_text("{}")
    link = config_file("cursor")
    link.parent.mkdir()
    link.symlink_to(real)
    install("cursor")
    assert link.is_symlink()
    assert NAME in json.loads(real.read_text())["mcpServers"]


@pytest.mark.parametrize(
    ("client", "text"),
    [
        ("cursor", "{ // a comment\n}"),
        ("cursor", "[]"),
        ("cursor", '{"mcpServers": 7}'),
        ("codex", "model = "),
        ("codex", 'mcp_servers = "none"'),
    ],
)
def test_a_file_that_is_not_understood_is_left_as_it_is(client: str, text: str):
    path = config_file(client)
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(PaperError, match="left as it is"):
        install(client)
    assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


def test_the_daemon_that_the_environment_names_is_written_down(monkeypatch: pytest.MonkeyPatch, user: Path):
    monkeypatch.setenv("JESSE_PAPER_HOME", "~/papers")
    install("claude-code")
    assert servers("claude-code")[NAME]["env"] == {"JESSE_PAPER_HOME": str(user / "papers")}
    install("codex")
    assert servers("codex")[NAME]["env"] == {"JESSE_PAPER_HOME": str(user / "papers")}


def test_an_unknown_client_is_refused_with_the_nearest():
    with pytest.raises(PaperError, match="Did you mean 'claude-desktop'"):
        install("claude-desktp")


def test_the_command_writes_or_prints():
    runner = CliRunner()
    printed = json.loads(runner.invoke(main, ["mcp", "install", "--client", "cursor", "--print", "--json"]).stdout)
    assert printed["entry"] == snippet("cursor")
    assert not config_file("cursor").exists()
    written = runner.invoke(main, ["mcp", "install", "--client", "cursor", "--json"])
    assert json.loads(written.stdout)["file"] == str(config_file("cursor"))
    assert NAME in servers("cursor")
    assert runner.invoke(main, ["mcp", "install", "--client", "emacs"]).exit_code == 2
