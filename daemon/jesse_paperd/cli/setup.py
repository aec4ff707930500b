"""init and keygen: a first project, a commented configuration, keys for the network."""

from __future__ import annotations

from pathlib import Path

import click
import zmq

from jesse_paperd.cli.asking import json_option
from jesse_paperd.wire.endpoint import default_home
from jesse_paperd.wire.errors import PaperError

_CONFIG = """\
# The daemon's configuration. What is commented out shows the default; docs/operations.md explains each.
# The environment variables JESSE_PAPER_HOME, JESSE_PAPER_PROJECT and JESSE_PAPER_ENDPOINT go before this file.

project = "{project}"
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
def init(folder: Path) -> None:
    """Make a Jesse project with a first strategy in FOLDER, and a commented configuration in the home.

    What exists is kept.
    """
    project, home = folder.absolute(), default_home()
    for file, content in (
        (project / "strategies" / "FirstStrategy" / "__init__.py", _STRATEGY),
        (home / "config.toml", _CONFIG.format(project=project)),
    ):
        if file.exists():
            click.echo(f"kept    {file}")
            continue
        try:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            file.write_text(content)
        except OSError as error:
            raise PaperError("storage_failed", f"{file} cannot be written: {error.strerror}") from error
        click.echo(f"made    {file}")
    home.chmod(0o700)
    click.echo("now:    jesse-paperd &  jesse-paper start FirstStrategy BTC-USDT")


@click.command(short_help="Make CURVE keys, to talk over TCP.")
@json_option
def keygen(as_json: bool) -> None:
    """Make a pair of CURVE keys, for a daemon or a client that talks over TCP."""
    public, secret = (key.decode() for key in zmq.curve_keypair())
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode({"public": public, "secret": secret}).decode())
        return
    click.echo(f"public key: {public}\nsecret key: {secret}")
    click.echo("Daemon: curve_secret_key = its secret, curve_clients = [the clients' public keys].", err=True)
