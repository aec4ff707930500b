"""What a client can attach to a conversation: the list of sessions, and a session as a report or as tables.

paper://sessions                     all sessions, a line each
paper://sessions/{id}                a short report
paper://sessions/{id}/trades.csv     every closed trade
paper://sessions/{id}/equity.csv     the equity curve
ui://jesse-paper/session             the page that shows a session (view.py); tools name it, so it is not listed
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from jesse_paper import protocol as p
from jesse_paper.errors import PaperError
from jesse_paper.validation import parse
from jesse_paper_mcp import report, view
from jesse_paper_mcp.jsonrpc import INTERNAL_ERROR, RESOURCE_NOT_FOUND, Rejected

JSON = dict[str, Any]
#: Puts an operation to the daemon.
Ask = Callable[[p.Operation], Any]
OperationT = TypeVar("OperationT", bound=p.Operation)

SESSIONS = "paper://sessions"
#: Sessions that are offered by name; older ones are read by the template.
OFFERED = 50
PAGE = 1000
#: No client shows more; the CLI exports whole curves.
POINTS = 10_000

TEMPLATES = (
    ("paper://sessions/{id}", "Session report", "text/markdown", "How a paper trading session is doing, for people."),
    ("paper://sessions/{id}/trades.csv", "Trades", "text/csv", "Every closed trade of a paper trading session."),
    (
        "paper://sessions/{id}/equity.csv",
        "Equity curve",
        "text/csv",
        f"Hourly equity of a paper trading session, its newest {POINTS:,} points.",
    ),
)


def listing(ask: Ask) -> JSON:
    """The result of `resources/list`. Without a daemon it is the list of sessions alone."""
    found = [
        {
            "uri": SESSIONS,
            "name": "sessions",
            "title": "Sessions",
            "mimeType": "text/markdown",
            "description": "All paper trading sessions, running and ended.",
        }
    ]
    try:
        sessions: p.Sessions = ask(p.PaperListSessions(active_only=False))
    except PaperError:
        return {"resources": found}
    found += [
        {
            "uri": f"{SESSIONS}/{row.session_id}",
            "name": row.session_id,
            "title": f"{_traded(row)} ({row.status})",
            "mimeType": "text/markdown",
        }
        for row in sessions.sessions[:OFFERED]
    ]
    return {"resources": found}


def _traded(row: p.SessionRow) -> str:
    return f"{len(row.routes)} routes on {row.market}" if row.routes else f"{row.strategy} on {row.symbol}"


def templates() -> JSON:
    """The result of `resources/templates/list`."""
    return {
        "resourceTemplates": [
            {"uriTemplate": uri, "name": uri.rpartition("/")[2], "title": title, "mimeType": kind, "description": text}
            for uri, title, kind, text in TEMPLATES
        ]
    }


def read(uri: str, ask: Ask) -> JSON:
    """The result of `resources/read`.

    Raises:
        Rejected: there is no such resource, or the daemon cannot say.
    """
    if uri == view.URI:
        return {"contents": [view.contents()]}
    prefix, _, rest = uri.rstrip("/").partition(SESSIONS)
    session_id, _, part = rest.removeprefix("/").partition("/")
    readers: dict[str, tuple[str, Callable[[str, Ask], str]]] = {
        "": ("text/markdown", _report),
        "trades.csv": ("text/csv", _trades),
        "equity.csv": ("text/csv", _equity),
    }
    if prefix or part not in readers or (rest and not rest.startswith("/")):
        known = ", ".join((SESSIONS, *(template[0] for template in TEMPLATES)))
        raise Rejected(RESOURCE_NOT_FOUND, f"Unknown resource: {uri[:200]}. Those that exist are {known}.")
    kind, reader = readers[part]
    try:
        text = (
            reader(session_id, ask) if session_id else report.of_sessions(ask(p.PaperListSessions(active_only=False)))
        )
    except PaperError as error:
        missing = error.code in ("session_not_found", "invalid_argument")
        raise Rejected(
            RESOURCE_NOT_FOUND if missing else INTERNAL_ERROR, f"{error.message} {error.hint} [{error.code}]"
        ) from error
    return {"contents": [{"uri": uri, "mimeType": kind, "text": text}]}


def _of(cls: type[OperationT], session_id: str, **arguments: Any) -> OperationT:
    return parse(cls, {"session_id": session_id, **arguments})


def _report(session_id: str, ask: Ask) -> str:
    return report.of_session(ask(_of(p.PaperStatus, session_id)))


def _trades(session_id: str, ask: Ask) -> str:
    rows: list[p.Trade] = []
    total = 1
    while len(rows) < total:
        page: p.Trades = ask(_of(p.PaperGetTrades, session_id, limit=PAGE, offset=len(rows)))
        rows += page.trades
        total = page.total_trades if page.trades else 0
    return _csv(p.Trade, rows)


def _equity(session_id: str, ask: Ask) -> str:
    curve: p.Equity = ask(_of(p.PaperGetEquity, session_id, resolution="1h", max_points=POINTS))
    return _csv(p.EquityPoint, curve.equity_curve)


def _csv(cls: type[msgspec.Struct], rows: Iterable[msgspec.Struct]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(cls.__struct_fields__)
    for row in rows:
        writer.writerow(" ".join(value) if isinstance(value, list) else value for value in msgspec.structs.astuple(row))
    return text.getvalue()
