"""The view of all sessions: a table that fits the terminal, sorted as one likes, what is not well first."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.screen import Screen
from textual.widgets import DataTable, Footer, Static

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paper.figures import money
from jesse_paperd.cli.asking import ask
from jesse_paperd.cli.session_screen import REFRESH_SECONDS, SessionScreen
from jesse_paperd.terminal.printable import printable
from jesse_paperd.terminal.sessions import of_routes
from jesse_paperd.terminal.tables import Styled, change, fall, minute, plain, state, unwell

COLUMNS = (
    *("session", "strategy", "symbol", "tf", "state", "equity", "return", "drawdown", "position", "last candle"),
    *("trades", "cpu %", "MB", "exchange"),
)
_RIGHT = {"equity", "return", "drawdown", "trades", "cpu %", "MB"}
#: What a narrow terminal does without, the first to go first.
_OPTIONAL = ("exchange", "trades", "MB", "cpu %", "tf", "strategy", "last candle", "symbol", "position")
_ASK_SECONDS = 5.0
#: Of a column, both sides.
_PADDING = 2


class Usage:
    """CPU use between two looks, by process."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[float, float]] = {}

    def percent(self, row: wire.SessionRow) -> float | None:
        if row.pid is None or row.cpu_seconds is None:
            return None
        now = time.monotonic()
        before = self._seen.get(row.pid)
        self._seen[row.pid] = (now, row.cpu_seconds)
        return None if before is None else 100 * (row.cpu_seconds - before[1]) / max(0.1, now - before[0])


def sort_value(column: str, row: wire.SessionRow, cpu: float | None) -> Any:
    """What a column sorts a session by; None comes last."""
    if column == "state":
        worst_first = {"failed": 0, "restarting": 1, "stopping": 3, "starting": 3, "running": 4, "stopped": 5}
        return 2 if unwell(row.status, row.health) else worst_first[row.status]
    return {
        "session": row.session_id,
        "strategy": of_routes(row, "strategy"),
        "symbol": of_routes(row, "symbol"),
        "tf": of_routes(row, "timeframe"),
        "equity": row.current_equity,
        "return": row.total_return,
        "drawdown": row.current_drawdown,
        "position": row.position or None,
        "last candle": row.last_candle,
        "trades": row.total_trades,
        "cpu %": cpu,
        "MB": row.memory_mb,
        "exchange": row.exchange,
    }[column]


def cell(column: str, row: wire.SessionRow, cpu: float | None) -> Text:
    """A cell as people read it."""
    shown: Any = {
        "state": state(row.status, row.health, row.stop_reason),
        "equity": money(row.current_equity) if row.current_equity is not None else None,
        "return": change(row.total_return),
        "drawdown": fall(row.current_drawdown),
        "position": _position(row),
        "last candle": _last_candle(row),
        "cpu %": f"{cpu:.0f}" if cpu is not None else None,
        "MB": f"{row.memory_mb:,.0f}" if row.memory_mb is not None else None,
    }.get(column, sort_value(column, row, cpu))
    justify: Any = "right" if column in _RIGHT else "left"
    if shown is None or shown == "":
        return Text("–", style="dim", justify=justify)
    if isinstance(shown, Styled):
        return Text(printable(shown.text), style=shown.style, justify=justify)
    return Text(plain(shown), justify=justify)


def _position(row: wire.SessionRow) -> Styled | None:
    if not row.position:
        return None
    return Styled(row.position, "green" if row.position.startswith("long") else "red")


def _last_candle(row: wire.SessionRow) -> Styled | str:
    """A live session's last candle by its age, a replayed one's by its own time."""
    age = row.last_candle_age_seconds
    if age is None:
        return minute(row.last_candle)
    return Styled(f"{age:.0f} s ago" if age < 120 else f"{age / 60:,.0f} min ago", "" if age < 180 else "bold red")


class SessionTable(DataTable[Text]):
    """A table whose Enter is told of in the footer."""

    BINDINGS: ClassVar = [Binding("enter", "select_cursor", "Open")]


