"""The page that shows a session inside a client: in a real browser, on the answers of a real session."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jesse_paper.figures import money
from jesse_paper_mcp.tools import TOOLS
from tests.support.browser import Page, needs_browser, page
from tests.support.daemon import SPOT_CANDLES, Daemon
from tests.support.mcp_client import LineClient, line_client
from tests.support.node import CLIENTS

HOST = CLIENTS / "app_host.html"
KIND = "text/html;profile=mcp-app"
SHOWN = "document.getElementById('updated').textContent"
FRAME = 0

Embed = Callable[..., None]


@pytest.fixture
def client(daemon: Daemon) -> Iterator[LineClient]:
    with line_client(daemon.endpoint) as connected:
        yield connected


@pytest.fixture
def screen(tmp_path: Path, client: LineClient) -> Iterator[Page]:
    """A browser with the host's page, which carries calls to a façade."""
    with page(tmp_path / "profile") as opened:
        opened.offer("callServer", lambda params: client.request("tools/call", params)["result"])
        opened.open(HOST)
        opened.eventually("typeof embed === 'function'")
        yield opened


@pytest.fixture
def embed(screen: Page, client: LineClient) -> Embed:
    """Shows the view of a session as a host does after a call."""

    def embed(session_id: str, name: str = "paper_status", **how: Any) -> None:
        text = source(client)["text"]
        given = {"name": name, "given": {"session_id": session_id}, "theme": "light", "page": text, **how}
        screen.evaluate(f"void embed({json.dumps(given)})")

    return embed


def source(client: LineClient) -> dict[str, Any]:
    contents: list[dict[str, Any]] = client.request("resources/read", {"uri": uri_of(client)})["result"]["contents"]
    return contents[0]


def uri_of(client: LineClient) -> str:
    listed = client.request("tools/list", {})["result"]["tools"]
    viewed = {tool["name"]: tool["_meta"] for tool in listed if "_meta" in tool}
    assert set(viewed) == {tool.name for tool in TOOLS if tool.viewed} == {"paper_status", "paper_chart"}
    (uri,) = {meta["ui"]["resourceUri"] for meta in viewed.values()}
    assert {meta["ui/resourceUri"] for meta in viewed.values()} == {uri}  # what older clients look for
    return str(uri)


def text_of(screen: Page, id: str) -> str:
    return str(screen.evaluate(f"document.getElementById('{id}').innerText", FRAME))


def test_the_page_is_a_resource_that_asks_for_no_domain_and_names_none(client: LineClient):
    contents = source(client)
    assert contents["mimeType"] == KIND
    assert contents["uri"].startswith("ui://")
    assert contents["_meta"]["ui"]["csp"] == {"connectDomains": [], "resourceDomains": []}
    assert contents["text"].startswith("<!doctype html>")
    namespace = "http://www.w3.org/2000/svg"  # a name, not an address
    assert "//" not in "".join(
        line for line in contents["text"].replace(namespace, "").splitlines() if not line.startswith("// ")
    )


def test_results_are_the_same_for_clients_that_show_no_pages(client: LineClient):
    result = client.request("tools/call", {"name": "paper_status", "arguments": {"session_id": "none"}})["result"]
    assert set(result) == {"content", "isError"}


@needs_browser
def test_a_session_is_on_screen_with_its_numbers_curve_and_trades(daemon: Daemon, screen: Page, embed: Embed):
    daemon.start_session(session_id="seen", strategy="DayTrader", timeframe="15m", feed=f"replay:{SPOT_CANDLES}")
    status = daemon.ended("seen")
    last = daemon.trades("seen")[-1]
    embed("seen")
    screen.eventually(SHOWN, FRAME)

    assert text_of(screen, "strategy") == "DayTrader"
    assert text_of(screen, "state") == "stopped"
    assert text_of(screen, "simulated") == "Simulated money"
    assert text_of(screen, "market") == "BTC-USDT · 15m · Binance Spot"
    tiles = text_of(screen, "tiles")
    assert f"\n{money(status.current_equity)}\n" in tiles
    assert f"{status.metrics.total_return:.2%}".replace("-", "−").replace("%", " %") in tiles
    assert f"\n{status.metrics.total_trades}\n" in tiles
    rows = screen.evaluate("[...document.querySelectorAll('tr')].map((row) => row.innerText)", FRAME)
    assert len(rows) == 1 + 8
    assert rows[1].startswith(last.exit_time[:16].replace("T", " "))
    assert f"\t{money(last.pnl, sign=True)}\t".replace("-", "−") in rows[1]
    # The curve spans the width, and its points are as many as the answer's.
    width = screen.evaluate("document.querySelector('.equity').getBBox().width", FRAME)
    assert width > 600
    assert screen.evaluate("document.querySelector('.equity').getAttribute('d').match(/L/g).length", FRAME) > 200
    # The frame is as high as what is in it.
    height = screen.evaluate("document.documentElement.getBoundingClientRect().height", FRAME)
    assert 0 <= screen.evaluate("frame.clientHeight") - height < 1

    screen.hover(400, 250)
    readout = screen.eventually("document.getElementById('readout')?.innerText", FRAME)
    assert readout.startswith("2024-12-")
    assert "drawdown" in readout
    light = screen.evaluate("getComputedStyle(document.body).backgroundColor", FRAME)
    screen.evaluate("tellView('ui/notifications/host-context-changed', { theme: 'dark' })")
    assert screen.eventually(
        f"getComputedStyle(document.body).backgroundColor !== '{light}' && "
        "getComputedStyle(document.documentElement).colorScheme",
        FRAME,
    ) == "dark"  # fmt: skip

    asked = screen.evaluate("heard.filter(({ method }) => method === 'tools/call').length")
    screen.evaluate("tellView('ui/resource-teardown', { reason: 'test' }, 'last')")
    assert screen.eventually("heard.find(({ id }) => id === 'last')")["result"] == {}
    assert screen.evaluate("heard.filter(({ method }) => method === 'tools/call').length") == asked
    assert screen.requests == [HOST.as_uri()]
    assert screen.complaints == []


