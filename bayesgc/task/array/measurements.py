"""Linear measurements of an array: what is observed of it, and the orthogonal complement that is held out.

An array of any order is vectorised row-major, so ``shape`` has ``q = prod(shape)`` entries and ``n`` measurements are
a linear map from R^q to R^n. Draws stand along the last axis throughout.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from bayesgc.copies import DeviceCopies
from bayesgc.validate import InputError, real_array


@dataclass(frozen=True, eq=False)
class Measurements(ABC):
    """A linear map from arrays of ``shape``, as vectors of R^q, to R^n."""

    shape: tuple[int, ...]

    @property
    def entries(self) -> int:
        """q, the number of entries of the array."""
        return math.prod(self.shape)

    @property
    @abstractmethod
    def count(self) -> int:
        """n, the number of measurements."""

    @property
    @abstractmethod
    def rank(self) -> int:
        """The dimension of the span of the measurements; below ``count`` when they are dependent."""

    @property
    @abstractmethod
    def complement(self) -> Measurements:
        """An orthonormal basis of the orthogonal complement of the span, q - rank vectors (possibly none)."""

    @abstractmethod
    def dense(self) -> Float[np.ndarray, "n entry"]:
        """The map as a matrix."""

    @abstractmethod
    def apply(self, vectors: Float[Tensor, "entry draw"]) -> Float[Tensor, "n draw"]:
        """The measurements of each draw, on its device and in its dtype."""

    @abstractmethod
    def adjoint(self, residual: Float[Tensor, "n draw"]) -> Float[Tensor, "entry draw"]:
        """The transpose of :meth:`apply`, which carries a residual back to the entries."""


@dataclass(frozen=True, eq=False)
class Decomposition:
    """The map Σ_i s_i u_i v_iᵀ with all s_i > 0, and an orthonormal basis of what it does not see.

    The columns of ``left`` are the u_i, ``rows`` the v_i, and ``unseen`` the basis.
    """

    left: Float[np.ndarray, "n rank"]
    singular: Float[np.ndarray, " rank"]
    rows: Float[np.ndarray, "rank entry"]
    unseen: Float[np.ndarray, "unseen entry"]


@dataclass(frozen=True, eq=False)
class DenseMeasurements(Measurements):
    """Arbitrary measurements ``<A_i, W>``: row i of ``matrix`` is vec(A_i).

    ``resolution`` is the relative precision to which the rows are known, that of the dtype they were stored in;
    it decides when a row counts as a combination of the others.
    """

    matrix: Float[np.ndarray, "n entry"]
    resolution: float = float(np.finfo(np.float64).eps)

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", real_array("A", self.matrix))
        if self.matrix.ndim != 2:
            raise InputError(f"The measurements are of shape {self.matrix.shape}; they must be (n, {self.entries}).")
        if self.matrix.shape[1] != self.entries:
            found = self.matrix.shape[1]
            raise InputError(f"The measurements have {found} entries each; shape {self.shape} has {self.entries}.")

    @property
    def count(self) -> int:
        return int(self.matrix.shape[0])

    @property
    def rank(self) -> int:
        return len(self.decomposition.singular)

    @cached_property
    def complement(self) -> DenseMeasurements:
        return DenseMeasurements(self.shape, self.decomposition.unseen)

    @cached_property
    def decomposition(self) -> Decomposition:
        """The singular value decomposition at the rank that the resolution leaves."""
        # Of many measurements the left basis would be n by n, and the right one is whole without that.
        left, singular, right = np.linalg.svd(self.matrix, full_matrices=self.count < self.entries)
        # The rule of numpy.linalg.matrix_rank, at the precision of the rows.
        tolerance = singular.max(initial=0.0) * max(self.matrix.shape) * self.resolution
        rank = int(np.count_nonzero(singular > tolerance))
        return Decomposition(left[:, :rank], singular[:rank], right[:rank], right[rank:])

    def dense(self) -> Float[np.ndarray, "n entry"]:
        return self.matrix

    def apply(self, vectors: Float[Tensor, "entry draw"]) -> Float[Tensor, "n draw"]:
        return self._copies.like(vectors) @ vectors

    def adjoint(self, residual: Float[Tensor, "n draw"]) -> Float[Tensor, "entry draw"]:
        return self._copies.like(residual).T @ residual

    @cached_property
    def _copies(self) -> DeviceCopies:
        return DeviceCopies(self.matrix)


@dataclass(frozen=True, eq=False)
class ObservedCells(Measurements):
    """Single entries of the array: ``cells`` are distinct flat (row-major) indices, in the order of the targets.

    Everything is a gather or a scatter, so that a table of many cells never becomes an n by q matrix.
    """

    cells: Int[np.ndarray, " n"]

    def __post_init__(self) -> None:
        object.__setattr__(self, "cells", np.asarray(self.cells))
        if self.cells.ndim != 1 or (self.cells.size and self.cells.dtype.kind not in "iu"):
            kind, shape = self.cells.dtype, self.cells.shape
            raise InputError(f"The observed cells are {kind} of shape {shape}; they must be a list of whole numbers.")
        outside = self.cells[(self.cells < 0) | (self.cells >= self.entries)]
        if outside.size:
            raise InputError(f"Observed cell {outside[0]} is outside an array of {self.entries} entries.")
        if np.unique(self.cells).size != self.cells.size:
            raise InputError("The observed cells repeat; each must be given once.")

    @property
    def count(self) -> int:
        return int(self.cells.size)

    @property
    def rank(self) -> int:
        return self.count

    @cached_property
    def complement(self) -> ObservedCells:
        held_out = np.ones(self.entries, dtype=bool)
        held_out[self.cells] = False
        return ObservedCells(self.shape, np.flatnonzero(held_out))

    def dense(self) -> Float[np.ndarray, "n entry"]:
        matrix = np.zeros((self.count, self.entries))
        matrix[np.arange(self.count), self.cells] = 1.0
        return matrix

    def apply(self, vectors: Float[Tensor, "entry draw"]) -> Float[Tensor, "n draw"]:
        return vectors.index_select(0, self._copies.like(vectors))

    def adjoint(self, residual: Float[Tensor, "n draw"]) -> Float[Tensor, "entry draw"]:
        empty = residual.new_zeros(self.entries, residual.shape[1])
        return empty.index_copy(0, self._copies.like(residual), residual)

    @cached_property
    def _copies(self) -> DeviceCopies:
        return DeviceCopies(self.cells)
