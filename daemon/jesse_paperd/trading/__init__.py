"""Trading: Jesse's own engine stepped one 1m candle at a time. The only package that imports jesse.

engine.py        Engine: candles in, facts out
├── intake.py        minutes as they come: order, gaps, gap filling, checksum
├── warmup.py        when enough candles are there to start
├── stepping.py      quiet minutes in bulk, eventful minutes through Jesse
├── market.py        one market's minutes, and the larger candles they complete
├── ledger.py        Jesse's orders, trades and position → journal rows
├── equity.py        equity at each 1m close → runs
└── jesse_core.py    every private function of Jesse that the above leans on
strategy.py      loading a strategy class from a project's snapshot
replay_check.py  comparing a replay with what was journaled
verify.py        comparing a session with jesse.research.backtest
"""
