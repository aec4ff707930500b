"""Headless Chromium, driven by the DevTools protocol over a pair of pipes."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
OPTIONS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions", "--hide-scrollbars",
    "--disable-dev-shm-usage", "--force-color-profile=srgb",
    # One process, one protocol session: what happens in frames is then seen from the page.
    "--disable-features=IsolateSandboxedIframes", "--disable-site-isolation-trials",
]  # fmt: skip
#: Chromium reads commands from descriptor 3 and writes to 4.
PIPES = """
import fcntl, os, sys
reading, writing = (fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3])
os.dup2(reading, 3)
os.dup2(writing, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
PATIENCE = 60.0


class Page:
    """A page, what happened in it, and the functions of ours that it calls.

    Args:
        profile: an empty folder for Chromium's own files.
        width: and `height`, of the window in CSS pixels; `scale`: device pixels in one.
    """

    def __init__(self, profile: Path, width: int = 800, height: int = 900, scale: float = 1) -> None:
        assert CHROMIUM is not None
        to_browser, self._writing = os.pipe()
        self._reading, from_browser = os.pipe()
        self._process = subprocess.Popen(
            [
                sys.executable, "-c", PIPES, str(to_browser), str(from_browser),
                CHROMIUM, *OPTIONS, "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank",
            ],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_browser)
        os.close(from_browser)
        self._received = b""
        self._ids = itertools.count(1)
        self._session: str | None = None
        self._events: deque[dict[str, Any]] = deque()
        self._functions: dict[str, Callable[[Any], Any]] = {}
        #: URLs asked for; exceptions and complaints of the browser; frame → JavaScript context.
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._contexts: dict[str, int] = {}
        targets = self._command("Target.getTargets")["targetInfos"]
        target = next(each["targetId"] for each in targets if each["type"] == "page")
        self._session = self._command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._command(f"{domain}.enable")
        self._command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False
        )

    def offer(self, name: str, function: Callable[[Any], Any]) -> None:
        """Have `await NAME(argument)` in the page call a function of ours, both ways as JSON."""
        self._functions[name] = function
        self._command("Runtime.addBinding", name=f"{name}_")
        source = f"""
          const owed_{name} = [];
          window.{name} = (argument) => new Promise((resolve) => {{
            window.{name}_(JSON.stringify([owed_{name}.push(resolve) - 1, argument]));
          }});
          window.{name}_answer = (index, answer) => owed_{name}[index](answer);
        """
        self._command("Page.addScriptToEvaluateOnNewDocument", source=source)

    def open(self, path: Path) -> None:
        self._command("Page.navigate", url=path.as_uri())

    def evaluate(self, expression: str, frame: int | None = None) -> Any:
        """The value of an expression in the page, or in one of its frames by number."""
        where = {} if frame is None else {"contextId": self._context_of(frame)}
        done = self._command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, **where)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def eventually(self, expression: str, frame: int | None = None) -> Any:
        """The first true value of an expression, within a bound that only a defect reaches."""
        deadline = time.monotonic() + PATIENCE
        while True:
            value = None
            with contextlib.suppress(LookupError):
                value = self.evaluate(expression, frame)
            if value:
                return value
            assert time.monotonic() < deadline, f"never true: {expression}; {self.complaints}"
            self._receive(0.05)
            self._handle_events()

    def hover(self, x: float, y: float) -> None:
        self._command("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def picture(self, path: Path) -> None:
        """Write what is on screen as PNG."""
        path.write_bytes(base64.b64decode(self._command("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        os.close(self._writing)  # Chromium ends with its pipe
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._reading)

    def _context_of(self, frame: int) -> int:
        frames = self._command("Page.getFrameTree")["frameTree"].get("childFrames", [])
        return self._contexts[frames[frame]["frame"]["id"]]

    def _command(self, method: str, **params: Any) -> dict[str, Any]:
        id = next(self._ids)
        message = {"id": id, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for reply in self._receive(1):
                if reply.get("id") == id:
                    assert "error" not in reply, reply["error"]
                    self._handle_events()
                    result: dict[str, Any] = reply["result"]
                    return result
        raise AssertionError(f"Chromium does not answer {method}")

    def _receive(self, seconds: float) -> Iterator[dict[str, Any]]:
        """The replies that have come; events are kept for later."""
        if select.select([self._reading], [], [], seconds)[0]:
            data = os.read(self._reading, 1 << 20)
            assert data, "Chromium has ended"
            self._received += data
        *whole, self._received = self._received.split(b"\0")
        messages = [json.loads(each) for each in whole]
        self._events += [message for message in messages if "method" in message]
        return (message for message in messages if "id" in message)

    def _handle_events(self) -> None:
        while self._events:
            event = self._events.popleft()
            method, params = event["method"], event["params"]
            if method == "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            elif method == "Runtime.exceptionThrown":
                self.complaints.append(str(params["exceptionDetails"]))
            elif method == "Log.entryAdded":
                self.complaints.append(params["entry"]["text"])
            elif method == "Runtime.executionContextCreated":
                self._contexts[params["context"]["auxData"]["frameId"]] = params["context"]["id"]
            elif method == "Runtime.bindingCalled":
                name = params["name"].removesuffix("_")
                index, argument = json.loads(params["payload"])
                answer = json.dumps(self._functions[name](argument))
                self._command("Runtime.evaluate", expression=f"{name}_answer({index}, {answer})")


@contextlib.contextmanager
def page(profile: Path, **size: Any) -> Iterator[Page]:
    opened = Page(profile, **size)
    try:
        yield opened
    finally:
        opened.close()
