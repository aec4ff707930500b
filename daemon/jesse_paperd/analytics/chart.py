"""A picture of a session: price with its trades marked, equity, and the drawdown below.

The picture brings its own background, light or dark, so that it can be read wherever it is shown. Colours are told
apart by the colour-blind as well: profit is blue, loss is orange.
"""

from __future__ import annotations

import io
from datetime import UTC
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from jesse_paper.figures import money, ticks
from jesse_paperd.analytics.equity import EquityCurve, equity_curve, finest_resolution
from jesse_paperd.analytics.metrics import metrics_of
from jesse_paperd.analytics.path import Floats, Times
from jesse_paperd.analytics.track_record import TrackRecord
from jesse_paperd.core.minutes import DAY, MINUTE
from jesse_paperd.records.journal import TradeRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Theme = Literal["light", "dark"]


class Palette(NamedTuple):
    background: str
    text: str
    muted: str
    grid: str
    line: str
    profit: str
    loss: str


PALETTES: dict[Theme, Palette] = {
    "light": Palette("#ffffff", "#1b1f24", "#656d76", "#e4e7eb", "#6e7781", "#0969da", "#d1570a"),
    "dark": Palette("#0d1117", "#e6edf3", "#8d96a0", "#262c36", "#9aa4af", "#58a6ff", "#f0883e"),
}

_SIZE = (12.0, 8.0)  # inches, at 100 dots each
_COLOURS = 64  # of the picture's palette: a dozen, and the steps between them at the edges of lines and letters
_POINTS = 2000  # more could not be told apart


def chart_png(
    state: TrackRecord, title: str, candles: Floats | None = None, theme: Theme = "light", symbol: str | None = None
) -> bytes:
    """Draw a session as of its last refresh.

    Args:
        title: what is drawn, such as `SMACrossover · BTC-USDT 1h`.
        candles: the traded 1m candles in Jesse's order (timestamp, open, close, high, low, volume), or None: the
            price panel then shows the trades alone.
        symbol: the pair whose trades the price panel shows; all when None.

    Returns:
        A PNG of 1200 × 800 pixels.
    """
    # Takes half a second, and most daemons never draw. Without pyplot there is no state that threads would share.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    colours = PALETTES[theme]
    curve = equity_curve(state, finest_resolution(state, _POINTS))
    trades = [trade for trade in state.closed_trades() if symbol in (None, trade.symbol)]
    figure = Figure(figsize=_SIZE, dpi=100, facecolor=colours.background, layout="constrained")
    FigureCanvasAgg(figure)
    price, equity, drawdown = figure.subplots(3, 1, sharex=True, height_ratios=(5, 4, 2))
    for axes in (price, equity, drawdown):
        _style(axes, colours)
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.08)  # type: ignore[union-attr,call-arg]
    figure.suptitle(title, x=0.0125, ha="left", color=colours.text, fontsize=15, fontweight="bold", parse_math=False)
    _draw_price(price, candles, trades, colours)
    _label(price, f"{_summary(state)}\n\nprice    ▲ long   ▼ short   ● exit      blue: won   orange: lost", colours)
    _draw_equity(equity, curve, state.starting_balance, colours)
    _draw_drawdown(drawdown, curve, state.path.max_drawdown, colours)
    if len(curve.at) > 1:
        drawdown.set_xlim(_dates(curve.at[:1])[0], _dates(curve.at[-1:])[0])
    drawn, picture = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", facecolor=colours.background)
    # A quarter of the bytes, for no difference that can be seen: a model's context is paid by the byte.
    Image.open(drawn).convert("P", palette=Image.Palette.ADAPTIVE, colors=_COLOURS).save(picture, "PNG", optimize=True)
    return picture.getvalue()


def _summary(state: TrackRecord) -> str:
    metrics = metrics_of(state)
    parts = [
        f"return {metrics.total_return:+.2%}",
        f"max drawdown {metrics.max_drawdown:.2%}",
        f"{metrics.total_trades} trades" + ("" if metrics.win_rate is None else f", {metrics.win_rate:.0%} won"),
    ]
    if metrics.sharpe_ratio is not None:
        parts.append(f"Sharpe {metrics.sharpe_ratio:.2f} ({metrics.observations} × {metrics.returns_interval})")
    if metrics.as_of is not None:
        parts.append(f"as of {metrics.as_of[:16].replace('T', ' ')} UTC")
    return "  ·  ".join(parts)


