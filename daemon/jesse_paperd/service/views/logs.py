"""What happened to a session: log lines, events, ends of its processes."""

from __future__ import annotations

import msgspec

from jesse_paper import protocol as wire
from jesse_paper.rfc3339 import to_text
from jesse_paperd.records.record import Record
from jesse_paperd.service.process_view import ProcessView
from jesse_paperd.service.session_data import SessionData


def logs(data: SessionData, record: Record, view: ProcessView, body: wire.PaperGetLogs) -> wire.Logs:
    levels = () if body.level == "all" else ("error", "stderr")
    with data.read(record) as journal:
        rows = journal.reader.logs(body.after, body.limit, levels)
    lines = [wire.LogLine(seq=seq, at=to_text(at), level=lvl, message=text) for seq, at, lvl, text in rows]
    last = lines[-1].seq if lines else body.after or 0
    return wire.Logs(session_id=record.session_id, lines=lines, next_after=last, process_ends=process_ends(view))


def events(data: SessionData, record: Record, view: ProcessView, body: wire.PaperGetEvents) -> wire.Events:
    with data.read(record) as journal:
        rows = journal.reader.events(body.after, body.limit)
    events = [
        wire.Event(seq=seq, at=to_text(at), event=kind, detail=msgspec.json.decode(detail))
        for seq, at, kind, detail in rows
    ]
    return wire.Events(
        session_id=record.session_id,
        events=events,
        next_after=events[-1].seq if events else body.after,
        process_ends=process_ends(view),
    )


def process_ends(view: ProcessView) -> list[wire.ProcessEnd]:
    return [wire.ProcessEnd(at=to_text(e.at), pid=e.pid, status=e.status, reason=e.reason) for e in view.ends]
