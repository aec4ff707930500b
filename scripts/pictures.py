"""Makes the pictures of the documentation from real runs, so that they show what there is.

Terminal screens are read from a real terminal (tmux) with their colours; the agent's view is a real conversation with
the façade over stdio. docs/images.md says which picture is which.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mcp import ClientSession
from PIL import Image
from rich.console import CONSOLE_SVG_FORMAT, Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text
from tests.support.browser import page
from tests.support.daemon import EXAMPLES, FUTURES_CANDLES, SPOT_CANDLES, Daemon, Project, eventually, strategy_source
from tests.support.mcp_client import line_client, text_of, with_client
from tests.support.node import CLIENTS
from tests.support.terminal import Terminal

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
#: What a reader of a page has; a picture that fetched a font would show nothing without the network.
FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"
THEME = TerminalTheme(
    (18, 20, 28),
    (205, 210, 222),
    [(40, 44, 58), (240, 98, 110), (88, 200, 130), (232, 190, 90), (98, 150, 250), (190, 130, 240), (80, 195, 215),
     (205, 210, 222)],
    [(92, 98, 118), (255, 120, 130), (110, 220, 150), (250, 210, 110), (130, 175, 255), (210, 155, 255),
     (110, 215, 235), (255, 255, 255)],
)  # fmt: skip
COLUMNS = 110
BREAKS = strategy_source(
    "Hasty", should_long="return 100 / (self.price - self.candles[0, 1]) > 1 and self.index > 40 and 1 / 0"
)


def main() -> None:
    """Make all pictures, or those that are named."""
    wanted = sys.argv[1:]
    makers: dict[str, Callable[[Daemon], None]] = {
        "watch.svg": watch, "top.svg": top, "agent.svg": agent, "start.svg": start, "doctor.svg": doctor,
        "chart.png": chart, "report.png": report, "session-view.png": session_view,
    }  # fmt: skip
    with example() as daemon:
        for name, make in makers.items():
            if not wanted or name in wanted:
                make(daemon)
                print(f"{name}  {(IMAGES / name).stat().st_size / 1000:.0f} kB")


@contextmanager
def example() -> Iterator[Daemon]:
    """A daemon with a project, and the candles under names that say nothing of this machine."""
    folder = Path("/tmp/jesse-project")
    shutil.rmtree(folder, ignore_errors=True)
    project = Project(folder)
    project.add_example("SMACrossover")
    project.add_example("DayTrader")
    project.add("Hasty", BREAKS)
    for candles, name in ((SPOT_CANDLES, "btc-december.csv.gz"), (FUTURES_CANDLES, "btc-perpetual-may.csv.gz")):
        shutil.copy(candles, folder / name)
    daemon = Daemon(folder)
    try:
        yield daemon.start().ready()
    finally:
        daemon.close()
        shutil.rmtree(folder)


def agent(daemon: Daemon) -> None:
    """A conversation as the model reads it: a mistake, its correction, the result."""
    told: list[tuple[str, dict[str, Any], str, bool]] = []

    async def talk(session: ClientSession) -> None:
        async def call(tool: str, **arguments: Any) -> None:
            result = await session.call_tool(tool, arguments)
            told.append((tool, arguments, text_of(result), bool(result.isError)))

        feed = f"replay:{daemon.project}/btc-december.csv.gz"
        await call("paper_start", strategy="SMACross", symbol="btc/usdt", timeframe="1H", feed=feed)
        await call("paper_start", strategy="SMACrossover", symbol="BTC-USDT", feed=feed, session_id="trend")
        await call("paper_wait", session_ids=["trend"])
        await call("paper_get_metrics", session_id="trend")
        await call("paper_get_trades", session_id="trend", limit=2)

    with_client(daemon.endpoint, talk)
    page = Text()
    for tool, arguments, text, failed in told:
        page.append("\n▶ ", style="bold cyan").append(tool, style="bold")
        sent = textwrap.wrap(json.dumps(arguments), COLUMNS - 4 - len(tool), break_on_hyphens=False)
        page.append(f" {(chr(10) + ' ' * (3 + len(tool))).join(sent)}\n", style="cyan")
        read = _as_read(text)
        if failed:
            read.stylize("red")
        page.append_text(read)
    _save("agent.svg", page, COLUMNS, "what the agent sends, and what it reads")


def _as_read(text: str, longest: int = 400) -> Text:
    """What the model reads, cut where a picture must be: the cut is shown."""
    lines = []
    for line in text.strip().splitlines():
        cut = f" … {len(line) - longest:,} more characters" if len(line) > longest else ""
        lines += textwrap.wrap(line[:longest] + cut, COLUMNS - 4, break_on_hyphens=False)
    shown = Text("".join(f"  {line}\n" for line in lines))
    shown.highlight_regex(r'"\w+":', "bright_black")
    return shown


def start(daemon: Daemon) -> None:
    with _terminal(daemon, 100, 14) as terminal:
        terminal.type("jesse-paper start SMACrossover BTC-USDT --feed replay:btc-december.csv.gz --speed 90000")
        eventually("a third is traded", lambda: re.search(r" (8|9),\d\d\d / 25,920", terminal.screen()))
        _save_screen("start.svg", terminal, 100, "jesse-paper start")
        terminal.press("C-c")
        terminal.ended(130)


def _some_sessions(daemon: Daemon) -> None:
    spot, futures = (f"replay:{daemon.project}/{name}" for name in ("btc-december.csv.gz", "btc-perpetual-may.csv.gz"))
    if any(s.session_id == "trend-1h" for s in _sessions(daemon)):
        return
    daemon.start_session(session_id="hasty", strategy="Hasty", timeframe="5m", feed=spot)
    daemon.start_session(session_id="trend-30m", timeframe="30m", feed=spot)
    daemon.start_session(session_id="trend-1h", feed=spot, speed=12_000)
    daemon.start_session(session_id="trend-2h", timeframe="2h", feed=spot, speed=9_000, warmup_candles=120)
    daemon.start_session(session_id="trend-perp", leverage=2, feed=futures, speed=9_000)
    daemon.start_session(session_id="day-15m", strategy="DayTrader", timeframe="15m", feed=futures, speed=3_000)
    eventually(
        "enough to see",
        lambda: daemon.status("trend-1h").health.candles > 9_000 and daemon.status("trend-1h").positions,
    )


def _sessions(daemon: Daemon) -> list[Any]:
    from jesse_paper import protocol as wire

    return list(daemon.call(wire.PaperListSessions()).sessions)


def watch(daemon: Daemon) -> None:
    _some_sessions(daemon)
    with _terminal(daemon, 110, 32) as terminal:
        terminal.type("jesse-paper watch trend-1h")
        labels = re.compile(r"^ +\d\d-\d\d \d\d:\d\d ", re.MULTILINE)
        eventually(
            "both plots and a position",
            lambda: (
                len(labels.findall(screen := terminal.screen())) == 2 and "long " in screen.partition("drawdown, %")[2]
            ),
        )
        _save_screen("watch.svg", terminal, 110, "jesse-paper watch trend-1h")
        terminal.press("q")
        terminal.ended(0)


def top(daemon: Daemon) -> None:
    _some_sessions(daemon)
    with _terminal(daemon, 136, 10) as terminal:
        terminal.type("jesse-paper top --all")
        terminal.shows("trend-1h", "cpu %")
        terminal.press("Down", "Down", "Down")
        # The use of the processor is known from the second look on.
        wanted = re.compile(r"(long|short) .* \d+ *\n(.*\n)*.*(long|short) .* \d+ *\n")
        eventually("positions and the use of the processor", lambda: wanted.search(terminal.screen()))
        _save_screen("top.svg", terminal, 136, "jesse-paper top --all")
        terminal.press("q")
        terminal.ended(0)


def doctor(daemon: Daemon) -> None:
    with _terminal(daemon, 100, 24) as terminal:
        terminal.type("jesse-paper doctor")
        terminal.ended(0)
        _save_screen("doctor.svg", terminal, 100, "jesse-paper doctor")


def chart(daemon: Daemon) -> None:
    _ended(daemon)
    _cli(daemon, "chart", "example", "--output", str(IMAGES / "chart.png"))


def report(daemon: Daemon) -> None:
    """The report as a browser shows it."""
    _ended(daemon)
    page = daemon.home / "report.html"
    _cli(daemon, "report", "example", "--output", str(page))
    browser = ["chromium", "--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=1100,1150"]
    command = [*browser, f"--screenshot={IMAGES / 'report.png'}", f"file://{page}"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


def session_view(daemon: Daemon) -> None:
    """A running session's page as a client shows it, in a browser with the client's half of the protocol."""
    session_id, picture = "btc-in-may", IMAGES / "session-view.png"
    daemon.start_session(
        session_id=session_id, leverage=2, speed=60 * 1500.0, feed=f"replay:{daemon.project}/btc-perpetual-may.csv.gz"
    )
    status = {"name": "paper_status", "given": {"session_id": session_id}, "theme": "light"}
    with (
        tempfile.TemporaryDirectory() as profile,
        line_client(daemon.endpoint) as client,
        page(Path(profile), width=800, height=760, scale=1.5) as screen,
    ):
        screen.offer("callServer", lambda params: client.request("tools/call", params)["result"])
        screen.open(CLIENTS / "app_host.html")
        screen.eventually("typeof embed === 'function'")
        read = client.request("resources/read", {"uri": "ui://jesse-paper/session"})["result"]
        eventually(
            "it has traded for a while", lambda: (daemon.status(session_id).health.last_candle or "") > "2025-05-24"
        )
        screen.evaluate(f"void embed({json.dumps({**status, 'page': read['contents'][0]['text']})})")
        screen.eventually("document.getElementById('updated').textContent", 0)
        screen.picture(picture)
    daemon.stop_session(session_id)
    # A page has few colours: a third of the bytes.
    Image.open(picture).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(picture, optimize=True)


def _ended(daemon: Daemon) -> None:
    if not any(s.session_id == "example" for s in _sessions(daemon)):
        daemon.start_session(session_id="example", feed=f"replay:{daemon.project}/btc-december.csv.gz")
        daemon.ended("example")


def _cli(daemon: Daemon, *arguments: str) -> None:
    program = Path(sys.executable).with_name("jesse-paper")
    subprocess.run([program, *arguments], env=daemon.environment, check=True, capture_output=True)


def _terminal(daemon: Daemon, columns: int, rows: int) -> Terminal:
    environment = {**daemon.environment, "COLORTERM": "truecolor"}
    return Terminal(environment, columns, rows, folder=daemon.project)


def _save_screen(name: str, terminal: Terminal, columns: int, title: str) -> None:
    # A reader's prompt does not count.
    screen = re.sub(r"^\[\d+\] \d+\$", "$", terminal.screen(colours=True).rstrip("\n"), flags=re.MULTILINE)
    _save(name, Text.from_ansi(screen), columns, title)


def _save(name: str, text: Text, columns: int, title: str) -> None:
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(text, end="")
    form = re.sub(r"@font-face \{\{.*?\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    form = form.replace("Fira Code, monospace", FONTS)
    unique = name.partition(".")[0]
    svg = console.export_svg(title=title, theme=THEME, code_format=form, unique_id=unique)
    (IMAGES / name).write_text(re.sub(r"[ \t]+\n", "\n", svg))


if __name__ == "__main__":
    assert EXAMPLES.is_dir()
    main()
