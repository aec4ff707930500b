"""jesse-paper: paper trading for Jesse strategies, as a service.

The packages, outermost first; imports point downwards only (tests/contract/test_layering.py):

    app          composition root of the daemon        cli        the operator's commands
    service      sessions' lifecycle, request handlers
    analytics    metrics and equity series             trading    the engine and the session process
    process      leases, zygote, restart policy        market     exchanges, candle sources, the feed
    store        every file on disk and its one writer
    wire         what a client may import: protocol, errors, client
"""

__version__ = "0.1.0"
