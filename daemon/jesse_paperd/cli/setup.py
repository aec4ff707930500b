"""init and keygen: a first project, a commented configuration, keys for the network."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
import zmq

from jesse_paper import protocol as wire
from jesse_paper.endpoint import default_home
from jesse_paper.errors import PaperError
from jesse_paper.roles import ROLES
from jesse_paperd.cli.asking import ask, json_option, print_json
from jesse_paperd.cli.doctor import configuration_finding

_CONFIG = """\
# The daemon's configuration. What is commented out shows the default; docs/operations.md explains each.
# The environment variables JESSE_PAPER_HOME, JESSE_PAPER_PROJECT and JESSE_PAPER_ENDPOINT go before this file.

project = {project}
# start_seconds = 20.0        # how long paper_start waits for a session to run
# stop_seconds = 20.0         # how long a session may take to end by itself, before SIGTERM
# stalled_seconds = 10.0      # silence after which a session is shown as stalled

[restart]
# limit = 5                   # deaths in a row after which a session is given up
# longest_seconds = 60.0      # the longest wait between two starts

[limits]
# sessions = 500              # running at once
# candle_seconds = 60.0       # a strategy that takes longer over a candle fails; 0: no limit

# [exchanges."Binance Spot"]
# proxy = "http://proxy.example:3128"
"""

_DATABASE = """
# Candles of Jesse's own database, by its settings there: docs/live-candles.md. Nothing else of that file is used.
# [jesse_database]
# env_file = {env}
"""

_ROUTES = """\
# Several symbols in one wallet (docs/routes.md), of one exchange and one quote currency, each traded once.
#   jesse-paper start --exchange "Binance Perpetual Futures" --routes routes.toml

[[routes]]
symbol = "BTC-USDT"
strategy = "FirstStrategy"
timeframe = "1h"

[[routes]]
symbol = "ETH-USDT"
strategy = "FirstStrategy"
timeframe = "30m"
# hyperparameters = {}        # the strategy's own, where they shall differ from its defaults
"""

_STRATEGY = '''\
"""A first strategy: buys when a fast moving average is above a slow one, leaves when it is below."""

import jesse.indicators as ta
from jesse import utils
from jesse.strategies import Strategy


class FirstStrategy(Strategy):
    @property
    def rising(self):
        return ta.sma(self.candles, 20) > ta.sma(self.candles, 50)

    def should_long(self):
        return self.rising

    def go_long(self):
        # Half of the balance, at the market.
        self.buy = utils.size_to_qty(self.balance / 2, self.price, fee_rate=self.fee_rate), self.price

    def update_position(self):
        if not self.rising:
            self.liquidate()
'''


@click.command(short_help="Make a first project and a commented configuration.")
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@json_option
def init(folder: Path | None, as_json: bool) -> None:
    """Make a Jesse project with a first strategy and example routes in FOLDER, a commented configuration in the home.

    Without FOLDER it is the Jesse project that one is in, else jesse-project. What exists is kept: a project that has
    strategies gets no other one, and a configuration that names another project is told.

    \b
    jesse-paper init ~/my-jesse-project
    cd ~/my-jesse-project && jesse-paper init
    """
    project, home = folder.expanduser().absolute() if folder else _project_here(), default_home()
    config = home / "config.toml"
    strategies = sorted(file.parent.name for file in project.glob("strategies/*/__init__.py"))
    wanted = {config: _configuration(project)}
    if not strategies:
        strategies = ["FirstStrategy"]
        first = {project / "strategies" / "FirstStrategy" / "__init__.py": _STRATEGY, project / "routes.toml": _ROUTES}
        wanted = {**first, **wanted}
    done = {str(file): _make(file, content) for file, content in wanted.items()}
    home.chmod(0o700)
    notes, commands = _notes(project, config), _next(project, strategies[0])
    if as_json:
        told = {"project": str(project), "config": str(config), "files": done, "notes": notes, "next": commands}
        return print_json(told)
    for name, what in done.items():
        click.echo(f"{what}    {name}")
    click.echo(f"project {project}: {', '.join(strategies[:5])}{', …' if len(strategies) > 5 else ''}")
    for note in notes:
        click.echo(f"note    {note}", err=True)
    for number, command in enumerate(commands):
        click.echo(f"{'now' if not number else '':<8}{command}")
    return None


def _project_here() -> Path:
    """The Jesse project that the working directory is, or is in; else a new one below it."""
    here = Path.cwd()
    if (here / "strategies").is_dir():
        return here
    # Further up a folder of that name alone may be anybody's.
    marks = ("storage", ".env")
    above = (p for p in here.parents if (p / "strategies").is_dir() and any((p / mark).exists() for mark in marks))
    return next(above, here / "jesse-project")


def _configuration(project: Path) -> str:
    # A string of JSON is one of TOML.
    text = _CONFIG.format(project=json.dumps(str(project)))
    env = project / ".env"
    return text + (_DATABASE.format(env=json.dumps(str(env))) if env.exists() else "")


def _make(file: Path, content: str) -> str:
    if file.exists():
        return "kept"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    except OSError as error:
        raise PaperError("storage_failed", f"{file} cannot be written: {error.strerror}") from error
    return "made"


def _notes(project: Path, config: Path) -> list[str]:
    """Notes that spare a newcomer surprises."""
    notes = []
    read, finding = configuration_finding()
    if read is None:
        notes.append(f"{finding.found}: {finding.mend}")
    elif read.project != str(project) and os.environ.get("JESSE_PAPER_PROJECT"):
        notes.append(f"JESSE_PAPER_PROJECT names another project, {read.project}: export JESSE_PAPER_PROJECT={project}")
    elif read.project != str(project):
        put = f"project = {json.dumps(str(project))}"
        notes.append(f"{config} names another project, {read.project}: put there {put}, or set JESSE_PAPER_PROJECT")
    if (project / ".env").exists():
        notes.append(
            f"{project / '.env'} is not read: no exchange key is wanted. For candles of Jesse's own database, set "
            f"env_file in [jesse_database] of {config}"
        )
    return notes


def _next(project: Path, strategy: str) -> list[str]:
    """The commands that lead to a session from here."""
    start = f"jesse-paper start {strategy} BTC-USDT"
    try:
        pong: wire.Pong = ask(wire.Ping, {}, timeout=2)
    except PaperError:
        return ["jesse-paperd &", start]
    if pong.project == str(project):
        return [start]
    stop = f"kill {pong.pid}   # it serves {pong.project}; its sessions live on"
    return [stop, "jesse-paperd &", start]


@click.command(short_help="Make CURVE keys, to talk over TCP.")
@click.option(
    "--role", type=click.Choice(ROLES), help="Of a client: read asks, operate starts and stops, admin may all."
)
@json_option
def keygen(role: str | None, as_json: bool) -> None:
    """Make a pair of CURVE keys, for a daemon or a client that talks over TCP.

    \b
    jesse-paper keygen --json
    jesse-paper keygen --role read        # for a monitor, which cannot stop a session
    """
    public, secret = (key.decode() for key in zmq.curve_keypair())
    if as_json:
        return print_json({"public": public, "secret": secret, **({"role": role} if role else {})})
    click.echo(f"public key: {public}\nsecret key: {secret}")
    if role:
        click.echo(f'Daemon: curve_clients = ["{public} {role}", …]', err=True)
        return None
    click.echo("Daemon: curve_secret_key = its secret, curve_clients = [the clients' public keys].", err=True)
    return None
