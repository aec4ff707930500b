"""The view of one session: what it is, how it does, equity and drawdown, positions, what happened last."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Footer, Static

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paper.figures import money, price
from jesse_paperd.cli.asking import ask
from jesse_paperd.terminal.plots import draw_equity
from jesse_paperd.terminal.printable import printable
from jesse_paperd.terminal.tables import Styled, change, fall, minute, state

REFRESH_SECONDS = 1.0
_ASK_SECONDS = 5.0
#: Of the equity: name → minutes.
_RESOLUTIONS = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "12h": 720, "1d": 1440}
_LOG_LINES = 40
_BAR = 24


class SessionScreen(Screen[None]):
    """One session.

    Args:
        leave: what leaving this view is called.
    """

    CSS = """
    Static { text-wrap: nowrap; text-overflow: ellipsis; padding: 0 1; }
    #state { height: auto; background: $panel; }
    #plot { height: 3fr; padding: 0; min-height: 8; }
    #positions { height: auto; }
    #events { height: 1fr; min-height: 4; border-top: solid $panel; }
    """

    def __init__(self, session_id: str, leave: str) -> None:
        super().__init__()
        self._session_id = session_id
        self._known: tuple[wire.Status, wire.Equity, wire.Logs] | None = None
        self._bindings.bind("q,escape", "leave", leave)
        self._quits = leave == "Quit"

    def compose(self) -> ComposeResult:
        yield Static(id="state")
        yield Static(id="plot")
        yield Static(id="positions")
        yield Static(id="events")
        yield Footer()

    def on_mount(self) -> None:
        self.query_one("#state", Static).update(Text(f"{self._session_id} …", style="dim"))
        self.look()
        self.set_interval(REFRESH_SECONDS, self.look)

    def on_resize(self) -> None:
        self.call_after_refresh(self._show)

    def look(self) -> None:
        self.run_worker(self._ask, thread=True, exclusive=True)

    def _ask(self) -> None:
        one = {"session_id": self._session_id}
        try:
            status: wire.Status = ask(wire.PaperStatus, one, timeout=_ASK_SECONDS)
            resolution = _resolution(status.health.candles, points=2 * self.size.width)
            asked = {**one, "resolution": resolution, "max_points": 1000}
            equity = ask(wire.PaperGetEquity, asked, timeout=_ASK_SECONDS)
            logs = ask(wire.PaperGetLogs, {**one, "limit": _LOG_LINES}, timeout=_ASK_SECONDS)
        except PaperError as error:
            told = Text(f"▲ {error.message}", style="bold red", no_wrap=True, overflow="ellipsis")
            self.app.call_from_thread(self.query_one("#state", Static).update, told)
            return
        self._known = (status, equity, logs)
        self.app.call_from_thread(self._show)

    def _show(self) -> None:
        if self._known is None or not self.is_mounted:
            return
        status, equity, logs = self._known
        self.query_one("#state", Static).update(_heading(status, self.size.width - 2))
        positions = self.query_one("#positions", Static)
        positions.update(_positions(status, most=max(1, self.size.height // 4)))
        positions.display = bool(status.positions) or len(status.routes) > 1
        # What is above and below it first gets its height: a plot is drawn to what is left.
        self.call_after_refresh(self._show_rest, equity, logs)

    def _show_rest(self, equity: wire.Equity, logs: wire.Logs) -> None:
        plot = self.query_one("#plot", Static)
        if equity.equity_curve and plot.size.height:
            drawn = "\n".join(draw_equity(equity, max(40, plot.size.width), plot.size.height))
            plot.update(Text.from_ansi(drawn))
        else:
            plot.update(Text("\n  No candle has been traded yet.", style="dim"))
        events = self.query_one("#events", Static)
        events.update(_events(logs, max(1, events.size.height)))

    def action_leave(self) -> None:
        if self._quits:
            self.app.exit()
        else:
            self.app.pop_screen()


def _resolution(minutes: int, points: int) -> str:
    """The finest resolution at which a session's life fits a plot of so many points."""
    return next((name for name, each in _RESOLUTIONS.items() if minutes / each <= points), "1w")


