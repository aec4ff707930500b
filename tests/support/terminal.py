"""A real terminal to type into and to read: tmux, with a server of its own on a private socket."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support.daemon import eventually

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed: no terminal to type into")
#: The exit status of the command before, and the number of the next one: an old prompt is not taken for a new one.
_PROMPT = r"[$?] \#$ "
#: A screen follows what it shows within a second or two, a command that imports the engine within half a minute.
_PATIENCE = 60.0
PROGRAM = Path(sys.executable).with_name("jesse-paper")


class Terminal:
    """A shell in a terminal of a given size."""

    def __init__(
        self, environment: dict[str, str], columns: int = 100, rows: int = 30, folder: Path | None = None
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="jp-tmux-", dir="/tmp"))
        shell = {
            **{name: value for name, value in environment.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")},
            "PATH": f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
            "HISTFILE": "",
        }
        self._environment = shell
        # -u: the terminal knows UTF-8, whatever the machine's locale says.
        self._tmux = ["tmux", "-u", "-S", str(self._folder / "socket"), "-f", "/dev/null"]
        self._typed = 0
        self._working = folder or self._folder
        self._size = ["-x", str(columns), "-y", str(rows)]

    def __enter__(self) -> Terminal:
        # The shell that tmux runs this command in has prompts of its own: this one is set behind it.
        shell = f"env PS1='{_PROMPT}' bash --norc --noprofile"
        started = [*self._tmux, "new-session", "-d", *self._size, shell]
        subprocess.run(started, env=self._environment, check=True, cwd=self._working)
        try:
            self.ended(0)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # Its own server alone: the socket is private.
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def type(self, line: str) -> None:
        """Type a line and press Enter."""
        self._typed += 1
        self._send("-l", line)
        self._send("Enter")

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names: `q`, `Enter`, `C-c`, `Down`."""
        for key in keys:
            self._send(key)

    def screen(self, *, colours: bool = False) -> str:
        """What is to be seen now; with colours, as a terminal's codes."""
        shown = [*self._tmux, "capture-pane", "-p", *(["-e", "-N"] if colours else [])]
        return subprocess.run(shown, capture_output=True, text=True, check=True).stdout

    def shows(self, *texts: str) -> str:
        """The screen, once all these are on it."""

        def all_there() -> str:
            screen = self.screen()
            return screen if all(text in screen for text in texts) else ""

        try:
            return eventually(f"the screen shows {texts}", all_there, _PATIENCE)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.screen()}") from None

    def ended(self, status: int) -> str:
        """The screen once the command before has ended with this status, and the shell asks for the next one."""

        def prompt() -> str:
            screen = self.screen()
            lines = screen.rstrip().splitlines()
            return screen if lines and lines[-1].strip() == f"[{status}] {self._typed + 1}$" else ""

        try:
            return eventually(f"the command ends with {status}", prompt, _PATIENCE)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.screen()}") from None

    def _send(self, *keys: str) -> None:
        subprocess.run([*self._tmux, "send-keys", *keys], check=True)
