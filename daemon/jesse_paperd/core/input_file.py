"""Reading files that a user names: whatever they turn out to be, the reader neither hangs nor runs out of memory.

A named pipe would hold whoever opens it for ever, `/dev/zero` never ends, a small gzip file may unpack to terabytes. So
only regular files are read (links are followed), only up to a bound, and what is looked at is what is read: between the
look and the reading nobody can put another file in its place.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import stat
import tomllib
import zlib
from pathlib import Path
from typing import Any

from jesse_paper.errors import ErrorCode, PaperError

#: Bytes of a text that a person wrote: a configuration, an `.env`, a key.
LONGEST_TEXT = 2**20

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_input_file(path: Path, what: str, most: int, code: ErrorCode = "invalid_argument") -> bytes:
    """The content of a file that a user named.

    Args:
        what: what the file is for, with its article, for messages: "the candle file".
        most: bytes that it may have.
        code: that of the error.

    Raises:
        PaperError: `code`, when it is missing, unreadable, no regular file or too large. It quotes nothing of it.
    """
    try:
        # Opened as a mere place in the tree, which touches neither pipe nor device; then that very file for reading.
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            _check(os.fstat(place), path, what, most, code)
            # Without waiting: some files of /proc and /sys are regular and yet have no end.
            descriptor = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        finally:
            os.close(place)
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(most + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise PaperError(code, f"{what} {path} cannot be read: {reason}") from error
    if content is None or len(content) > most:
        raise _too_large(f"{what} {path}", most, code)
    return content


def read_input_text(path: Path, what: str, code: ErrorCode = "invalid_argument") -> str:
    """The text of a file that a person wrote: UTF-8, at most `LONGEST_TEXT`.

    Raises:
        PaperError: as `read_input_file`, and when it is no UTF-8.
    """
    try:
        return read_input_file(path, what, LONGEST_TEXT, code).decode()
    except UnicodeDecodeError as error:
        raise PaperError(code, f"{what} {path} is not UTF-8 text") from error


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The tables of a TOML file that a person wrote.

    Raises:
        PaperError: as `read_input_text`, and when it is no TOML: with the line, and nothing of what stands there, which
            may be a secret.
    """
    try:
        return tomllib.loads(read_input_text(path, what))
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at (.+)\)$", str(error))
        where = place[1] if place else "somewhere"
        raise PaperError(
            "invalid_argument",
            f"{what} {path} is not valid: no TOML at {where}",
            "texts are in quotes, each key is there once, tables come last",
        ) from error


def unzip(content: bytes, name: str, most: int, code: ErrorCode = "invalid_argument") -> bytes:
    """What a gzip file unpacks to.

    Args:
        name: the file's name, for messages.
        most: bytes that it may unpack to.

    Raises:
        PaperError: `code`, when it is damaged or unpacks to more.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            unpacked = file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise PaperError(code, f"{name} is not a whole gzip file") from error
    if len(unpacked) > most:
        raise _too_large(f"{name}, unpacked,", most, code)
    return unpacked


def _check(found: os.stat_result, path: Path, what: str, most: int, code: ErrorCode) -> None:
    kind = stat.S_IFMT(found.st_mode)
    if kind != stat.S_IFREG:
        raise PaperError(code, f"{what} {path} is {_KINDS.get(kind, 'no file')}, not a regular file")
    if found.st_size > most:
        raise _too_large(f"{what} {path}", most, code, found.st_size)


def _too_large(named: str, most: int, code: ErrorCode, size: int | None = None) -> PaperError:
    has = f"has {size / 2**20:,.0f} MiB, and" if size is not None and size >= 2**20 else "is too large:"
    return PaperError(code, f"{named} {has} at most {most / 2**20:,.0f} MiB are read")
