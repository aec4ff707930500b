"""Candle files: read whole and checked, written whole. What a file is shows in its content, not in its name.

    CSV         also gzipped; header `timestamp,open,high,low,close,volume`
    Parquet     columns of these names (needs pyarrow)
    NumPy       `.npy`, an (n, 6) array in Jesse's order: timestamp, open, close, high, low, volume

Timestamps are milliseconds UTC, whole minutes, ascending; one row a minute; missing minutes are simply absent. Rows in
memory are float64 in Jesse's order.

What is wrong is named by its line or row and its column. Nothing that a file holds is repeated: whoever names it need
not be allowed to read it.
"""

from __future__ import annotations

import gzip
import io
import math
import re
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from jesse_paper.errors import PaperError
from jesse_paper.rfc3339 import to_text
from jesse_paperd.candles.rules import END_OF_TIME, HIGHEST_PRICE, LARGEST_VOLUME, fault_of
from jesse_paperd.core.input_file import read_input_file, unzip
from jesse_paperd.core.minutes import MINUTE, Rows
from jesse_paperd.core.output_file import write_whole

#: Bytes of a candle file, and of what it unpacks to: about fifteen years of minutes as CSV.
MOST_BYTES = 512 * 2**20
COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")
HEADER = ",".join(COLUMNS)
SUFFIXES = (".csv", ".csv.gz", ".npy", ".parquet")

_LONGEST_LINE = 1000
#: As numpy reads it: Python itself also takes underscores, and the digits of other scripts.
_NUMBER = re.compile(rb"[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|nan|inf(inity)?)", re.IGNORECASE)

#: A file's columns in Jesse's order, and the other way round: open, high, low, close ↔ open, close, high, low.
_TO_JESSE = [0, 1, 4, 2, 3, 5]
_FROM_JESSE = [0, 1, 3, 4, 2, 5]


def read_candle_file(path: Path) -> Rows:
    """Read and check a candle file.

    Raises:
        PaperError: `candles_invalid` when it is missing or malformed.
    """
    return parse_candles(read_raw(path), str(path))


def read_raw(path: Path) -> bytes:
    """A candle file's content.

    Raises:
        PaperError: `candles_invalid` when it cannot be read.
    """
    return read_input_file(path, "the candle file", MOST_BYTES, "candles_invalid")


def parse_candles(raw: bytes, name: str) -> Rows:
    """Parse and check a candle file.

    Args:
        raw: the file's content.
        name: the file's name, for messages.

    Returns:
        An (n, 6) array in Jesse's column order, n ≥ 1.

    Raises:
        PaperError: `candles_invalid`, with the number of the first bad line or row.
    """
    if raw.startswith(b"PAR1"):
        return check_candles(_parse_parquet(raw, name), name)
    if raw.startswith(b"\x93NUMPY"):
        return check_candles(_parse_numpy(raw, name), name)
    return _parse_csv(raw, name)


def check_candles(rows: Rows, name: str) -> Rows:
    """The rows, in Jesse's order, if all of them are good.

    Raises:
        PaperError: `candles_invalid`, naming the first bad row.
    """
    if not len(rows):
        raise PaperError("candles_invalid", f"{name} holds no candles")
    if not _all_good(rows):
        previous = 0.0
        for number, values in enumerate(rows[:, _FROM_JESSE].tolist(), start=1):
            if problem := _problem(values, previous):
                whole = 0 < values[0] < 1e14 and values[0] % 1000 == 0
                when = f" ({to_text(int(values[0])) if whole else f'{values[0]:.15g}'})"
                raise PaperError("candles_invalid", f"{name}, row {number}{when} {problem}")
            previous = values[0]
    return rows


def write_candle_file(path: Path, rows: Rows) -> None:
    """Write candles in the form that the file's suffix names: whole or not at all.

    Raises:
        PaperError: `invalid_argument` for another suffix, `storage_failed` when it cannot be written.
    """
    write_whole(path, _encoded(path, rows))


def csv_text(rows: Rows) -> str:
    """Candles as CSV, each number as short as it can be without losing anything."""
    lines = [f"{int(t)},{o!r},{h!r},{low!r},{c!r},{v!r}" for t, o, h, low, c, v in rows[:, _FROM_JESSE].tolist()]
    return "\n".join([HEADER, *lines, ""])


def _encoded(path: Path, rows: Rows) -> bytes:
    if path.name.endswith(".csv"):
        return csv_text(rows).encode()
    if path.name.endswith(".csv.gz"):
        return gzip.compress(csv_text(rows).encode(), mtime=0)  # the same candles are the same bytes
    buffer = io.BytesIO()
    if path.suffix == ".npy":
        np.save(buffer, rows)
    elif path.suffix == ".parquet":
        arrow = _pyarrow()
        columns = dict(zip(COLUMNS, rows[:, _FROM_JESSE].T, strict=True))
        columns["timestamp"] = columns["timestamp"].astype(np.int64)
        arrow.parquet.write_table(arrow.table(columns), buffer)
    else:
        raise PaperError("invalid_argument", f"{path.name} has none of the endings {', '.join(SUFFIXES)}")
    return buffer.getvalue()


def _parse_csv(raw: bytes, name: str) -> Rows:
    if raw[:2] == b"\x1f\x8b":
        raw = unzip(raw, name, MOST_BYTES, "candles_invalid")
    header = raw[:_LONGEST_LINE].partition(b"\n")[0].strip()
    if header != HEADER.encode():
        count = header.count(b",") + 1
        found = f"{count:,} column{'s' * (count > 1)}" + (" of other names" if count == len(COLUMNS) else "")
        raise PaperError("candles_invalid", f"{name}, line 1: the header must be {HEADER!r}, but has {found}")
    if not raw.partition(b"\n")[2].strip():
        raise PaperError("candles_invalid", f"{name} holds no candles")
    try:
        rows = np.loadtxt(io.BytesIO(raw), delimiter=",", skiprows=1, comments=None, ndmin=2, dtype=np.float64)
    except ValueError:
        rows = np.empty((0, 0))
    if rows.shape[0] == 0 or rows.shape[1] != 6 or not _all_good(rows[:, _TO_JESSE]):
        _explain(raw, name)
    return np.ascontiguousarray(rows[:, _TO_JESSE])


