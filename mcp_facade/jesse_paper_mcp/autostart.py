"""`--autostart`: a daemon where none answers, once, however many façades want one at the same time.

The daemon is nobody's child: it has a session of its own and its parent is gone, so it outlives façade and client
even where those end the whole tree of their processes. What it says goes to its log, and from there into the error
if it ends again. The façade needs no ZeroMQ for any of this: whoever listens on the socket's path is the daemon.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from jesse_paper.endpoint import default_home
from jesse_paper.errors import PaperError

#: What a tool call may wait for a daemon to come up, so that the call itself still ends before clients give up.
CALL_SECONDS = 8.0
#: A daemon's first start compiles and imports its code; on a busy machine that takes a while.
START_SECONDS = 60.0
POLL_SECONDS = 0.02
#: A larger log becomes `daemon.log.1` before the daemon starts.
LONGEST_LOG = 20 * 2**20

#: Runs a command in the background and ends: the command's parent is then init.
_DETACH = '"$0" "$@" </dev/null >&2 & echo $!'


def home_of(endpoint: str) -> Path:
    """The home whose daemon may be started for this endpoint.

    Raises:
        PaperError: `invalid_argument` for any endpoint but the socket in this user's own home.
    """
    home = default_home()
    own = f"ipc://{home / 'run' / 'daemon.sock'}"
    if endpoint != own:
        raise PaperError(
            "invalid_argument",
            f"--autostart starts the daemon of {home}, which is on {own}; the endpoint here is {endpoint}.",
            "Leave out --endpoint and JESSE_PAPER_ENDPOINT, or start that daemon where it belongs.",
        )
    return home


class Autostart:
    """Starts the daemon of a home when none runs. Threads may share it.

    Args:
        home: of the daemon. It need not exist.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._socket = home / "run" / "daemon.sock"
        self._changed = threading.Condition()
        self._starting: threading.Thread | None = None
        self._words = ""

    def begin(self) -> None:
        """Start a daemon if none listens. Returns at once."""
        with self._changed:
            if self._starting is None:
                self._words = ""
                self._starting = threading.Thread(target=self._start_and_tell, daemon=True, name="autostart")
                self._starting.start()

    def await_daemon(self) -> None:
        """Start a daemon if none listens, and wait until one does.

        Raises:
            PaperError: `daemon_unreachable`: the daemon ended again, with what it said, or needs longer still.
        """
        self.begin()
        with self._changed:
            if not self._changed.wait_for(lambda: self._starting is None, CALL_SECONDS):
                raise PaperError(
                    "daemon_unreachable",
                    f"The daemon of {self._home} is starting; nothing was done.",
                    "Call again in a few seconds.",
                )
            if self._words:
                raise PaperError(
                    "daemon_unreachable",
                    f"A daemon was started and does not answer; nothing was done. It said: {self._words}",
                    f"Its log is {self._home / 'log' / 'daemon.log'}.",
                )

    def _start_and_tell(self) -> None:
        words = "nothing"
        try:
            words = self._start()
        except (OSError, subprocess.SubprocessError) as error:
            words = str(error)
        finally:
            with self._changed:
                self._words, self._starting = words, None
                self._changed.notify_all()

    def _start(self) -> str:
        """Make sure that a daemon listens. Returns its last words if none does, else an empty text."""
        deadline = time.monotonic() + START_SECONDS
        with self._one_at_a_time(deadline):
            if self.listens():
                return ""
            with self._log() as log:
                while True:
                    began = log.seek(0, os.SEEK_END)
                    first = self._holder()
                    may_refuse = first and not _ended(first, 0)
                    if self._comes_up(_start_detached(log), deadline):
                        return ""
                    # One that was just ending makes another refuse to be the second of its home.
                    if not may_refuse or time.monotonic() > deadline:
                        return _last_words(log, began)

    def _comes_up(self, process: int, deadline: float) -> bool:
        """Whether a daemon listens, before this process and the one that has the home's lock have ended."""
        while not self.listens():
            if _ended(process, POLL_SECONDS):
                holder = self._holder()
                if holder in (0, process) or _ended(holder, 0):
                    return False
                process = holder
            if time.monotonic() > deadline:
                return False
        return True

    def _holder(self) -> int:
        """The daemon that has the home's lock or had it last; 0 if there was none."""
        try:
            return int(self._socket.with_name("lock").read_bytes())
        except (OSError, ValueError):
            return 0

    def listens(self) -> bool:
        """Whether a daemon takes connections."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)
            try:
                probe.connect(str(self._socket))
            except BlockingIOError:
                return True  # more wait to be let in than it can count
            except OSError:
                return False
        return True

    @contextlib.contextmanager
    def _one_at_a_time(self, deadline: float) -> Iterator[None]:
        """Hold the lock for starting daemons; stop waiting for it once a daemon listens."""
        try:
            for folder in (self._home, self._socket.parent):  # `parents` alone would let others write into the home
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._socket.with_name("autostart.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            yield  # the daemon cannot use this home either, and says why
            return
        try:
            while not self.listens() and time.monotonic() < deadline:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    time.sleep(POLL_SECONDS)
            yield
        finally:
            os.close(descriptor)

    def _log(self) -> IO[bytes]:
        path = self._home / "log" / "daemon.log"
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            if path.exists() and path.stat().st_size > LONGEST_LOG:
                path.rename(path.with_name("daemon.log.1"))
            return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "r+b")
        except OSError:
            return tempfile.TemporaryFile()


def _start_detached(log: IO[bytes]) -> int:
    """Start the daemon of the environment's home; its process id. The working directory is ours: it may be the
    project's."""
    beside = Path(sys.executable).with_name("jesse-paperd")
    program = [sys.executable, "-P", "-c", "from jesse_paperd.app import main; main()"]
    command = [str(beside)] if beside.exists() else program
    shell = shutil.which("sh") or "/bin/sh"
    done = subprocess.run(
        [shell, "-c", _DETACH, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        start_new_session=True,
        check=True,
    )
    return int(done.stdout)


def _ended(process: int, seconds: float) -> bool:
    """Whether a process that is not our child has ended, waiting at most so long for it."""
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


def _last_words(log: IO[bytes], began: int) -> str:
    """What the daemon said last since it began: its error with the hint, or the last line of whatever else it is."""
    log.seek(began)
    lines = [" ".join(line.split()) for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    errors = [number for number, line in enumerate(lines) if line.startswith("jesse-paperd: ")]
    return ". ".join(lines[errors[-1] if errors else -1 :]).removeprefix("jesse-paperd: ") or "nothing"
