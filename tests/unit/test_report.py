"""The report: whole in itself, true to the metrics, safe to open."""

from __future__ import annotations

import json
import re
import subprocess
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jesse_paper.metric_definitions import DEFINITIONS
from jesse_paper.protocol import RouteMetrics
from jesse_paper.rfc3339 import to_ms
from jesse_paperd.analytics.metrics import metrics_of
from jesse_paperd.analytics.report import Subject, report_html
from jesse_paperd.analytics.report.histogram import bins_of
from jesse_paperd.analytics.report.months import monthly_returns
from jesse_paperd.records.journal import Facts, Journal, JournalReader, Outcome, Progress
from tests.support.browser import CHROMIUM, needs_browser
from tests.support.journals import BALANCE, DAY, HOUR, MINUTE, THURSDAY, Sample, SampleJournal, daily, hourly, trade


def route_row(symbol: str, strategy: str = "SMACrossover") -> RouteMetrics:
    return RouteMetrics(
        symbol=symbol, strategy=strategy, timeframe="1h", total_trades=3, win_rate=1 / 3, profit_factor=None,
        realized_pnl=-12.5, unrealized_pnl=3.25, fees_paid=1.5, exposure=0.25, contribution=-0.000925,
    )  # fmt: skip


SUBJECT = Subject(
    session_id="paper_1",
    heading="SMACrossover · BTC-USDT 1h · Binance Spot",
    status="running",
    settings={"fee": "0.100%", "strategy": "SMACrossover"},
    routes=[route_row("BTC-USDT")],
)
VOID = {"meta"}


@pytest.fixture
def journal(tmp_path):
    """Forty days with 120 trades."""
    path = BALANCE * np.exp(np.cumsum(np.random.default_rng(3).normal(0, 0.004, 40 * 24)))
    trades = [trade(n, float((-1) ** n * n), side=("long", "short")[n % 2], at=THURSDAY) for n in range(1, 121)]
    return SampleJournal(tmp_path / "j.sqlite").commit(hourly([BALANCE, *path.tolist()]), trades)


def report_of(journal: SampleJournal, subject: Subject = SUBJECT, **candles: np.ndarray) -> str:
    return report_html(journal.state(), JournalReader(journal.path), subject, candles)


