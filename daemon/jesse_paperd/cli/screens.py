"""top and watch: live, full-screen views of all sessions and of one."""

from __future__ import annotations

import time
from typing import Any, ClassVar

import click
from rich.text import Text

from jesse_paperd.cli.asking import ask, percent
from jesse_paperd.cli.results import draw_equity, minute
from jesse_paperd.wire import protocol as wire
from jesse_paperd.wire.errors import PaperError

_REFRESH_SECONDS = 1.0
_GOOD = ("ok", "ended", "warming_up")


def _textual() -> Any:
    """textual, which takes 0.3 s to import and which only these two commands need.

    Raises:
        PaperError: `invalid_argument` when it is not installed.
    """
    try:
        import textual.app
        import textual.widgets
    except ModuleNotFoundError as error:
        raise PaperError("invalid_argument", "top and watch need textual", "pip install 'jesse-paper[tui]'") from error
    return textual


@click.command()
@click.option("--all", "everything", is_flag=True, help="Also show sessions that have ended.")
def top(everything: bool) -> None:
    """Watch all sessions live: s sorts by the next column, Enter opens one, q leaves."""
    _app(None, everything).run()


@click.command()
@click.argument("session_id", metavar="SESSION")
def watch(session_id: str) -> None:
    """Watch SESSION live: equity, drawdown, positions, last events; q leaves."""
    ask(wire.PaperStatus, {"session_id": session_id})
    _app(session_id, True).run()


COLUMNS = (
    *("session", "strategy", "market", "tf", "state", "health", "equity", "return", "drawdown", "trades"),
    *("position", "last candle", "cpu %", "MB"),
)


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


def cells(row: wire.SessionRow, cpu: float | None) -> list[Any]:
    """A session's line, as values to sort by."""
    return [
        *(row.session_id, row.strategy, f"{row.exchange} {row.symbol}", row.timeframe, row.status, row.health),
        *(row.current_equity, row.total_return, row.current_drawdown, row.total_trades),
        *(row.position or "flat", row.last_candle, cpu, row.memory_mb),
    ]


def shown(column: str, value: Any) -> Text:
    """A cell as people read it."""
    if value is None or value == "":
        return Text("–", style="dim")
    if column in ("return", "drawdown"):
        text = percent(-value if column == "drawdown" else value) or ""
        return Text(text, style="red" if value and text.startswith("-") else "green", justify="right")
    if column == "health":
        return Text(str(value), style="" if value in _GOOD else "bold red")
    if column == "last candle":
        return Text(minute(value))
    if isinstance(value, float):
        return Text(f"{value:,.2f}" if column == "equity" else f"{value:,.1f}", justify="right")
    return Text(str(value))


