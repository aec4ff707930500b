"""Checksums of rows: what is read is what was written, or it is said that it is not.

SQLite has none of its own in a database's pages, so a flipped bit would be an answer. Every row of a journal carries a
CRC-32 of its values, and the row of `progress` counts all others, so that none can go missing either.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from zlib import crc32

import msgspec

from jesse_paper.errors import PaperError
from jesse_paperd.records.record import damaged

_encode = msgspec.msgpack.Encoder().encode
_pack_six = struct.Struct("<6d").pack


def seal_of(values: Iterable[object]) -> int:
    """The checksum of a row's values, in the order of its columns.

    Numbers count as floats, and minus zero as zero: that is how they come back from SQLite.
    """
    return crc32(_encode([value + 0.0 if isinstance(value, int | float) else value for value in values]))


def seal_of_run(
    first_at: int, last_at: int, samples: int, equity: float, unrealized_pnl: float, in_position: int
) -> int:
    """The same for a run of equity, of which a journal has most. Packing takes whole numbers for floats by itself."""
    return crc32(_pack_six(first_at, last_at, samples, equity + 0.0, unrealized_pnl + 0.0, in_position))


def broken(table: str, row: Sequence[object]) -> PaperError:
    """The error of a row whose checksum is another."""
    return damaged(f"a row of the journal's {table} is damaged: its checksum is another ({str(row[:2])[1:-1]}, …)")


def missing(table: str, expected: int, found: int) -> PaperError:
    """The error of a table that has not the rows it should have."""
    return damaged(f"the journal's {table} are damaged: there should be {expected:,}, and {found:,} can be read")
