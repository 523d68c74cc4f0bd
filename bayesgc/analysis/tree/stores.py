"""Reading the folder of a sweep, as plain JSON and xarray."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bayesgc.analysis.measures import measures_over
from bayesgc.analysis.tree.panels import Panel, axes_of, main_axis, panels
from bayesgc.analysis.tree.storage import DAMAGE
from bayesgc.validate import InputError

SCHEMA = 1
_PLAN = "sweep.json"
_NEEDED = ("posterior_{}", "posterior_{}_mcse", "prior_{}", "gd_{}")
"""Beside the outcome, of the measure of generalisation."""


@dataclass(frozen=True)
class Store:
    """A sweep: what was asked, and one dataset over all its cells."""

    folder: Path
    sweep: dict[str, Any]
    cells: xr.Dataset

    @property
    def title(self) -> str:
        """The sweep's title, or its folder's name."""
        return str(self.cells.attrs.get("title") or self.sweep.get("title") or self.folder.name)

    @property
    def axes(self) -> list[str]:
        """The names of the axes in the order of the sweep."""
        return axes_of(self.cells)

    @property
    def panels(self) -> list[Panel]:
        """The sweep cut along its main axis; the only panel is called by the title."""
        found = panels(self.cells, main_axis(self.cells))
        return [replace(panel, name=panel.name or self.title) for panel in found]

    def strings(self, name: str) -> np.ndarray:
        """A variable of strings over the axes; empty where it is absent."""
        if name not in self.cells:
            return np.full(self.cells["outcome"].shape, "", dtype=object)
        found: np.ndarray = self.cells[name].transpose(*self.axes).values.astype(object)
        return found


def load_store(folder: Path) -> Store:
    """The sweep in ``folder``.

    Raises:
        InputError: naming the file that is missing, damaged, foreign or of another version.
    """
    plan = check_store(folder)
    try:
        sweep = json.loads(plan.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{plan} is damaged: it is not JSON; run the sweep again on that folder.") from error
    version = sweep.get("schema") if isinstance(sweep, dict) else None
    if version != SCHEMA:
        raise InputError(
            f"{plan} has store schema {version!r}; this bayesgc reads schema {SCHEMA}: run the sweep again."
        )
    return Store(folder, sweep, load_cells(folder / "sweep.nc"))


def check_store(folder: Path) -> Path:
    """The plan of the sweep in ``folder``.

    Raises:
        InputError: where there is none, naming the sweeps in folders of their own below it, as a study has them.
    """
    plan = folder / _PLAN
    if plan.is_file():
        return plan
    parts = sorted(each.parent.name for each in folder.glob(f"*/{_PLAN}"))
    if not parts:
        raise InputError(f"{folder} holds no sweep: {plan} is missing; give the folder that bayesgc sweep wrote.")
    named = f"part {parts[0]}" if len(parts) == 1 else f"parts {', '.join(parts[:-1])} and {parts[-1]}"
    raise InputError(f"{folder} holds the {named}; give {'' if len(parts) == 1 else 'one, as '}{folder / parts[0]}.")


def load_cells(file: Path) -> xr.Dataset:
    """The dataset over all cells of a sweep.

    Raises:
        InputError: naming the file that is missing, damaged or foreign.
    """
    if not file.is_file():
        raise InputError(f"{file} is missing: the sweep has finished no cell yet; run it on.")
    try:
        with xr.open_dataset(file, engine="h5netcdf") as lazy:
            cells = lazy.load().copy()
    except DAMAGE as error:
        raise InputError(
            f"{file} cannot be read: it is damaged or cut short; run the sweep again on that folder."
        ) from error
    primary = measures_over(cells).generalisation.name
    missing = [name for name in ("outcome", *(each.format(primary) for each in _NEEDED)) if name not in cells]
    if missing:
        raise InputError(
            f"{file} is not the table of a sweep: the variable {missing[0]!r} is missing; run the sweep again."
        )
    return cells
