"""The zygote: a process that has imported the engine once and forks a session on request.

Run by the daemon as `python -m jesse_paperd.processes.zygote_main FD MODULE PARENT`. FD is its end of a socket pair of
packets, PARENT the daemon's pid. MODULE is imported once and has `main(arguments) -> int`, which runs in each fork.
Messages are JSON:

    ← {"ready": true, "version": "…"}      once MODULE is imported      or {"failed": "…", "hint": "…"} and the end
    → {"id": 1, "arguments": {…}, "log": "/path", "title": "…",
       "limits": {"RLIMIT_CPU": 3600}}
    ← {"id": 1, "pid": 123, "start_time": 456}
    ← {"ended": 123, "start_time": 456, "status": 0}   when a fork has ended; negative: killed by that signal

It has one native thread and no ZeroMQ context, so that a fork is whole. It ends with the daemon: when the daemon's
end closes, and at once when it dies. Its forks live on: they are sessions, and the next daemon adopts them.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import setproctitle

from jesse_paperd.processes.identity import identify
from jesse_paperd.processes.logfile import redirect_output

PACKET = 65_536
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def serve(channel: socket.socket, module_name: str, parent: int) -> int:
    """Import the module, then fork on request until the channel closes."""
    # Terminal interrupts and the daemon's own stop must not end it or its forks.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with(parent)
    adopt_orphans()
    try:
        module = importlib.import_module(module_name)
        threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208
        if threads != 1:
            raise RuntimeError(f"importing {module_name} left {threads} native threads; a fork would be broken")
    except BaseException as error:  # noqa: BLE001 - whatever it is, the daemon must hear of it
        traceback.print_exc()
        hint = getattr(error, "hint", "")  # that of an error of ours, which has words of its own
        told = str(error) if hint else f"{type(error).__name__}: {error}"
        channel.send(json.dumps({"failed": told[:2000], "hint": hint}).encode())
        return 1
    # What is imported is never collected: collecting would touch, and so copy, the pages shared with the forks.
    gc.collect()
    gc.freeze()
    channel.send(json.dumps({"ready": True, "version": getattr(module, "VERSION", None)}).encode())
    forks: dict[int, int] = {}
    with _woken_by_deaths() as deaths:
        while True:
            readable, _, _ = select.select([channel, deaths], [], [])
            if deaths in readable:
                deaths.recv(PACKET)
                for pid, status in _reaped():
                    if pid in forks:
                        word = {"ended": pid, "start_time": forks.pop(pid), "status": status}
                        channel.send(json.dumps(word).encode())
                _end_orphans(forks)
            if channel not in readable:
                continue
            if not (packet := channel.recv(PACKET)):
                return 0
            request = json.loads(packet)
            pid = os.fork()
            if pid == 0:
                channel.close()
                _become_session(module.main, request)
            identity = identify(pid)  # it is not reaped yet, so the pid is still its own
            forks[pid] = identity.start_time if identity else 0
            channel.send(json.dumps({"id": request["id"], "pid": pid, "start_time": forks[pid]}).encode())


@contextlib.contextmanager
def _woken_by_deaths() -> Iterator[socket.socket]:
    """A socket that becomes readable when a fork has ended."""
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler of Python's nothing is written
        try:
            yield reader
        finally:
            signal.set_wakeup_fd(-1)


def _reaped() -> Iterator[tuple[int, int]]:
    """The forks that have ended, each with its exit status, or its signal as a negative number."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            yield ended[0], os.waitstatus_to_exitcode(ended[1])


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies: busy with something else, it would not notice.

    Forks of this process do not inherit that.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the process that this one belongs to died before it began")


def adopt_orphans() -> None:
    """Become the parent of descendants whose own has died, so that none of them gets away.

    A session is the parent of what its strategy leaves alone, and when it ends the zygote is.
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _end_orphans(forks: Collection[int]) -> None:
    """End the children of this process that it has not forked: what sessions that have ended had started."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    for pid in {int(child) for child in children} - set(forks):
        # Not reaped yet, so the number is still that child's. Its own children come here when it is dead.
        os.kill(pid, signal.SIGKILL)


def _become_session(main: Callable[[dict[str, Any]], int], request: dict[str, Any]) -> None:
    status = 70
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        os.closerange(3, 256)
        redirect_output(Path(request["log"]))
        adopt_orphans()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for name, limits in request.get("limits", {}).items():
            resource.setrlimit(getattr(resource, name), tuple(limits))
        if title := request.get("title"):
            setproctitle.setproctitle(title)
        status = main(request["arguments"])
    except BaseException:  # noqa: BLE001 - a fork must never return into the zygote's loop
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    sys.exit(serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2], int(sys.argv[3])))
