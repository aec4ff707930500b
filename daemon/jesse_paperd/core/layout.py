"""Where every file lives and who alone writes it.

    registry.sqlite                 daemon     intent: specs, desired state, request ids with their replies
    sessions/<id>/journal.sqlite    session    facts: orders, trades, equity, …, and the candles consumed
    sessions/<id>/strategy/         daemon     the strategy's source as it was at the start
    sessions/<id>/lease             session    liveness, identity and last words (processes/lease.py)
    sessions/<id>/log, log.1        session    its log, with the traceback of a failure
    sessions/<id>/doorbell          session    datagram socket: "look again" (processes/doorbell.py)
    candles/files/<digest>.npy      daemon     replay files, parsed once, named by their content
    archives/<id>.tar.gz            daemon     sessions packed by jesse-paper archive
    candles/<exchange>.sqlite       feed       closed 1m candles, the first final version wins; imports add to it
    candles/feed.lock               feed       held while it lives: there is never a second one
    run/lock                        daemon     held while it lives, taken before the socket is bound
    run/daemon.sock                 daemon     the ROUTER socket
    run/autostart.lock              façade     held while one starts the daemon (jesse-paper-mcp --autostart)
    run/zygote/                     zygote     its working directory: never inside a Jesse project
    log/daemon.log                  daemon     its log, when supervisord or a façade started it

Directories are 0700 and files 0600: `prepare` makes and checks them.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from jesse_paper.errors import PaperError


@dataclass(frozen=True)
class SessionFiles:
    """The files of one session."""

    root: Path

    @property
    def session_id(self) -> str:
        return self.root.name

    @property
    def journal(self) -> Path:
        return self.root / "journal.sqlite"

    @property
    def strategy(self) -> Path:
        return self.root / "strategy"

    @property
    def lease(self) -> Path:
        return self.root / "lease"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def record(self) -> Path:
        """A copy of the session's row of the registry."""
        return self.root / "record.json"

    @property
    def doorbell(self) -> Path:
        return self.root / "doorbell"


@dataclass(frozen=True)
class Layout:
    """The files below the home directory."""

    home: Path

    @property
    def registry(self) -> Path:
        return self.home / "registry.sqlite"

    @property
    def sessions(self) -> Path:
        return self.home / "sessions"

    @property
    def candle_files(self) -> Path:
        return self.home / "candles" / "files"

    @property
    def archives(self) -> Path:
        return self.home / "archives"

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def lock(self) -> Path:
        return self.run / "lock"

    @property
    def zygote(self) -> Path:
        return self.run / "zygote"

    @property
    def log(self) -> Path:
        return self.home / "log" / "daemon.log"

    def session(self, session_id: str) -> SessionFiles:
        """The files of a session, whether it exists or not."""
        return SessionFiles(self.sessions / session_id)

    def removed(self, session_id: str) -> Path:
        """Where a session's files are while they are being removed: no session has a name with a dot."""
        return self.sessions / f".removed.{session_id}"

    def removed_session(self, folder: Path) -> str | None:
        """The session whose removal this folder is, or None when it is not one."""
        return folder.name.removeprefix(".removed.") if folder.name.startswith(".removed.") else None

    def candle_file(self, digest: str) -> Path:
        """The parsed form of the replay file with this content digest."""
        return self.candle_files / f"{digest}.npy"

    def candle_store(self, market: str) -> Path:
        """The candle store of an exchange, by Jesse's name of it."""
        return self.home / "candles" / f"{market.replace(' ', '-').lower()}.sqlite"

    def prepare(self) -> None:
        """Make the directories, 0700 each, and refuse a home that others may write.

        Raises:
            PaperError: `storage_failed`, with the command that fixes it.
        """
        try:
            folders = (self.sessions, self.candle_files, self.archives, self.run, self.zygote, self.log.parent)
            for folder in (self.home, *folders):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = self.home.stat()
        except OSError as error:
            raise PaperError("storage_failed", f"the home directory {self.home} cannot be made: {error}") from error
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PaperError(
                "storage_failed",
                f"the home directory {self.home} may be written by others",
                f"chown it to the daemon's user and run: chmod 700 {self.home}",
            )
        self.home.chmod(0o700)
        self.run.chmod(0o700)
