"""The parts of a report that need no script, as HTML."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

import msgspec
import numpy as np

from jesse_paper.figures import money
from jesse_paper.metric_definitions import DEFINITIONS, REASONS, VERSION
from jesse_paper.protocol import Metrics
from jesse_paper.rfc3339 import to_text
from jesse_paperd.analytics.path import Floats
from jesse_paperd.analytics.report.months import monthly_returns
from jesse_paperd.analytics.report.subject import Subject
from jesse_paperd.analytics.tally import TradeTally
from jesse_paperd.analytics.track_record import Performance
from jesse_paperd.records.journal import JournalReader, TradeRow

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def head(subject: Subject, metrics: Metrics) -> str:
    as_of = f"as of {_time(metrics.as_of)} UTC" if metrics.as_of else "no candle yet"
    notes = f"<p class=notes>{escape(subject.notes)}</p>" if subject.notes else ""
    return (
        f"<h1>{escape(subject.heading)}</h1>"
        f"<p class=muted>{escape(subject.session_id)} · <b>{escape(subject.status)}</b> · {as_of} · "
        f"paper trading: real candles, simulated money</p>{notes}"
    )


def cards(metrics: Metrics) -> str:
    """The numbers one looks at first."""
    ratio = f"{metrics.observations} returns of {metrics.returns_interval}"
    shown = [
        ("Return", _percent(metrics.total_return, signed=True), f"equity {_money(metrics.current_equity)}",
         metrics.total_return),
        ("Max drawdown", _percent(metrics.max_drawdown), f"now {_percent(metrics.current_drawdown)}", None),
        ("Trades", f"{metrics.total_trades:,}", f"{_percent(metrics.win_rate)} won", None),
        ("Profit factor", _number(metrics.profit_factor), f"average trade {_money(metrics.avg_trade)}", None),
        ("Sharpe", _number(metrics.sharpe_ratio), ratio, None),
        ("Sortino", _number(metrics.sortino_ratio), ratio, None),
        ("Fees", _money(metrics.fees_paid), f"realized {_money(metrics.realized_pnl)}", None),
        ("Exposure", _percent(metrics.exposure), "of the time in a position", None),
    ]  # fmt: skip
    return "".join(
        f"<div class=card><span>{name}</span><b class={_sign(sign)}>{value}</b><span>{below}</span></div>"
        for name, value, below, sign in shown
    )


def months(standing: Performance) -> str:
    """A row a year, a column a month, and the year's own return; incomplete months are marked."""
    found = {(entry.year, entry.month): entry for entry in monthly_returns(standing)}
    if not found:
        return "<p class=muted>Nothing yet.</p>"
    largest = max((abs(entry.value) for entry in found.values() if entry.value is not None), default=0) or 1
    rows = []
    for year in sorted({year for year, _ in found}):
        cells, growth = [], 1.0
        for month in range(1, 13):
            entry = found.get((year, month))
            if entry is None or entry.value is None:
                cells.append("<td></td>")
                continue
            growth *= 1 + entry.value
            weight = 8 + round(34 * abs(entry.value) / largest)
            part = "" if entry.whole else "<sup>*</sup>"
            cells.append(
                f'<td class="heat {_sign(entry.value)}" style="--weight:{weight}%">'
                f"{_percent(entry.value, signed=True)}{part}</td>"
            )
        total = f"<td class={_sign(growth - 1)}><b>{_percent(growth - 1, signed=True)}</b></td>"
        rows.append(f"<tr><th scope=row>{year}</th>{''.join(cells)}{total}</tr>")
    header = "".join(f"<th scope=col>{name}</th>" for name in ("", *_MONTHS, "Year"))
    table = f"<div class=scroll><table class=numbers><tr>{header}</tr>{''.join(rows)}</table></div>"
    return table + "<p class=muted>* the session ran for a part of this month only.</p>"


def results(trades: Sequence[TradeRow]) -> str:
    """A histogram of net results, drawn to scale, with a bin's edge at zero."""
    if not trades:
        return "<p class=muted>No trade has been closed yet.</p>"
    edges, counts = histogram(np.array([trade.pnl for trade in trades]))
    width, height, top = 720, 200, max(counts)
    step = width / len(counts)
    bars = []
    for i, count in enumerate(counts):
        tall = height * count / top
        label = f"{_money(edges[i])} to {_money(edges[i + 1])}: {count} trade{'s' if count != 1 else ''}"
        bars.append(
            f'<rect x="{i * step + 1:.1f}" y="{height - tall:.1f}" width="{step - 2:.1f}" height="{tall:.1f}" '
            f'class="{"up" if edges[i] >= 0 else "down"}"><title>{label}</title></rect>'
        )
    ticks = []
    for i in sorted({0, len(counts), *(i for i, edge in enumerate(edges) if edge == 0)}):
        anchor = "start" if i == 0 else "end" if i == len(counts) else "middle"
        ticks.append(f'<text x="{i * step:.1f}" y="{height + 18}" text-anchor="{anchor}">{_money(edges[i])}</text>')
    return (
        f'<svg class=histogram viewBox="0 0 {width} {height + 26}" role=img aria-label="Histogram of trade results">'
        f"{''.join(bars)}<line x1=0 y1={height} x2={width} y2={height} />{''.join(ticks)}</svg>"
        f"<p class=muted>Net result of a trade in the quote currency; the tallest bar is {top} "
        f"trade{'s' if top != 1 else ''}.</p>"
    )


