"""jesse-paper: the operator's command line. A client like any other; only `run-paper` works without a daemon."""

from __future__ import annotations

import contextlib
import difflib
import errno
import io
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

import jesse_paperd
from jesse_paper.errors import PaperError
from jesse_paperd.cli import (
    analysis,
    candles,
    completion,
    diagnostics,
    doctor,
    following,
    maintenance,
    mcp,
    results,
    run_paper,
    screens,
    service_command,
    sessions,
    setup,
    starting,
)
from jesse_paperd.terminal.failing import fail

#: What the shell reports of a program that Ctrl-C ended.
_INTERRUPTED = 130

SECTIONS: dict[str, list[click.Command]] = {
    "Sessions": [
        starting.start,
        sessions.ls,
        sessions.status,
        sessions.update,
        sessions.stop,
        starting.restart,
        run_paper.run_paper,
    ],
    "Watching": [screens.top, screens.watch, following.logs, following.events, following.wait],
    "Results": [
        results.trades,
        results.orders,
        results.equity,
        results.metrics,
        analysis.compare,
        analysis.verify,
        analysis.chart,
        analysis.report,
        analysis.export,
    ],
    "Daemon": [
        diagnostics.strategies,
        diagnostics.health,
        diagnostics.feeds,
        doctor.doctor,
        candles.candles,
        maintenance.disk,
        maintenance.archive,
        maintenance.restore,
        maintenance.repair,
        maintenance.delete,
        diagnostics.ping,
        diagnostics.raw,
    ],
    "Set-up": [setup.init, service_command.service, mcp.mcp, setup.keygen, completion.completion],
}


class Group(click.Group):
    """Commands by what they are for; a user's mistake ends in one sentence and the table's exit status."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(self.commands)

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self.commands))
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(f"{c.name:<{width}}", c.get_short_help_str(66)) for c in commands])

    def resolve_command(self, context: click.Context, args: list[str]) -> tuple[Any, ...]:
        try:
            return super().resolve_command(context, args)
        except click.UsageError as error:
            if near := difflib.get_close_matches(args[0], self.commands, n=1):
                error.message += f" Did you mean {near[0]!r}?"
            raise

    def main(self, *args: Any, **kwargs: Any) -> Any:
        # Of a closed one Python makes None, which nothing can be printed to.
        sys.stdout, sys.stderr = (
            stream or Path(os.devnull).open("w")  # noqa: SIM115 (open until the end)
            for stream in (sys.stdout, sys.stderr)
        )
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # A terminal that cannot show '●' shows '?' instead.
                stream.reconfigure(errors="replace")
        return super().main(*args, **kwargs)

    def invoke(self, context: click.Context) -> object:
        as_json = "--json" in context.args
        try:
            return super().invoke(context)
        except PaperError as error:
            fail(error, as_json)
        except click.ClickException as error:
            if not as_json:
                raise
            fail(PaperError("invalid_argument", error.format_message(), f"{context.command_path} --help"), as_json)
        except KeyboardInterrupt:
            _interrupted()
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # `| head`: click ends it quietly
            fail(PaperError("storage_failed", " ".join(filter(None, (error.strerror, error.filename)))), as_json)


def _interrupted() -> NoReturn:
    """Ctrl-C leaves a waiting command: print nothing and exit as the shell does."""
    with contextlib.suppress(OSError):
        click.echo(err=True)
        sys.stdout.flush()
    # At once: a thread that still waits for the daemon's answer would hold the interpreter up.
    os._exit(_INTERRUPTED)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(jesse_paperd.__version__, prog_name="jesse-paper")
def main() -> None:
    """Paper trading for Jesse strategies: real candles, simulated money.

    \b
    jesse-paper start SMACrossover BTC-USDT --timeframe 1h
    jesse-paper top
    jesse-paper status paper_0123456789ab
    jesse-paper stop paper_0123456789ab

    `jesse-paper COMMAND --help` shows examples; --json prints JSON, of an error on stderr: {"error": {"code": …,
    "message": …, "hint": …}}. The daemon is found by JESSE_PAPER_ENDPOINT or
    JESSE_PAPER_HOME. Exit status: 0 done, 1 the answer is no, 2 a wrong request, 3 no daemon, 4 not found, 5 conflict,
    6 strategy or candles, 7 not now, 70 a defect.
    """
    if os.environ.get("NO_COLOR"):
        click.get_current_context().color = False


for _section in SECTIONS.values():
    for _command in _section:
        main.add_command(_command)
