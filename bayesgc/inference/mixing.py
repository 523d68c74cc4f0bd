"""Whether chains have mixed: rank-normalised R-hat and effective sample sizes (Vehtari et al. 2021).

For quantities of the end-to-end matrix alone: weights have symmetries that make both meaningless on them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bayesgc.correlated import FEWEST_DRAWS, constant, mean_error
from bayesgc.inference.estimates import summarize
from bayesgc.inference.records import Summary

HIGHEST_R_HAT = 1.01
LEAST_SIZE = 100.0
"""Effective draws, in bulk and tails, that each chain must bring."""


@dataclass(frozen=True)
class Mixing:
    """The worst R-hat and effective sample sizes over some quantities; NaN where there are too few draws to tell."""

    r_hat: float
    bulk: float
    tail: float

    def complaint(self, chains: int) -> str | None:
        """What is still wrong, in a few words; None where nothing is."""
        if not self.r_hat < HIGHEST_R_HAT:
            return f"the chains have not mixed, R-hat is {self.r_hat:.3f} and not below {HIGHEST_R_HAT}"
        size, wanted = min(self.bulk, self.tail), LEAST_SIZE * chains
        return None if size >= wanted else f"the effective sample size is {size:.0f} and not {wanted:.0f}"


def mixing(quantities: dict[str, Float[np.ndarray, "chain draw"]]) -> Mixing:
    """The worst of all quantities that vary; where none does, the fit leaves nothing to mix over."""
    from arviz_stats.base import array_stats  # type: ignore[attr-defined]

    if not quantities or any(values.shape[1] < FEWEST_DRAWS for values in quantities.values()):
        return Mixing(math.nan, math.nan, math.nan)
    varying = [values for values in quantities.values() if not constant(values)]
    if not varying:
        size = float(min(values.size for values in quantities.values()))
        return Mixing(1.0, size, size)
    return Mixing(
        max(float(array_stats.rhat(_two_or_more(values), method="rank")) for values in varying),
        min(float(array_stats.ess(values, method="bulk")) for values in varying),
        min(float(array_stats.ess(values, method="tail", prob=(0.05, 0.95))) for values in varying),
    )


def summarize_chains(
    values: Float[np.ndarray, "chain draw"], expected: Float[np.ndarray, "chain draw"] | None = None
) -> Summary:
    """The summary of correlated draws; the mean comes from ``expected``, where a conditional expectation is known."""
    known = values if expected is None else expected
    return summarize(values.ravel(), float(known.mean()), mean_error(known))


def _two_or_more(values: Float[np.ndarray, "chain draw"]) -> Float[np.ndarray, "part length"]:
    """A single chain as its two halves, between which R-hat can compare."""
    if len(values) > 1:
        return values
    half = values.shape[1] // 2
    return np.stack([values[0, :half], values[0, -half:]])
