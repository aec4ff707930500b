"""The environment of a process that imports Jesse and runs strategies: short, and the same wherever it runs.

A strategy is somebody's code. What is in the daemon's environment, a key or a password, is not its business.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

ENGINE_ENVIRONMENT = {
    # OpenBLAS and OpenMP would otherwise start threads at import, and no fork is safe with them.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # pandas imports pyarrow where it is installed, whose allocator would start one.
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    # A strategy that walks over a set of strings should meet them in the same order when it is replayed.
    "PYTHONHASHSEED": "0",
}
#: What a program needs of its surroundings to run at all, in its language and its place.
_PASSED_ON = frozenset(
    {
        "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH",
        "PYTHONHOME", "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR", "NUMBA_CACHE_DIR", "JESSE_PAPER_HOME",
        "JESSE_PAPER_PROJECT",
    }
)  # fmt: skip


def session_environment(further: Iterable[str] = ()) -> dict[str, str]:
    """The environment of the zygote and its forks.

    Args:
        further: names of variables that are passed on besides.
    """
    names = _PASSED_ON | set(further)
    passed = {name: value for name, value in os.environ.items() if name in names or name.startswith("LC_")}
    return {**passed, **ENGINE_ENVIRONMENT}