@needs_browser
def test_a_running_session_is_kept_up_to_date_until_it_ends(daemon: Daemon, screen: Page, embed: Embed):
    daemon.start_session(
        session_id="moving", strategy="DayTrader", timeframe="15m", feed=f"replay:{SPOT_CANDLES}", speed=60 * 400.0
    )
    embed("moving")
    first = screen.eventually(SHOWN, FRAME)
    assert text_of(screen, "state") == "running"
    candle = text_of(screen, "health")
    screen.eventually(f"{SHOWN} !== '{first}'", FRAME)
    assert text_of(screen, "health") > candle
    daemon.stop_session("moving")
    screen.eventually("document.getElementById('state').innerText === 'stopped'", FRAME)
    screen.eventually(f"{SHOWN}.startsWith('Final')", FRAME)
    assert screen.requests == [HOST.as_uri()]
    assert screen.complaints == []


@needs_browser
def test_a_session_without_candles_or_trades_says_so(daemon: Daemon, screen: Page, embed: Embed):
    daemon.start_session(session_id="fresh", speed=1)
    embed("fresh")
    screen.eventually(SHOWN, FRAME)
    assert "No closed trades yet" in text_of(screen, "trades")
    assert "NaN" not in screen.evaluate("document.documentElement.outerHTML.split('<script')[0]", FRAME)
    daemon.stop_session("fresh")


@needs_browser
def test_a_failed_session_shows_why_also_where_the_host_passes_on_only_text(
    daemon: Daemon, screen: Page, embed: Embed, client: LineClient
):
    daemon.start_session(session_id="failing", speed=1)

    def only_text(params: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = client.request("tools/call", params)["result"]
        told = result.pop("structuredContent")
        if params["name"] == "paper_status":
            told |= {"status": "failed", "error": "ZeroDivisionError: division by zero"}
        return {**result, "content": [{"type": "text", "text": json.dumps(told)}]}

    screen.offer("callServer", only_text)
    screen.open(HOST)
    screen.eventually("typeof embed === 'function'")
    embed("failing")
    screen.eventually(SHOWN, FRAME)
    assert text_of(screen, "state") == "failed"
    assert text_of(screen, "problem") == "ZeroDivisionError: division by zero"
    daemon.stop_session("failing")


@needs_browser
def test_what_goes_wrong_is_said_in_words(daemon: Daemon, screen: Page, embed: Embed):
    embed("never-was", theme="dark")
    said = screen.eventually("document.getElementById('problem').innerText", FRAME)
    assert "[session_not_found]" in said
    assert not screen.evaluate("document.getElementById('session').checkVisibility()", FRAME)
    daemon.start_session(session_id="unasked", speed=1)
    embed("unasked", capable=False)
    screen.eventually("document.getElementById('problem').innerText === 'This host carries no calls.'", FRAME)
    daemon.stop_session("unasked")


@pytest.mark.slow
@needs_browser
def test_page_and_messages_fit_the_schemas_of_the_extension(
    screen: Page, embed: Embed, client: LineClient, node: dict[str, str]
):
    embed("never-was")
    screen.eventually("document.getElementById('problem').innerText", FRAME)
    screen.eventually("frame.clientHeight > 60")
    tool = next(tool for tool in client.request("tools/list", {})["result"]["tools"] if tool["name"] == "paper_status")
    told = {"tool": tool, "contents": source(client), "messages": screen.evaluate("heard")}
    done = subprocess.run(
        ["node", CLIENTS / "check_view.mjs"],
        input=json.dumps(told),
        env=node,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        "ui/initialize", "ui/notifications/initialized", "ui/notifications/size-changed",
    ]  # fmt: skip
