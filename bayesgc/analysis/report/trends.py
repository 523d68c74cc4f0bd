"""What a sweep says: medians over tasks along the swept axis, and the change from one end to the other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import xarray as xr
from scipy import stats

from bayesgc.analysis.numerals import with_error
from bayesgc.analysis.stores import Store

LAWS = {"prior": "prior_gen_loss", "posterior": "posterior_gen_loss", "gd": "gd_gen_loss"}
_LEVEL = 0.95


@dataclass(frozen=True)
class Panel:
    """One combination of the other axes, with the dataset over the swept axis and the tasks."""

    name: str
    axis: str
    cells: xr.Dataset

    def band(self, variable: str) -> np.ndarray:
        """Quartiles and median over tasks at each value of the axis, NaN where nothing is known; (3, values)."""
        found = self.over_tasks(variable)
        band = np.full((3, found.shape[0]), np.nan)
        for place, values in enumerate(found):
            known = values[np.isfinite(values)]
            if known.size:
                band[:, place] = np.quantile(known, [0.25, 0.5, 0.75])
        return band

    def over_tasks(self, variable: str) -> np.ndarray:
        """(values of the axis, tasks); runs of one task with several seeds count once, by their mean."""
        found = self.cells[variable]
        if {"task_seed", "seed"} <= {*found.dims} - {self.axis}:
            found = found.mean("seed")
        rest = [name for name in found.dims if name != self.axis]
        table: np.ndarray = found.transpose(self.axis, *rest).values.reshape(found.sizes[self.axis], -1)
        return table

    @property
    def places(self) -> list[Any]:
        """The values of the swept axis."""
        values: list[Any] = self.cells[self.axis].values.tolist()
        return values


@dataclass(frozen=True)
class Change:
    """The mean over tasks of E[L_gen] at ``last`` minus that at ``first``, with the standard error of that mean."""

    difference: float
    mcse: float | None
    tasks: int
    first: Any
    last: Any

    @property
    def clear(self) -> bool:
        """Whether Student's 95 % interval over tasks leaves zero out; of one task none is known."""
        if self.mcse is None:
            return False
        return abs(self.difference) > float(stats.t.ppf((1 + _LEVEL) / 2, self.tasks - 1)) * self.mcse


def panels(store: Store) -> Iterator[Panel]:
    """One for each combination of the axes that are neither swept over nor the tasks'."""
    others = store.panel_axes
    for chosen in product(*(store.cells[name].values.tolist() for name in others)):
        place = dict(zip(others, chosen, strict=True))
        words = ", ".join(str(v) if isinstance(v, str) else f"{n.replace('_', ' ')} {v}" for n, v in place.items()
                          if store.cells.sizes[n] > 1)  # fmt: skip
        yield Panel(words or store.title, store.main_axis, store.cells.sel(place))


def change(panel: Panel) -> Change | None:
    """Between the first and the last value at which anything is known, paired over the tasks that both have."""
    table = panel.over_tasks("posterior_gen_loss")
    known = np.flatnonzero(np.isfinite(table).any(axis=1))
    if known.size < 2:
        return None
    gaps = table[known[-1]] - table[known[0]]
    gaps = gaps[np.isfinite(gaps)]
    if not gaps.size:
        return None
    error = float(gaps.std(ddof=1) / math.sqrt(gaps.size)) if gaps.size > 1 else None
    return Change(float(gaps.mean()), error, int(gaps.size), *(panel.places[known[end]] for end in (0, -1)))


def answer(store: Store) -> str:
    """One sentence: how generalisation changes along the axis, in each panel, between the ends that are known of it."""
    found: dict[tuple[Any, Any], dict[str, list[str]]] = {}
    for panel in panels(store):
        gap = change(panel)
        if gap is not None:
            tasks = f"{gap.tasks} {'task' if gap.tasks == 1 else 'tasks'}"
            numbers = f"{panel.name}: {with_error(gap.difference, gap.mcse)} over {tasks}"
            found.setdefault((gap.first, gap.last), {}).setdefault(direction(gap), []).append(numbers)
    if not found:
        return "Too few cells have run to say anything yet."
    axis = store.main_axis.replace("_", " ")
    parts = []
    for (first, last), ways in found.items():
        clauses = "; ".join(f"{words} ({', '.join(each)})" for words, each in ways.items())
        parts.append(f"from {axis} {first} to {last}, weights that fit generalise {clauses}")
    sentence = "; ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}: the change of E[L_gen | fit]."


def direction(gap: Change) -> str:
    """Better, worse, or what keeps one from saying so."""
    way = "better" if gap.difference < 0 else "worse"
    if gap.mcse is None:
        return f"{way} on the one task"
    return way if gap.clear else "alike, within error"
