"""The fit of least nuclear norm: minimise ‖W‖_* over the matrices that fit a task best.

Douglas–Rachford splitting (Lions & Mercier 1979) between singular-value thresholding (Cai, Candès & Shen 2010) and the
exact projection onto the fits, sped up by safeguarded Anderson extrapolation (Walker & Ni 2011): plain splitting can
need thousands of steps on tasks where the extrapolated one needs fifty. Each answer carries its own proof, a duality
gap: any Y in the row space of the measurements with ‖Y‖_op ≤ 1 gives ⟨Y, W⟩ as a lower bound.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from bayesgc.inference.affine import BestFits, best_fits
from bayesgc.task import Task
from bayesgc.validate import InputError, positive_integer

_THRESHOLD = 0.3  # of the least-squares fit's largest singular value; best or near it from 3×5 to 200×150
_MEMORY = 10  # steps that the extrapolation looks back on
_CHECK = 5  # the gap costs as much as two steps, so it is looked at every fifth
_WORK = 30_000_000_000  # rows · cols · min(rows, cols) · steps: half a minute on one core for large tables
_STEPS = 5000
_GROWTH = 2.0  # an extrapolation whose residual is this much above the least so far is taken back


@dataclass(frozen=True, eq=False)
class NuclearFit:
    """A best fit of (nearly) least nuclear norm.

    ``end_to_end`` fits as well as any matrix can, up to rounding, and its nuclear norm exceeds the least one by at most
    ``relative_gap`` times itself; ``dual`` is the feasible dual matrix that proves so.
    """

    end_to_end: Float[np.ndarray, "rows cols"]
    dual: Float[np.ndarray, "rows cols"]
    relative_gap: float
    iterations: int
    converged: bool


def minimum_nuclear_norm(task: Task, *, tolerance: float = 1e-9, max_iterations: int | None = None) -> NuclearFit:
    """The matrix of least nuclear norm among the best fits of a task of order two.

    Ends when the relative duality gap is at most ``tolerance``, or after ``max_iterations`` steps of one singular value
    decomposition each (by default 5000, fewer for large matrices); ``converged`` tells which. Inconsistent targets are
    replaced by their least-squares fit. Completion tasks now and then have a whole face of minimisers; the one found
    then is that to which the steps from the least-squares fit lead.
    """
    if len(task.shape) != 2:
        raise InputError(f"the nuclear norm needs a matrix; this task has shape {tuple(task.shape)}.")
    if max_iterations is None:
        limit = max(100, min(_STEPS, _WORK // (math.prod(task.shape) * min(task.shape))))
    else:
        limit = positive_integer("max_iterations", max_iterations)
    fits = best_fits(task)
    scale = float(np.linalg.norm(fits.point.reshape(task.shape), 2))
    if scale == 0.0:
        return NuclearFit(np.zeros(task.shape), np.zeros(task.shape), 0.0, 0, True)
    return _split(fits, task.shape, _THRESHOLD * scale, tolerance, limit)


def _split(fits: BestFits, shape: tuple[int, ...], threshold: float, tolerance: float, limit: int) -> NuclearFit:
    """Douglas–Rachford steps from the least-squares fit until the gap closes."""
    state, extrapolation = fits.point, _Anderson()
    best, iteration = _certified(fits, shape, state, _polar(state, shape), tolerance), 0
    while iteration < limit and not best.converged:
        iteration += 1
        fit = fits.project(state)
        state = extrapolation.step(state, _shrink(2 * fit - state, shape, threshold) - fit)
        if iteration % _CHECK == 0 or iteration == limit:
            fit = fits.project(state)
            found = _certified(fits, shape, fit, (fit - state) / threshold, tolerance)
            best = min(best, found, key=lambda each: each.relative_gap)
    return replace(best, iterations=iteration)


def _certified(
    fits: BestFits,
    shape: tuple[int, ...],
    vector: Float[np.ndarray, " entry"],
    multiplier: Float[np.ndarray, " entry"],
    tolerance: float,
) -> NuclearFit:
    """The fit with its duality gap, from a multiplier that is first made dual feasible."""
    matrix = vector.reshape(shape)
    # Rounding may push a multiplier out of the row space, where its bound would not hold.
    dual = fits.measured(multiplier)
    dual = dual / max(1.0, float(np.linalg.norm(dual.reshape(shape), 2)))
    norm = float(np.linalg.svd(matrix, compute_uv=False).sum())
    gap = max(0.0, (norm - float(dual @ fits.point)) / norm)
    return NuclearFit(matrix, dual.reshape(shape), gap, 0, gap <= tolerance)


def _shrink(
    vector: Float[np.ndarray, " entry"], shape: tuple[int, ...], threshold: float
) -> Float[np.ndarray, " entry"]:
    """Soft thresholding of the singular values, the proximal map of ``threshold``·‖·‖_*."""
    left, singular, right = np.linalg.svd(vector.reshape(shape), full_matrices=False)
    return np.ravel((left * np.maximum(singular - threshold, 0.0)) @ right)


def _polar(vector: Float[np.ndarray, " entry"], shape: tuple[int, ...]) -> Float[np.ndarray, " entry"]:
    """The subgradient U Vᵀ of the nuclear norm."""
    left, _, right = np.linalg.svd(vector.reshape(shape), full_matrices=False)
    return np.ravel(left @ right)


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
