"""A table with its missing cells filled in, and their intervals beside it."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float

from bayesgc.analysis.predictive import check_cells, predict
from bayesgc.analysis.tree.groups import has, values


def completed(tree: xr.DataTree, *, level: float = 0.9) -> pd.DataFrame:
    """The table of a result: observed cells as they are, the others by their posterior mean, in the table's own units.

    Beside the columns stand, for each that had missing cells, ``NAME_low`` and ``NAME_high``, the ends of the intervals
    of `predict`, empty where the cell was observed; they are ``NAME_low_2`` and so on where the table has a column of
    that name. A tensor is long, one cell a line: its place, ``value``, ``low``, ``high``.

    Args:
        tree: a result whose measurements are cells.
        level: the probability of each interval.

    Raises:
        InputError: as `predict` does.
    """
    check_cells("completed", tree)
    return _filled(tree, predict(tree, level=level))


def _filled(tree: xr.DataTree, found: xr.Dataset) -> pd.DataFrame:
    """The table with what is ``found`` of its cells, as `predict` gives it, where they are missing."""
    known = _observed(tree, found["mean"].shape)
    missing = np.isnan(known)
    whole = np.where(missing, found["mean"].values, known)
    ends = {name: np.where(missing, found[name].values, np.nan) for name in ("low", "high")}
    if whole.ndim > 2:
        places = {
            str(dim): index.ravel() for dim, index in zip(found["mean"].dims, np.indices(whole.shape), strict=True)
        }
        return pd.DataFrame(places | {"value": whole.ravel()} | {name: each.ravel() for name, each in ends.items()})
    rows, cols = (found[dim].values for dim in found["mean"].dims)
    names = [str(each) for each in cols]
    columns = {name: whole[:, place] for place, name in enumerate(names)}
    task = _task(tree)
    heading = task.get("heading", task.get("rows"))  # of a long table the column of the rows' names
    for place in np.flatnonzero(missing.any(axis=0)).tolist():
        taken = [*columns, str(heading)]
        columns |= {_free(f"{names[place]}_{end}", taken): each[:, place] for end, each in ends.items()}
    return pd.DataFrame(columns, index=None if rows.dtype.kind in "iu" else pd.Index(rows, name=heading))


def completed_text(tree: xr.DataTree, suffix: str = ".csv") -> str:
    """The same as text, with the separator and the decimal mark that the table was read with, or tabs for a ``.tsv``.

    What is filled in has the digits that its interval gives a meaning to, ten thousandths of the interval's width.
    Labels of the rows stand in a first column, called as in the table, else ``row`` or ``row_2`` and so on. Between
    spaces, where nothing is no cell, an empty cell is ``NA``.
    """
    from bayesgc.task.array.sheets import separator_named

    check_cells("completed", tree)
    table, task = _filled(tree, _to_width(predict(tree))), _task(tree)
    labelled = not isinstance(table.index, pd.RangeIndex)
    label = (table.index.name or _free("row", table.columns)) if labelled else None
    separator = separator_named("tab" if suffix.lower() == ".tsv" else task.get("separator", "comma"))
    signs = {"sep": separator, "decimal": task.get("decimal", "."), "na_rep": "NA" if separator == " " else ""}
    return table.to_csv(index=labelled, index_label=label, lineterminator="\n", **signs)


def _to_width(found: xr.Dataset) -> xr.Dataset:
    """Means and ends to four places below the first digit of their interval's width."""
    width = (found["high"] - found["low"]).values
    places = 4 - np.floor(np.log10(np.where(width > 0, width, 1))).astype(int)
    return found.map(lambda each: each.copy(data=np.vectorize(round, otypes=[float])(each.values, places)))


def _task(tree: xr.DataTree) -> dict[str, Any]:
    """What was recorded of the task."""
    found: dict[str, Any] = json.loads(tree.attrs["configuration"])["task"]
    return found


def _free(name: str, taken: Collection[str]) -> str:
    """The name, with a number where it is taken."""
    names = itertools.chain([name], (f"{name}_{i}" for i in itertools.count(2)))
    return next(each for each in names if each not in taken)


def _observed(tree: xr.DataTree, shape: tuple[int, ...]) -> Float[np.ndarray, "*shape"]:
    """The observed cells in the table's own units, NaN elsewhere."""
    known = np.full(math.prod(shape), np.nan)
    cells = values(tree, "constant_data", "cells")
    if has(tree, "constant_data", "originals"):
        known[cells] = values(tree, "constant_data", "originals")
        return known.reshape(shape)
    known[cells] = values(tree, "observed_data", "y")
    if has(tree, "constant_data", "scale"):
        scale, center = (values(tree, "constant_data", name).ravel() for name in ("scale", "center"))
        # Results of earlier versions hold no originals: what was read comes back but for its last digits.
        known = np.array([float(f"{number:.15g}") for number in known * scale + center])
    return known.reshape(shape)
