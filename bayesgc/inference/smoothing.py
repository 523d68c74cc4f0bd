"""The tail of importance weights: the shape k̂ of a fitted Pareto distribution (Vehtari et al. 2024)."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

_HOPELESS = 30.0
"""Nats within the tail beyond which no fit is needed, nor possible in double precision: k̂ is then far above 1."""

_ARVIZ_TAIL, _DEPENDENT = 5, 1e-6
"""A tail is a fifth of the weights where they are few or dependent; so ArviZ need not sort and smooth all of them."""

_ROUNDING = 1e-9
"""Nats by which weights that are all the same may differ."""


def pareto_shape(log_weight: Float[np.ndarray, " draw"]) -> float:
    """k̂ of the upper tail: below 0.5 the variance is finite, near 1 the mean is lost. −∞ weights count as zero."""
    from arviz_stats.base import array_stats  # type: ignore[attr-defined]

    if not np.isfinite(log_weight).any():
        return math.inf
    finite = np.where(np.isfinite(log_weight), log_weight, np.nanmin(log_weight[np.isfinite(log_weight)]) - 100.0)
    if np.ptp(finite) < _ROUNDING:
        return -math.inf
    length = max(2, int(min(0.2 * len(finite), 3 * len(finite) ** 0.5)))
    largest = _largest(finite, _ARVIZ_TAIL * length)
    tail = largest[-length:]
    # Copies of one draw can fill a tail, which then tells nothing.
    if tail[-1] - tail[len(tail) // 4] > _HOPELESS or np.ptp(tail) == 0:
        return math.inf
    # A tail of equal or vanishing weights leaves nothing to fit; that counts as the worst.
    with np.errstate(divide="ignore", invalid="ignore"):
        # It takes log likelihoods, whose negatives are the weights. Of dependent draws it fits a fifth: the same tail.
        _, shape = array_stats.psislw(largest[-1] - largest, r_eff=_DEPENDENT)
    return float(shape) if np.isfinite(shape) else math.inf


def _largest(values: Float[np.ndarray, " draw"], count: int) -> Float[np.ndarray, " largest"]:
    """The largest of the values, so many or all, in rising order."""
    return np.sort(values if count >= len(values) else np.partition(values, -count)[-count:])


def shape_limit(draws: int) -> float:
    """The largest k̂ at which that many draws give errors to rely on: min(1 − 1/log₁₀ S, 0.5).

    Up to 0.7 smoothed weights still give a mean (Vehtari et al. 2024), but above 0.5 the variance is infinite, and with
    it the error of plain weights that independent batches are to tell.
    """
    return min(1 - 1 / math.log10(draws), 0.5) if draws > 1 else -math.inf