class Page(HTMLParser):
    """What a page has: tags in order, attributes, its text and the text of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.scripts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif self.open and self.open[-1] != "style":
            self.text += data

    def data(self) -> dict:
        return json.loads(self.scripts[0])


def test_a_report_needs_nothing_from_anywhere(journal):
    html = report_of(journal)
    page = Page(html)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"^\s*//.*$", "", html, flags=re.M))
    assert "link" not in page.tags
    assert {name for name, _ in page.attributes}.isdisjoint({"src", "srcset", "onclick", "onload"})
    assert all(value.startswith("#") for name, value in page.attributes if name == "href")
    assert any(value.startswith("default-src 'none'") for name, value in page.attributes if name == "content")
    assert page.open == []


def test_a_report_shows_the_metrics_and_defines_each(journal):
    metrics = metrics_of(journal.state())
    page = Page(report_of(journal))
    text = page.text
    assert SUBJECT.heading in text
    assert f"{metrics.total_return:+.2%}".replace("-", "−") in text
    assert f"{metrics.max_drawdown:.2%}" in text
    assert f"{metrics.sharpe_ratio:,.2f}".replace("-", "−") in text
    for name, definition in DEFINITIONS.items():
        assert definition.text in text
        assert ("id", f"def-{name}") in page.attributes


def test_a_report_carries_the_curve_and_every_trade(journal):
    data = Page(report_of(journal)).data()
    assert data["start"] == BALANCE
    assert (data["at"][0], data["at"][-1]) == (THURSDAY, THURSDAY + 40 * DAY)
    assert len(data["at"]) == len(data["equity"]) == len(data["drawdown"]) > 900
    assert data["equity"][-1] == pytest.approx(journal.state().path.equity, rel=1e-7)
    assert [row[0] for row in data["trades"]] == [f"t{n:03d}" for n in range(1, 121)]
    assert data["prices"] == []


def test_a_report_shows_the_last_close_before_each_point(journal):
    times = THURSDAY + np.arange(40 * 1440) * MINUTE
    candles = np.column_stack((times, *[np.arange(len(times)) + 0.5] * 5))
    (route,) = Page(report_of(journal, **{"BTC-USDT": candles})).data()["prices"]
    data = Page(report_of(journal)).data()
    assert route["symbol"] == "BTC-USDT"
    assert route["closes"][0] == 0.5  # the first open
    assert route["closes"][1] == (data["at"][1] - THURSDAY) / MINUTE - 1 + 0.5


def test_a_report_of_several_routes_has_a_row_and_a_price_for_each(journal):
    times = THURSDAY + np.arange(40 * 1440) * MINUTE
    candles = {name: np.column_stack((times, *[np.full(len(times), p)] * 5)) for name, p in (("AB", 2.0), ("CB", 3.0))}
    subject = SUBJECT._replace(routes=[route_row("AB"), route_row("CB", "DayTrader")])
    page = Page(report_of(journal, subject, **candles))
    assert [(route["symbol"], route["closes"][5]) for route in page.data()["prices"]] == [("AB", 2.0), ("CB", 3.0)]
    assert re.search(r"CB\s*DayTrader 1h\s*3\s*33.33%\s*–\s*−12.50\s*3.25\s*1.50\s*25.00%\s*−0.09%", page.text)
    assert "By route" not in Page(report_of(journal)).text


HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&<!--"


def test_what_others_wrote_is_shown_as_text_and_never_run(tmp_path):
    journal = Journal(tmp_path / "j.sqlite")
    events = [(THURSDAY, "diverged", {"what": HOSTILE})]
    journal.commit(Facts(trades=[trade(1, 5.0)], events=events), Progress(), Outcome(0, "failed", HOSTILE))
    plain = SampleJournal(tmp_path / "other.sqlite")
    plain.path = tmp_path / "j.sqlite"
    subject = Subject(HOSTILE, HOSTILE, HOSTILE, {HOSTILE: HOSTILE}, [route_row(HOSTILE, HOSTILE)] * 2, HOSTILE)
    page = Page(report_of(plain, subject))
    assert page.tags.count("script") == 2
    assert "img" not in page.tags
    # The title's two; heading, session, status and notes; each route's symbol and strategy; both sides of the setting;
    # the event and the outcome.
    assert page.text.count(HOSTILE) == 14


@pytest.mark.parametrize("samples", [0, 1, 2])
def test_the_youngest_sessions_have_a_report(tmp_path, samples):
    journal = SampleJournal(tmp_path / "j.sqlite").commit(
        [Sample(THURSDAY + i * MINUTE, BALANCE) for i in range(samples)]
    )
    page = Page(report_of(journal))
    assert "No trade has been closed yet." in page.text
    assert len(page.data()["at"]) == samples


def test_the_health_history_tells_gaps_and_what_happened(tmp_path):
    journal = Journal(tmp_path / "j.sqlite")
    events = [(0, "started", {"pid": 4711}), (THURSDAY, "gap", {"minutes": 80})]
    progress = Progress("running", THURSDAY, THURSDAY, THURSDAY, 1.0, 1000, 0, 1, 80, 3, 240, 1.0)
    journal.commit(Facts(events=events), progress)
    journal = SampleJournal(tmp_path / "other.sqlite")
    journal.path = tmp_path / "j.sqlite"
    text = Page(report_of(journal)).text
    assert "1 with 80 missing minutes" in text
    assert "2026-01-01 00:00gapminutes: 80" in text
    assert "4711" not in text


def test_monthly_returns_are_those_of_calendar_months_and_multiply_to_the_whole(tmp_path):
    start = to_ms("2026-01-15T12:00:00Z")
    samples = daily([BALANCE + 10 * i for i in range(60)], start)  # to 2026-03-15T12:00
    journal = SampleJournal(tmp_path / "j.sqlite").commit(samples)
    found = monthly_returns(journal.state())
    assert [(entry.year, entry.month, entry.whole) for entry in found] == [
        (2026, 1, False), (2026, 2, True), (2026, 3, False),
    ]  # fmt: skip
    # The last sample of January is that of the 31st at noon, the 17th; of February that of the 28th, the 45th.
    assert [entry.value for entry in found] == pytest.approx([160 / 10_000, 280 / 10_160, 150 / 10_440])
    assert np.prod([1 + entry.value for entry in found]) - 1 == pytest.approx(metrics_of(journal.state()).total_return)


def test_months_of_a_ruined_session_have_no_return(tmp_path):
    samples = [Sample(THURSDAY, BALANCE), Sample(THURSDAY + HOUR, 0.0), Sample(THURSDAY + 60 * DAY, 0.0)]
    found = monthly_returns(SampleJournal(tmp_path / "j.sqlite").commit(samples).state())
    assert [entry.value for entry in found] == [-1, None, None]


def test_a_month_that_ends_with_the_last_sample_is_whole(tmp_path):
    samples = [Sample(THURSDAY, BALANCE), Sample(THURSDAY + 31 * DAY, 2 * BALANCE)]
    assert monthly_returns(SampleJournal(tmp_path / "j.sqlite").commit(samples).state()) == [(2026, 1, 1.0, True)]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-(10**7), 10**7).map(lambda n: n / 100), min_size=1, max_size=300))
def test_a_histogram_counts_each_result_once_in_bins_of_one_width_that_part_wins_from_losses(values):
    edges, counts = bins_of(np.array(values))
    assert sum(counts) == len(values)
    assert len(edges) == len(counts) + 1 <= 90
    assert 0.0 in edges
    np.testing.assert_allclose(np.diff(edges), edges[1] - edges[0], rtol=1e-6)
    losses = sum(count for edge, count in zip(edges, counts, strict=False) if edge < 0)
    assert losses == sum(value < 0 for value in values)
    assert edges[0] <= min(values)
    assert max(values) <= edges[-1] * (1 + 1e-9) or max(values) <= 0


PROBE = """
<script>
const found = { errors: [] };
addEventListener("error", (event) => found.errors.push(String(event.message)));
addEventListener("load", () => {
  const rows = () => [...document.querySelectorAll("#trades tr")].slice(1);
  const cells = (column) => rows().map((row) => row.cells[column].textContent);
  const readout = () => document.getElementById("readout").textContent;
  const press = (type, x) => {
    const { left, top } = canvas.getBoundingClientRect();
    canvas.dispatchEvent(new PointerEvent(type, { clientX: left + x, clientY: top + 50, pointerId: 1 }));
  };
  canvas.setPointerCapture = () => {};
  const painted = () => {
    const bytes = pen.getImageData(0, 0, canvas.width, canvas.height).data;
    let sum = 0;
    for (let i = 3; i < bytes.length; i += 4) sum += bytes[i] > 0;
    return sum / (bytes.length / 4);
  };
  found.painted = painted();
  found.first = cells(0);
  found.shown = document.getElementById("shown").textContent;
  document.getElementById("newer").click();
  found.second = cells(0);
  document.querySelectorAll("#trades th button")[9].click();
  found.worst = cells(9)[0];
  document.querySelectorAll("#trades th button")[9].click();
  found.best = cells(9)[0];
  found.end = readout();
  const width = canvas.clientWidth - RIGHT;
  press("pointermove", width / 4);
  found.quarter = readout();
  press("pointerdown", width / 4);
  press("pointermove", width / 2);
  press("pointerup", width / 2);
  found.zoomed = view.map((at) => (at - data.at[0]) / life);
  canvas.dispatchEvent(new MouseEvent("dblclick"));
  found.reset = view.map((at) => (at - data.at[0]) / life);
  document.querySelector('a[href="#def-sharpe_ratio"]').click();
  found.defined = document.querySelector("details").open;
  const result = document.createElement("pre");
  result.id = "found";
  result.textContent = JSON.stringify(found);
  document.body.append(result);
});
</script></body>
"""


@needs_browser
def test_a_browser_draws_the_curve_pages_and_sorts_trades_and_zooms(journal, tmp_path):
    page = tmp_path / "report.html"
    page.write_text(report_of(journal).replace("</body>", PROBE))
    dumped = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
            f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
    )  # fmt: skip
    text = re.search(r'<pre id="found">(.*?)</pre>', dumped.stdout, re.S)
    assert text, dumped.stdout[-2000:] + dumped.stderr[-2000:]
    found = json.loads(unescape(text[1]))
    assert found["errors"] == []
    assert found["painted"] > 0.02
    assert found["first"] == [f"t{n:03d}" for n in range(1, 51)]
    assert found["shown"] == "1 to 50 of 120"
    assert found["second"] == [f"t{n:03d}" for n in range(51, 101)]
    assert (found["worst"], found["best"]) == ("−119.00", "120.00")
    assert found["end"].startswith("2026-02-10 00:00 · equity ")
    assert found["quarter"].startswith("2026-01-11 00:00 · equity ")
    assert found["zoomed"] == pytest.approx([0.25, 0.5], abs=0.01)
    assert found["reset"] == [0, 1]
    assert found["defined"]