def _heading(s: wire.Status, width: int) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(s.session_id, style="bold").append("  ")
    _append(text, state(s.status, s.health.state, s.stop_reason))
    one = f"{s.strategy} {s.timeframe}, {s.symbol}"
    text.append(f"   {one if len(s.routes) == 1 else f'{len(s.routes)} routes'} on {s.market}")
    text.append(f" at {s.leverage:g}×\n" if s.leverage != 1 else "\n")
    text.append(f"equity {money(s.current_equity)} ", style="bold")
    _append(text, change(s.metrics.total_return))
    text.append("   drawdown ")
    _append(text, fall(s.metrics.current_drawdown))
    text.append(", worst ")
    _append(text, fall(s.metrics.max_drawdown))
    won = f", {s.metrics.win_rate:.0%} won" if s.metrics.win_rate is not None else ""
    text.append(f"   {s.metrics.total_trades:,} trades{won}\n")
    _append_candles(text, s.health, wide=width > 90)
    for reason in (*s.health.reasons, *([s.error] if s.error else [])):
        text.append(f"\n▲ {printable(reason)}", style="bold red")
    return text


def _append_candles(text: Text, health: wire.Health, wide: bool) -> None:
    if health.progress is not None:
        text.append(f"warming up {health.progress:.0%}", style="yellow")
    elif health.candles_total:
        share = min(1.0, health.candles / health.candles_total)
        if wide:
            done = round(share * _BAR)
            text.append("━" * done, style="green").append("━" * (_BAR - done) + " ", style="dim")
        text.append(f"{share:.0%}", style="bold").append(f" of {health.candles_total:,} candles")
    else:
        text.append(f"{health.candles:,} candles")
    text.append(f"   last {minute(health.last_candle) or 'none'}")
    if (age := health.last_candle_age_seconds) is not None:
        text.append(f", {age:.0f} s ago", style="" if age < 180 else "bold red")
    if health.gaps:
        text.append(f"   {health.gaps:,} gaps")
    if health.restarts:
        text.append(f"   {health.restarts:,} restarts")


def _positions(s: wire.Status, most: int) -> Text:
    """What each route holds, a line each; those that hold nothing last, and first to give way to the window."""
    text = Text(no_wrap=True, overflow="ellipsis")
    held = {p.symbol: p for p in s.positions}
    several = len(s.routes) > 1
    routes = sorted((r for r in s.routes if several or r.symbol in held), key=lambda r: r.symbol not in held)
    names = [f"{route.symbol}  {route.strategy} {route.timeframe}" for route in routes]
    width = max(map(len, names), default=0)
    for route, name in list(zip(routes, names, strict=True))[:most]:
        if several:
            text.append(f"{name:<{width}}  ")
        if (p := held.get(route.symbol)) is None:
            text.append("flat\n", style="dim")
            continue
        text.append(f"{p.side} {price(p.size)} ", style="bold green" if p.side == "long" else "bold red")
        text.append(f"{p.symbol} from {price(p.entry_price)}, now {price(p.current_price)}: ")
        text.append(money(p.unrealized_pnl, sign=True), style="green" if p.unrealized_pnl >= 0 else "red")
        for o in [o for o in s.open_orders if o.symbol == p.symbol][:2]:
            text.append(f"   {o.role or o.type.lower()} {price(o.price)}" if o.price is not None else "", style="dim")
        text.append("\n")
    if len(routes) > most:
        text.append(f"and {len(routes) - most} more routes", style="dim")
    text.rstrip()
    return text


def _events(logs: wire.Logs, height: int) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    # A message of several lines is one line here: the first tells.
    for line in logs.lines[-height:]:
        message = printable(" · ".join(part.strip() for part in line.message.strip().splitlines()))
        text.append(f"{minute(line.at):<16}  ", style="dim")
        text.append(f"{message}\n", style="red" if line.level == "error" else "")
    text.rstrip()
    return text


def _append(text: Text, styled: Styled | None) -> None:
    if styled is not None:
        text.append(styled.text, style=styled.style)