def histogram(values: Floats) -> tuple[list[float], list[int]]:
    """Edges and counts of bins of one round width, an edge at zero. A value on an edge belongs to the bin above."""
    spread = max(float(values.max()), 0.0) - min(float(values.min()), 0.0) or 1.0
    wanted = spread / min(40, max(8, math.isqrt(len(values)) * 2))
    power = 10.0 ** math.floor(math.log10(wanted))
    width = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= wanted * (1 - 1e-9))
    bins = np.floor(values / width).astype(np.int64)
    low, high = min(int(bins.min()), 0), max(int(bins.max()) + 1, 0)
    counts = np.bincount(bins - low, minlength=high - low)
    return [i * width for i in range(low, high + 1)], counts.tolist()


def groups(trades: Sequence[TradeRow]) -> str:
    """Trades by side and by reason of exit."""
    if not trades:
        return ""
    rows = []
    for attribute in ("side", "exit_reason"):
        for value in sorted({getattr(trade, attribute) for trade in trades}):
            tally = TradeTally()
            for trade in trades:
                if getattr(trade, attribute) == value:
                    tally.add(trade)
            factor = _number(tally.gross_profit / tally.gross_loss) if tally.gross_loss else "–"
            rows.append(
                f"<tr><th scope=row>{escape(value.replace('_', ' '))}</th><td>{tally.count:,}</td>"
                f"<td>{_percent(tally.wins / tally.count)}</td><td>{factor}</td>"
                f"<td>{_money(tally.realized_pnl / tally.count)}</td>"
                f"<td class={_sign(tally.realized_pnl)}>{_money(tally.realized_pnl)}</td></tr>"
            )
    header = "<tr><th></th><th>trades</th><th>won</th><th>profit factor</th><th>average</th><th>net result</th></tr>"
    return f"<div class=scroll><table class=numbers>{header}{''.join(rows)}</table></div>"


def all_metrics(metrics: Metrics) -> str:
    """Every field of the reply, with the reason where it has no value."""
    rows = []
    for name, definition in DEFINITIONS.items():
        if name == "undefined":
            continue
        value = getattr(metrics, name)
        if value is None:
            shown = f"– <span class=muted>{escape(REASONS.get(metrics.undefined.get(name, ''), ''))}</span>"
        elif definition.unit == "money":
            shown = _money(value)
        elif definition.unit == "fraction":
            shown = _percent(value)
        elif definition.unit in ("ratio", "hours"):
            shown = _number(value)
        else:
            shown = escape(str(value))
        rows.append(f"<tr><th scope=row><a href=#def-{name}>{name}</a></th><td>{shown}</td></tr>")
    return f"<table class=pairs>{''.join(rows)}</table>"


def settings(subject: Subject) -> str:
    return _pairs(subject.settings.items())


def health(reader: JournalReader) -> str:
    """What the journal says of its own completeness, and what happened to the session."""
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
    rows = "".join(
        f"<tr><td>{_time(to_text(at)) if at else '–'}</td><td>{escape(kind.replace('_', ' '))}</td>"
        f"<td>{escape(_detail(detail))}</td></tr>"
        for _, at, kind, detail in reader.events()
    )
    events = (
        f"<table><tr><th>market time, UTC</th><th>event</th><th></th></tr>{rows}</table>"
        if rows
        else "<p class=muted>No events.</p>"
    )
    return f"{_pairs(facts)}<div class=scroll>{events}</div>"


def definitions() -> str:
    rows = "".join(
        f"<tr id=def-{name}><th scope=row>{name}</th><td>{escape(definition.text)}"
        f"{' <span class=muted>null: ' + ', '.join(definition.undefined) + '</span>' if definition.undefined else ''}"
        "</td></tr>"
        for name, definition in DEFINITIONS.items()
    )
    return (
        f"<p class=muted>Version {VERSION}. r are simple returns of equity from one interval's end to the next (UTC), "
        f"n their number. Losses and drawdowns are positive.</p><table class=pairs>{rows}</table>"
    )


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    rows = "".join(f"<tr><th scope=row>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in pairs)
    return f"<table class=pairs>{rows}</table>"


def _detail(text: str) -> str:
    """An event's details, without the process that it was: that says nothing to a reader elsewhere."""
    details = msgspec.json.decode(text, type=dict[str, object])
    return ", ".join(f"{name}: {value}" for name, value in details.items() if name != "pid")


def _time(text: str) -> str:
    return text[:16].replace("T", " ")


def _sign(value: float | None) -> str:
    return "plain" if not value else "up" if value > 0 else "down"


def _money(value: float | None) -> str:
    return "–" if value is None else money(value).replace("-", "−")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.2f}".replace("-", "−")


def _percent(value: float | None, signed: bool = False) -> str:
    if value is None:
        return "–"
    return (f"{value:+.2%}" if signed else f"{value:.2%}").replace("-", "−")
