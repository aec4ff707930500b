"""Equity and drawdown drawn with characters."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from jesse_paper import protocol as wire
from jesse_paper.figures import ticks

_HEIGHT = 25
_PIPED_WIDTH = 110
#: Rows that a plot needs to show anything, its frame and its labels included.
_LEAST = 7


def plot_equity(answer: wire.Equity) -> None:
    """Print equity above, drawdown below."""
    import click
    import plotext

    on_terminal = sys.stdout.isatty()
    width = min(_PIPED_WIDTH, (plotext.terminal_width() or _PIPED_WIDTH) if on_terminal else _PIPED_WIDTH)
    for drawn in draw_equity(answer, width, _HEIGHT):
        click.echo(drawn if on_terminal and "NO_COLOR" not in os.environ else plotext.uncolorize(drawn))


def draw_equity(answer: wire.Equity, width: int, height: int) -> list[str]:
    """Two plots as text with colours: equity, and the drawdown from its highest point in percent.

    Where there is no height for two, the drawdown is left out.
    """
    import plotext

    points = answer.equity_curve
    labels = [point.timestamp[5:16].replace("T", " ") for point in points]
    # A label takes 11 characters, and some air.
    count = max(2, min(7, width // 18))
    moments = sorted({round(i * (len(points) - 1) / (count - 1)) for i in range(count)})
    equity, drawdown = [p.equity for p in points], [-100 * p.drawdown for p in points]
    drawn = []
    lower = max(_LEAST, round(0.38 * height)) if height >= 2 * _LEAST + 1 else 0
    equity_bounds, drawdown_bounds = _bounds(equity), (min(-0.1, *drawdown), 0.0)
    # Both plots' labels have one width, so that a moment is at one place in both.
    wide = max(len(label) for bounds in (equity_bounds, drawdown_bounds) for label in _labels(bounds))
    for title, values, (low, high), rows, color in (
        (f"equity, {answer.resolution}", equity, equity_bounds, height - lower, "green"),
        ("drawdown, %", drawdown, drawdown_bounds, lower, "red"),
    ):
        if not rows:
            continue
        plotext.clear_figure()
        plotext.theme("clear")
        plotext.plot(list(range(len(points))), values, marker="braille", color=color)
        plotext.xticks(moments, [labels[i] for i in moments])
        plotext.ylim(low, high)
        steps = max(2, min(5, (rows - 3) // 2))
        heights = [low + (high - low) * i / (steps - 1) for i in range(steps)]
        plotext.yticks(heights, [label.rjust(wide) for label in _labels(heights)])
        plotext.title(title)
        plotext.plotsize(width, rows)
        drawn.append(plotext.build().rstrip("\n"))
    return drawn


def _labels(heights: Sequence[float]) -> list[str]:
    """Those of an axis, from below to above."""
    places = ticks(heights[0], heights[-1])
    return [f"{height:,.{places}f}" for height in heights]


def _bounds(values: list[float]) -> tuple[float, float]:
    """Where an axis begins and ends; a flat line is in the middle of one percent."""
    low, high = min(values), max(values)
    air = (high - low) * 0.02 or abs(high) * 0.005 or 1.0
    return low - air, high + air
