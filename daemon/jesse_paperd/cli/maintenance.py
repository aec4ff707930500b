"""disk, archive, restore, delete: what sessions take, and what to do with it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from jesse_paper import protocol as wire
from jesse_paper.errors import PaperError
from jesse_paperd.cli.asking import ask, json_option, print_json
from jesse_paperd.cli.sessions import session_argument
from jesse_paperd.terminal.printable import printable
from jesse_paperd.terminal.tables import state, table


@click.command()
@json_option
def disk(as_json: bool) -> None:
    """Show what takes how much of the disk.

    \b
    jesse-paper disk
    """
    use = ask(wire.PaperDiskUse, {})
    if as_json:
        return print_json(use)
    table(
        ["session", "state", "MB"],
        [[share.session_id, state(share.status), round(share.used_mb, 1)] for share in use.sessions],
    )
    click.echo(f"{use.home}: {use.used_mb:,.1f} MB, {use.free_mb:,.0f} MB free")
    click.echo(f"of it candles {use.candles_mb:,.1f} MB, archives {use.archives_mb:,.1f} MB")
    return None


@click.command(short_help="Pack SESSION into one file.")
@session_argument
@json_option
def archive(session_id: str, as_json: bool) -> None:
    """Pack SESSION, running or ended, into one file in the daemon's home.

    It holds the journal (SQLite), the log, the strategy as it was and the replayed candles. `restore` brings it
    back.

    \b
    jesse-paper archive paper_0123456789ab
    """
    archived = ask(wire.PaperArchiveSession, {"session_id": session_id}, timeout=300)
    if as_json:
        return print_json(archived)
    click.echo(f"{archived.path}  {archived.size_mb:,.1f} MB")
    return None


@click.command(short_help="Bring a session back from its archive.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
def restore(file: Path, as_json: bool) -> None:
    """Bring a session back from its archive FILE, under its own id, as it was when it was archived.

    An ended session can be looked at as before; one that ran goes on from where it was. The archive holds the strategy,
    which is run: restore only what you trust. There must be no session of this id.

    \b
    jesse-paper restore ~/.jesse-paper/archives/paper_0123456789ab.tar.gz
    """
    restored = ask(wire.PaperRestoreSession, {"path": str(file.absolute())}, timeout=300)
    if as_json:
        return print_json(restored)
    click.echo(f"{restored.session_id}  restored, {restored.status}")
    if restored.hint:
        click.echo(printable(restored.hint), err=True)
    return None


@click.command(short_help="Make the journal of SESSION anew.")
@session_argument
@json_option
def repair(session_id: str, as_json: bool) -> None:
    """Make the journal of SESSION anew from its spec, its candles and what was asked of it. The old file is kept.

    The session, which must not run, runs once more from its beginning to where it was. `doctor` says which journals
    are damaged; `verify` proves a repaired one.

    \b
    jesse-paper repair paper_0123456789ab
    """
    repaired = ask(wire.PaperRepairSession, {"session_id": session_id}, timeout=60)
    if as_json:
        return print_json(repaired)
    click.echo(f"{repaired.session_id}  {repaired.status}; the old journal is {repaired.kept or 'not there'}")
    click.echo(repaired.hint, err=True)
    return None


@click.command(short_help="Delete an ended SESSION for good.")
@session_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def delete(session_id: str, yes: bool, as_json: bool) -> None:
    """Delete SESSION for good, which must have ended: its journal, its log, its strategy's snapshot.

    \b
    jesse-paper delete paper_0123456789ab --yes
    """
    if not yes:
        _need_session(session_id)
        if not sys.stdin.isatty():
            raise PaperError("invalid_argument", f"{session_id} would be gone for good", "say --yes to mean it")
        click.confirm(f"Delete {session_id} and everything about it?", abort=True)
    deleted = ask(wire.PaperDeleteSession, {"session_id": session_id}, timeout=60)
    if as_json:
        return print_json(deleted)
    click.echo(f"{deleted.session_id}  deleted, {deleted.freed_mb:,.1f} MB")
    return None


def _need_session(session_id: str) -> None:
    """Say that there is no such session, before anybody is asked whether to delete it."""
    try:
        ask(wire.PaperStatus, {"session_id": session_id})
    except PaperError as error:
        if error.code != "storage_failed":  # a session that cannot be read may well be meant to go
            raise
