"""What a report is about, as far as the journal does not say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Subject(NamedTuple):
    """`heading` is a line such as `SMACrossover · BTC-USDT 1h · Binance Spot`; `settings` are shown as they
    come; `symbol` is the pair whose price is seen.
    """

    session_id: str
    heading: str
    status: str
    settings: Mapping[str, str]
    symbol: str
    notes: str = ""
