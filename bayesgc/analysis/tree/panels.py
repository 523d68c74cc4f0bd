"""A sweep cut into panels: one for each combination of the axes that are neither swept over nor repeat a cell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from bayesgc.analysis.measures import measures_over

REPLICATES = ("task_seed", "seed")
"""The axes that repeat a cell: on other tasks, and with other random numbers."""
PANEL = "panel"
"""The axis of what stands side by side, which is only swept over where there is nothing else."""


@dataclass(frozen=True)
class Panel:
    """One combination of the other axes, with the dataset over the swept axis and the axes that repeat."""

    name: str
    axis: str
    cells: xr.Dataset

    @property
    def places(self) -> list[Any]:
        """The values of the swept axis."""
        values: list[Any] = self.cells[self.axis].values.tolist()
        return values

    @property
    def positions(self) -> Float[np.ndarray, " place"]:
        """Where the places are drawn: numbers where they are, words one after another."""
        places = self.places
        numbers = all(isinstance(place, int | float) for place in places)
        return np.array(places if numbers else range(len(places)), dtype=float)

    def over_tasks(self, variable: str) -> Float[np.ndarray, "place task"]:
        """A variable by task; runs of one task with several seeds count once, by their mean."""
        found = self.cells[variable]
        if {"task_seed", "seed"} <= {*found.dims} - {self.axis}:
            found = found.mean("seed")
        rest = [name for name in found.dims if name != self.axis]
        table: np.ndarray = found.transpose(self.axis, *rest).values.astype(float)
        return table.reshape(len(table), -1)

    def band(self, variable: str) -> Float[np.ndarray, "3 place"]:
        """Quartile, median and quartile over tasks at each place, NaN where nothing is known."""
        found = self.over_tasks(variable)
        band = np.full((3, len(found)), np.nan)
        for place, values in enumerate(found):
            known = values[np.isfinite(values)]
            if known.size:
                band[:, place] = np.quantile(known, [0.25, 0.5, 0.75])
        return band


def panels(cells: xr.Dataset, axis: str) -> list[Panel]:
    """The panels of a sweep along one axis."""
    others = [name for name in axes_of(cells) if name not in (axis, *REPLICATES)]
    return [Panel(name, axis, part) for name, part in cut(cells, others)]


def cut(cells: xr.Dataset, axes: Sequence[str]) -> Iterator[tuple[str, xr.Dataset]]:
    """The part at each combination of values of ``axes``, by its name: words stand for themselves, ``depth 3``."""
    for values in product(*(cells[name].values.tolist() for name in axes)):
        words = (v if isinstance(v, str) else f"{n.replace('_', ' ')} {v}" for n, v in zip(axes, values, strict=True))
        yield ", ".join(words), cells.sel(dict(zip(axes, values, strict=True)))


def axes_of(cells: xr.Dataset) -> list[str]:
    """The names of the axes in the order of the sweep."""
    return [str(name) for name in cells[f"posterior_{measures_over(cells).generalisation.name}"].dims]


def main_axis(cells: xr.Dataset) -> str:
    """What is swept over: the axis with several values that the question names first, among those that repeat no cell.

    Without a question that names one, the first of numbers.
    """
    axes = axes_of(cells)
    candidates = [name for name in axes if name not in REPLICATES and cells.sizes[name] > 1]
    candidates = [name for name in candidates if name != PANEL] or candidates
    question = str(cells.attrs.get("question", ""))
    named = {name: found.start() for name in candidates if (found := _name_of(name).search(question)) is not None}
    if named:
        return min(named, key=lambda name: named[name])
    numeric = [name for name in candidates if np.issubdtype(cells[name].dtype, np.number)]
    return (numeric or candidates or axes)[0]


def _name_of(axis: str) -> re.Pattern[str]:
    """How a question may call an axis."""
    names = [re.escape(axis), re.escape(axis.replace("_", " ")), *_ALSO.get(axis, ())]
    return re.compile(rf"\b(?:{'|'.join(names)})\b", re.IGNORECASE)


_ALSO = {
    "depth": ("deep", "deeper", "shallow", "shallower"),
    "width": ("wide", "wider", "narrow", "narrower"),
    "eps": ("ε", "thresholds?", "tight", "tighter", "loose", "looser"),
}
