"""What a session's journal adds up to: metrics, equity curve, trades, comparison, charts, reports, exports.

Everything here is a pure function of a journal and of the session's starting balance:

    store.journal ──► state ──┬─► metrics ◄── ratios        (definitions: wire/)
                     │        ├─► equity
        EquityPath ──┤        └─► compare, chart, report
        TradeTally ──┘            trades, export read the journal itself

`LedgerState` remembers what it has read, so that a question costs what is new; a fresh one gives the same answers
to the last bit.
"""
