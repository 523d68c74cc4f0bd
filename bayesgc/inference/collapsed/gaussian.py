"""Gaussian conditioning given the Gram matrix K: vec W ~ N(0, I ⊗ K), measured as y = Ā vec W.

The rows of W are independent; each may have a K of its own, and I ⊗ K then stands for the matrix with these blocks.
Two systems with one face. The measurements have covariance S = Ā (I ⊗ K) Āᵀ, S_ij = tr(A_i K A_jᵀ); where single cells
are observed it falls into one block for each row. Here the draw axis comes first, as LAPACK wants it.
"""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from functools import cached_property, lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bayesgc.task import ArrayTask, Measurements


class Spectrum(NamedTuple):
    """Eigenvalues of S and the squares of v's coordinates along its eigenvectors.

    ``idle`` of the eigenvalues are ones that no measurement has; v is zero along them.
    """

    values: Float[Tensor, "draw axis"]
    squares: Float[Tensor, "draw axis"]
    idle: int = 0

    def log_density(self, noise: float) -> Float[Tensor, " draw"]:
        """log N(v; 0, S + noise); −∞ where S was not finite."""
        variances = self.values.clamp(min=0) + noise
        count = self.values.shape[1] - self.idle
        log_det = variances.log().sum(1) - self.idle * math.log1p(noise)
        density = -0.5 * ((self.squares / variances).sum(1) + log_det + count * math.log(2 * math.pi))
        return torch.where(density.isfinite(), density, -torch.inf)


def _spectrum(matrix: Float[Tensor, "*batch n n"], values: Float[Tensor, "*batch n"], idle: int = 0) -> Spectrum:
    # What is not finite stops the solver for the whole batch, and has no density.
    finite = matrix.isfinite().all(-1).all(-1)
    known = torch.where(finite[..., None, None], matrix, 0.0)
    eigenvalues, axes = torch.linalg.eigh(known)
    squares = (axes.mT @ values[..., None])[..., 0].square()
    return Spectrum(torch.where(finite[..., None], eigenvalues, torch.nan).flatten(1), squares.flatten(1), idle)


class GaussianSystem(ABC):
    """The measurements of one batch of draws, given K of each.

    Args:
        task: what was measured.
        gram: K of each draw, in double precision, for all rows or one for each.
        noise: the variance of independent Gaussian noise on the measurements; S is then their covariance with it.
    """

    def __init__(self, task: ArrayTask, gram: Float[Tensor, "draw *row col col"], noise: float = 0.0) -> None:
        self.task, self.noise = task, noise
        self._shared = gram.ndim == 3
        # With an axis of rows, of length one where they share K.
        self.gram = gram if gram.ndim == 4 else gram[:, None]

    @property
    @abstractmethod
    def singular(self) -> Bool[Tensor, " draw"]:
        """Where S could not be factored; the density of y is then zero but for rounding."""

    @property
    @abstractmethod
    def log_det(self) -> Float[Tensor, " draw"]:
        """log |S|."""

    @abstractmethod
    def whiten(self, values: Float[Tensor, "draw n"]) -> Float[Tensor, "draw *block"]:
        """L⁻¹ v for S = L Lᵀ."""

    @abstractmethod
    def solve(self, values: Float[Tensor, "draw n"]) -> Float[Tensor, "draw n"]:
        """S⁻¹ v."""

    @abstractmethod
    def spectrum(self, values: Float[Tensor, "draw n"]) -> Spectrum:
        """S without noise in its own axes, and v in them, which gives the density with any noise at once."""

    @abstractmethod
    def held_out_variance(self) -> Float[Tensor, " draw"]:
        """tr(B C Bᵀ − B C Āᵀ S⁻¹ Ā C Bᵀ), C = I ⊗ K: the variance that the measurements leave, summed over B."""

    def log_density(self, values: Float[Tensor, "draw n"]) -> Float[Tensor, " draw"]:
        """log N(v; 0, S); −∞ where S is singular."""
        square = self.whiten(values).flatten(1).square().sum(1)
        count = self.task.measurements.count
        density = -0.5 * (square + self.log_det + count * math.log(2 * math.pi))
        usable = ~self.singular & density.isfinite()
        return torch.where(usable, density, -torch.inf)

    @abstractmethod
    def gram_gradient(self, values: Float[Tensor, "draw n"]) -> Float[Tensor, "draw *row col col"]:
        """∂ log N(v; 0, S)/∂K, symmetric: the sum over i, j of G_ij A_iᵀ A_j with G = (S⁻¹ v vᵀ S⁻¹ − S⁻¹)/2.

        Where each row has a K of its own, the terms of each row.
        """

    def lift(self, multipliers: Float[Tensor, "draw n"]) -> Float[Tensor, "draw row col"]:
        """C Āᵀ λ as a matrix."""
        rows = self.task.measurements.adjoint(multipliers.T).T.unflatten(1, self.task.unfolding)
        return torch.einsum("brc,brcd->brd", rows, self.gram)

    def mean(self, values: Float[Tensor, "draw n"]) -> Float[Tensor, "draw row col"]:
        """E[W | K, Ā vec W = v] = C Āᵀ S⁻¹ v."""
        return self.lift(self.solve(values))


