"""A session's state, over everything that registry, process and journal can say, and every single change of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Literal, NamedTuple, get_args

from jesse_paper.protocol import ENDED, SessionState
from jesse_paperd.records.journal import Outcome, Progress
from jesse_paperd.records.record import Record
from jesse_paperd.records.spec import SessionSpec
from jesse_paperd.service.states import TRANSITIONS, state_of

STATES: tuple[SessionState, ...] = get_args(SessionState)
SPEC = SessionSpec(
    session_id="s", strategy="S", symbol="BTC-USDT", timeframe="1h", exchange="Binance", market="Binance Spot",
    market_type="spot", starting_balance=10000.0, leverage=1, leverage_mode="cross", fee=0.001, warmup_candles=240,
    feed="live", speed="max", data_routes=(), hyperparameters=None, gap_policy="skip", seed=0, created_at=1,
    strategy_digest="",
)  # fmt: skip


class Told(NamedTuple):
    """What a state is told by."""

    given_up: bool
    ended: bool
    desired: Literal["running", "stopped"]
    process: Literal["alive", "none", "in trouble"]
    phase: Literal["", "warming_up", "running", "ended"]
    reason: Literal["", "stopped", "feed_ended", "failed"]

    @property
    def state(self) -> SessionState:
        failure = "it died too often" if self.given_up else None
        record = Record(SPEC, "{}", 1, self.desired, None, failure, 2 if self.ended else None, None)
        return state_of(
            record,
            has_process=self.process == "alive",
            trouble="it died" if self.process == "in trouble" else "",
            progress=Progress(phase=self.phase) if self.phase else None,
            outcome=Outcome(2, self.reason) if self.reason else None,
        )


def everything() -> list[Told]:
    """Every combination that can be: a journal's end comes with its last phase, a session ends with or for a reason."""
    values = [(False, True), (False, True), ("running", "stopped"), ("alive", "none", "in trouble")]
    phases, reasons = ("", "warming_up", "running", "ended"), ("", "stopped", "feed_ended", "failed")
    told = [Told(*each) for each in itertools.product(*values, phases, reasons)]
    return [
        t
        for t in told
        if (t.phase == "ended") == bool(t.reason) and (not t.ended or t.reason or t.desired == "stopped" or t.given_up)
    ]


def following(t: Told) -> Iterator[Told]:
    """What may be told next: one thing more is known, or the process comes or goes."""
    if not t.given_up and not t.ended and not t.reason:
        yield t._replace(given_up=True)
    if not t.ended and (t.reason or t.desired == "stopped" or t.given_up):
        yield t._replace(ended=True)
    yield t._replace(desired="stopped")
    if not t.ended:
        yield from (t._replace(process=process) for process in ("alive", "none", "in trouble"))
    if not t.reason and not t.ended and not t.given_up:
        phases = ("", "warming_up", "running")
        yield from (t._replace(phase=phase) for phase in phases[phases.index(t.phase) :])
        yield from (t._replace(phase="ended", reason=reason) for reason in ("stopped", "feed_ended", "failed"))


def test_a_session_goes_where_the_table_lets_it_and_nowhere_else() -> None:
    pairs = {(t.state, later.state) for t in everything() for later in following(t)}
    changes = {(before, after) for before, after in pairs if before != after}
    allowed = {(before, after) for before, lot in TRANSITIONS.items() for after in lot}
    for before, after in itertools.product(STATES, STATES):
        if before != after:
            assert ((before, after) in changes) == ((before, after) in allowed), f"{before} → {after}"


def test_a_session_that_was_given_up_is_failed_whatever_else_is_told() -> None:
    assert {t.state for t in everything() if t.given_up or t.reason == "failed"} == {"failed"}


def test_the_ended_states_are_those_of_sessions_that_ended() -> None:
    assert {t.state for t in everything() if t.ended} == ENDED
    assert {"stopped", "failed"} == ENDED
