"""Missing cells by simple means, to compare with: what a user would try first.

Column means; the mean of the nearest rows (Troyanskaya et al. 2001), by scikit-learn; the fit of least squares and
norm; that of least nuclear norm.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int

from bayesgc.task.array.affine import best_fits
from bayesgc.task.array.array import ArrayTask
from bayesgc.task.array.nuclear import minimum_nuclear_norm
from bayesgc.task.array.standard import completion_of, standardization

_FEWEST_IN_COLUMN = 2
"""Cells that stay in a column that has a centre and scale of its own."""


def hidden_cells(task: ArrayTask, share: float, source: torch.Generator) -> Int[np.ndarray, " cell"]:
    """Some observed cells at random, as flat indices in order; each row keeps one, and each column enough.

    There may be fewer than ``share`` of them, or none.
    """
    cells = task.cells
    if cells is None:
        return np.zeros(0, dtype=np.int64)
    places = np.stack(np.unravel_index(cells, task.shape))
    left = [np.bincount(each, minlength=side) for each, side in zip(places, task.shape, strict=True)]
    least = [1 if axis == 0 or task.scaled_alike else _FEWEST_IN_COLUMN for axis in range(len(task.shape))]
    chosen: list[int] = []
    for i in torch.randperm(len(cells), generator=source).tolist():
        if len(chosen) >= math.floor(share * len(cells)):
            break
        if all(left[axis][places[axis, i]] > least[axis] for axis in range(len(left))):
            chosen.append(int(cells[i]))
            for axis, counts in enumerate(left):
                counts[places[axis, i]] -= 1
    return np.sort(np.array(chosen, dtype=np.int64))


def without(task: ArrayTask, hidden: Int[np.ndarray, " cell"]) -> ArrayTask:
    """The task with more cells to predict, centred and scaled without them."""
    values = observed_values(task)
    values.flat[hidden] = np.nan
    return completion_of(values, {}, standardize=task.units is not None, alike=task.scaled_alike)


def observed_values(task: ArrayTask) -> Float[np.ndarray, "*shape"]:
    """The observed cells in their own units, NaN elsewhere."""
    values = np.full(task.shape, np.nan)
    values.flat[np.asarray(task.cells)] = task.targets
    return task.in_units(values)


def spread_of(task: ArrayTask) -> Float[np.ndarray, "*shape"]:
    """The observed standard deviation of each cell's column, or of all cells where these are alike."""
    alike = task.scaled_alike or len(task.shape) > 2
    scale = standardization(observed_values(task), alike=alike).scale
    return np.broadcast_to(scale / math.sqrt(task.shape[0]), task.shape)


def simple_predictions(
    task: ArrayTask, stop: Callable[[], bool] = lambda: False
) -> tuple[dict[str, Float[np.ndarray, "*shape"]], dict[str, str]]:
    """Arrays in the units of the data, by what made them; and why some are absent."""
    values = observed_values(task)
    found = {"column_means": _means(values)}
    absent = {}
    if values.ndim > 2:
        absent["nearest_neighbours"] = "they are for the rows of a table"
    elif (near := _nearest(values, alike=task.scaled_alike)) is None:
        absent["nearest_neighbours"] = "scikit-learn finds them, and is not installed: pip install 'bayesgc[data]'"
    else:
        found["nearest_neighbours"] = near
    found["least_squares"] = task.in_units(best_fits(task).point.reshape(task.shape))
    fit = minimum_nuclear_norm(task, stop=stop)
    if fit.converged:
        found["nuclear_norm"] = task.in_units(fit.end_to_end)
    else:
        absent["nuclear_norm"] = f"not found in time, only a norm up to {fit.relative_gap:.1%} above the least"
    return found, absent


def _means(values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Of the columns of a matrix; of all that is observed of a tensor, and where a column has no cell."""
    overall = np.nanmean(values)
    if values.ndim != 2:
        return np.full(values.shape, overall)
    counts = (~np.isnan(values)).sum(0)
    means = np.where(counts > 0, np.nansum(values, axis=0) / np.maximum(counts, 1), overall)
    return np.broadcast_to(means, values.shape)


def _nearest(values: Float[np.ndarray, "rows cols"], *, alike: bool) -> Float[np.ndarray, "rows cols"] | None:
    """The mean of the five nearest rows that have the cell; None without scikit-learn."""
    try:
        from sklearn.impute import KNNImputer
    except ModuleNotFoundError:
        return None
    units = standardization(values, alike=alike)
    return units.to_units(KNNImputer(keep_empty_features=True).fit_transform(units.from_units(values)))
