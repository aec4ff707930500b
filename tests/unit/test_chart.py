"""Charts, by their pixels."""

from __future__ import annotations

import io

import matplotlib.style
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from jesse_paperd.analytics.chart import PALETTES, chart_png
from tests.support.journals import BALANCE, DAY, MINUTE, THURSDAY, Sample, SampleJournal, trade

MINUTES = 600


@pytest.fixture(autouse=True)
def _as_in_the_daemon():
    """Matplotlib's own settings: a library of another test changes them for the whole process."""
    with matplotlib.style.context("default"):
        yield


@pytest.fixture
def journal(tmp_path):
    """Ten hours of a rise and a fall, with trades of both outcomes and sides."""
    equities = BALANCE + 80 * np.sin(np.arange(MINUTES) / 95)
    samples = [Sample(THURSDAY + i * MINUTE, float(equity), 0.0, True) for i, equity in enumerate(equities)]
    samples[0] = Sample(THURSDAY, BALANCE)
    trades = [
        trade(n, pnl=pnl, side=side, at=THURSDAY + 18 * n * MINUTE)
        for n, (pnl, side) in enumerate([(9.0, "long"), (-9.0, "long"), (5.0, "short"), (-5.0, "short")], start=1)
    ]
    return SampleJournal(tmp_path / "j.sqlite").commit(samples, trades)


@pytest.fixture
def candles():
    close = 1000 + 10 * np.cos(np.arange(MINUTES) / 50)
    times = THURSDAY + np.arange(MINUTES) * MINUTE
    return np.column_stack((times, close, close, close + 1, close - 1, np.ones(MINUTES)))


def pixels(png: bytes) -> np.ndarray:
    return imread(io.BytesIO(png), format="png")[:, :, :3]


def has(picture: np.ndarray, colour: str) -> bool:
    return bool((np.abs(picture - to_rgb(colour)) < 0.02).all(axis=2).sum() >= 20)


@pytest.mark.parametrize("theme", PALETTES)
def test_a_chart_brings_its_background_and_shows_what_was_won_and_lost(journal, candles, theme):
    picture = pixels(chart_png(journal.state(), "SMACrossover · BTC-USDT 1h", candles, theme))
    assert picture.shape == (800, 1200, 3)
    palette = PALETTES[theme]
    corners = picture[[0, 0, -1, -1], [0, -1, 0, -1]]
    np.testing.assert_allclose(corners, [to_rgb(palette.background)] * 4, atol=0.01)
    assert has(picture, palette.profit)
    assert has(picture, palette.loss)
    assert has(picture, palette.text)


@pytest.mark.parametrize("theme", PALETTES)
def test_text_and_lines_stand_out_as_accessibility_guidelines_ask(theme):
    """WCAG 2.1: a contrast of 4.5 for text, 3 for graphics."""

    def luminance(colour: str) -> float:
        channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        return 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]

    def contrast(a: str, b: str) -> float:
        light, dark = sorted((luminance(a), luminance(b)), reverse=True)
        return (light + 0.05) / (dark + 0.05)

    palette = PALETTES[theme]
    for colour in (palette.text, palette.muted):
        assert contrast(colour, palette.background) >= 4.5
    for colour in (palette.line, palette.profit, palette.loss):
        assert contrast(colour, palette.background) >= 3


def test_trades_are_drawn_where_and_when_they_were(journal, candles):
    with_trades = pixels(chart_png(journal.state(), "x", candles))
    bare = SampleJournal(journal.path.with_name("bare.sqlite")).commit(
        [Sample(at, equity, 0.0, True) for at, _, _, equity, _, _ in journal.state().runs(after=0)]
    )
    without = pixels(chart_png(bare.state(), "x", candles))
    changed = (np.abs(with_trades - without).max(axis=2) > 0.1)[100:, :]  # below the headings
    columns = np.flatnonzero(changed.any(axis=0))
    # The first enters at minute 20 and the last leaves at minute 81 of 600.
    left, right = (columns[0] - 15) / 1110, (columns[-1] - 15) / 1110
    assert left == pytest.approx(20 / 599, abs=0.02)
    assert right == pytest.approx(81 / 599, abs=0.02)
    assert not changed[300:].any()  # in the price panel alone


@pytest.mark.parametrize("samples", [0, 1, 2])
def test_the_youngest_sessions_have_a_chart(tmp_path, samples):
    journal = SampleJournal(tmp_path / "j.sqlite").commit(
        [Sample(THURSDAY + i * MINUTE, BALANCE) for i in range(samples)]
    )
    assert pixels(chart_png(journal.state(), "young $x$ _y_")).shape == (800, 1200, 3)


def test_a_year_with_thousands_of_trades_has_a_chart_of_a_size_that_can_be_sent(tmp_path):
    rng = np.random.default_rng(5)
    equities = BALANCE * np.exp(np.cumsum(rng.normal(0, 0.002, 365 * 24)))
    samples = [Sample(THURSDAY, BALANCE)]
    samples += [Sample(THURSDAY + (i + 1) * 60 * MINUTE, float(equity)) for i, equity in enumerate(equities)]
    trades = [trade(n, float(pnl), at=THURSDAY) for n, pnl in enumerate(rng.normal(0, 9, 5000), start=1)]
    png = chart_png(SampleJournal(tmp_path / "j.sqlite").commit(samples, trades).state(), "a year")
    assert samples[-1].at - THURSDAY == 365 * DAY
    assert len(png) < 400_000
