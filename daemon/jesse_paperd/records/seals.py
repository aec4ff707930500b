"""Checksums of rows: what is read is what was written, or it is said that it is not.

SQLite has none of its own in a database's pages, so a flipped bit would be an answer. Every row of a journal carries a
CRC-32 of its values, and the row of `progress` counts all others, so that none can go missing either.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence

import msgspec

from jesse_paper.errors import PaperError
from jesse_paperd.records.record import damaged

_encode = msgspec.msgpack.Encoder().encode
_pack_six = struct.Struct("<6d").pack


def seal_of(values: Iterable[object]) -> int:
    """The checksum of a row's values, in the order of its columns.

    Numbers count as floats, and minus zero as zero: that is how they come back from SQLite.
    """
    return zlib.crc32(_encode([value + 0.0 if isinstance(value, int | float) else value for value in values]))


def seal_of_six(a: float, b: float, c: float, d: float, e: float, f: float) -> int:
    """The same for a row of six numbers, of which a journal has most."""
    return zlib.crc32(_pack_six(a + 0.0, b + 0.0, c + 0.0, d + 0.0, e + 0.0, f + 0.0))


def broken(table: str, row: Sequence[object]) -> PaperError:
    """The error of a row whose checksum is another."""
    return damaged(f"a row of the journal's {table} is damaged: its checksum is another ({str(row[:2])[1:-1]}, …)")


def missing(table: str, expected: int, found: int) -> PaperError:
    """The error of a table that has not the rows it should have."""
    return damaged(f"the journal's {table} are damaged: there should be {expected:,}, and {found:,} can be read")
