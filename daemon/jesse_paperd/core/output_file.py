"""Writing a file that a user names: whole or not at all, and never through a link."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from jesse_paper.errors import ErrorCode, PaperError


def write_whole(path: Path, content: bytes, code: ErrorCode = "storage_failed") -> None:
    """Write a file, in the place of one that is there. Where the name is a link, the link is replaced.

    Raises:
        PaperError: `code`; then what was there is still.
    """
    new = path.with_name(f".{path.name[:200]}.{uuid.uuid4().hex[:12]}")
    try:
        try:
            with new.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            new.rename(path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise PaperError(code, f"{path} cannot be written: {error.strerror or error}") from error
