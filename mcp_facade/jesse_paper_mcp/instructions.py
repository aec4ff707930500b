"""What a model reads before it sees any tool. Some clients show only this and the tools' names at first."""

from __future__ import annotations

INSTRUCTIONS = """\
Paper trading for strategies of the Jesse framework: real market candles, simulated money. Nothing here can place a \
real order or reach an exchange account.

A session is one strategy trading one market. It runs in a background daemon, not in this conversation: it goes on \
when you, this server or the client end, and is there when you come back. Tools about a session take its session_id, \
which paper_list_sessions shows.

- Begin with paper_list_sessions: what you want may be running already.
- paper_start starts a session. Give it a session_id of your own to make repeating the call safe. \
paper_list_strategies names the strategies there are.
- paper_status: how is it now (equity, positions, open orders, health)? paper_get_metrics: how good is it? \
paper_get_trades and paper_get_equity: what happened in detail.
- paper_wait waits for sessions; do not poll in a loop.
- paper_stop ends a session for good and returns its final metrics; its records stay readable.

Fractions are fractions (0.05 is 5 %), money is in the quote currency, times are UTC. A null metric is undefined; \
`undefined` names the reason. An error ends with its code in brackets and says whether anything was done.\
"""
