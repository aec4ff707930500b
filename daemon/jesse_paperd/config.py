"""The daemon's configuration: one frozen struct, from a TOML file and the environment.

Precedence: environment, then file, then the defaults below. Unknown keys are refused.
"""

from __future__ import annotations

import os
import re
import resource
from pathlib import Path
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta

from jesse_paper.endpoint import default_endpoint, default_home, socket_file
from jesse_paper.errors import PaperError
from jesse_paper.roles import ROLES, Role
from jesse_paperd.core.input_file import read_toml

#: Beyond the limit of CPU seconds a session may end itself; after so many more the kernel kills it.
_CPU_GRACE_SECONDS = 5

#: https://rfc.zeromq.org/spec/32/
_Z85_KEY = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")


class RestartPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a session that died is started again."""

    #: Starts allowed in a row without `settled_seconds` of life between them; then the session is `failed`.
    limit: Annotated[int, Meta(ge=0, le=1000)] = 5
    #: The first wait; each further one is twice as long, up to `longest_seconds`.
    first_seconds: Annotated[float, Meta(ge=0, le=3600)] = 0.5
    longest_seconds: Annotated[float, Meta(ge=0, le=86400)] = 60.0
    #: A session that lived this long has recovered: its count starts anew.
    settled_seconds: Annotated[float, Meta(ge=0, le=86400)] = 30.0


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a session may use. 0 means no limit."""

    #: Sessions running at once.
    sessions: Annotated[int, Meta(ge=1, le=100_000)] = 500
    #: Seconds one candle may take a strategy before the session fails: a strategy that loops for ever.
    candle_seconds: Annotated[float, Meta(ge=0, le=86400)] = 60.0
    #: Memory of a session process (what is private and writable: RLIMIT_DATA), in MiB. Not given: half the machine's.
    memory_mib: Annotated[int, Meta(ge=0)] | None = None
    #: Files and connections that a session process may have open.
    open_files: Annotated[int, Meta(ge=0)] = 4096
    #: CPU seconds of a session process.
    cpu_seconds: Annotated[int, Meta(ge=0)] = 0
    #: Seconds a verification may take; beyond them it is ended.
    verify_seconds: Annotated[float, Meta(ge=0, le=86400)] = 1800.0

    def of_process(self) -> dict[str, tuple[int, int]]:
        """The resource limits of a process with a strategy in it: the constant's name → (soft, hard)."""
        limits = {}
        memory_mib = half_the_machine() if self.memory_mib is None else self.memory_mib
        if memory_mib:
            limits["RLIMIT_DATA"] = (memory_mib * 2**20, memory_mib * 2**20)
        if self.open_files:
            most = min(self.open_files, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
            limits["RLIMIT_NOFILE"] = (most, most)
        if self.cpu_seconds:
            limits["RLIMIT_CPU"] = (self.cpu_seconds, self.cpu_seconds + _CPU_GRACE_SECONDS)
        return limits


def half_the_machine() -> int:
    """Half of the machine's memory, in MiB."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**21


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All settings of the daemon."""

    #: Directory of everything the daemon keeps.
    home: str
    #: The Jesse project whose `strategies/` are traded.
    project: str
    #: ZeroMQ endpoint. A TCP address needs `curve_secret_key`.
    endpoint: str
    #: Z85 secret key of the daemon for CURVE; clients need its public key.
    curve_secret_key: str = ""
    #: Z85 public keys of the clients that may connect over CURVE, each with its role behind a space: read, operate or
    #: admin; without one it is admin.
    curve_clients: tuple[str, ...] = ()
    #: How long paper_start waits for a session to run before it answers `starting`.
    start_seconds: Annotated[float, Meta(gt=0, le=600)] = 20.0
    #: The stop ladder: how long a session may take to end by itself, then after SIGTERM, before SIGKILL.
    stop_seconds: Annotated[float, Meta(gt=0, le=600)] = 20.0
    terminate_seconds: Annotated[float, Meta(gt=0, le=600)] = 5.0
    #: A session whose heartbeat is older than this is shown as stalled.
    stalled_seconds: Annotated[float, Meta(gt=0)] = 10.0
    #: Names of environment variables that strategies see besides the usual ones (PATH, HOME, LANG, …).
    session_environment: tuple[str, ...] = ()
    #: Days after its end at which a session is deleted; 0: never.
    retention_days: Annotated[float, Meta(ge=0)] = 0.0
    restart: RestartPolicy = RestartPolicy()
    limits: Limits = Limits()
    #: Exchange (Jesse's name) → overrides of the feed: `urls`, `proxy`. See docs/live-candles.md.
    exchanges: dict[str, dict[str, object]] = {}
    #: Jesse's own Postgres, for warm-ups and replays: `url` or `env_file`, … See docs/live-candles.md.
    jesse_database: dict[str, object] = {}

    @property
    def client_roles(self) -> dict[str, Role]:
        """The role of each client's key."""
        return {
            key: cast("Role", role or "admin") for key, _, role in (each.partition(" ") for each in self.curve_clients)
        }


def read_document(file: Path) -> dict[str, Any]:
    """A configuration file as it stands; one that is not there is empty.

    Raises:
        PaperError: `invalid_argument`, naming the file and what is wrong in it.
    """
    return read_toml(file, "the configuration") if os.path.lexists(file) else {}  # a link to nowhere is a mistake


def load(path: Path | None = None) -> Config:
    """Read the configuration.

    Args:
        path: a TOML file; None reads `<home>/config.toml` when there is one.

    Raises:
        PaperError: `invalid_argument`, naming the file and the key.
    """
    home = default_home()
    file = path or home / "config.toml"
    values = read_toml(file, "the configuration") if path is not None else read_document(file)
    if os.environ.get("JESSE_PAPER_HOME") or "home" not in values:
        values["home"] = str(home)
    home = Path(str(values["home"])).expanduser().absolute()
    values["home"] = str(home)
    if os.environ.get("JESSE_PAPER_ENDPOINT") or "endpoint" not in values:
        values["endpoint"] = default_endpoint(home)
    if os.environ.get("JESSE_PAPER_PROJECT") or "project" not in values:
        values["project"] = os.environ.get("JESSE_PAPER_PROJECT") or str(Path.cwd())
    values["project"] = str(Path(str(values["project"])).expanduser().absolute())
    try:
        config = msgspec.convert(values, Config)
    except msgspec.ValidationError as error:
        raise PaperError("invalid_argument", f"the configuration {file} is not valid: {error}") from error
    _check_endpoint(config)
    _check_key("curve_secret_key", config.curve_secret_key or "0" * 40)
    for key, role in config.client_roles.items():
        _check_key("curve_clients", key)
        if role not in ROLES:
            raise PaperError(
                "invalid_argument",
                f"curve_clients: {role!r} is not a role, of the key {key[:8]}…",
                f'write "KEY", or "KEY ROLE" with one of {", ".join(ROLES)}',
            )
    return config


def _check_key(name: str, key: str) -> None:
    if not _Z85_KEY.fullmatch(key):
        raise PaperError(
            "invalid_argument",
            f"{name}: a key has 40 characters, in Z85; this one has {len(key)}, or another among them",
            "jesse-paper keygen makes a pair",
        )


def _check_endpoint(config: Config) -> None:
    if socket_file(config.endpoint) is None and not (config.curve_secret_key and config.curve_clients):
        raise PaperError(
            "invalid_argument",
            f"the endpoint {config.endpoint} is on the network, which needs curve_secret_key and curve_clients",
            "make keys with: jesse-paper keygen; or use the default local endpoint",
        )
