"""A session as one HTML file that needs no network: to open, keep, print and send.

`report_html` is all there is to call. page.html, a Jinja template, is the page without its script, page.css its look;
page.js draws the curves and pages through the trades.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from importlib import resources

import msgspec
import numpy as np
from jinja2 import Environment, StrictUndefined, Template

from jesse_paper.figures import money, or_dash
from jesse_paper.metric_definitions import DEFINITIONS, REASONS, VERSION
from jesse_paper.rfc3339 import to_text
from jesse_paperd.analytics.equity import equity_curve, finest_resolution
from jesse_paperd.analytics.metrics import metrics_of
from jesse_paperd.analytics.path import Floats, Times
from jesse_paperd.analytics.report.histogram import histogram_of
from jesse_paperd.analytics.report.months import MONTH_NAMES, years_of
from jesse_paperd.analytics.report.subject import Subject
from jesse_paperd.analytics.tally import TradeTally
from jesse_paperd.analytics.track_record import TrackRecord
from jesse_paperd.analytics.trades import trade_of
from jesse_paperd.core.minutes import MINUTE
from jesse_paperd.records.journal import JournalReader, TradeRow

__all__ = ["Subject", "report_html"]

_POINTS = 4000  # enough to zoom into, in a file of some hundred kilobytes


def report_html(track: TrackRecord, reader: JournalReader, subject: Subject, candles: Mapping[str, Floats]) -> str:
    """The report as of the track record's last refresh.

    Args:
        reader: the session's journal, for its events.
        subject: what the journal does not know of the session.
        candles: 1m candles by symbol in Jesse's order (timestamp, open, close, high, low, volume), to show the price
            of each route; without them no price is shown.
    """
    trades = track.closed_trades()
    return _page().render(
        subject=subject,
        metrics=msgspec.structs.asdict(metrics_of(track)),
        years=years_of(track),
        month_names=MONTH_NAMES,
        histogram=histogram_of(trades),
        groups=_groups(trades),
        health=_health(reader),
        events=_events(reader),
        definitions=DEFINITIONS,
        definitions_version=VERSION,
        reasons=REASONS,
        style=_file("page.css"),
        script=_file("page.js"),
        data=_embedded(_curves(track, subject, candles) | {"trades": [_row(trade) for trade in trades]}),
    )


@functools.cache
def _page() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(
        money=lambda value: _shown(value, money),
        number=lambda value: _shown(value, "{:,.2f}".format),
        percent=lambda value, signed=False: _shown(value, ("{:+.2%}" if signed else "{:.2%}").format),
        count="{:,}".format,
        sign=lambda value: "plain" if not value else "up" if value > 0 else "down",
        clock=lambda time: time[:16].replace("T", " "),
        words=lambda name: name.replace("_", " "),
    )
    return environment.from_string(_file("page.html"))


def _shown(value: float | None, shape: Callable[[float], str]) -> str:
    """A number with a proper minus sign; a dash for one that is undefined."""
    return or_dash(value, shape).replace("-", "−")


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _embedded(value: object) -> str:
    """JSON that cannot end the script element it stands in."""
    return msgspec.json.encode(value).decode().replace("<", "\\u003c")


def _groups(trades: Sequence[TradeRow]) -> list[tuple[str, TradeTally]]:
    """The trades by side, then by reason of exit."""
    found = []
    for attribute in ("side", "exit_reason"):
        for value in sorted({getattr(trade, attribute) for trade in trades}):
            tally = TradeTally()
            for trade in trades:
                if getattr(trade, attribute) == value:
                    tally.add(trade)
            found.append((value, tally))
    return found


def _health(reader: JournalReader) -> list[tuple[str, str]]:
    """What the journal says of its own completeness, in words."""
    progress, outcome = reader.progress(), reader.outcome()
    facts: list[tuple[str, str]] = []
    if progress is not None:
        facts += [
            ("candles traded", f"{progress.candles:,}"),
            ("gaps", f"{progress.gaps:,} with {progress.missing:,} missing minutes"),
            ("decisions missed for a missing minute", f"{progress.missed_decisions:,}"),
            ("warm-up minutes", f"{progress.warmup:,}"),
        ]
    if outcome is not None:
        facts.append(("ended", f"{outcome.reason.replace('_', ' ')}{': ' + outcome.error if outcome.error else ''}"))
    return facts


def _events(reader: JournalReader) -> list[tuple[str, str, str]]:
    """Time, kind and detail of each event, without the process that it was: that says nothing to a reader elsewhere."""
    events = []
    for _, at, kind, text in reader.events():
        details = msgspec.json.decode(text, type=dict[str, object])
        told = ", ".join(f"{name}: {value}" for name, value in details.items() if name != "pid")
        events.append((to_text(at) if at else "", kind, told))
    return events


def _curves(track: TrackRecord, subject: Subject, candles: Mapping[str, Floats]) -> dict[str, object]:
    curve = equity_curve(track, finest_resolution(track, _POINTS))
    traded = [route.symbol for route in subject.routes if len(candles.get(route.symbol, ()))]
    return {
        "start": track.starting_balance,
        "at": curve.at.tolist(),
        "equity": _short(curve.equity),
        "drawdown": _short(curve.drawdown),
        "prices": [{"symbol": symbol, "closes": _short(_closes(candles[symbol], curve.at))} for symbol in traded],
    }


def _closes(candles: Floats, at: Times) -> Floats:
    """The last close at or before each time; before the first close, the first open."""
    closed_at = candles[:, 0] + MINUTE
    index = np.searchsorted(closed_at, at, side="right") - 1
    return np.where(index >= 0, candles[index, 2], candles[0, 1])


def _short(values: Floats) -> list[float]:
    """Eight digits: more than a pixel, half the bytes."""
    return [float(f"{value:.8g}") for value in values.tolist()]


def _row(row: TradeRow) -> list[object]:
    trade = trade_of(row)
    return [
        trade.trade_id, trade.side, row.entry_at, row.exit_at, trade.entry_price, trade.exit_price, trade.size,
        trade.pnl, trade.pnl_pct, trade.fees, trade.duration_minutes, trade.exit_reason.replace("_", " "),
        trade.max_adverse_excursion, trade.max_favorable_excursion, trade.symbol,
    ]  # fmt: skip
