"""What a session's journal adds up to: metrics, equity curve, trades, comparison, chart, report.

Everything here is a pure function of a journal and of the session's starting balance:

    records.journal ► state ──┬─► metrics ◄── ratios        (what each means: jesse_paper/metric_definitions.py)
                     │        ├─► equity
        path  ───────┤        └─► compare, chart, report
        tally ───────┘
    records.journal ► trades

`TrackRecord` remembers what it has read, so that a question costs what is new; a fresh one gives the same answers
to the last bit.
"""
