"""Sweeps small enough for tests: a cell takes a fraction of a second."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bayesgc.experiments import Sweep

OPTIONS: dict[str, Any] = {
    "rows": 3,
    "cols": 3,
    "measurements": 5,
    "eps": 0.02,
    "normalize": False,
    "method": "importance",
    "max_evaluations": 16 * 1024,
    "gd_steps": 100,
    "gd_init_scale": 0.3,
    "restarts": 2,
}


def small_sweep(**changes: Any) -> Sweep:
    values: dict[str, Any] = {
        "title": "small",
        "question": "does it run?",
        "options": OPTIONS,
        "axes": {"depth": [2, 3], "task_seed": [0, 1]},
        "panels": {"tanh": {"activation": "tanh"}},
    }
    return Sweep(**(values | changes))


def assert_same_bits(first: xr.Dataset, second: xr.Dataset) -> None:
    """Equal in every bit but for the wall time."""
    xr.testing.assert_identical(*(each.drop_vars("seconds") for each in (first, second)))
    for name in first.data_vars:
        if name != "seconds" and first[name].dtype.kind == "f":
            np.testing.assert_array_equal(first[name].values.view(np.uint64), second[name].values.view(np.uint64))


@dataclass(frozen=True)
class Dying:
    """A job that takes its worker with it when it runs for the first time."""

    mark: str
    label: str = "dying"
    keys: tuple[str, ...] = ("dying",)

    def run(self) -> list[Any]:
        if Path(self.mark).exists():
            return []
        Path(self.mark).touch()
        os._exit(9)


@dataclass(frozen=True)
class Deadly:
    """A job that always takes its worker with it."""

    label: str = "deadly"
    keys: tuple[str, ...] = ("deadly",)

    def run(self) -> list[Any]:
        os._exit(9)
