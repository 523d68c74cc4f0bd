"""What a sweep says: medians over tasks along the swept axis, and the change from one end to the other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from scipy import stats

from bayesgc.analysis.equal_fit import descent_variable
from bayesgc.analysis.numerals import with_error
from bayesgc.analysis.panels import Panel
from bayesgc.analysis.stores import Store

_LEVEL = 0.95


def laws(cells: xr.Dataset) -> dict[str, str]:
    """The variable of each law's loss, of gradient descent that at equal fit where it is known."""
    descent = descent_variable(cells)
    return {
        "prior": "prior_gen_loss",
        "posterior": "posterior_gen_loss",
        descent.removesuffix("_gen_loss"): descent,
    }


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
    for panel in store.panels:
        gap = change(panel)
        if gap is not None:
            tasks = f"{gap.tasks} {'task' if gap.tasks == 1 else 'tasks'}"
            numbers = f"{panel.name}: {with_error(gap.difference, gap.mcse)} over {tasks}"
            found.setdefault((gap.first, gap.last), {}).setdefault(direction(gap), []).append(numbers)
    if not found:
        return _why_nothing(store)
    axis = store.panels[0].axis.replace("_", " ")
    parts = []
    for (first, last), ways in found.items():
        clauses = "; ".join(f"{words} ({', '.join(each)})" for words, each in ways.items())
        parts.append(f"from {axis} {first} to {last}, weights that fit generalise {clauses}")
    sentence = "; ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}: the change of E[L_gen | fit]."


def _why_nothing(store: Store) -> str:
    done = store.strings("outcome") == "converged"
    if done.any() and not np.isfinite(store.cells["posterior_gen_loss"].values[done]).any():
        return "How well the weights generalise is not known here: nothing is held out, or the truth is not known."
    return "Too few cells have run to say anything yet."


def direction(gap: Change) -> str:
    """Better, worse, or what keeps one from saying so."""
    way = "better" if gap.difference < 0 else "worse"
    if gap.mcse is None:
        return f"{way} on the one task"
    return way if gap.clear else "alike, within error"
