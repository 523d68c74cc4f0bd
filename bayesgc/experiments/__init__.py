"""Sweeps: grids of inferences, the paper's figures among them, run on one machine or many, and kept in a store.

Public names load on first use, so that a fault in a sweep's file need not wait for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bayesgc.experiments.running import run_sweep
    from bayesgc.experiments.study import Study
    from bayesgc.experiments.sweep import Sweep

__all__ = ["Study", "Sweep", "run_sweep"]

_HOMES = {
    "Study": "bayesgc.experiments.study",
    "Sweep": "bayesgc.experiments.sweep",
    "run_sweep": "bayesgc.experiments.running",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
