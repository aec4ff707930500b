"""What daemon and feed say to each other: one JSON object a line.

    daemon → feed's stdin    {"markets":[{"exchange":"Binance Spot","symbol":"BTC-USDT","since":1735689600000}]}
    feed's stdout → daemon   {"event":"candle","exchange":"Binance Spot","symbol":"BTC-USDT","upto":1735689660000}

Each list replaces the one before; a market that several sessions want may be in it several times, the earliest `since`
counts. End of input ends the feed. Times are milliseconds UTC by the exchange's clock, unless a field says
otherwise; `upto` is the first minute that is not final. Unknown fields are ignored on both sides.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

#: starting     nothing was asked yet
#: warming_up   the minutes since `since` are being fetched; `progress` tells how far
#: live         the newest closed minute is there, or is awaited in time
#: quiet        the exchange answers and has no newer candle: nobody traded (only where it leaves such minutes out)
#: stale        a candle is overdue; `reason` says why
#: refused      the exchange has no such pair; asked again every hour
MarketCondition = Literal["starting", "warming_up", "live", "quiet", "stale", "refused"]

#: up          it answers
#: down        it does not; asked again after a growing wait
#: limited     it told us to wait (429), until `retry_at`
#: banned      it refuses this address (418, 403), left alone until `retry_at`
ExchangeCondition = Literal["up", "down", "limited", "banned"]


class Subscription(Struct, frozen=True):
    """A market to follow: every minute from `since` on is wanted. `exchange` and `symbol` are Jesse's names."""

    exchange: str
    symbol: str
    since: int


class SubscriptionList(Struct, frozen=True):
    """Everything to follow from now on."""

    markets: list[Subscription]


class Event(Struct, tag_field="event", frozen=True, kw_only=True):
    """A line that the feed writes."""


class FeedReady(Event, tag="ready", frozen=True, kw_only=True):
    """The feed holds the candle stores and takes subscriptions."""

    pid: int


class FeedAlive(Event, tag="alive", frozen=True, kw_only=True):
    """Every few seconds: a feed that says nothing for longer hangs, and is replaced."""


class FeedProblem(Event, tag="problem", frozen=True, kw_only=True):
    """Something the daemon should log: a line that is not a subscription list, an exchange that cannot be followed."""

    message: str


class CandleClosed(Event, tag="candle", frozen=True, kw_only=True):
    """More minutes are final and can be read: ring the sessions of this market."""

    exchange: str
    symbol: str
    upto: int


class MarketState(Event, tag="market", frozen=True, kw_only=True):
    """One market, whenever something of it changed, at most once a second."""

    exchange: str
    symbol: str
    state: MarketCondition
    #: Why it is stale or refused, in words; else empty.
    reason: str = ""
    #: The first minute wanted, and the first minute that is not final yet: the candle expected next.
    since: int = 0
    upto: int = 0
    #: Local clock at which it became stale or quiet; null otherwise.
    behind_since: int | None = None
    #: Share of the minutes from `since` to now that are final.
    progress: float = 0.0
    #: The last traded price and when it was so; null before the first.
    last_price: float | None = None
    last_price_at: int | None = None
    #: Counted since ever: minutes in recorded gaps, minutes that the exchange changed after they were final.
    gap_minutes: int = 0
    revisions: int = 0
    #: Counted since the feed started: rows refused, times it became stale.
    rejected_rows: int = 0
    stale_times: int = 0


class ExchangeState(Event, tag="exchange", frozen=True, kw_only=True):
    """One exchange, whenever something of it changed, at most once a second."""

    exchange: str
    state: ExchangeCondition
    reason: str = ""
    #: Local clock of the next attempt while it is not up.
    retry_at: int | None = None
    #: Exchange's clock minus the local one, ± the uncertainty; null before the first measurement.
    clock_offset_ms: int | None = None
    clock_uncertainty_ms: int | None = None
    markets: int = 0
    #: Since the feed started; shared by the exchanges of one company that count together.
    requests: int = 0
    failures: int = 0
    #: What the requests of the last 60 s weighed, and what the feed allows itself in any 60 s.
    weight_last_minute: float = 0.0
    weight_limit: float = 0.0


FeedEvent = FeedReady | FeedAlive | FeedProblem | CandleClosed | MarketState | ExchangeState

decode_subscriptions = msgspec.json.Decoder(SubscriptionList).decode
decode_event = msgspec.json.Decoder(FeedEvent).decode
encode = msgspec.json.Encoder().encode