def _app(session_id: str | None, everything: bool) -> Any:
    textual = _textual()
    widgets = textual.widgets

    class SessionScreen(textual.screen.Screen):  # type: ignore[misc, name-defined]
        """One session."""

        BINDINGS: ClassVar = [("q,escape", "leave", "Back")]

        def __init__(self, session_id: str) -> None:
            super().__init__()
            self.session_id = session_id

        def compose(self) -> Any:
            yield widgets.Header(show_clock=True)
            yield widgets.Static(id="state")
            yield widgets.Static(id="plot")
            yield widgets.Static(id="events")
            yield widgets.Footer()

        def on_mount(self) -> None:
            self.title = self.session_id
            self.look()
            self.set_interval(_REFRESH_SECONDS, self.look)

        def look(self) -> None:
            self.run_worker(self.refresh_all, thread=True, exclusive=True)

        def refresh_all(self) -> None:
            one = {"session_id": self.session_id}
            try:
                status = ask(wire.PaperStatus, one, timeout=5)
                equity = ask(wire.PaperGetEquity, {**one, "max_points": 300}, timeout=5)
                logs = ask(wire.PaperGetLogs, {**one, "limit": 8}, timeout=5)
            except PaperError as error:
                self.app.call_from_thread(self.query_one("#state").update, Text(error.message, style="red"))
                return
            self.app.call_from_thread(self.show, status, equity, logs)

        def show(self, s: wire.Status, equity: wire.Equity, logs: wire.Logs) -> None:
            state = Text()
            state.append(f" {s.strategy} on {s.market} {s.symbol} {s.timeframe} at {s.leverage:g}×   ")
            state.append(f"{s.status}, {s.health.state}", style="green" if s.health.state in _GOOD else "bold red")
            state.append(f"   equity {s.current_equity:,.2f} ({percent(s.metrics.total_return)})")
            state.append(f"   {s.metrics.total_trades} trades   last candle {s.health.last_candle or '–'}\n")
            for reason in (*s.health.reasons, *([s.error] if s.error else [])):
                state.append(f" ! {reason}\n", style="red")
            for p in s.positions:
                state.append(f" {p.side} {p.size:g} from {p.entry_price:,.2f}, now {p.current_price:,.2f}: ")
                state.append(f"{p.unrealized_pnl:+,.2f}\n", style="green" if p.unrealized_pnl >= 0 else "red")
            self.query_one("#state").update(state)
            width = max(40, self.size.width - 2)
            height = max(14, self.size.height - 18)
            if equity.equity_curve:
                plots = draw_equity(equity, width, height)
                self.query_one("#plot").update(Text.from_ansi("\n".join(plots)))
            self.query_one("#events").update(Text("\n".join(f" {x.at}  {x.message}" for x in logs.lines)))

        def action_leave(self) -> None:
            if session_id is None:
                self.app.pop_screen()
            else:
                self.app.exit()

    class Sessions(textual.app.App):  # type: ignore[misc, name-defined]
        """All sessions, or one."""

        TITLE = "jesse-paper"
        BINDINGS: ClassVar = [("q", "quit", "Quit"), ("s", "sort", "Sort by next column"), ("r", "reverse", "Reverse")]
        usage = Usage()
        sort_column = 0
        reverse = False

        def compose(self) -> Any:
            yield widgets.Header(show_clock=True)
            yield widgets.DataTable(cursor_type="row", zebra_stripes=True)
            yield widgets.Footer()

        def on_mount(self) -> None:
            self.query_one(widgets.DataTable).add_columns(*COLUMNS)
            if session_id is not None:
                self.push_screen(SessionScreen(session_id))
                return
            self.look()
            self.set_interval(_REFRESH_SECONDS, self.look)

        def look(self) -> None:
            self.run_worker(self.refresh_rows, thread=True, exclusive=True)

        def refresh_rows(self) -> None:
            try:
                answer = ask(wire.PaperListSessions, {"active_only": not everything, "limit": 1000}, timeout=5)
            except PaperError as error:
                self.call_from_thread(setattr, self, "sub_title", error.message)
                return
            rows = [cells(row, self.usage.percent(row)) for row in answer.sessions]
            self.call_from_thread(self.show, rows)

        def show(self, rows: list[list[Any]]) -> None:
            def key(row: list[Any]) -> tuple[bool, Any]:
                return row[self.sort_column] is None, row[self.sort_column]

            arrow = "▼" if self.reverse else "▲"
            self.sub_title = f"{len(rows)} sessions, by {COLUMNS[self.sort_column]} {arrow}"
            table = self.query_one(widgets.DataTable)
            place = table.cursor_row
            table.clear()
            for row in sorted(rows, key=key, reverse=self.reverse):
                table.add_row(*(shown(c, v) for c, v in zip(COLUMNS, row, strict=True)), key=row[0])
            table.move_cursor(row=place)

        def action_sort(self) -> None:
            self.sort_column = (self.sort_column + 1) % len(COLUMNS)
            self.look()

        def action_reverse(self) -> None:
            self.reverse = not self.reverse
            self.look()

        def on_data_table_row_selected(self, event: Any) -> None:
            self.push_screen(SessionScreen(str(event.row_key.value)))

    return Sessions()
