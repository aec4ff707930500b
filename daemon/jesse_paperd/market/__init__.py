"""Live market data: exchange names, and the feed process that follows exchanges for all sessions.

exchanges.py   Jesse's name of an exchange → what it is (standard library only)
status.py      the messages between daemon and feed
finality.py    when a candle is final: pure rules over one exchange's replies
source.py      one exchange through ccxt: candles, clock, last prices, and its ways to fail
limits.py      what a request costs, and the budget of an exchange
clock.py       the exchange's clock, measured
venue.py       one exchange: its source, its budget, its store, its markets
follower.py    one market: the loop that asks, judges and stores
config.py      endpoint overrides and the proxy
feed.py        the process: python -m jesse_paperd.market.feed
"""
