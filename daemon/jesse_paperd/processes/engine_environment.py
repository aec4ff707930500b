"""The environment of a process that imports Jesse: the same under the daemon and in the foreground."""

from __future__ import annotations

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
