"""The command `jesse-paper-mcp`: serves MCP over stdio until stdin ends.

Nothing heavy is imported here: the standard streams are taken first, so that not even an import can print into the
protocol.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys

from jesse_paper_mcp.stdio import take_stdio


def main(arguments: list[str] | None = None) -> None:
    """Serve until the client closes stdin. Does not return."""
    parser = _parser()
    options = parser.parse_args(arguments)
    streams = take_stdio()
    # Imports make several hundred thousand objects that stay: looking through them for garbage is a tenth of the start.
    gc.disable()
    # Clients also end servers by SIGINT; a traceback would tell nobody anything.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    from jesse_paper.endpoint import default_endpoint
    from jesse_paper.errors import PaperError
    from jesse_paper_mcp import sdk
    from jesse_paper_mcp.facade import Facade
    from jesse_paper_mcp.tools import select

    endpoint = options.endpoint or default_endpoint()
    autostart = None
    if options.autostart:
        from jesse_paper_mcp.autostart import Autostart, home_of

        try:
            autostart = Autostart(home_of(endpoint))
        except PaperError as error:
            parser.error(f"{error.message} {error.hint}")
        autostart.begin()
    gc.freeze()
    gc.enable()
    facade = Facade(endpoint, select(options.toolset, read_only=options.read_only), autostart)
    try:
        sdk.serve(facade, streams)
    except* BrokenPipeError:
        print("jesse-paper-mcp: the client closed its end", file=sys.stderr)
    sys.stderr.flush()
    # A call may still wait for the daemon in its thread. Nobody is left to read the answer, and there is no state.
    os._exit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jesse-paper-mcp",
        description="MCP server over stdio for paper trading with Jesse: forwards every tool call to jesse-paperd.",
        epilog="JESSE_PAPER_ENDPOINT and JESSE_PAPER_HOME name the daemon where --endpoint is not given.",
    )
    parser.add_argument("--endpoint", help="the daemon's ZeroMQ endpoint (default: the socket in the daemon's home)")
    parser.add_argument("--read-only", action="store_true", help="offer only the tools that change nothing")
    parser.add_argument(
        "--toolset", choices=("core", "all"), default="all", help="'core' offers the eight basic tools (default: all)"
    )
    parser.add_argument(
        "--autostart", action="store_true", help="start the daemon of this user's home where none answers"
    )
    return parser
