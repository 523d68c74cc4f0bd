"""Functions of a standard normal as cubic splines: quantiles that are costly to compute and cheap to look up."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

REACH = 9
"""The table spans −9 ≤ z ≤ 9, outside of which a normal has a chance of 2e-19; beyond it the map goes on straight."""
CELLS = 32
"""Cells of the table for each unit of z."""


def spline_cells(
    function: Callable[[Float[np.ndarray, " *point"]], Float[np.ndarray, " *point"]],
) -> Float[np.ndarray, "cell power"]:
    """The function in each cell, in powers 0 to 3 of the place within it; straight lines in the first and the last."""
    from scipy.interpolate import CubicSpline  # for the transports that need a table alone: it loads slowly

    knots = np.arange(-REACH * CELLS, REACH * CELLS + 1) / CELLS
    spline = CubicSpline(knots, function(knots))
    inside = spline.c[::-1].T / float(CELLS) ** np.arange(4)
    (low, high), (falling, rising) = spline(knots[[0, -1]]), spline(knots[[0, -1]], 1) / CELLS
    return np.vstack([[low - falling, falling, 0, 0], inside, [high, rising, 0, 0]])


def look_up(
    table: Float[Tensor, "cell power"], z: Float[Tensor, "*shape"], start: Int[Tensor, "*start"] | int = 0
) -> Float[Tensor, "*shape"]:
    """The splines at ``z``; smooth in it. ``start`` is the first row of each one's cells in a table of several."""
    position = z * CELLS + REACH * CELLS
    cell = position.detach().floor().long().clamp(-1, 2 * REACH * CELLS)
    place = position - cell
    constant, first, second, third = table[cell + (start + 1)].unbind(-1)
    return ((third * place + second) * place + first) * place + constant
