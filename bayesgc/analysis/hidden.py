"""What cells that were hidden say of a posterior and of simple means, and which of them predicts better."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Int
from scipy.special import bdtr

from bayesgc.analysis.predictive import noisy_quantiles
from bayesgc.analysis.words.numerals import rounded
from bayesgc.intervals import Number

Json = dict[str, Any]

POSTERIOR, LEVEL = "posterior", 0.9
NAMES = {
    POSTERIOR: "G&C",
    "column_means": "column means",
    "nearest_neighbours": "kNN",
    "least_squares": "least squares",
    "nuclear_norm": "nuclear norm",
}
"""What predicts, in words."""


def hidden_dataset(
    cells: Int[np.ndarray, " cell"],
    row: Int[np.ndarray, " cell"],
    known: Float[np.ndarray, " cell"],
    centers: Float[np.ndarray, "draw cell"],
    noise: Float[np.ndarray, "draw #cell"],
    others: Mapping[str, Float[np.ndarray, " cell"]],
    spread: Float[np.ndarray, " cell"],
    *,
    second: bool,
    absent: Mapping[str, str],
) -> xr.Dataset:
    """The group ``hidden`` of a result, in the units of the data.

    Args:
        cells: flat indices of the cells.
        row: the row of each.
        known: their values.
        centers: what the draws of a posterior have there.
        noise: the standard deviation of what each draw leaves unexplained.
        others: what other means predict, by name.
        spread: the standard deviation of the observed cells of each one's column.
        second: whether the cells were hidden from a run of their own.
        absent: why some means predict nothing.
    """
    low, high = noisy_quantiles(centers, noise, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    predicted = {POSTERIOR: centers.mean(0), **others}
    own = {"cell": cells, "cell_row": row, "known": known, "spread": spread, "low": low, "high": high}
    variables: dict[str, Any] = {name: (("hidden_cell",), each) for name, each in own.items()}
    variables["predicted"] = (("predictor", "hidden_cell"), np.stack(list(predicted.values())))
    attributes = {"second_run": int(second), "level": LEVEL, "absent": json.dumps(dict(absent))}
    return xr.Dataset(variables, coords={"predictor": list(predicted)}, attrs=attributes)


def hidden_summary(tree: xr.DataTree) -> Json | None:
    """Root mean square errors in standard deviations of the columns, coverage, and which mean predicts better."""
    if "hidden" not in tree.children:
        return None
    found = tree["hidden"].to_dataset()
    known, errors = found["known"].values, _errors(found)
    inside = (known >= found["low"].values) & (known <= found["high"].values)
    others = {name: each for name, each in errors.items() if name != POSTERIOR}
    best = min(others, key=lambda name: float(np.square(others[name]).mean()))
    return {
        "cells": len(known),
        "second_run": bool(found.attrs["second_run"]),
        "evaluations": int(found.attrs["evaluations"]) if "evaluations" in found.attrs else None,
        "unit": "standard deviations of the columns",
        "error": {name: _root_mean_square(each) for name, each in errors.items()},
        "level": float(found.attrs["level"]),
        "covered": int(inside.sum()),
        "best_other": best,
        "judgement": _judged(errors[POSTERIOR], others[best], found["cell_row"].values),
        "absent": json.loads(found.attrs["absent"]),
    }


def hidden_contrast(tree: xr.DataTree, base: xr.DataTree) -> Json | None:
    """Which of two results predicts hidden cells better, where both have the same ones; None where one has none."""
    if not ("hidden" in tree.children and "hidden" in base.children):
        return None
    mine, theirs = (each["hidden"].to_dataset() for each in (tree, base))
    same = all(np.array_equal(mine[name].values, theirs[name].values) for name in ("cell", "known"))
    ours, other = (_errors(each)[POSTERIOR] for each in (mine, theirs))
    judgement = _judged(ours, other, mine["cell_row"].values) if same else None
    return {"cells": mine.sizes["hidden_cell"], "same_cells": same, "judgement": judgement}


def _errors(found: xr.Dataset) -> dict[str, Float[np.ndarray, " cell"]]:
    """How far each mean is off at each cell, in standard deviations of the cell's column."""
    known, spread = found["known"].values, found["spread"].values
    return {
        str(name): (found["predicted"].sel(predictor=name).values - known) / spread
        for name in found["predictor"].values
    }


