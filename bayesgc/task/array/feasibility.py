"""The least training loss that any matrix a model may produce can have: a proof that a threshold is out of reach.

And how far above it a threshold must be for losses of single or double precision to tell what is below it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from bayesgc.task.array.affine import BestFits, best_fits
from bayesgc.task.array.array import ArrayTask
from bayesgc.task.array.measurements import DenseMeasurements
from bayesgc.validate import InputError

_MARGIN = 1e-9  # relative; a bound that rounding could have lifted over the threshold proves nothing
_ROUNDING = 1e-20  # of the zero predictor's loss: what float64 leaves of an exact fit
_SHARE = 0.1  # of the log volume's error: half the rank for each relative error of ε less the least loss
_STEPS = 10.0  # roundings of a residual in the radius of the ball of fits, lest its volume be that of a grid


def infeasible(task: ArrayTask, eps: float, *, normalize: bool) -> bool:
    """Whether provably no matrix has L_train < ``eps`` (L_train = 0 where ``eps`` is 0)."""
    least = least_train_loss(task, normalize=normalize)
    if eps == 0.0:
        return least > _ROUNDING * task.zero_train_loss
    return least * (1.0 - _MARGIN) >= eps


@dataclass(frozen=True)
class Resolution:
    """What rounding leaves of the training losses of a task near the least one.

    ``size`` is the root mean square of the numbers whose difference a residual is, ``rank`` that of the measurements.
    """

    least: float
    size: float
    rank: int

    def step(self, dtype: torch.dtype) -> float:
        """How far above the least loss a threshold must be, so that rounding decides little of what is below it.

        A residual is off by about δ = u·size, with u the unit roundoff. Where the least residuals are r, δ moves losses
        by 2 r δ, the same for draw after draw as the targets are rounded once; where they are 0, it makes a grid of
        them.
        """
        unit = torch.finfo(dtype).eps / 2
        slip = unit * self.size
        return self.rank / (2 * _SHARE) * (2 * math.sqrt(self.least) * slip + unit * self.least) + (_STEPS * slip) ** 2

    def check(self, eps: float, dtype: torch.dtype) -> None:
        """Refuse a threshold that losses of ``dtype`` cannot tell from the least one.

        Raises:
            InputError: for such an ``eps``, saying whether double precision helps.
        """
        above = eps - self.least
        if above >= self.step(dtype):
            return
        name = str(dtype).removeprefix("torch.")
        helps = dtype != torch.float64 and above >= self.step(torch.float64)
        raise InputError(
            f"eps is {eps:.10g}, within {abs(above):.2g} of the least training loss there is, {self.least:.10g}; "
            f"{name} needs {self.step(dtype):.2g} to tell losses apart: raise eps"
            f"{', or compute in double precision (`dtype=float64`)' if helps else ''}."
        )


def resolution(task: ArrayTask, *, normalize: bool) -> Resolution:
    """How finely training losses of ``task`` can be told apart, for matrices as in `least_train_loss`."""
    norm = 1.0 if normalize else float(np.linalg.norm(best_fits(task).point))
    measurements = task.measurements
    # The sums of products in <A_i, W>, for entries of W of equal size: their roundings add up like independent ones.
    rows = measurements.matrix if isinstance(measurements, DenseMeasurements) else np.ones((1, 1))
    sums = float(np.linalg.norm(rows)) / math.sqrt(len(rows)) * norm / math.sqrt(measurements.entries)
    size = math.sqrt(task.zero_train_loss) + sums
    return Resolution(least_train_loss(task, normalize=normalize), size, measurements.rank)


def least_train_loss(task: ArrayTask, *, normalize: bool) -> float:
    """The least L_train over all matrices, or over the unit sphere ‖W‖_F = 1 with ``normalize``.

    A model of limited width reaches low ranks only and may do worse, so the value is a lower bound for every model and
    reaching ε from above remains a proof of infeasibility. On the sphere it is a trust-region problem, solved exactly.
    """
    fits = best_fits(task)
    excess = _least_excess_on_sphere(fits) if normalize else 0.0
    return (fits.misfit + excess) / task.measurements.count


def left_by_norm(task: ArrayTask) -> float:
    """The share of the zero predictor's loss that ‖W‖_F = 1 leaves, whichever the matrix, beyond what all leave.

    It is (1 − 1/N)² for cells of norm N > 1. A threshold that the data suggest takes it for noise.
    """
    if task.zero_train_loss == 0:
        return 0.0
    return _least_excess_on_sphere(best_fits(task)) / (task.measurements.count * task.zero_train_loss)


def _least_excess_on_sphere(fits: BestFits) -> float:
    """min ‖A w − y‖² − misfit over ‖w‖ = 1, by the secular equation (Moré & Sorensen 1983).

    In the singular basis the minimiser is c_i = s_i (u_iᵀ y) / (s_i² + λ) with the one λ ≥ −min s_i² that gives it
    norm one. In the hard case even λ = −min s_i² leaves it too short, and the eigenspace of min s_i² takes up the rest
    at a price of min s_i² a unit of squared length. A kernel of A is such an eigenspace with s = 0.
    """
    singular, coefficients = fits.singular, fits.coefficients
    if not fits.unique:
        singular, coefficients = np.append(singular, 0.0), np.append(coefficients, 0.0)
    lowest = float(np.min(singular**2))
    gaps, pull = singular**2 - lowest, singular * coefficients
    shift = _secular_root(gaps, pull)
    lengths = _lengths(gaps, pull, shift)
    # s c − u = −λ u / (s² + λ) without the cancellation of the plain difference.
    free = (gaps == 0.0) & (pull == 0.0)
    moved = np.where(free, 0.0, (lowest - shift) * coefficients / np.where(free, 1.0, gaps + shift))
    missing = max(0.0, 1.0 - float(np.sum(lengths**2))) if shift == 0.0 else 0.0
    return float(np.sum(moved**2)) + lowest * missing


def _lengths(
    gaps: Float[np.ndarray, " mode"], pull: Float[np.ndarray, " mode"], shift: float
) -> Float[np.ndarray, " mode"]:
    """The coordinates pull / (gap + shift), zero where both vanish."""
    free = (gaps + shift == 0.0) & (pull == 0.0)
    return np.where(free, 0.0, pull / np.where(free, 1.0, gaps + shift))


def _secular_root(gaps: Float[np.ndarray, " mode"], pull: Float[np.ndarray, " mode"]) -> float:
    """The shift λ + min s² ≥ 0 at which the coordinates have norm one; 0 in the hard case.

    The norm falls in the shift and lies between ‖pull on the lowest modes‖ / shift and ‖pull‖ / shift, which brackets
    the root; 1/norm − 1 is nearly linear in it.
    """
    # math.hypot does not underflow: a tiny pull decides between the easy and the hard case.
    low, high = math.hypot(*pull[gaps == 0.0]), math.hypot(*pull)

    def excess(shift: float) -> float:
        return 1.0 / float(np.linalg.norm(_lengths(gaps, pull, shift))) - 1.0

    if high == 0.0 or (low == 0.0 and float(np.linalg.norm(_lengths(gaps, pull, 0.0))) <= 1.0):
        return 0.0
    if excess(low) >= 0.0 or excess(high) <= 0.0:  # only rounding can put an end of the bracket past the root
        return low if excess(low) >= 0.0 else high
    from scipy.optimize import brentq  # which takes a while to load

    return float(brentq(excess, low, high, xtol=1e-300, rtol=1e-15, maxiter=1000))
