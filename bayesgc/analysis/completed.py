"""A table with its missing cells filled in, and their intervals beside it."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float

from bayesgc.analysis.predictive import predict
from bayesgc.analysis.tree.groups import has, values


def completed(tree: xr.DataTree, *, level: float = 0.9) -> pd.DataFrame:
    """The table of a result: observed cells as they are, the others by their posterior mean, in the table's own units.

    Beside the columns stand, for each that had missing cells, ``NAME_low`` and ``NAME_high``, the ends of the intervals
    of `predict`, empty where the cell was observed. A tensor is long, one cell a line: its place, ``value``, ``low``,
    ``high``.

    Args:
        tree: a result whose measurements are cells.
        level: the probability of each interval.

    Raises:
        InputError: as `predict` does.
    """
    found = predict(tree, level=level)
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
    for place in np.flatnonzero(missing.any(axis=0)).tolist():
        columns |= {f"{names[place]}_{end}": each[:, place] for end, each in ends.items()}
    return pd.DataFrame(columns, index=None if rows.dtype.kind in "iu" else pd.Index(rows))


def completed_text(tree: xr.DataTree) -> str:
    """The same as comma-separated text; labels of the rows stand in a first column."""
    table = completed(tree)
    labelled = not isinstance(table.index, pd.RangeIndex)
    return table.to_csv(index=labelled, index_label="row" if labelled else None, lineterminator="\n")


def _observed(tree: xr.DataTree, shape: tuple[int, ...]) -> Float[np.ndarray, "*shape"]:
    """The observed cells in the table's own units, NaN elsewhere."""
    known = np.full(math.prod(shape), np.nan)
    cells = values(tree, "constant_data", "cells")
    known[cells] = values(tree, "observed_data", "y")
    if has(tree, "constant_data", "scale"):
        scale, center = (values(tree, "constant_data", name).ravel() for name in ("scale", "center"))
        known = known * scale + center
        # What was read comes back as it was written, but for the last digit.
        known = np.array([float(f"{number:.12g}") for number in known])
    return known.reshape(shape)