def _judged(ours: Float[np.ndarray, " cell"], theirs: Float[np.ndarray, " cell"], row: Int[np.ndarray, " cell"]) -> str:
    """``lower``, ``higher``, ``alike`` or ``undecided``: our mean square error beside another's on the same cells."""
    mine, other = np.square(ours), np.square(theirs)
    _, place = np.unique(row, return_inverse=True)
    rows = int(place.max(initial=-1)) + 1
    if rows < 2 or not mine.any() or not other.any():
        return "undecided"
    # The error of the log of a ratio of means (the delta method), row by row: the cells of one row are off together.
    parts = np.bincount(place, mine / mine.mean() - other / other.mean())
    error = math.sqrt(rows / (rows - 1) * float(np.square(parts).sum())) / len(mine)
    return Number(math.log(mine.mean() / other.mean()) / 2, error / 2, rows - 1).judgement


def hidden_lines(result: Json) -> Iterator[str]:
    """What was hidden, how far each was off, and where the verdict is of something else, which is the better."""
    found = result.get("hidden")
    if found is None:
        return
    cells = found["cells"]
    which = _HIDDEN.format(cells=cells) if found["second_run"] else f"the {cells} cells that are missing"
    errors = ", ".join(f"{NAMES[name]} {rounded(error, 3)}" for name, error in found["error"].items())
    yield f"Error at {which}, in {found['unit']}: {errors}."
    inside = f"contain {found['covered']} of these {cells} values{_too_narrow(found)}"
    yield f"{100 * found['level']:.0f} % intervals of G&C {inside}."
    if not found["second_run"]:
        yield f"{_judgement(found)}."
    yield from (f"Not compared there: {NAMES.get(name, name)} ({reason})." for name, reason in found["absent"].items())


def hidden_sentence(found: Json) -> str:
    """How well missing cells are known, by those that were hidden, and whether simple means do as well."""
    error, cells = rounded(found["error"][POSTERIOR], 2), found["cells"]
    return (
        f"Missing cells are predicted with a root mean square error of {error} {found['unit']}, by "
        f"{_HIDDEN.format(cells=cells)}; {found['covered']} of the {cells} lie in their "
        f"{100 * found['level']:.0f} % intervals{_too_narrow(found)}. {_judgement(found)}"
    )


def fewest_covered(cells: int, level: float) -> int:
    """The least number of cells in their intervals that is no surprise: one time in twenty it is smaller."""
    return int(np.searchsorted(bdtr(np.arange(cells + 1), cells, level), _SURPRISE))


_SURPRISE = 0.05


def _too_narrow(found: Json) -> str:
    if found["covered"] >= fewest_covered(found["cells"], found["level"]):
        return ""
    return f", where {found['level'] * found['cells']:.0f} were expected: the intervals look too narrow"


_HIDDEN = "{cells} observed cells, hidden from a second run"


def _judgement(found: Json) -> str:
    best = found["best_other"]
    return _JUDGEMENTS[found["judgement"]].format(best=f"{NAMES[best]}, {rounded(found['error'][best], 2)}")


_JUDGEMENTS = {
    "lower": "G&C predicts better here than the best of the simple means ({best})",
    "higher": "The best of the simple means ({best}) predicts better here than G&C, which adds intervals alone",
    "alike": "G&C and the best of the simple means ({best}) predict equally well here; G&C adds intervals",
    "undecided": "These cells cannot tell whether G&C or the best of the simple means ({best}) predicts better",
}


_FEWEST_CELLS = 10
"""Fewer say next to nothing, however small the table."""


def cells_needed(task: Json) -> int:
    """Observed cells below which a table says little: the free numbers of one of rank one, and ten at least."""
    sides = task["shape"]
    return max(_FEWEST_CELLS, sum(sides) - len(sides) + 1)


def few_cells(task: Json) -> str | None:
    """What is to be said of a table, by the facts of its task, where fewer cells are observed."""
    observed = task["measurements"]
    if observed >= cells_needed(task):
        return None
    cells = "1 cell is" if observed == 1 else f"{observed} cells are"
    return f"only {cells} observed: predictions from so few say more of the prior than of the table"


def _root_mean_square(errors: Float[np.ndarray, " cell"]) -> float:
    return float(np.sqrt(np.square(errors).mean()))
