"""Jesse's own engine stepped one 1m candle at a time. The only package that imports jesse.

engine.py           Engine: candles in, facts out
├── intake.py           minutes as they come: order, gaps, gap filling, checksum
├── warmup.py           when enough candles are there to start
├── stepping.py         quiet minutes in bulk, eventful minutes through Jesse
├── bars.py             one symbol's minutes, and the larger candles they complete
├── bookkeeping.py      Jesse's orders, trades and position → journal rows
├── equity.py           equity at each 1m close → runs
└── jesse/              every private function of Jesse that the above leans on
strategy.py         loading a strategy class from a project's snapshot
strategy_check.py   what can be told of a strategy before it trades
hyperparameters.py  a session's values for a strategy's hyperparameters
settings.py         what Jesse is configured with
blame.py            whose failure an exception is, and where it arose
advice.py           what to do about an exception that strategies often raise
output.py           what a strategy prints
"""
