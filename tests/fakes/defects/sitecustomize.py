"""A defect of the engine: stepping raises while the file `DEFECT` is there. For a test's PYTHONPATH only."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

_MODULE = "jesse_paperd.engine.stepping"


class _Breaker(importlib.abc.MetaPathFinder):
    """Breaks the stepping when its module is imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        spec = importlib.machinery.PathFinder.find_spec(fullname, path) if fullname == _MODULE else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            step = module.Stepper.step

            def broken(self: Any, *arguments: Any) -> None:
                if Path(os.environ["DEFECT"]).exists():
                    raise KeyError("BTC-USDT")
                step(self, *arguments)

            module.Stepper.step = broken  # type: ignore[attr-defined]

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


if "DEFECT" in os.environ:
    sys.meta_path.insert(0, _Breaker())
