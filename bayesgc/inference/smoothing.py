"""The tail of importance weights: the shape k̂ of a fitted Pareto distribution (Vehtari et al. 2024)."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

_HOPELESS = 30.0
"""Nats within the tail beyond which no fit is needed, nor possible in double precision: k̂ is then far above 1."""

_FEWEST = 5
"""Weights in a tail from which a shape can be told."""

_ROUNDING = 1e-9
"""Nats by which weights that are all the same may differ."""


def pareto_shape(log_weight: Float[np.ndarray, " draw"]) -> float:
    """k̂ of the upper tail: below 0.5 the variance is finite, near 1 the mean is lost. −∞ weights count as zero."""
    known = np.isfinite(log_weight)
    if not known.any():
        return math.inf
    finite = np.where(known, log_weight, log_weight[known].min() - 100.0)
    if np.ptp(finite) < _ROUNDING:
        return -math.inf
    length = max(2, int(min(0.2 * len(finite), 3 * len(finite) ** 0.5)))
    # The tail and the largest weight below it; of the others the order does not matter.
    start = max(len(finite) - length - 1, 0)
    largest = np.sort(np.partition(finite, start)[start:])
    cutoff, tail = largest[0], largest[-length:]
    # Copies of one draw can fill a tail, which then tells nothing.
    if len(tail) < _FEWEST or tail[-1] - tail[len(tail) // 4] > _HOPELESS or np.ptp(tail) == 0:
        return math.inf
    # A tail of equal or vanishing weights leaves nothing to fit; that counts as the worst.
    with np.errstate(divide="ignore", invalid="ignore"):
        shape = _fitted(np.exp(tail - tail[-1]) - np.exp(cutoff - tail[-1]))
    return shape if math.isfinite(shape) else math.inf


def _fitted(excess: Float[np.ndarray, " tail"]) -> float:
    """k̂ of what rising weights exceed the cutoff by: Zhang and Stephens (2009), with a prior that draws it to 1/2.

    Step by step as in ArviZ, so that the numbers are the same; that one sorts and smooths all weights as well.
    """
    count = len(excess)
    points = 30 + int(count**0.5)
    grid = 1 - np.sqrt(points / (np.arange(1, points + 1, dtype=float) - 0.5))
    grid /= 3 * excess[int(count / 4 + 0.5) - 1]
    grid += 1 / excess[-1]
    shapes = np.mean(np.log1p(-grid[:, None] * excess), axis=1)
    heights = count * (np.log(-grid / shapes) - shapes - 1)
    weights = np.exp(heights - logsumexp(heights))
    seen = weights >= 10 * np.finfo(float).eps
    weights, grid = weights[seen], grid[seen]
    weights /= weights.sum()
    shape = np.mean(np.log1p(-np.sum(grid * weights) * excess))
    return float((count * shape + 10 * 0.5) / (count + 10))


def shape_limit(draws: int) -> float:
    """The largest k̂ at which that many draws give errors to rely on: min(1 − 1/log₁₀ S, 0.5).

    Up to 0.7 smoothed weights still give a mean (Vehtari et al. 2024), but above 0.5 the variance is infinite, and with
    it the error of plain weights that independent batches are to tell.
    """
    return min(1 - 1 / math.log10(draws), 0.5) if draws > 1 else -math.inf
