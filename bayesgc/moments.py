"""Whether the mean of draws and its error can be believed: the shape of their upper tail.

A quantity whose density falls as x^(−1−1/k) has a mean only for k < 1 and a variance only for k < 1/2. Without a
variance the error of a mean is none: it goes with luck, not with the number of draws. Quantiles exist with any tail.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Shaped

HEAVIEST = 0.5
"""The largest k̂ at which the variance is finite, and with it the error of a mean."""
FEWEST = 200
"""Draws without which nothing is said of their tail. Of exponential samples of so many, at most one in a hundred has a
k̂ above the limit; of those with k = 1, which have no mean, nine in ten. Of samples of 16 000 none, and all."""
_FEWEST_BEYOND = 10
"""Draws beyond the others from which a shape can be told."""


def tail_shape(values: Shaped[np.ndarray, "*draw"]) -> float:
    """k̂ of the generalised Pareto law of the largest of equally weighted draws; NaN where there are too few to tell.

    The tail is that of Vehtari et al. (2024), the largest min(S/5, 3√S) of S draws. −∞ where they are all alike, a tail
    that ends; ∞ where a draw is not finite, so that there is no mean.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64).ravel())
    if ordered.size and not np.isfinite(ordered).all():
        return math.inf
    if ordered.size < FEWEST:
        return math.nan
    length = int(min(0.2 * ordered.size, 3 * math.sqrt(ordered.size)))
    excess = ordered[-length:] - ordered[-length - 1]
    beyond = excess[excess > 0]  # of a law with atoms many may be at the place where the tail begins
    if not beyond.size:
        return -math.inf
    return math.nan if beyond.size < _FEWEST_BEYOND else _pareto_shape(beyond / beyond[-1])


def believable(shape: float) -> bool:
    """Whether the mean of draws with such a tail has an error to rely on, as long as nothing is known against it."""
    return not shape > HEAVIEST


def _pareto_shape(excess: Float[np.ndarray, " tail"]) -> float:
    """k̂ of values above zero in rising order, the last of which is 1, by the estimate of Zhang and Stephens (2009).

    It is the mean of a posterior on a grid of θ = −k/σ, with their weakly informative prior.
    """
    count, points = excess.size, 30 + math.isqrt(excess.size)
    quartile = max(float(excess[int(count / 4 + 0.5) - 1]), 1e-300)
    grid = 1 + (1 - np.sqrt(points / (np.arange(1, points + 1) - 0.5))) / (3 * quartile)
    shapes = np.log1p(-grid[:, None] * excess).mean(axis=1)
    # At θ = 0, which atoms of the law can meet exactly, the ratio is its limit.
    ratios = np.divide(-grid, shapes, out=np.full(points, 1 / excess.mean()), where=shapes != 0)
    heights = count * (np.log(ratios) - shapes - 1)
    weights = np.exp(heights - heights.max())
    return float(np.log1p(-np.sum(grid * weights) / np.sum(weights) * excess).mean())
