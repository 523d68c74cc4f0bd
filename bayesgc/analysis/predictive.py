"""Intervals for the cells of a table as they would be measured: what fits, and noise of the size of its residuals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Int
from scipy.special import ndtr

from bayesgc.analysis.tree.groups import has, values
from bayesgc.validate import InputError, real_in

MEASURED, NOISELESS = "measured", "noiseless"
MEANINGS = {MEASURED: "of the value as it would be measured", NOISELESS: "of the noiseless cell"}
"""The two kinds of interval of a cell, in words."""

_MOST_DRAWS = 4000
"""Draws that quantiles of a mixture are made of: evenly spaced ones, which leave 0.5 % of probability as an error."""
_STEPS, _CLOSE = 60, 1e-7


def predict(tree: xr.DataTree, *, level: float = 0.9) -> xr.Dataset:
    """``mean``, ``low`` and ``high`` of every cell as it would be measured, in the table's own units.

    An interval of W alone is too narrow for a cell that is measured with noise. At ε > 0 each draw leaves residuals of
    mean square L_train on the observed cells; a cell that was not observed is taken to have as much, Gaussian and
    independent. So the law of a cell is the mixture over draws of N(W_ij, L_train), on the scale of the model. At ε = 0
    there are no residuals, and what is given is the law of the noiseless cell.

    Args:
        tree: a result whose measurements are cells.
        level: the probability of each interval, half of the rest on either side.

    Raises:
        InputError: for a result without a posterior or without observed cells, or a ``level`` outside of (0, 0.999].
    """
    share = real_in("level", level, 0, 0.999, open_low=True)
    check_cells("predict", tree)
    matrix = tree["posterior"].to_dataset()["end_to_end"]
    dims, shape = matrix.dims[2:], matrix.shape[2:]
    every = np.arange(math.prod(shape))
    low, high = cell_quantiles(tree, "posterior", every, [(1 - share) / 2, (1 + share) / 2])
    found: dict[str, Any] = {"mean": _draws(tree, "posterior", every).mean(0), "low": low, "high": high}
    coords = {name: matrix.coords[name].values for name in dims if name in matrix.coords}
    return xr.Dataset({name: (dims, each.reshape(shape)) for name, each in found.items()}, coords=coords)


def check_cells(name: str, tree: xr.DataTree) -> None:
    """Refuse a result from which the function of this name has no cells to predict.

    Raises:
        InputError: without a posterior or without observed cells.
    """
    if "posterior" not in tree.children or not has(tree, "constant_data", "cells"):
        raise InputError(f"{name} needs a posterior given observed cells, as of completion or of a table.")


def interval_kind(tree: xr.DataTree) -> str:
    """Whether the intervals of cells hold noise: at ε > 0, where the fits leave residuals that tell its size."""
    return MEASURED if float(tree.attrs["eps"]) > 0 else NOISELESS


def cell_quantiles(
    tree: xr.DataTree, law: str, cells: Int[np.ndarray, " cell"], shares: list[float]
) -> list[Float[np.ndarray, " cell"]]:
    """The quantiles of ``cells``, by their place in the table's row of rows, as `predict` has them.

    ``law`` is ``posterior`` or ``prior``, to which the noise is added that the posterior has on average.
    """
    centers, spreads = _draws(tree, law, cells), _noise(tree, cells)
    if law == "prior":
        spreads = _root_mean_square(spreads)[None]
    return noisy_quantiles(centers, spreads, shares)


def noisy_quantiles(
    centers: Float[np.ndarray, "draw cell"], spreads: Float[np.ndarray, "#draw #cell"], shares: list[float]
) -> list[Float[np.ndarray, " cell"]]:
    """The quantiles of mixtures of normals with such centers and standard deviations, one mixture for each cell."""
    if not spreads.any():
        return [np.asarray(np.quantile(centers, share, axis=0)) for share in shares]
    stride = -(-len(centers) // _MOST_DRAWS)
    spreads = spreads if len(spreads) == 1 else spreads[::stride]
    return [_mixture_quantile(centers[::stride], spreads, share) for share in shares]


def cell_moments(
    tree: xr.DataTree, cells: Int[np.ndarray, " cell"]
) -> tuple[Float[np.ndarray, " cell"], Float[np.ndarray, " cell"]]:
    """Mean and standard deviation of ``cells`` under the posterior, with the noise of `predict`."""
    draws = _draws(tree, "posterior", cells)
    mean = draws.mean(0)
    return mean, np.hypot(_root_mean_square(draws - mean), _root_mean_square(_noise(tree, cells)))


def _root_mean_square(values: Float[np.ndarray, "draw #cell"]) -> Float[np.ndarray, " #cell"]:
    """Over draws; by the largest value first, as a table may be in units whose squares are beyond all numbers."""
    size = np.abs(values).max(0)
    size = np.where(size > 0, size, 1.0)
    return np.asarray(size * np.sqrt(np.mean((values / size) ** 2, axis=0)))


def _draws(tree: xr.DataTree, law: str, cells: Int[np.ndarray, " cell"]) -> Float[np.ndarray, "draw cell"]:
    """The chosen cells of every draw of a law, in the table's own units."""
    matrices = values(tree, law, "end_to_end")
    return matrices.reshape(-1, math.prod(matrices.shape[2:]))[:, cells].astype(np.float64)


def _noise(tree: xr.DataTree, cells: Int[np.ndarray, " cell"]) -> Float[np.ndarray, "draw #cell"]:
    """The standard deviation of the noise that each posterior draw leaves, in the table's own units."""
    left = np.maximum(values(tree, "posterior", "train_loss").reshape(-1, 1).astype(np.float64), 0.0)
    if interval_kind(tree) == NOISELESS:  # what rounding leaves of an exact fit is no noise
        left = np.zeros_like(left)
    scale = values(tree, "constant_data", "scale").ravel()[cells] if has(tree, "constant_data", "scale") else 1.0
    return np.asarray(np.sqrt(left) * scale)


def _mixture_quantile(
    centers: Float[np.ndarray, "draw cell"], spreads: Float[np.ndarray, "#draw #cell"], share: float
) -> Float[np.ndarray, " cell"]:
    """The quantile of each cell's mixture of normals: Newton steps, or bisection where one leaves the bracket."""
    spreads = np.maximum(spreads, 1e-12 * max(float(spreads.max()), 1e-300))
    low, high = (centers - 9 * spreads).min(0), (centers + 9 * spreads).max(0)
    close = _CLOSE * (high - low)
    place = np.quantile(centers, share, axis=0)
    for _ in range(_STEPS):
        scaled = (place - centers) / spreads
        excess = ndtr(scaled).mean(0) - share
        low, high = np.where(excess < 0, place, low), np.where(excess < 0, high, place)
        density = (np.exp(-0.5 * scaled**2) / spreads).mean(0) / math.sqrt(2 * math.pi)
        step = excess / np.maximum(density, 1e-300)
        inside = (place - step > low) & (place - step < high)
        before, place = place, np.where(inside, place - step, 0.5 * (low + high))
        if np.all(np.abs(place - before) <= close):
            break
    return np.asarray(place)
