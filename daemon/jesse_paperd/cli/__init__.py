"""jesse-paper: the operator's command line. A client like any other; only `run-paper` works without a daemon."""

from __future__ import annotations

import sys

import click

import jesse_paperd
from jesse_paperd.cli import (
    analysis,
    diagnostics,
    doctor,
    following,
    maintenance,
    mcp,
    results,
    run_paper,
    screens,
    service,
    sessions,
    setup,
)
from jesse_paperd.wire.errors import PaperError


class Group(click.Group):
    """Commands in the order of their use; a user's mistake ends in one sentence and the table's exit status."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, context: click.Context) -> object:
        try:
            return super().invoke(context)
        except PaperError as error:
            hint = f"\n  {error.hint}" if error.hint else ""
            click.echo(f"jesse-paper: {error.message}{hint}  [{error.code}]", err=True)
            sys.exit(error.kind.exit_status)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(jesse_paperd.__version__, prog_name="jesse-paper")
def main() -> None:
    """Paper trading for Jesse strategies: real candles, simulated money.

    \b
    jesse-paper start SMACrossover BTC-USDT --timeframe 1h
    jesse-paper ls
    jesse-paper status paper_0123456789ab
    jesse-paper stop paper_0123456789ab

    Every command takes --json. The daemon is found by JESSE_PAPER_ENDPOINT or JESSE_PAPER_HOME.
    """


for command in (
    sessions.ls,
    sessions.start,
    sessions.stop,
    sessions.status,
    sessions.update,
    following.restart,
    following.wait,
    results.trades,
    results.orders,
    results.equity,
    results.metrics,
    following.logs,
    following.events,
    analysis.verify,
    analysis.compare,
    analysis.chart,
    analysis.report,
    analysis.export,
    screens.top,
    screens.watch,
    run_paper.run_paper,
    diagnostics.strategies,
    diagnostics.health,
    diagnostics.feeds,
    doctor.doctor,
    setup.init,
    setup.keygen,
    service.service,
    maintenance.disk,
    maintenance.archive,
    maintenance.delete,
    mcp.mcp,
    diagnostics.ping,
    diagnostics.raw,
):
    main.add_command(command)
