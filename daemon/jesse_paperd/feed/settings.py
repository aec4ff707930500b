"""What a user may set for an exchange: where it is reached, and how hard it may be asked.

[exchanges."Binance Spot"]
urls = "http://127.0.0.1:8080"            # host of every REST address; or a table: ccxt's keys of urls['api']
proxy = "http://proxy.example:3128"       # or socks5://… where aiohttp_socks is installed
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from jesse_paper.errors import PaperError
from jesse_paperd.feed.exchanges import resolve

EXAMPLE = '[exchanges."Binance Spot"]'


class ExchangeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The settings of one exchange. There is none for a key: only public data is ever asked for."""

    #: Replaces scheme and host of every REST address, or parts of ccxt's `urls['api']` by their keys.
    urls: str | dict[str, Any] = ""
    #: A proxy for all requests: http://, https:// or socks5://.
    proxy: str = ""
    #: How long a request may take.
    timeout_seconds: Annotated[float, Meta(gt=0, le=120)] = 10.0
    #: How often the last traded prices are asked for; 0: they are taken from the candles, once a minute.
    price_seconds: Annotated[float, Meta(ge=0, le=3600)] = 10.0
    #: Lower the budget, in the exchange's own weight units, when other programs share the address.
    weight_per_minute: Annotated[float, Meta(gt=0)] | None = None


def settings_of(exchanges: object, origin: str) -> dict[str, ExchangeSettings]:
    """Check the `exchanges` section of a configuration that was read from `origin`; the keys become Jesse's names.

    Raises:
        PaperError: `invalid_argument`, naming the exchange and the key.
    """
    if not isinstance(exchanges, dict):
        raise PaperError("invalid_argument", f"{origin}: exchanges: must be tables by name, such as {EXAMPLE}")
    checked = {}
    for name, values in exchanges.items():
        try:
            exchange = resolve(name)
            checked[exchange.name] = msgspec.convert(values, ExchangeSettings)
        except PaperError as error:
            raise PaperError(error.code, f"{origin}: exchanges: {error.message}", error.hint) from error
        except msgspec.ValidationError as error:
            raise PaperError(
                "invalid_argument",
                f"{origin}: exchanges.{name!r}: {error}",
                f"known keys: {', '.join(ExchangeSettings.__struct_fields__)}",
            ) from error
    return checked
