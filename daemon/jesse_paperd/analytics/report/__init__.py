"""A session as one HTML file that needs no network: to open, keep, print and send.

`report_html` is all there is to call. page.html, page.css and page.js are the page's frame, look and behaviour;
sections.py writes what needs no script, page.js draws the curves and pages through the trades.
"""

from __future__ import annotations

from html import escape
from importlib import resources

import msgspec
import numpy as np

from jesse_paperd.analytics.equity import equity_curve, finest_resolution
from jesse_paperd.analytics.metrics import metrics_of
from jesse_paperd.analytics.path import Floats, Times
from jesse_paperd.analytics.report import sections
from jesse_paperd.analytics.report.subject import Subject
from jesse_paperd.analytics.track_record import TrackRecord
from jesse_paperd.analytics.trades import trade_of
from jesse_paperd.core.minutes import MINUTE
from jesse_paperd.records.journal import JournalReader, TradeRow

__all__ = ["Subject", "report_html"]

_POINTS = 4000  # enough to zoom into, in a file of some hundred kilobytes


def report_html(state: TrackRecord, reader: JournalReader, subject: Subject, candles: Floats | None = None) -> str:
    """The report as of the state's last refresh.

    Args:
        reader: the session's journal, for its events.
        subject: what the journal does not know of the session.
        candles: the traded 1m candles in Jesse's order (timestamp, open, close, high, low, volume), to show the price.
    """
    metrics = metrics_of(state)
    trades = state.closed_trades()
    parts = {
        "title": escape(f"{subject.session_id}: {subject.heading}"),
        "style": _file("page.css"),
        "head": sections.head(subject, metrics),
        "cards": sections.cards(metrics),
        "months": sections.months(state),
        "results": sections.results(trades),
        "groups": sections.groups(trades),
        "metrics": sections.all_metrics(metrics),
        "settings": sections.settings(subject),
        "health": sections.health(reader),
        "definitions": sections.definitions(),
        "data": _embedded(_curves(state, candles) | {"trades": [_row(trade) for trade in trades]}),
        "script": _file("page.js"),
    }
    before, *rest = _file("page.html").split("<!-- part: ")
    pages = [before]
    for piece in rest:
        name, _, after = piece.partition(" -->")
        pages += [parts[name], after]
    return "".join(pages)


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _embedded(value: object) -> str:
    """JSON that cannot end the script element it stands in."""
    return msgspec.json.encode(value).decode().replace("<", "\\u003c")


def _curves(state: TrackRecord, candles: Floats | None) -> dict[str, object]:
    curve = equity_curve(state, finest_resolution(state, _POINTS))
    return {
        "start": state.starting_balance,
        "at": curve.at.tolist(),
        "equity": _short(curve.equity),
        "drawdown": _short(curve.drawdown),
        "price": [] if candles is None else _short(_closes(candles, curve.at)),
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
        trade.max_adverse_excursion, trade.max_favorable_excursion,
    ]  # fmt: skip
