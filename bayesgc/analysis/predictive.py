"""Intervals for the cells of a table as they would be measured: what fits, and noise of the size of its residuals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy.special import ndtr

from bayesgc.analysis.groups import has, values
from bayesgc.validate import InputError, real_in

_HALVINGS = 50


def predict(tree: xr.DataTree, *, level: float = 0.9) -> xr.Dataset:
    """``mean``, ``low`` and ``high`` of every cell as it would be measured, in the table's own units.

    An interval of W alone is too narrow for a cell that is measured with noise. At ε > 0 each draw leaves residuals of
    mean square L_train on the observed cells; a cell that was not observed is taken to have as much, Gaussian and
    independent. So the law of a cell is the mixture over draws of N(W_ij, L_train), on the scale of the model.

    Args:
        tree: a result whose measurements are cells.
        level: the probability of each interval, half of the rest on either side.
    """
    share = real_in("level", level, 0, 0.999, open_low=True)
    if "posterior" not in tree.children or not has(tree, "constant_data", "cells"):
        raise InputError("predict needs a posterior given observed cells, as of completion or of a table.")
    matrix = tree["posterior"].to_dataset()["end_to_end"]
    draws = matrix.values.reshape(-1, math.prod(matrix.shape[2:])).astype(np.float64)
    spread = np.sqrt(np.maximum(values(tree, "posterior", "train_loss").reshape(-1, 1).astype(np.float64), 0.0))
    scale = values(tree, "constant_data", "scale").ravel() if has(tree, "constant_data", "scale") else 1.0
    low, high = (_mixture_quantile(draws, spread * scale, (1 + side * share) / 2) for side in (-1, 1))
    found: dict[str, Any] = {"mean": draws.mean(0), "low": low, "high": high}
    dims, shape = matrix.dims[2:], matrix.shape[2:]
    coords = {name: matrix.coords[name].values for name in dims if name in matrix.coords}
    return xr.Dataset({name: (dims, each.reshape(shape)) for name, each in found.items()}, coords=coords)


def _mixture_quantile(
    centers: Float[np.ndarray, "draw cell"], spreads: Float[np.ndarray, "draw #cell"], share: float
) -> Float[np.ndarray, " cell"]:
    """The quantile of each cell's mixture of normals, by bisection; of the draws where there is no spread."""
    if not (spreads > 0).any():
        return np.asarray(np.quantile(centers, share, axis=0))
    spreads = np.maximum(spreads, 1e-12 * max(float(spreads.max()), 1e-300))
    low, high = (centers - 9 * spreads).min(0), (centers + 9 * spreads).max(0)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        below = ndtr((middle - centers) / spreads).mean(0) < share
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray(0.5 * (low + high))
