"""A process that imports Jesse once and runs each call in a fork of its own.

Jesse keeps its state in the process and behaves differently under pytest, so nothing of it runs in the test process.
Started by the tests as `python -m tests.parity.worker`: pickled (function, arguments) in, pickled answers out.
"""

from __future__ import annotations

import importlib
import os
import pickle
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any, BinaryIO

ROOT = Path(__file__).parents[2]


class Worker:
    """The test's side: calls functions of modules that may import Jesse."""

    def __init__(self, home: Path) -> None:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        environment.pop("PYTEST_CURRENT_TEST", None)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.parity.worker"],
            cwd=home,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def call(self, function: str, *args: Any, **kwargs: Any) -> Any:
        """Call `module:function` in a fork; what it raises is raised here as an AssertionError with its traceback."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        pickle.dump((function, args, kwargs), self._process.stdin)
        self._process.stdin.flush()
        ok, answer = pickle.load(self._process.stdout)
        if not ok:
            raise AssertionError(answer)
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer calls until the input ends."""
    while True:
        try:
            function, args, kwargs = pickle.load(requests)
        except EOFError:
            return
        module, name = function.split(":")
        importlib.import_module(module)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            try:
                answer = (True, getattr(sys.modules[module], name)(*args, **kwargs))
                data = pickle.dumps(answer)
            except BaseException:  # noqa: BLE001 - it crosses a process boundary
                data = pickle.dumps((False, traceback.format_exc()))
            with os.fdopen(writer, "wb") as out:
                out.write(data)
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            data = pipe.read()
        os.waitpid(child, 0)
        replies.write(data or pickle.dumps((False, f"{function} ended its process")))
        replies.flush()


if __name__ == "__main__":
    # Strategies print; what they print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, answers)
