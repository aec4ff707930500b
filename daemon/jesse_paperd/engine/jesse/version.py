"""The one version of Jesse that the engine can step: its private functions are part of the engine."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version

from jesse_paper.errors import PaperError

JESSE_VERSION = "3.5.3"


def require_jesse() -> None:
    """Refuse any other Jesse than the pinned one, without importing it.

    Raises:
        PaperError: `engine_unavailable`, with the command that fixes it.
    """
    hint = f"{sys.executable} -m pip install 'jesse=={JESSE_VERSION}'"
    try:
        found = version("jesse")
    except PackageNotFoundError:
        raise PaperError("engine_unavailable", f"jesse is not installed; {JESSE_VERSION} is needed", hint) from None
    if found != JESSE_VERSION:
        raise PaperError(
            "engine_unavailable",
            f"jesse {found} is installed, but the engine is exact for {JESSE_VERSION} only",
            hint,
        )
