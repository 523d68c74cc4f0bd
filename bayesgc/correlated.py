"""How draws depend on each other, and the error of their mean."""

from __future__ import annotations

import math
from enum import StrEnum

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri, stdtrit


class ErrorRule(StrEnum):
    """By what the error of a mean over the draws of a posterior is told: what a method says of its draws."""

    INDEPENDENT = "independent"
    """Independent draws: their own spread."""
    WEIGHTS = "weights"
    """Draws that were resampled by their weights: the effective sample size of these."""
    ISLANDS = "islands"
    """Particles that share ancestors: the spread over islands, which ``sample_stats`` names."""
    CHAINS = "chains"
    """Chains, each long enough to show its autocorrelation."""
    REPLICATES = "replicates"
    """Chains that are independent of each other, whatever happens within one: the spread over them."""


ENOUGH_ISLANDS = 8
"""Islands of correlated draws from whose spread an error can be read; their effective number, as larger ones weigh
more."""
FEWEST_ISLANDS = 3
"""With fewer than this carrying the weight, their spread says nothing about the error, and none is given."""
FEWEST_DRAWS = 8
"""With fewer draws in a chain nothing is known of their correlation."""
_ROUNDING = 1e-9
"""A relative spread below which a quantity is a constant with rounding errors."""
_WINDOW = 5
"""Integrated autocorrelation times over which autocovariances are summed."""


def resampled_size(draws: int, effective: float) -> float:
    """How many independent draws are as good as so many that were resampled from weighted ones worth ``effective``."""
    return 1 / (1 / max(effective, 1e-300) + 1 / draws)


def mean_error(values: Float[np.ndarray, "chain draw"]) -> float:
    """The error of the mean of correlated draws, 1.96 of which cover 95 %; infinite where there are too few to tell.

    Of the effective sample sizes for the mean and in bulk the smaller one counts: the large values of a skewed quantity
    come and go as if they were independent, and its ranks still show how slowly the chains move.

    The spread of the mean is an estimate too, and of short chains a rough one. Taken from autocovariances over five
    autocorrelation times, it has about a fifth as many degrees of freedom as there are effective draws (Madras and
    Sokal 1988). The error is larger than that spread by as much as Student's t with so many is wider than a normal.
    """
    from arviz_stats.base import array_stats  # type: ignore[attr-defined]

    if constant(values):
        return 0.0
    if values.shape[1] < FEWEST_DRAWS:
        return math.inf
    size = min(float(array_stats.ess(values, method=kind)) for kind in ("mean", "bulk"))
    wider = float(stdtrit(max(size / _WINDOW, 1.0), 0.975) / ndtri(0.975))
    return wider * float(values.std(ddof=1)) / math.sqrt(size)


def constant(values: Float[np.ndarray, "chain draw"]) -> bool:
    """Whether a quantity does not vary, but for rounding."""
    return bool(np.ptp(values) <= _ROUNDING * np.abs(values).max())
