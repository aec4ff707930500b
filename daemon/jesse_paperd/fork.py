"""What a fork of the zygote does: run a session, or verify one.

The zygote imports this module once; `main` runs in each fork.
"""

from __future__ import annotations

from typing import Any

from jesse_paperd.engine.jesse.version import JESSE_VERSION
from jesse_paperd.session import main as session
from jesse_paperd.verification import main as verification

#: Told to the daemon once the import is done.
VERSION = JESSE_VERSION


def main(arguments: dict[str, Any]) -> int:
    """Do the work that `arguments` name; the exit status."""
    return verification.main(arguments) if "verify" in arguments else session.main(arguments)