class TopScreen(Screen[None]):
    """All sessions.

    Args:
        everything: also those that have ended.
    """

    CSS = """
    #summary { height: 1; padding: 0 1; background: $panel; text-wrap: nowrap; text-overflow: ellipsis; }
    #nothing { padding: 1 2; display: none; color: $text-muted; }
    SessionTable { height: 1fr; }
    """
    BINDINGS: ClassVar = [
        ("s", "sort(1)", "Sort"),
        Binding("S", "sort(-1)", "Sort back", show=False),
        ("r", "reverse", "Reverse"),
        ("a", "ended", "Ended too"),
        ("q", "app.quit", "Quit"),
    ]

    def __init__(self, everything: bool) -> None:
        super().__init__()
        self._everything = everything
        self._usage = Usage()
        self._rows: list[tuple[wire.SessionRow, float | None]] = []
        self._sort = COLUMNS.index("state")
        self._reverse = False
        self._trouble = ""

    def compose(self) -> ComposeResult:
        yield Static(id="summary")
        yield SessionTable(cursor_type="row", zebra_stripes=True)
        yield Static(id="nothing")
        yield Footer()

    def on_mount(self) -> None:
        self.look()
        self.set_interval(REFRESH_SECONDS, self.look)

    def on_resize(self) -> None:
        self.show()

    def look(self) -> None:
        self.run_worker(self._ask, thread=True, exclusive=True)

    def _ask(self) -> None:
        try:
            arguments = {"active_only": not self._everything, "limit": 1000}
            sessions = ask(wire.PaperListSessions, arguments, timeout=_ASK_SECONDS).sessions
        except PaperError as error:
            # What was seen last stays in view: the sessions live on without their daemon.
            self._trouble = error.message
        else:
            self._trouble = ""
            self._rows = [(row, self._usage.percent(row)) for row in sessions]
        self.app.call_from_thread(self.show)

    def show(self) -> None:
        """Draw what is known, at the terminal's size."""
        table = self.query_one(SessionTable)
        rows = self._sorted()
        cells = [{column: cell(column, *row) for column in COLUMNS} for row in rows]
        # One more than the title, for the arrow. Given, since the table would measure later, and flicker.
        widths = {c: max([len(c) + 1, *(texts[c].cell_len for texts in cells)]) for c in COLUMNS}
        kept = self._fitting(widths)
        chosen = self._chosen()
        scroll = table.scroll_offset
        table.clear(columns=True)
        for column in kept:
            arrow = ("▼" if self._reverse else "▲") if column == COLUMNS[self._sort] else ""
            justify: Any = "right" if column in _RIGHT else "left"
            table.add_column(Text(f"{column}{arrow}", justify=justify), key=column, width=widths[column])
        for row, texts in zip(rows, cells, strict=True):
            table.add_row(*(texts[column] for column in kept), key=row[0].session_id)
        if chosen in table.rows:
            table.move_cursor(row=table.get_row_index(chosen), animate=False, scroll=False)
        table.scroll_to(scroll.x, scroll.y, animate=False)
        nothing = self.query_one("#nothing", Static)
        nothing.display, table.display = not rows, bool(rows)
        if rows and self.focused is None:
            table.focus()
        ended = "" if self._everything else "a shows sessions that have ended.   "
        nothing.update(f"No session.   {ended}jesse-paper start STRATEGY SYMBOL starts one.")
        self.query_one("#summary", Static).update(self._summary())

    def _sorted(self) -> list[tuple[wire.SessionRow, float | None]]:
        column = COLUMNS[self._sort]
        known = [row for row in self._rows if sort_value(column, *row) is not None]
        unknown = [row for row in self._rows if sort_value(column, *row) is None]
        return sorted(known, key=lambda row: sort_value(column, *row), reverse=self._reverse) + unknown

    def _fitting(self, widths: dict[str, int]) -> list[str]:
        kept = list(COLUMNS)
        for column in _OPTIONAL:
            if sum(widths[c] + _PADDING for c in kept) > self.size.width and column != COLUMNS[self._sort]:
                kept.remove(column)
        return kept

    def _chosen(self) -> str:
        table = self.query_one(SessionTable)
        if not table.row_count:
            return ""
        return str(table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value)

    def _summary(self) -> Text:
        summary = Text("jesse-paper  ", style="bold", no_wrap=True, overflow="ellipsis")
        if self._trouble:
            return summary.append(f"▲ {self._trouble}", style="bold red")
        rows = [row for row, _ in self._rows]
        for status, count in sorted(Counter(row.status for row in rows).items()):
            style = "bold red" if status in ("failed", "restarting") else "green" if status == "running" else "dim"
            summary.append(f" {count} {status} ", style=style)
        if marked := sum(unwell(row.status, row.health) for row in rows):
            summary.append(f" ▲ {marked} not well ", style="bold red")
        return summary.append(f"  by {COLUMNS[self._sort]}", style="dim")

    def action_sort(self, step: int) -> None:
        self._sort = (self._sort + step) % len(COLUMNS)
        self.show()

    def action_reverse(self) -> None:
        self._reverse = not self._reverse
        self.show()

    def action_ended(self) -> None:
        self._everything = not self._everything
        self.look()

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        column = COLUMNS.index(str(event.column_key.value))
        self._sort, self._reverse = column, not self._reverse if column == self._sort else False
        self.show()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        self.app.push_screen(SessionScreen(str(event.row_key.value), "Back"))


class Live(App[None]):
    """All sessions, or one.

    Args:
        everything: also those that have ended.
        session_id: only this one.
    """

    ENABLE_COMMAND_PALETTE = False
    # By itself textual would only say which key quits.
    BINDINGS: ClassVar = [Binding("ctrl+c", "quit", show=False, priority=True)]

    def __init__(self, everything: bool, session_id: str | None = None) -> None:
        super().__init__()
        self._first = TopScreen(everything) if session_id is None else SessionScreen(session_id, "Quit")

    def on_mount(self) -> None:
        self.push_screen(self._first)
