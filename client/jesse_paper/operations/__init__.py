"""The operations that the daemon answers, by subject. Each is declared where it stands: request, answer, example.

operation      what an operation is
values         the values that requests and answers are made of
daemon         the daemon itself: identity and health
sessions       the life of a session: start, update, stop, start again
status         how sessions are now, and waiting for them
trading        positions, orders, closed trades
performance    metrics, equity, comparison, chart, report
logs           log lines, events, ends of processes
strategies     the strategies of the Jesse project
verification   proof of a session's numbers
storage        sessions on disk: delete, archive, restore, use
"""