def gaussian_system(task: ArrayTask, gram: Float[Tensor, "draw *row col col"], noise: float = 0.0) -> GaussianSystem:
    """The system that suits the task's measurements."""
    kind = CellSystem if task.observed_cells else DenseSystem
    return kind(task, gram, noise)


def _without_digits(factor: Float[Tensor, "*batch n n"], matrix: Float[Tensor, "*batch n n"]) -> Bool[Tensor, "*batch"]:
    """Where a pivot is what rounding left of its diagonal entry: so can a singular matrix be factored."""
    pivots = factor.diagonal(dim1=-2, dim2=-1).square()
    return (pivots <= _SMALLEST_PIVOT * matrix.diagonal(dim1=-2, dim2=-1)).any(-1)


_SMALLEST_PIVOT = 1e-13


def _covariance_gradient(
    solved: Float[Tensor, "*batch n"], factor: Float[Tensor, "*batch n n"]
) -> Float[Tensor, "*batch n n"]:
    """G = (S⁻¹ v vᵀ S⁻¹ − S⁻¹)/2, from S⁻¹ v and the factor of S."""
    # Not by torch.cholesky_inverse, which raises for the whole batch where one factor is singular.
    eye = torch.eye(factor.shape[-1], dtype=factor.dtype, device=factor.device)
    inverse = torch.cholesky_solve(eye.expand_as(factor), factor)
    return (solved[..., :, None] * solved[..., None, :] - inverse) / 2


@lru_cache(maxsize=4)
def dense_measurements(
    measurements: Measurements, device: torch.device, dtype: torch.dtype
) -> Float[Tensor, "n entry"]:
    """Ā as a tensor, kept from one batch to the next: for few draws making it would take longer than the algebra."""
    return torch.tensor(measurements.dense(), device=device, dtype=dtype)


_MOST_IN_TABLE = 2**27
"""Numbers in a table of pairs: 1 GiB."""


_TABLE = threading.Lock()


class _Pairs(NamedTuple):
    """S_ij = tr(A_i K A_jᵀ) as inner products with the distinct entries of K.

    A product with this table takes a fourth of the work of A_i K and its inner products, for square arrays and many
    measurements.
    """

    table: Float[Tensor, "entry pair"]
    entries: tuple[Int[Tensor, " entry"], Int[Tensor, " entry"]]
    """Rows and columns of the entries of K, on and below its diagonal."""
    places: Int[Tensor, "n n"]
    """Which pair each entry of S is."""


def _pays(count: int, rows: int, cols: int) -> bool:
    """Whether a table of pairs can be held and saves work: of arrays with few rows it does not."""
    table = count * (count + 1) // 2 * (cols * (cols + 1) // 2)
    return table <= min(_MOST_IN_TABLE, count * rows * cols * (cols + count))


