"""service: has the daemon run by systemd or supervisord, which start it again whenever it ends."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path

import click

from jesse_paper.endpoint import default_home
from jesse_paper.errors import PaperError
from jesse_paperd.cli.asking import json_option, print_json

_SYSTEMD = """\
# Written by: jesse-paper service install --systemd. Every setting that is not systemd's default says why.

[Unit]
Description=Paper trading for Jesse strategies
# Live candles come over the network; the daemon itself needs none and answers without.
Wants=network-online.target
After=network-online.target
# A daemon that a bad configuration ends at once should be seen as failed, not tried for ever.
StartLimitIntervalSec=60
StartLimitBurst=10

[Service]
# It says itself when it serves, and then gives a sign of life from its event loop; a hung one is started again.
Type=notify
WatchdogSec=30
ExecStart={program}
Environment={home_variable}
Environment={project_variable}
# Sessions outlive the daemon: what ends is the daemon alone, never the rest of its control group.
KillMode=process
# One session that the kernel kills for its memory must not end the service.
OOMPolicy=continue
# Sessions need it for their own restarts, whatever it ended with: but not when it was told that it may not run
# (2: its configuration, 5: another daemon has this home).
Restart=always
RestartSec=1
RestartPreventExitStatus=2 5
# It answers what is under way before it ends.
TimeoutStopSec=15
# A session needs a descriptor, the journal that is being read three.
LimitNOFILE=65536
# What the daemon and the strategies write is nobody else's business.
UMask=0077
# A strategy is somebody's program. It needs no more rights than it starts with, no other architecture, no real-time
# priority, no namespaces of its own, and no addresses but the network's and local ones. (It does need memory that is
# written and executed: Jesse's indicators are compiled when they are first used.)
NoNewPrivileges=yes
SystemCallArchitectures=native
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
{system_only}
[Install]
WantedBy={target}
"""

_SYSTEM_ONLY = """\
User={user}
# The system's own files are none of its business, nor are devices, the kernel's settings and its clock.
ProtectSystem=full
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
CapabilityBoundingSet=
"""

_SUPERVISORD = """\
; Written by: jesse-paper service install --supervisord. Every setting that is not supervisord's default says why.

[supervisord]
; Everything of one daemon is in its home.
logfile={home}/supervisord.log
pidfile={home}/supervisord.pid
; The log of a daemon that trades nothing real must not fill a disk.
logfile_maxbytes=10MB
logfile_backups=3
; Files of others' sessions are nobody's business.
umask=077

[unix_http_server]
file={home}/supervisor.sock
chmod=0600

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{home}/supervisor.sock

[program:jesse-paperd]
command={program}
environment={environment}
; Sessions outlive the daemon: a signal is for it alone, never for the group.
stopasgroup=false
killasgroup=false
; It is up when it has taken the home's lock and serves; one that is refused the lock exits at once.
startsecs=1
; A daemon that a bad configuration ends at once should be seen as FATAL, not tried for ever.
startretries=5
; Whatever the exit status, the daemon should run: sessions need it for their restarts.
autorestart=true
; It answers what is under way before it ends.
stopwaitsecs=15
; One log for both streams, rotated.
redirect_stderr=true
stdout_logfile={home}/log/daemon.log
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=5
"""


@click.group(short_help="Have systemd or supervisord run the daemon.")
def service() -> None:
    """Have the daemon run, and started again whenever it ends."""


@service.command()
@click.option(
    "--systemd", "manager", flag_value="systemd", help="A unit of your own systemd; --system: of the machine's."
)
@click.option("--supervisord", "manager", flag_value="supervisord", help="A configuration of a supervisord of its own.")
@click.option(
    "--system", is_flag=True, help="With --systemd: a unit of the machine, run as you (needs root to install)."
)
@click.option(
    "--project", type=click.Path(path_type=Path), help="The Jesse project. [default: JESSE_PAPER_PROJECT, else here]"
)
@click.option("--print", "only_print", is_flag=True, help="Print the file instead of writing it.")
@json_option
def install(manager: str | None, system: bool, project: Path | None, only_print: bool, as_json: bool) -> None:
    """Write the file that makes systemd or supervisord run the daemon, and say how to start it.

    The home is JESSE_PAPER_HOME, else ~/.jesse-paper; all paths in the file are absolute.

    \b
    jesse-paper service install --systemd --project ~/my-jesse-project
    jesse-paper service install --supervisord --print
    """
    if manager is None:
        raise PaperError("invalid_argument", "neither --systemd nor --supervisord is given", "choose one")
    home, folder = default_home(), _project(project)
    if manager == "systemd":
        text, file = _unit(home, folder, system), _unit_file(system)
        commands = [
            f"systemctl {'' if system else '--user '}{verb}" for verb in ("daemon-reload", "enable --now jesse-paperd")
        ]
        if not system:
            commands.append("loginctl enable-linger   # so that it runs when you are not logged in")
    else:
        text, file = _supervisord(home, folder), home / "supervisord.conf"
        commands = [f"{_program('supervisord')} -c {file}", f"{_program('supervisorctl')} -c {file} status"]
    if only_print:
        return print_json({"file": str(file), "text": text}) if as_json else click.echo(text, nl=False)
    try:
        # The daemon makes its home by itself; the logs' folder is wanted before it runs.
        (home / "log").mkdir(mode=0o700, parents=True, exist_ok=True)
        home.chmod(0o700)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    except OSError as error:
        raise PaperError("storage_failed", f"{file} cannot be written: {error.strerror}") from error
    if as_json:
        return print_json({"file": str(file), "commands": commands})
    click.echo(f"made    {file}")
    for command in commands:
        click.echo(f"now     {command}")
    return None


def _project(project: Path | None) -> Path:
    folder = (project or Path(os.environ.get("JESSE_PAPER_PROJECT") or Path.cwd())).expanduser().absolute()
    if not (folder / "strategies").is_dir():
        raise PaperError(
            "invalid_argument",
            f"{folder} is no Jesse project: it has no folder strategies/",
            "name one with --project or JESSE_PAPER_PROJECT; jesse-paper init makes one",
        )
    return folder


def _program(name: str) -> Path:
    """A command that is installed beside this one."""
    program = Path(sys.executable).with_name(name)
    if not program.exists():
        raise PaperError(
            "engine_unavailable", f"{program} is not there", "install it with: pip install 'jesse-paper[engine]'"
        )
    return program


def _unit_file(system: bool) -> Path:
    if system:
        return Path("/etc/systemd/system/jesse-paperd.service")
    configuration = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(configuration).expanduser() / "systemd" / "user" / "jesse-paperd.service"


def _unit(home: Path, project: Path, system: bool) -> str:
    return _SYSTEMD.format(
        program=_quoted(str(_program("jesse-paperd"))),
        home_variable=_quoted(f"JESSE_PAPER_HOME={home}"),
        project_variable=_quoted(f"JESSE_PAPER_PROJECT={project}"),
        system_only=_SYSTEM_ONLY.format(user=getpass.getuser()) if system else "",
        target="multi-user.target" if system else "default.target",
    )


def _quoted(text: str) -> str:
    """A word of a unit file: quotes for spaces, and % doubled, which would begin a specifier."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _supervisord(home: Path, project: Path) -> str:
    def escaped(path: Path) -> str:
        return str(path).replace("%", "%%")

    environment = f'JESSE_PAPER_HOME="{escaped(home)}",JESSE_PAPER_PROJECT="{escaped(project)}"'
    return _SUPERVISORD.format(home=escaped(home), program=escaped(_program("jesse-paperd")), environment=environment)
