"""The affine set of all matrices that fit a task best: what every reference point and feasibility bound starts from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from bayesgc.task.array.array import ArrayTask
from bayesgc.task.array.measurements import DenseMeasurements, ObservedCells

_ROUNDING = 1e-12  # relative misfit that float64 arithmetic leaves in consistent equations, with room to spare


@dataclass(frozen=True, eq=False)
class BestFits:
    """The least-squares fits {w : ‖A w − y‖² = misfit} = point + kernel(A), with A = Σ_i s_i u_i v_iᵀ.

    ``point`` is the one of least norm, ``singular`` holds the s_i > 0, ``coefficients`` the u_iᵀ y, and ``misfit`` is
    zero when y is consistent. ``rows`` holds the v_i; for observed cells, where they are one-hot, the cells themselves.
    """

    point: Float[np.ndarray, " entry"]
    singular: Float[np.ndarray, " rank"]
    coefficients: Float[np.ndarray, " rank"]
    misfit: float
    rows: Float[np.ndarray, "rank entry"] | Int[np.ndarray, " rank"]

    @property
    def unique(self) -> bool:
        """Whether the measurements determine the matrix, so that only one fits best."""
        return len(self.singular) == len(self.point)

    def project(self, vector: Float[np.ndarray, " entry"]) -> Float[np.ndarray, " entry"]:
        """The best fit nearest to ``vector``."""
        return vector + self.measured(self.point - vector)

    def measured(self, vector: Float[np.ndarray, " entry"]) -> Float[np.ndarray, " entry"]:
        """The part of ``vector`` in the row space of A, which is all that the measurements see of it."""
        if self.rows.ndim == 2:
            return self.rows.T @ (self.rows @ vector)
        seen = np.zeros_like(vector)
        seen[self.rows] = vector[self.rows]
        return seen


@lru_cache(maxsize=1)
def best_fits(task: ArrayTask) -> BestFits:
    """The best fits of ``task`` in float64; linear in the number of cells where single cells were observed."""
    targets = np.asarray(task.targets, dtype=np.float64)
    match task.measurements:
        case ObservedCells() as observed:
            return _from_cells(np.asarray(observed.cells), targets, int(np.prod(task.shape)))
        case DenseMeasurements() as dense:
            return _from_rows(dense, targets)
        case others:
            return _from_rows(DenseMeasurements(task.shape, others.dense()), targets)


def _from_cells(cells: Int[np.ndarray, " n"], targets: Float[np.ndarray, " n"], entries: int) -> BestFits:
    point = np.zeros(entries)
    point[cells] = targets
    return BestFits(point, np.ones(len(cells)), targets, 0.0, cells)


def _from_rows(measurements: DenseMeasurements, targets: Float[np.ndarray, " n"]) -> BestFits:
    found = measurements.decomposition
    coefficients = found.left.T @ targets
    misfit = float(np.sum((targets - found.left @ coefficients) ** 2))
    rounding = max(_ROUNDING, measurements.resolution * measurements.count)
    if misfit <= rounding**2 * float(np.sum(targets**2)):
        misfit = 0.0
    return BestFits(found.rows.T @ (coefficients / found.singular), found.singular, coefficients, misfit, found.rows)
