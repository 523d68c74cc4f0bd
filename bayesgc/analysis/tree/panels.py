"""A sweep cut into panels: one for each combination of the axes that are neither swept over nor repeat a cell."""

from __future__ import annotations

import json
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

    A question names an axis by its name, by what else it is called, or by a value that is a word. Without one that
    does, it is the axis along which the sweep claims something, and else the first of numbers.
    """
    axes = axes_of(cells)
    candidates = [name for name in axes if name not in REPLICATES and cells.sizes[name] > 1]
    candidates = [name for name in candidates if name != PANEL] or candidates
    question = str(cells.attrs.get("question", ""))
    for called in (_names_of, _words_on):
        found = {name: _place(called(cells, name), question) for name in candidates}
        if named := {name: place for name, place in found.items() if place is not None}:
            return min(named, key=lambda name: named[name])
    claimed = [name for name in _claimed(cells) if name in candidates]
    numeric = [name for name in candidates if np.issubdtype(cells[name].dtype, np.number)]
    return (claimed or numeric or candidates or axes)[0]


def _place(words: Sequence[str], question: str) -> int | None:
    """Where one of these words, regular expressions, first stands in the question."""
    found = re.search(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)", question, re.IGNORECASE) if words else None
    return None if found is None else found.start()


def _names_of(cells: xr.Dataset, axis: str) -> list[str]:
    """How a question may call an axis."""
    plain = axis.replace("_", " ")
    return [re.escape(axis), f"{re.escape(plain)}s?", re.escape(axis.replace("_", "-")), *_ALSO.get(axis, ())]


def _words_on(cells: xr.Dataset, axis: str) -> list[str]:
    """The values of an axis that a question may name: words, without the options of what they name."""
    values = cells[axis].values.tolist()
    return [re.escape(value.partition(":")[0]) for value in values if isinstance(value, str) and value[:1].isalpha()]


def _claimed(cells: xr.Dataset) -> Iterator[str]:
    """The axes along which the sweep's own claims compare cells."""
    for claim in json.loads(cells.attrs.get("sweep", "{}")).get("claims", ()):
        at, over_at = claim.get("at") or {}, claim.get("over_at") or {}
        yield from (axis for axis in at if axis in over_at and at[axis] != over_at[axis])


_ALSO = {
    "depth": ("depths", "deep", "deeper", "shallow", "shallower", "layers?"),
    "width": ("widths", "wide", "wider", "narrow", "narrower"),
    "eps": ("ε", "thresholds?", "tight", "tighter", "loose", "looser"),
    "activation": ("non-?linearit(?:y|ies)",),
    "normalize": ("normali[sz](?:ed?|es|ing|ation)",),
    "scaling": ("scales?", "scaled"),
    "train": ("examples?", "training sets?", "samples?"),
    "gd_optimizer": ("optimi[sz]ers?",),
    "gd_lr": ("step sizes?", "learning rates?"),
    "gd_init": ("starts?", "initiali[sz]ations?"),
}
