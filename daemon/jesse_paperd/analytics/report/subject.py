"""What a report is about, as far as the journal does not say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jesse_paper.protocol import RouteMetrics


class Subject(NamedTuple):
    """`heading` is a line such as `SMACrossover · BTC-USDT 1h · Binance Spot`; `settings` are shown as they
    come.
    """

    session_id: str
    heading: str
    status: str
    settings: Mapping[str, str]
    routes: Sequence[RouteMetrics]
    notes: str = ""