def _parse_numpy(raw: bytes, name: str) -> Rows:
    """The array as it stands in the file: what the header promises is compared with what there is, not allocated."""
    numpy_format: Any = np.lib.format  # without types
    file = io.BytesIO(raw)
    try:
        version = numpy_format.read_magic(file)
        read_header = numpy_format.read_array_header_1_0 if version == (1, 0) else numpy_format.read_array_header_2_0
        shape, by_columns, dtype = read_header(file)
    except Exception as error:
        raise PaperError("candles_invalid", f"{name} is not a complete NumPy file") from error
    if len(shape) != 2 or shape[1] != len(COLUMNS) or dtype.kind not in "iuf":
        raise PaperError(
            "candles_invalid",
            f"{name} must hold an (n, {len(COLUMNS)}) array of numbers, but holds another one of shape {shape}",
            "its columns are Jesse's: timestamp, open, close, high, low, volume",
        )
    if len(raw) - file.tell() != math.prod(shape) * dtype.itemsize:
        raise PaperError("candles_invalid", f"{name} is not a complete NumPy file")
    rows = np.frombuffer(raw, dtype, offset=file.tell()).reshape(shape, order="F" if by_columns else "C")
    return np.array(rows, dtype=np.float64, order="C")


def _parse_parquet(raw: bytes, name: str) -> Rows:
    arrow = _pyarrow()
    try:
        file = arrow.parquet.ParquetFile(io.BytesIO(raw))
        _check_parquet(file, arrow.types, name)
        table = file.read(columns=list(COLUMNS))
        columns = [table.column(column).cast(arrow.float64()).to_numpy() for column in COLUMNS]
    except (arrow.ArrowException, OSError) as error:
        raise PaperError("candles_invalid", f"{name} is not a complete Parquet file of numbers") from error
    return np.ascontiguousarray(np.column_stack(columns)[:, _TO_JESSE])


def _check_parquet(file: Any, types: Any, name: str) -> None:
    """Refuse a file that does not hold candles before any of it is unpacked."""
    schema, metadata = file.schema_arrow, file.metadata
    missing = [column for column in COLUMNS if schema.names.count(column) != 1]
    if missing:
        raise PaperError(
            "candles_invalid", f"{name} lacks {', '.join(missing)}; its columns must be {', '.join(COLUMNS)}"
        )
    for column in COLUMNS:
        kind = schema.field(column).type
        if not (types.is_integer(kind) or types.is_floating(kind)):
            raise PaperError("candles_invalid", f"{name}: its column {column} must be of numbers")
    unpacked = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    if max(unpacked, metadata.num_rows * len(COLUMNS) * 8) > MOST_BYTES:
        raise PaperError(
            "candles_invalid", f"{name}, unpacked, is too large: at most {MOST_BYTES // 2**20} MiB are read"
        )


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise PaperError("invalid_argument", "Parquet needs pyarrow", "pip install 'jesse-paper[parquet]'") from error
    return pyarrow


def _all_good(rows: Rows) -> bool:
    time, open_, close, high, low, volume = rows.T
    return bool(
        np.isfinite(rows).all()
        and (time > 0).all()
        and (time % MINUTE == 0).all()
        and (np.diff(time) > 0).all()
        and (low > 0).all()
        and (high >= np.maximum(open_, close)).all()
        and (low <= np.minimum(open_, close)).all()
        and (high <= HIGHEST_PRICE).all()
        and (volume >= 0).all()
        and (volume <= LARGEST_VOLUME).all()
        and (time < END_OF_TIME).all()
    )


def _problem(values: list[float], previous: float) -> str:
    """What is wrong with a row in the order of `COLUMNS` that follows one of time `previous`; empty: nothing."""
    time, open_, high, low, close, volume = values
    if not np.isfinite(values).all():
        return "has a value that is not finite"
    if time <= 0 or time % MINUTE:
        return "has a timestamp that is not a whole minute in milliseconds"
    if time >= END_OF_TIME:
        return "has a time after the year 2099: times are read as milliseconds"
    if time <= previous:
        return "is not later than the line before"
    fault = fault_of(open_, high, low, close, volume)
    return f"has {fault}" if fault else ""


def _explain(raw: bytes, name: str) -> NoReturn:
    """Raise for the first bad line. Slow and exact; only run when something is known to be wrong."""
    previous = 0.0
    for number, line in enumerate(io.BytesIO(raw), start=1):
        if number == 1 or not line.strip():
            continue
        texts = line[:_LONGEST_LINE].strip().split(b",")
        wrong = [column for column, text in zip(COLUMNS, texts, strict=False) if not _NUMBER.fullmatch(text.strip())]
        if len(texts) != len(COLUMNS):
            problem = f"has {len(texts):,} value{'s' * (len(texts) > 1)} instead of {len(COLUMNS)}"
        elif wrong:
            problem = f"has a value that is not a number: its {wrong[0]}"
        else:
            values = [float(text) for text in texts]
            problem = _problem(values, previous)
            previous = values[0]
        if problem:
            raise PaperError("candles_invalid", f"{name}, line {number} {problem}")
    raise PaperError("candles_invalid", f"{name} is not a CSV file of numbers")