def _style(axes: Axes, colours: Palette) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    axes.set_facecolor(colours.background)
    axes.grid(color=colours.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=colours.muted, labelsize=9.5, length=0)
    axes.spines[:].set_visible(False)
    axes.yaxis.tick_right()
    axes.margins(x=0.0)
    locator = AutoDateLocator(tz=UTC)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))  # type: ignore[no-untyped-call]


def _label(axes: Axes, text: str, colours: Palette) -> None:
    axes.set_title(text, loc="left", color=colours.muted, fontsize=10.5)


def _draw_price(axes: Axes, candles: Floats | None, trades: list[TradeRow], colours: Palette) -> None:
    from matplotlib.collections import LineCollection

    if candles is not None and len(candles):
        # Each point stands for a stretch of minutes: its range behind, its last close as the line.
        starts = np.arange(0, len(candles), max(1, -(-len(candles) // _POINTS)))
        ends = np.append(starts[1:], len(candles)) - 1
        at = _dates(candles[ends, 0].astype(np.int64) + MINUTE)
        high, low = np.maximum.reduceat(candles[:, 3], starts), np.minimum.reduceat(candles[:, 4], starts)
        axes.fill_between(at, low, high, color=colours.line, alpha=0.25, linewidth=0)
        axes.plot(at, candles[ends, 2], color=colours.line, linewidth=0.9)
    size = 46 if len(trades) <= 100 else 22 if len(trades) <= 500 else 9
    for won, colour in ((True, colours.profit), (False, colours.loss)):
        shown = [trade for trade in trades if (trade.pnl > 0) == won]
        if not shown:
            continue
        entered, left = (_dates(np.array([getattr(t, name) for t in shown])) for name in ("entry_at", "exit_at"))
        entry, exit_ = (np.array([getattr(t, name) for t in shown]) for name in ("entry_price", "exit_price"))
        ways = np.stack((np.column_stack((entered, entry)), np.column_stack((left, exit_))), axis=1)
        axes.add_collection(LineCollection(list(ways), colors=colour, linewidths=1.4, alpha=0.9))
        for side, marker in (("long", "^"), ("short", "v")):
            chosen = np.array([trade.side == side for trade in shown])
            axes.scatter(entered[chosen], entry[chosen], s=size, marker=marker, color=colour, zorder=3,
                         edgecolors=colours.background, linewidths=0.6)  # fmt: skip
        axes.scatter(left, exit_, s=size * 0.6, marker="o", color=colour, zorder=3,
                     edgecolors=colours.background, linewidths=0.6)  # fmt: skip
    axes.yaxis.set_major_formatter(f"{{x:,.{ticks(*axes.get_ylim())}f}}")


def _draw_equity(axes: Axes, curve: EquityCurve, starting_balance: float, colours: Palette) -> None:
    at = _dates(curve.at)
    axes.axhline(starting_balance, color=colours.muted, linewidth=1, linestyle=(0, (4, 4)))
    axes.plot(at, curve.equity, color=colours.profit, linewidth=1.5)
    for above, colour in ((True, colours.profit), (False, colours.loss)):
        side = curve.equity >= starting_balance if above else curve.equity <= starting_balance
        axes.fill_between(at, curve.equity, starting_balance, where=side.tolist(), color=colour, alpha=0.15,
                          linewidth=0, interpolate=True)  # fmt: skip
    last = f" {money(curve.equity[-1])}" if len(at) else ""
    _label(axes, f"equity{last}    from {money(starting_balance)}", colours)
    axes.yaxis.set_major_formatter(f"{{x:,.{ticks(*axes.get_ylim())}f}}")


def _draw_drawdown(axes: Axes, curve: EquityCurve, deepest: float, colours: Palette) -> None:
    axes.fill_between(_dates(curve.at), -curve.drawdown, 0, color=colours.loss, alpha=0.55, linewidth=0)
    axes.set_ylim(-max(deepest * 1.08, 1e-4), 0)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.1%}" if deepest < 0.1 else f"{value:.0%}")
    _label(axes, f"drawdown    deepest {deepest:.2%}", colours)


def _dates(at: Times) -> Any:
    """Matplotlib's dates: days since 1970 as floats."""
    return at / DAY
