"""Requests that a person can pick from a menu instead of writing them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from jesse_paper.validation import did_you_mean
from jesse_paper_mcp.jsonrpc import INVALID_PARAMS, Rejected

JSON = dict[str, Any]


class Prompt(NamedTuple):
    """One request.

    Attributes:
        arguments: name → description; all are required.
        text: what is said to the model, with the arguments in braces.
    """

    name: str
    title: str
    description: str
    arguments: dict[str, str]
    text: str


PROMPTS = (
    Prompt(
        "review_session",
        "Review a session",
        "What a paper trading session did, how well, and what to watch.",
        {"session_id": "The session."},
        "Review the paper trading session {session_id}. Read paper_status, paper_get_metrics, the equity curve at a "
        "resolution that shows its whole life, and its trades. Tell me in this order: whether it is healthy (candles "
        "arriving, restarts, gaps); result and risk in one sentence each; what its best and worst trades have in "
        "common; what changed over time; what to watch next. Name the numbers that you rely on, and say where there "
        "are too few trades or returns to conclude anything.",
    ),
    Prompt(
        "compare_sessions",
        "Compare sessions",
        "Which of several paper trading sessions does better, and whether that means anything.",
        {"session_ids": "The sessions, separated by commas."},
        "Compare the paper trading sessions {session_ids}. Read paper_status and paper_get_metrics of each. Show a "
        "table: strategy, market, timeframe, leverage, days, trades, return, largest drawdown, Sharpe ratio with its "
        "interval and number of observations, profit factor, fees. Compare ratios only where their interval is the "
        "same, and results only over the time that the sessions have in common (use paper_get_equity for it). Then "
        "say which one you would go on with, and how sure one can be with this little data.",
    ),
    Prompt(
        "judge_readiness",
        "Is a strategy ready?",
        "Whether a paper trading session has shown enough to trade its strategy with real money.",
        {"session_id": "The session."},
        "Judge whether the strategy of the paper trading session {session_id} has shown enough to be traded with real "
        "money. Be strict, and decide by what paper_status, paper_get_metrics, paper_get_trades and paper_get_equity "
        "show: length of the test and number of trades; return against the largest drawdown; whether a few trades "
        "make the whole result; fees; behaviour in losing streaks; gaps, restarts and missed decisions. Answer 'not "
        "ready', 'go on testing' or 'ready for a small size', each reason with its number, and what would change "
        "your answer. Simulated fills have no slippage and move no market: real results will be worse.",
    ),
)


def listing() -> JSON:
    """The result of `prompts/list`."""
    return {
        "prompts": [
            {
                "name": prompt.name,
                "title": prompt.title,
                "description": prompt.description,
                "arguments": [
                    {"name": name, "description": text, "required": True} for name, text in prompt.arguments.items()
                ],
            }
            for prompt in PROMPTS
        ]
    }


def get(name: str, arguments: Mapping[str, str]) -> JSON:
    """The result of `prompts/get`.

    Raises:
        Rejected: there is no such prompt, or it lacks an argument.
    """
    by_name = {prompt.name: prompt for prompt in PROMPTS}
    prompt = by_name.get(name)
    if prompt is None:
        raise Rejected(INVALID_PARAMS, f"Unknown prompt: {name[:80]}.{did_you_mean(name, by_name)}")
    missing = [argument for argument in prompt.arguments if not arguments.get(argument, "").strip()]
    if missing:
        raise Rejected(INVALID_PARAMS, f"{name} needs {', '.join(missing)}.")
    text = prompt.text.format_map({argument: arguments[argument].strip() for argument in prompt.arguments})
    return {
        "description": prompt.description,
        "messages": [{"role": "user", "content": {"type": "text", "text": text}}],
    }
