"""init and keygen: a first project, a commented configuration, keys for the network."""

from __future__ import annotations

import json
from pathlib import Path

import click
import zmq

from jesse_paperd.cli.asking import json_option, print_json
from jesse_paperd.wire.endpoint import default_home
from jesse_paperd.wire.errors import PaperError

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
@click.argument("folder", type=click.Path(path_type=Path), default=Path("jesse-project"))
@json_option
def init(folder: Path, as_json: bool) -> None:
    """Make a Jesse project with a first strategy in FOLDER, and a commented configuration in the home.

    What exists is kept. FOLDER is jesse-project unless named.

    \b
    jesse-paper init ~/my-jesse-project
    """
    project, home = folder.expanduser().absolute(), default_home()
    config = home / "config.toml"
    done = {}
    for file, content in (
        (project / "strategies" / "FirstStrategy" / "__init__.py", _STRATEGY),
        # A string of JSON is one of TOML.
        (config, _CONFIG.format(project=json.dumps(str(project)))),
    ):
        done[str(file)] = "kept" if file.exists() else "made"
        try:
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(content)
            if file == config:
                home.chmod(0o700)
        except OSError as error:
            raise PaperError("storage_failed", f"{file} cannot be written: {error.strerror}") from error
    if as_json:
        return print_json({"project": str(project), "config": str(config), "files": done})
    for name, what in done.items():
        click.echo(f"{what}    {name}")
    if done[str(config)] == "kept" and str(project) not in config.read_text(errors="replace"):
        click.echo(
            f"note    {config} names another project: put {project} there, or into JESSE_PAPER_PROJECT", err=True
        )
    click.echo("now     jesse-paperd &")
    click.echo("        jesse-paper start FirstStrategy BTC-USDT")
    return None


@click.command(short_help="Make CURVE keys, to talk over TCP.")
@json_option
def keygen(as_json: bool) -> None:
    """Make a pair of CURVE keys, for a daemon or a client that talks over TCP.

    \b
    jesse-paper keygen --json
    """
    public, secret = (key.decode() for key in zmq.curve_keypair())
    if as_json:
        return print_json({"public": public, "secret": secret})
    click.echo(f"public key: {public}\nsecret key: {secret}")
    click.echo("Daemon: curve_secret_key = its secret, curve_clients = [the clients' public keys].", err=True)
    return None
