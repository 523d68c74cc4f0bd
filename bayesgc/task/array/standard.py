"""From numbers with holes to a task: the observed cells are the measurements, the others are to be predicted."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float

from bayesgc.task.array.array import ArrayTask, Units, dimension_names
from bayesgc.task.array.measurements import ObservedCells
from bayesgc.validate import InputError

Description = dict[str, int | float | str]

_MOST_CELLS = 50_000_000
"""Cells of an array that is made dense."""
_GAPS = "leave the cells to predict empty or NA, or name a column of labels with `target`"


def completion_of(
    values: Float[np.ndarray, "*shape"],
    description: Description,
    *,
    standardize: bool,
    alike: bool = False,
    coords: Mapping[str, list[str]] | None = None,
    truth: Float[np.ndarray, "*shape"] | None = None,
    gaps: str = _GAPS,
) -> ArrayTask:
    """The task of predicting the cells of ``values`` that are NaN.

    Args:
        values: the array, of any order from 2.
        description: where it is from.
        standardize: centre and scale, for models that expect numbers of the prior's size.
        alike: the cells are of one kind, as ratings are, so that one centre and scale serves all; else each column has
            its own.
        coords: labels of the axes.
        truth: the whole array, where it is known.
        gaps: what to do, in words, where no cell is left to predict.

    Raises:
        InputError: where nothing is observed, or nothing is left to predict or to fit.
    """
    _check_observed(values, gaps)
    units = None if not standardize else standardization(values, alike=alike)
    observed = np.flatnonzero(~np.isnan(values))
    known = values.ravel()[observed]
    targets = known if units is None else units.from_units(values).ravel()[observed]
    if units is not None and not targets.any():
        raise InputError(
            f"{'the array' if alike else 'every column'} is constant, so nothing is left to fit once it is centred; do "
            "not standardize."
        )
    return ArrayTask(
        "data",
        values.shape,
        ObservedCells(values.shape, observed),
        targets,
        truth=truth if truth is None or units is None else units.from_units(truth),
        description=description | {"standardize": standardize} | ({"scale": "one for all cells"} if alike else {}),
        dims=dimension_names(values.ndim),
        coords=dict(coords or {}),
        units=units,
        originals=None if units is None else known,
        noisy=True,
    )


def standardization(values: Float[np.ndarray, "*shape"], *, alike: bool = False) -> Units:
    """Each column centred on its observed mean and scaled so that its observed variance is 1/rows; NaN is unobserved.

    1/rows is the variance of an entry of the end-to-end array under the Gaussian prior with fan-out scaling, at
    every depth and width of a linear net: only then does the prior expect data of the size that it is given.
    A constant column has no spread to scale by; its standard deviation is taken to be 1. With ``alike`` all cells are
    taken together.
    """
    rows, axes = len(values), None if alike else 0
    low, high = np.nanmin(values, axis=axes, keepdims=alike), np.nanmax(values, axis=axes, keepdims=alike)
    with np.errstate(over="ignore"):
        span = high - low
    if not np.isfinite(span).all():
        which = "the values is too large for double precision; divide them"
        one = "a column is too large for double precision; divide its values"
        raise InputError(f"the spread of {which if alike else one}.")
    # Moments of the unit interval, which neither overflow nor underflow, and are exact for a constant column.
    relative = (values - low) / np.where(span > 0, span, 1.0)
    deviation = np.where(span > 0, span * np.nanstd(relative, axis=axes, keepdims=alike), 1.0)
    center = low + span * np.nanmean(relative, axis=axes, keepdims=alike)
    return Units(center=center, scale=deviation * math.sqrt(rows))


def with_holes(values: Float[np.ndarray, "*shape"], missing: Bool[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """``values`` with NaN where they are missing."""
    return np.where(missing, np.nan, values)


def check_size(rows: int, cols: int) -> None:
    """Refuse a matrix of which not even the cells that are there could be held in an array.

    Raises:
        InputError: for more than fifty million cells.
    """
    if rows * cols > _MOST_CELLS:
        raise InputError(f"has {rows} × {cols} cells; at most {_MOST_CELLS:,} are possible.")


def _check_observed(values: Float[np.ndarray, "*shape"], gaps: str) -> None:
    unobserved = np.isnan(values)
    if unobserved.all():
        raise InputError("no cell is observed; some are needed to learn from.")
    if not unobserved.any():
        raise InputError(f"no cell is empty, so nothing is left to predict; {gaps}.")
