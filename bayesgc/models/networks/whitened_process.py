"""Outputs that are jointly Gaussian with a kernel, at any inputs, as functions of standard normals.

The outputs at the training inputs are R z with R Rᵀ = K, and those at the test inputs follow from their law given
these: their mean is linear in z, and what is left is drawn afresh. R is a Cholesky factor with pivots, of as many
columns as K has rank, so nothing is added to the diagonal; a kernel of dependent inputs is as good as another.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dpstrf
from torch import Tensor

from bayesgc.copies import DeviceCopies
from bayesgc.models.whitening import Whitened
from bayesgc.task.domain import Inputs
from bayesgc.validate import InputError

Kernel = Callable[[Float[np.ndarray, "feature input"]], Float[np.ndarray, "input input"]]
"""From inputs as columns to the covariance of an output at them."""

_EPS = float(np.finfo(np.float64).eps)


class WhitenedProcess(Whitened):
    """Independent outputs, each a Gaussian process with one kernel, at the inputs of a task.

    Inputs that are the same have the very same outputs.

    Raises:
        InputError: for a kernel that is not finite at these inputs.
    """

    tests_apart = True

    def __init__(self, kernel: Kernel, inputs: Inputs, who: str) -> None:
        self.inputs, self.outputs = inputs, inputs.outputs
        train, self._place = _distinct(inputs.flat_train)
        test = inputs.flat_test
        covariance = kernel(train if test is None else np.concatenate([train, test], axis=1))
        if not np.isfinite(covariance).all():
            raise InputError(f"{who} has a kernel that is not finite at these inputs; scale them down.")
        root, onward, missed = _roots(covariance, train.shape[1])
        self.rank = root.shape[1]
        self.size = self.rank * self.outputs
        self._train = DeviceCopies(root)
        self._test = None if test is None else DeviceCopies(onward)
        self._missed = None if missed is None else DeviceCopies(missed)

    @property
    def working(self) -> int:
        """The normals, and the outputs at the training inputs."""
        return self.size + self.inputs.count * self.outputs

    @property
    def working_held_out(self) -> int:
        """The normals, those of what is left, and the outputs at the test inputs."""
        tested, left = self._tested
        return self.size + (2 * tested + left) * self.outputs

    @property
    def work_held_out(self) -> int:
        """Those of both products."""
        tested, left = self._tested
        return tested * (self.rank + left) * self.outputs

    @property
    def _tested(self) -> tuple[int, int]:
        """The number of test inputs, and the rank of what the training inputs do not tell of their outputs."""
        tested = 0 if self.inputs.test is None else len(self.inputs.test)
        return tested, 0 if self._missed is None else self._missed.array.shape[1]

    def vectors(self, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, "entry draw"]:
        """The outputs at the training inputs, vectorised example by example."""
        value = self._train.like(normals) @ self._side_by_side(normals)
        if self._place is not None:
            value = value[self._place.like(normals)]
        return value.reshape(-1, normals.shape[1])

    def held_out(
        self, normals: Float[Tensor, "latent draw"], generator: torch.Generator
    ) -> Float[Tensor, "held_out draw"] | None:
        """The outputs at the test inputs, vectorised likewise; ``generator`` serves what is left given the others."""
        if self._test is None:
            return None
        beside = self._side_by_side(normals)
        value = self._test.like(normals) @ beside
        if self._missed is not None:
            missed = self._missed.like(normals)
            shape = (missed.shape[1], beside.shape[1])
            fresh = torch.randn(shape, generator=generator, device=normals.device, dtype=normals.dtype)
            value = torch.addmm(value, missed, fresh)
        return value.reshape(-1, normals.shape[1])

    def _side_by_side(self, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, "rank output_draw"]:
        """The normals of all outputs and draws as columns."""
        return normals.reshape(self.rank, self.outputs * normals.shape[1])

    def root(self, like: Tensor) -> Float[Tensor, "train rank"]:
        """R, a row for each training input, on the device of a tensor and in its precision."""
        root = self._train.like(like)
        return root if self._place is None else root[self._place.like(like)]

    def weights(self, normals: Float[Tensor, "latent draw"]) -> dict[str, Float[Tensor, "draw *site"]]:
        """Refused: there are none.

        Raises:
            InputError: always.
        """
        raise InputError("an infinitely wide network has no weights that could be kept; leave `weights` out.")


def _distinct(
    columns: Float[np.ndarray, "feature input"],
) -> tuple[Float[np.ndarray, "feature distinct"], DeviceCopies | None]:
    """The columns without repetitions, and where each of them is then; None where none is repeated."""
    distinct, place = np.unique(columns, axis=1, return_inverse=True)
    if distinct.shape[1] == columns.shape[1]:
        return columns, None
    return distinct, DeviceCopies(place.reshape(-1).astype(np.int64))


def _roots(
    covariance: Float[np.ndarray, "input input"], count: int
) -> tuple[Float[np.ndarray, "train rank"], Float[np.ndarray, "test rank"], Float[np.ndarray, "test left"] | None]:
    """Matrices R, T and S for which (R z, T z + S z′) has the covariance; R is of the first ``count`` inputs.

    All is done for correlations, so that the rank does not depend on the scale of the inputs.
    """
    deviations = np.sqrt(covariance.diagonal())
    inverse = np.divide(1.0, deviations, out=np.zeros_like(deviations), where=deviations > 0)
    correlation = covariance * inverse[:, None] * inverse
    tolerance = len(correlation) * _EPS
    root, pivots = _factor(correlation[:count, :count], tolerance)
    if not len(pivots):  # No output differs from zero; a draw is one number all the same.
        root, onward = np.zeros((count, 1)), np.zeros((len(correlation) - count, 1))
    else:
        onward = solve_triangular(root[pivots], correlation[pivots, count:], lower=True).T
    left, others = _factor(correlation[count:, count:] - onward @ onward.T, tolerance)
    tested = deviations[count:, None]
    return deviations[:count, None] * root, tested * onward, tested * left if len(others) else None


def _factor(
    covariance: Float[np.ndarray, "input input"], tolerance: float
) -> tuple[Float[np.ndarray, "input rank"], Int[np.ndarray, " rank"]]:
    """A matrix L with L Lᵀ = covariance up to the tolerance, and the inputs of which its rows are a lower triangle."""
    if not len(covariance) or covariance.diagonal().max() <= tolerance:
        return np.zeros((len(covariance), 0)), np.zeros(0, dtype=np.int64)
    factor, pivots, rank, _ = dpstrf(covariance, tol=tolerance, lower=1)
    order = pivots.astype(np.int64) - 1
    root = np.zeros((len(covariance), rank))
    root[order] = np.tril(factor)[:, :rank]
    return root, order[:rank]
