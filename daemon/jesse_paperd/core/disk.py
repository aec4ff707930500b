"""Detects storage faults, which an operator can fix and a session survives."""

from __future__ import annotations

import os
from pathlib import Path


def problem_of(folder: Path) -> str:
    """Why nothing can be written into a folder; empty when something can."""
    try:
        free = os.statvfs(folder)
    except OSError as error:
        return f"{folder} cannot be used: {error.strerror}"
    # Some file systems count no files, and have none free.
    if not free.f_bavail or (free.f_files and not free.f_favail):
        return f"no space is left for {folder}"
    return "" if os.access(folder, os.W_OK) else f"{folder} cannot be written to"
