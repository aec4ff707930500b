"""The view of a session in a client: `python -m tests.pictures.session_view docs/images/session-view.png`."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from PIL import Image

from tests.support.browser import page
from tests.support.daemon import FUTURES_CANDLES, eventually, running_daemon
from tests.support.mcp_client import line_client
from tests.support.node import CLIENTS

HOST = CLIENTS / "app_host.html"
SESSION = "btc-in-may"
#: The day at which the picture is taken, of a month that begins with ten days of warm-up.
DAY = "2025-05-24"


def main(picture: Path) -> None:
    with running_daemon() as daemon, tempfile.TemporaryDirectory() as profile:
        daemon.start_session(
            session_id=SESSION, strategy="SMACrossover", timeframe="1h", leverage=2, speed=60 * 1500.0,
            feed=f"replay:{FUTURES_CANDLES}",
        )  # fmt: skip
        with line_client(daemon.endpoint) as client, page(Path(profile), width=800, height=760, scale=1.5) as screen:
            screen.offer("callServer", lambda params: client.request("tools/call", params)["result"])
            screen.open(HOST)
            screen.eventually("typeof embed === 'function'")
            uri = {"uri": "ui://jesse-paper/session"}
            text = client.request("resources/read", uri)["result"]["contents"][0]["text"]
            given = {"name": "paper_status", "given": {"session_id": SESSION}, "theme": "light", "page": text}
            eventually("it has traded for a while", lambda: (daemon.status(SESSION).health.last_candle or "") > DAY)
            screen.evaluate(f"void embed({json.dumps(given)})")
            screen.eventually("document.getElementById('updated').textContent", 0)
            screen.evaluate("document.fonts.ready.then(() => 1)", 0)
            screen.picture(picture)
    # A page has few colours; a third of the bytes.
    Image.open(picture).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(picture, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
