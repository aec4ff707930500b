"""What to do about a strategy's failures that come of where it runs: modules and files that are not there."""

from __future__ import annotations

import sys
from pathlib import Path

from jesse_paperd.engine.jesse.version import JESSE_VERSION

#: Modules whose package has another name.
_PACKAGES = {
    "talib": "TA-Lib",
    "sklearn": "scikit-learn",
    "cv2": "opencv-python",
    "yaml": "PyYAML",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "PIL": "Pillow",
    "bs4": "beautifulsoup4",
}


def with_advice(message: str, error: BaseException) -> str:
    """A message with what can be done about the exception that it tells of, if that is known."""
    advice = _advice_on(error)
    return f"{message}; {advice}" if advice else message


def _advice_on(error: BaseException) -> str:
    if isinstance(error, ImportError) and error.name:
        root = error.name.partition(".")[0]
        if root == "jesse":
            return f"Jesse {JESSE_VERSION}, which this runs on, has it no more, or not yet, under that name"
        if isinstance(error, ModuleNotFoundError):
            package = _PACKAGES.get(root, root)
            return (
                "a package is installed into jesse-paper's own environment: "
                f"{sys.executable} -m pip install {package}; a module of the project that is found only at run time "
                "is named in snapshot_include of the project's jesse-paper.toml"
            )
    if isinstance(error, FileNotFoundError) and error.filename is not None:
        return (
            f"the strategy runs in a copy of what it imports and of the project's files up to 1 MiB, in {Path.cwd()}: "
            "name further files in snapshot_include of the project's jesse-paper.toml"
        )
    if isinstance(error, SystemExit):
        return "the strategy ended the process itself"
    return ""
