"""A task: an array seen through linear measurements, which a model is to fit and to complete."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bayesgc.copies import DeviceCopies
from bayesgc.task.measurements import Measurements, ObservedCells
from bayesgc.validate import InputError, one_of, real_array

KINDS = ("sensing", "completion", "data")


def dimension_names(order: int) -> tuple[str, ...]:
    """Names for the axes of an array without names of its own: row and col, or mode1, mode2 and so on."""
    return ("row", "col") if order == 2 else tuple(f"mode{axis}" for axis in range(1, order + 1))


@dataclass(frozen=True, eq=False)
class Units:
    """The map from the task's scale back to the units of the data; both parts broadcast against ``shape``."""

    center: Float[np.ndarray, "*part"]
    scale: Float[np.ndarray, "*part"]

    def to_units(self, array: Float[np.ndarray, "*array"]) -> Float[np.ndarray, "*array"]:
        """Arrays (..., *shape) on the task's scale, in the units of the data."""
        return np.asarray(array * self.scale + self.center)

    def from_units(self, array: Float[np.ndarray, "*array"]) -> Float[np.ndarray, "*array"]:
        """The inverse of :meth:`to_units`."""
        return np.asarray((array - self.center) / self.scale)


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be fitted: n measurements A_i of an array W* of ``shape``, and their values, the targets y_i.

    The training loss of W is (1/n) Σ (<A_i, W> - y_i)². The generalisation loss is (1/|B|) Σ <B_j, W - W*>², where
    the B_j are an orthonormal basis of the orthogonal complement of the measurements (Alexander et al. 2025).
    It is None where the truth W* is unknown, and where the measurements leave nothing held out.

    ``description`` says where the task came from (rank and seed, or the name of a file); ``dims`` names the axes,
    ``coords`` labels them where there are labels, and ``units`` leads back from a standardised table to its own units.
    """

    kind: str
    shape: tuple[int, ...]
    measurements: Measurements
    targets: Float[np.ndarray, " n"]
    truth: Float[np.ndarray, "*shape"] | None = None
    description: dict[str, int | float | str] = field(default_factory=dict)
    dims: tuple[str, ...] = ("row", "col")
    coords: dict[str, list[str]] = field(default_factory=dict)
    units: Units | None = None

    def __post_init__(self) -> None:
        one_of("kind", self.kind, KINDS)
        object.__setattr__(self, "targets", real_array("y", self.targets))
        if self.truth is not None:
            object.__setattr__(self, "truth", real_array("truth", self.truth))
        if self.measurements.count == 0:
            raise InputError("There is no measurement; there must be one at least.")
        if self.measurements.shape != self.shape:
            raise InputError(f"The measurements are of shape {self.measurements.shape}; the task's is {self.shape}.")
        if self.targets.size != self.measurements.count:
            raise InputError(f"There are {self.targets.size} targets for {self.measurements.count} measurements.")
        if self.targets.ndim != 1:
            raise InputError(f"y has shape {self.targets.shape}; it must be ({self.measurements.count},).")
        if self.truth is not None and self.truth.shape != self.shape:
            raise InputError(f"The truth is of shape {self.truth.shape}; the task's is {self.shape}.")
        if len(self.dims) != len(self.shape):
            raise InputError(f"dims is {self.dims}; it must name the {len(self.shape)} axes of the task.")

    @property
    def unfolding(self) -> tuple[int, int]:
        """(rows, cols) of the array as a matrix: its first axis against all the others; ``shape`` itself for a matrix.

        Row-major vectors of the array and of the matrix are the same.
        """
        return self.shape[0], math.prod(self.shape[1:])

    @property
    def held_out(self) -> Measurements:
        """The basis B_j of what the measurements do not see; its ``count`` may be 0."""
        return self.measurements.complement

    @cached_property
    def held_out_targets(self) -> Float[np.ndarray, " held_out"] | None:
        """<B_j, W*>, or None where the truth is unknown or nothing is held out."""
        if self.truth is None or self.held_out.count == 0:
            return None
        return np.asarray(self.held_out.apply(torch.tensor(self.truth.reshape(-1, 1)))[:, 0])

    @property
    def observed_cells(self) -> bool:
        """Whether the measurements are single cells of the array."""
        return isinstance(self.measurements, ObservedCells)

    @property
    def unobserved_cells(self) -> Int[np.ndarray, " cell"] | None:
        """Flat indices of the cells that were not measured; None where the measurements are not single cells."""
        return self.held_out.cells if isinstance(self.held_out, ObservedCells) else None

    def residual(self, vectors: Float[Tensor, "entry draw"]) -> Float[Tensor, "n draw"]:
        """<A_i, W> - y_i of each draw."""
        return self.measurements.apply(vectors) - self._targets.like(vectors)

    def train_loss(self, vectors: Float[Tensor, "entry draw"]) -> Float[Tensor, " draw"]:
        """The training loss of each draw; not finite where the array is not, whichever of its entries were measured."""
        size = vectors.square().sum(0)
        return _mean_square(self.residual(vectors)) + (size - size)

    def gen_loss(self, vectors: Float[Tensor, "entry draw"]) -> Float[Tensor, " draw"] | None:
        """The generalisation loss of each draw, or None (see the class)."""
        if self._held_out_targets is None:
            return None
        return _mean_square(self.held_out.apply(vectors) - self._held_out_targets.like(vectors))

    def error(self, vectors: Float[Tensor, "entry draw"]) -> Float[Tensor, " draw"] | None:
        """‖W - W*‖² of each draw, or None where the truth is unknown."""
        return None if self._truth is None else (vectors - self._truth.like(vectors)).square().sum(0)

    @cached_property
    def zero_train_loss(self) -> float:
        """The training loss of W = 0."""
        return float(np.mean(self.targets**2))

    @cached_property
    def zero_gen_loss(self) -> float | None:
        """The generalisation loss of W = 0, or None (see the class)."""
        return None if self.held_out_targets is None else float(np.mean(self.held_out_targets**2))

    @cached_property
    def _targets(self) -> DeviceCopies:
        return DeviceCopies(self.targets[:, None])

    @cached_property
    def _held_out_targets(self) -> DeviceCopies | None:
        return None if self.held_out_targets is None else DeviceCopies(self.held_out_targets[:, None])

    @cached_property
    def _truth(self) -> DeviceCopies | None:
        return None if self.truth is None else DeviceCopies(self.truth.reshape(-1, 1))


def _mean_square(residual: Float[Tensor, "n draw"]) -> Float[Tensor, " draw"]:
    # Squares of residuals, never differences of squares: a loss near 1e-6 keeps its digits in float32.
    return residual.square().mean(0)
