"""Proof of a session's numbers."""

from __future__ import annotations

from jesse_paper.operations.operation import Answer, Question, declare
from jesse_paper.operations.values import SessionId


class Verified(Answer, tag="verified", frozen=True):
    """Whether a session equals Jesse's backtest and its own replay, to the last bit; else the first difference.

    `method` is how Jesse's backtest went through the candles, `row counting` or `timestamp replay`.
    """

    session_id: str
    done: bool
    equal: bool = False
    trades: int = 0
    compared: int = 0
    method: str = ""
    method_reason: str = ""
    compared_until: str | None = None
    difference: str = ""
    replay_differences: list[str] = []
    limits: list[str] = []
    hint: str = ""


class PaperVerify(Question[Verified], tag="paper_verify", frozen=True):
    """Rerun a session's own candles through Jesse's backtest and through the engine, and compare."""

    session_id: SessionId


declare(
    PaperVerify(session_id="sma"),
    Verified(
        session_id="sma",
        done=True,
        equal=True,
        trades=12,
        compared=12,
        method="row counting",
        method_reason="one market without gaps, begun on a boundary of all timeframes",
    ),
)
