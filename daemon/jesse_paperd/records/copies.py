"""A copy of each session's row of the registry, in the session's own folder, for when the registry is damaged or older.

`record.json` holds the row, its revision (how often it was written) and a checksum of both. The daemon alone writes it,
after the registry.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator

import msgspec

from jesse_paperd.core.layout import Layout
from jesse_paperd.records.record import Record

log = logging.getLogger(__name__)

_LONGEST = 2**22


class Copy(msgspec.Struct, frozen=True):
    """The file: `record` is the JSON of a `Record`, kept as text so that the checksum is of what stands there."""

    revision: int
    record: str
    checksum: int


class Copies:
    """The copies in a home."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def write(self, record: Record, revision: int) -> None:
        """Replace a session's copy. On a disk that takes nothing it stays as it was, which a later write makes good."""
        path = self._layout.session(record.session_id).record
        text = msgspec.json.encode(record).decode()
        new = path.with_name(f"{path.name}.new")
        if not path.parent.exists():  # it comes later, or was removed
            return
        try:
            new.write_bytes(msgspec.json.encode(Copy(revision, text, _checksum(revision, text))))
            new.chmod(0o600)
            new.replace(path)
        except OSError as error:
            log.warning("the copy of session %s could not be written: %s", record.session_id, error)

    def read(self, session_id: str) -> tuple[Record, int] | None:
        """A session's row and its revision, or None where there is no copy that is whole."""
        path = self._layout.session(session_id).record
        try:
            if path.stat().st_size > _LONGEST:
                return None
            copy = msgspec.json.decode(path.read_bytes(), type=Copy)
            record = msgspec.json.decode(copy.record, type=Record)
        except (OSError, ValueError, msgspec.MsgspecError):
            return None
        whole = copy.checksum == _checksum(copy.revision, copy.record)
        return (record, copy.revision) if whole and record.session_id == session_id else None

    def all(self) -> Iterator[tuple[Record, int]]:
        """Every copy that is whole."""
        for folder in sorted(self._layout.sessions.iterdir()):
            if not folder.name.startswith(".") and (found := self.read(folder.name)) is not None:
                yield found


def _checksum(revision: int, record: str) -> int:
    return zlib.crc32(record.encode(), revision & 0xFFFFFFFF)