@lru_cache(maxsize=1)
def _pairs(measurements: Measurements, shape: tuple[int, int], device: torch.device, dtype: torch.dtype) -> _Pairs:
    seen = dense_measurements(measurements, device, dtype).unflatten(1, shape)
    lower, upper = torch.tril_indices(shape[1], shape[1], device=device)
    once = torch.where(lower == upper, 0.5, 1.0).to(dtype)
    count = len(seen)
    table = seen.new_empty(count * (count + 1) // 2, len(lower))
    for i in range(count):
        products = torch.einsum("rc,jrd->jcd", seen[i], seen[: i + 1])
        table[i * (i + 1) // 2 : (i + 1) * (i + 2) // 2] = (products + products.mT)[:, lower, upper] * once
    first, second = torch.meshgrid(*2 * [torch.arange(count, device=device)], indexing="ij")
    larger, smaller = torch.maximum(first, second), torch.minimum(first, second)
    return _Pairs(table.T, (lower, upper), larger * (larger + 1) // 2 + smaller)


class DenseSystem(GaussianSystem):
    """Measurements of any kind: one n × n covariance for each draw."""

    @cached_property
    def _seen(self) -> Float[Tensor, "n row col"]:
        seen = dense_measurements(self.task.measurements, self.gram.device, self.gram.dtype)
        return seen.unflatten(1, self.task.unfolding)

    @cached_property
    def _images(self) -> Float[Tensor, "draw n entry"]:
        """A_i K, so that inner products with it are covariances."""
        return torch.einsum("nrc,brcd->bnrd", self._seen, self.gram).flatten(2)

    @cached_property
    def _factor(self) -> tuple[Float[Tensor, "draw n n"], Bool[Tensor, " draw"]]:
        covariance = self._covariance
        if self.noise:
            covariance.diagonal(dim1=1, dim2=2).add_(self.noise)
        factor, info = torch.linalg.cholesky_ex(covariance)
        return factor, (info > 0) | _without_digits(factor, covariance)

    @property
    def _covariance(self) -> Float[Tensor, "draw n n"]:
        measurements, (rows, cols) = self.task.measurements, self.task.unfolding
        if not self._shared or not _pays(measurements.count, rows, cols):
            return self._images @ self._seen.flatten(1).T
        with _TABLE:  # threads make one table, not each its own
            pairs = _pairs(measurements, (rows, cols), self.gram.device, self.gram.dtype)
        return (self.gram[:, 0, *pairs.entries] @ pairs.table)[:, pairs.places]

    @property
    def singular(self) -> Bool[Tensor, " draw"]:
        return self._factor[1]

    @property
    def log_det(self) -> Float[Tensor, " draw"]:
        return 2 * self._factor[0].diagonal(dim1=1, dim2=2).log().sum(1)

    def whiten(self, values: Float[Tensor, "draw n"]) -> Float[Tensor, "draw n"]:
        return torch.linalg.solve_triangular(self._factor[0], values[..., None], upper=False)[..., 0]

    def solve(self, values: Float[Tensor, "draw n"]) -> Float[Tensor, "draw n"]:
        return torch.cholesky_solve(values[..., None], self._factor[0])[..., 0]

    def spectrum(self, values: Float[Tensor, "draw n"]) -> Spectrum:
        return _spectrum(self._covariance, values)

    def gram_gradient(self, values: Float[Tensor, "draw n"]) -> Float[Tensor, "draw *row col col"]:
        slope = _covariance_gradient(self.solve(values), self._factor[0])
        combined = (slope @ self._seen.flatten(1)).unflatten(2, self.task.unfolding)
        return torch.einsum("nrc,bnrd->bcd" if self._shared else "nrc,bnrd->brcd", self._seen, combined)

    def held_out_variance(self) -> Float[Tensor, " draw"]:
        if not self.noise and self.task.held_out.count > _FEW * self.task.measurements.count:
            # What is measured is known, so all the variance that is left is of what is held out.
            variance, towards = self._total_variance, self._images
        else:
            held_out = dense_measurements(self.task.held_out, self.gram.device, self.gram.dtype)
            shaped = held_out.unflatten(1, self.task.unfolding)
            inner = torch.einsum("mrc,mrd->rcd", shaped, shaped)
            variance, towards = torch.einsum("brcd,rcd->b", self.gram, inner), self._images @ held_out.T
        explained = torch.linalg.solve_triangular(self._factor[0], towards, upper=False)
        # Not the sum of squares, which would be a third large array.
        return variance - torch.einsum("bij,bij->b", explained, explained)

    @property
    def _total_variance(self) -> Float[Tensor, " draw"]:
        """tr (I ⊗ K)."""
        each = self.gram.diagonal(dim1=2, dim2=3).sum((1, 2))
        return each * self.task.unfolding[0] if self._shared else each


_FEW = 2
"""Held out directions for each measurement above which it is less work to look at all entries of the array."""


class _Pattern(NamedTuple):
    """Which cells were observed: their indices, each cell, each pair in one row, and ones on the diagonal elsewhere."""

    cells: Int[Tensor, " n"]
    mask: Bool[Tensor, "row col"]
    both: Bool[Tensor, "row col col"]
    idle: Float[Tensor, "row col col"]


@lru_cache(maxsize=4)
def _pattern(task: ArrayTask, device: torch.device, dtype: torch.dtype) -> _Pattern:
    if task.cells is None:
        raise TypeError("a CellSystem needs observed cells")
    cells = torch.tensor(task.cells, device=device)
    observed = torch.zeros(task.measurements.entries, dtype=torch.bool, device=device)
    observed[cells] = True
    mask = observed.view(task.unfolding)
    return _Pattern(cells, mask, mask[:, :, None] & mask[:, None, :], torch.diag_embed((~mask).to(dtype)))


class CellSystem(GaussianSystem):
    """Observed cells: rows are independent, so there is one cols × cols block for each row.

    Cells that were not observed stand in a block as independent unit variables with value zero, which adds nothing.
    """

    @cached_property
    def _pattern(self) -> _Pattern:
        return _pattern(self.task, self.gram.device, self.gram.dtype)

    @cached_property
    def _factor(self) -> tuple[Float[Tensor, "draw row col col"], Bool[Tensor, " draw"]]:
        blocks = self._blocks
        if self.noise:
            blocks.diagonal(dim1=2, dim2=3).add_(self.noise * self._pattern.mask)
        factor, info = torch.linalg.cholesky_ex(blocks)
        return factor, ((info > 0) | _without_digits(factor, blocks)).any(1)

    @property
    def _blocks(self) -> Float[Tensor, "draw row col col"]:
        return self.gram * self._pattern.both + self._pattern.idle

    def spectrum(self, values: Float[Tensor, "draw n"]) -> Spectrum:
        unseen = self.task.measurements.entries - self.task.measurements.count
        return _spectrum(self._blocks, self._table(values)[..., 0], unseen)

    @property
    def singular(self) -> Bool[Tensor, " draw"]:
        return self._factor[1]

    @property
    def log_det(self) -> Float[Tensor, " draw"]:
        return 2 * self._factor[0].diagonal(dim1=2, dim2=3).log().sum((1, 2))

    def _table(self, values: Float[Tensor, "draw n"]) -> Float[Tensor, "draw row col one"]:
        return self.task.measurements.adjoint(values.T).T.unflatten(1, self.task.unfolding)[..., None]

    def whiten(self, values: Float[Tensor, "draw n"]) -> Float[Tensor, "draw row col"]:
        return torch.linalg.solve_triangular(self._factor[0], self._table(values), upper=False)[..., 0]

    def solve(self, values: Float[Tensor, "draw n"]) -> Float[Tensor, "draw n"]:
        return self._solved(values).flatten(1)[:, self._pattern.cells]

    def _solved(self, values: Float[Tensor, "draw n"]) -> Float[Tensor, "draw row col"]:
        return torch.cholesky_solve(self._table(values), self._factor[0])[..., 0]

    def gram_gradient(self, values: Float[Tensor, "draw n"]) -> Float[Tensor, "draw *row col col"]:
        slope = _covariance_gradient(self._solved(values), self._factor[0]) * self._pattern.both
        return slope.sum(1) if self._shared else slope

    def held_out_variance(self) -> Float[Tensor, " draw"]:
        mask = self._pattern.mask
        seen = self.gram * mask[:, :, None]
        explained = torch.linalg.solve_triangular(self._factor[0], seen, upper=False).square().sum(2)
        left = self.gram.diagonal(dim1=2, dim2=3) - explained
        return torch.where(mask, 0.0, left).sum((1, 2))
