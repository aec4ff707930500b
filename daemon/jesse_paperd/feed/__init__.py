"""Live market data: exchange names, and the feed process that follows exchanges for all sessions.

exchanges.py      Jesse's name of an exchange → what it is (standard library only)
messages.py       the messages between daemon and feed
finality.py       when a candle is final: pure rules over one exchange's replies
exchange.py       one exchange through ccxt: candles, clock, last prices, and its ways to fail
limits.py         what a request costs, and the budget of an exchange
clock.py          the exchange's clock, measured
venue.py          one exchange: its connection, its budget, its store, its markets
subscriptions.py  what a venue and its followers share
follower.py       one market: the loop that asks, judges and stores
settings.py       endpoint overrides and the proxy
main.py           the process: python -m jesse_paperd.feed.main
"""
