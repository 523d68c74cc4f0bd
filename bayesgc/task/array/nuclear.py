"""The fit of least nuclear norm: minimise ‖W‖_* over the matrices that fit a task best.

Douglas–Rachford splitting (Lions & Mercier 1979) between singular-value thresholding (Cai, Candès & Shen 2010) and the
exact projection onto the fits, sped up by safeguarded Anderson extrapolation (Walker & Ni 2011): plain splitting can
need thousands of steps on tasks where the extrapolated one needs fifty. Each answer carries its own proof, a duality
gap: any Y in the row space of the measurements with ‖Y‖_op ≤ 1 gives ⟨Y, W⟩ as a lower bound.

Of a tensor it is the mean of the nuclear norms of its unfoldings, each mode as rows against all the others (Liu,
Musialski, Wonka & Ye 2013), by the same steps on one copy of the tensor for each unfolding.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from bayesgc.task.array.affine import BestFits, best_fits
from bayesgc.task.array.array import ArrayTask
from bayesgc.validate import positive_integer

_THRESHOLD = 0.3  # of the least-squares fit's largest singular value; best or near it from 3×5 to 200×150
_MEMORY = 10  # steps that the extrapolation looks back on
_CHECK = 5  # the gap costs as much as two steps, so it is looked at every fifth
_WORK = 30_000_000_000  # rows · cols · min(rows, cols) · steps: half a minute on one core for large tables
_STEPS = 5000
_GROWTH = 2.0  # an extrapolation whose residual is this much above the least so far is taken back


@dataclass(frozen=True, eq=False)
class NuclearFit:
    """A best fit of (nearly) least nuclear norm.

    ``end_to_end`` fits as well as any array can, up to rounding, and its nuclear norm exceeds the least one by at most
    ``relative_gap`` times itself; ``dual`` is the feasible dual matrix that proves so, or one of the tensor's shape for
    each mode, whose sum is in the row space.
    """

    end_to_end: Float[np.ndarray, "*shape"]
    dual: Float[np.ndarray, "*mode_shape"]
    relative_gap: float
    iterations: int
    converged: bool


def minimum_nuclear_norm(
    task: ArrayTask,
    *,
    tolerance: float = 1e-9,
    max_iterations: int | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> NuclearFit:
    """The matrix of least nuclear norm among the best fits of a task, or the tensor of least mean over its unfoldings.

    Ends when the relative duality gap is at most ``tolerance``, or after ``max_iterations`` steps of one singular value
    decomposition each (by default 5000, fewer for large matrices), or when ``stop()`` says so; ``converged`` tells
    whether the gap closed. Inconsistent targets are
    replaced by their least-squares fit. Completion tasks now and then have a whole face of minimisers; the one found
    then is that to which the steps from the least-squares fit lead.
    """
    if max_iterations is None:
        limit = max(100, min(_STEPS, _WORK // (math.prod(task.shape) * min(task.shape))))
    else:
        limit = positive_integer("max_iterations", max_iterations)
    fits, unfoldings = best_fits(task), _Unfoldings(task.shape)
    scale = max(float(np.linalg.norm(each, 2)) for each in unfoldings.matrices(unfoldings.copies(fits.point)))
    if scale == 0.0:
        zeros = np.zeros(task.shape)
        return NuclearFit(zeros, unfoldings.folded(unfoldings.copies(fits.point)), 0.0, 0, True)
    return _split(fits, unfoldings, _THRESHOLD * scale, tolerance, limit, stop)


@dataclass(frozen=True)
class _Unfoldings:
    """The matrices whose nuclear norms are added: a matrix itself, or a tensor with each mode as rows.

    ``parts`` are vectorised arrays one after the other, one for each of these matrices.
    """

    shape: tuple[int, ...]

    @property
    def modes(self) -> range:
        """The modes that are rows in turn; a matrix and its transpose have the same norm."""
        return range(1 if len(self.shape) == 2 else len(self.shape))

    def copies(self, vector: Float[np.ndarray, " entry"]) -> Float[np.ndarray, " parts"]:
        """The same array for each unfolding."""
        return np.tile(vector, len(self.modes))

    def mean(self, parts: Float[np.ndarray, " parts"]) -> Float[np.ndarray, " entry"]:
        """The mean of the arrays."""
        return np.asarray(parts.reshape(len(self.modes), -1).mean(0))

    def folded(self, parts: Float[np.ndarray, " parts"]) -> Float[np.ndarray, "*mode_shape"]:
        """The arrays in their shape, with an axis of modes in front for a tensor."""
        return parts.reshape(self.shape if len(self.modes) == 1 else (len(self.modes), *self.shape))

    def matrices(self, parts: Float[np.ndarray, " parts"]) -> list[Float[np.ndarray, "rows cols"]]:
        """Each array as its matrix."""
        arrays = parts.reshape(len(self.modes), *self.shape)
        return [np.moveaxis(arrays[mode], mode, 0).reshape(self.shape[mode], -1) for mode in self.modes]

    def parts(self, matrices: Iterable[Float[np.ndarray, "rows cols"]]) -> Float[np.ndarray, " parts"]:
        """The inverse of `matrices`."""
        sides = [(self.shape[mode], *self.shape[:mode], *self.shape[mode + 1 :]) for mode in self.modes]
        folded = zip(self.modes, matrices, sides, strict=True)
        return np.concatenate([np.moveaxis(each.reshape(side), 0, mode).ravel() for mode, each, side in folded])


def _split(
    fits: BestFits,
    unfoldings: _Unfoldings,
    threshold: float,
    tolerance: float,
    limit: int,
    stop: Callable[[], bool],
) -> NuclearFit:
    """Douglas–Rachford steps from the least-squares fit until the gap closes."""
    state, extrapolation = unfoldings.copies(fits.point), _Anderson()
    start = unfoldings.parts(map(_polar, unfoldings.matrices(state)))
    best, iteration = _certified(fits, unfoldings, fits.point, start, tolerance), 0
    while iteration < limit and not best.converged and not stop():
        iteration += 1
        fit = unfoldings.copies(fits.project(unfoldings.mean(state)))
        shrunk = unfoldings.parts(_shrink(each, threshold) for each in unfoldings.matrices(2 * fit - state))
        state = extrapolation.step(state, shrunk - fit)
        if iteration % _CHECK == 0 or iteration == limit:
            fit = fits.project(unfoldings.mean(state))
            found = _certified(fits, unfoldings, fit, (unfoldings.copies(fit) - state) / threshold, tolerance)
            best = min(best, found, key=lambda each: each.relative_gap)
    return replace(best, iterations=iteration)


def _certified(
    fits: BestFits,
    unfoldings: _Unfoldings,
    vector: Float[np.ndarray, " entry"],
    multipliers: Float[np.ndarray, " parts"],
    tolerance: float,
) -> NuclearFit:
    """The fit with its duality gap, from multipliers that are first made dual feasible."""
    # Rounding may push their sum out of the row space, where its bound would not hold.
    mean = unfoldings.mean(multipliers)
    dual = multipliers + unfoldings.copies(fits.measured(mean) - mean)
    dual = dual / max(1.0, *(float(np.linalg.norm(each, 2)) for each in unfoldings.matrices(dual)))
    norms = [np.linalg.svd(each, compute_uv=False).sum() for each in unfoldings.matrices(unfoldings.copies(vector))]
    norm = float(np.mean(norms))
    gap = max(0.0, (norm - float(unfoldings.mean(dual) @ fits.point)) / norm)
    return NuclearFit(vector.reshape(unfoldings.shape), unfoldings.folded(dual), gap, 0, gap <= tolerance)


def _shrink(matrix: Float[np.ndarray, "rows cols"], threshold: float) -> Float[np.ndarray, "rows cols"]:
    """Soft thresholding of the singular values, the proximal map of ``threshold``·‖·‖_*."""
    left, singular, right = np.linalg.svd(matrix, full_matrices=False)
    return np.asarray((left * np.maximum(singular - threshold, 0.0)) @ right)


def _polar(matrix: Float[np.ndarray, "rows cols"]) -> Float[np.ndarray, "rows cols"]:
    """The subgradient U Vᵀ of the nuclear norm."""
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    return np.asarray(left @ right)


@dataclass
class _Anderson:
    """Anderson extrapolation of a nonexpansive fixed-point iteration state ← state + residual(state).

    A plain step never lets the residual grow, so falling back to one from the best state keeps convergence.
    """

    states: deque[Float[np.ndarray, " entry"]] = field(default_factory=lambda: deque(maxlen=_MEMORY + 1))
    residuals: deque[Float[np.ndarray, " entry"]] = field(default_factory=lambda: deque(maxlen=_MEMORY + 1))
    best: tuple[float, Float[np.ndarray, " entry"] | None] = (np.inf, None)

    def step(
        self, state: Float[np.ndarray, " entry"], residual: Float[np.ndarray, " entry"]
    ) -> Float[np.ndarray, " entry"]:
        """The next state, given the present one and its residual."""
        size, (least, plain) = float(np.linalg.norm(residual)), self.best
        if size < least:
            self.best = (size, state + residual)
        elif plain is not None and size > _GROWTH * least:
            self.states.clear()
            self.residuals.clear()
            self.best = (np.inf, None)
            return plain
        self.states.append(state)
        self.residuals.append(residual)
        if len(self.states) == 1:
            return state + residual
        moves, changes = np.diff(np.array(self.states), axis=0), np.diff(np.array(self.residuals), axis=0)
        gram = changes @ changes.T
        # Nearly parallel differences are usual close to the solution: a little damping keeps the system regular.
        gram[np.diag_indices_from(gram)] += 1e-10 * np.trace(gram) + np.finfo(np.float64).tiny
        mixing = np.linalg.solve(gram, changes @ residual)
        return state + residual - mixing @ (moves + changes)
