"""Estimates with their errors: independent islands, independent draws, exact binomial intervals."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from scipy.special import betaincinv, logsumexp

from bayesgc.correlated import FEWEST_ISLANDS
from bayesgc.inference.records import Estimate, Summary
from bayesgc.intervals import Number

QUANTILES = (0.05, 0.5, 0.95)


def student_interval(value: float, mcse: float, freedom: int) -> Estimate:
    """An estimate with the 95 % interval of Student's t."""
    return Estimate(value, mcse, Number(value, mcse, freedom).interval())


def log_mean(log_values: Float[np.ndarray, " island"]) -> Estimate:
    """The log of the mean over independent islands, which is unbiased before the log; error by the delta method.

    An island at −inf counts as zero. With fewer than two islands, or none above zero, the error is unknown.
    """
    count = len(log_values)
    value = float(logsumexp(log_values) - math.log(count)) if count else -math.inf
    if count < 2 or value == -math.inf:
        return Estimate(None, None, (None, math.inf))
    relative = np.exp(log_values - value)
    mcse = float(relative.std(ddof=1) / math.sqrt(count))
    return student_interval(value, mcse, count - 1)


def shares(log_weights: Float[np.ndarray, " island"]) -> Float[np.ndarray, " island"]:
    """What each island holds of the whole, which must not be nothing; one over the sum of squares is how many count."""
    share: Float[np.ndarray, " island"] = np.exp(log_weights - logsumexp(log_weights))
    return share


def weighted_mean(means: Float[np.ndarray, " island"], log_weights: Float[np.ndarray, " island"]) -> Estimate:
    """A mean over islands weighted by their volumes: a ratio of two means, with its linearised error."""
    alive = np.isfinite(log_weights)
    count = len(log_weights)
    if count < 2 or not alive.any():
        return Estimate(None, None, (None, math.inf))
    share = shares(log_weights)
    if 1 / np.sum(share**2) < FEWEST_ISLANDS:
        return Estimate(float(np.sum(share[alive] * means[alive])), math.inf, (-math.inf, math.inf))
    value = float(np.sum(share[alive] * means[alive]))
    residual = np.where(alive, share * (np.where(alive, means, 0.0) - value), 0.0)
    mcse = float(np.sqrt(np.sum(residual**2) * count / (count - 1)))
    return student_interval(value, mcse, count - 1)


def binomial_log_volume(accepted: int, total: int) -> Estimate:
    """log of an acceptance probability with the exact interval of Clopper and Pearson (1934).

    With nothing accepted there is no estimate, only the upper end of the interval.
    """
    # By quantiles of the beta distribution, which keep their relative accuracy at tiny proportions.
    low = float(betaincinv(accepted, total - accepted + 1, 0.025)) if accepted else 0.0
    high = float(betaincinv(accepted + 1, total - accepted, 0.975)) if accepted < total else 1.0
    if accepted == 0:
        return Estimate(None, None, (None, math.log(high)))
    share = accepted / total
    # The delta method gives the error of the log of a proportion.
    return Estimate(math.log(share), math.sqrt((1 - share) / accepted), (math.log(low), math.log(high)))


def summarize(values: Float[np.ndarray, " draw"], mean: float, mcse: float) -> Summary:
    """Spread and quantiles of equally weighted draws, beside a mean and error that the method worked out."""
    q05, q50, q95 = (float(q) for q in np.quantile(values, QUANTILES))
    return Summary(mean=mean, sd=_spread(values), mcse=mcse, q05=q05, q50=q50, q95=q95)


def _spread(values: Float[np.ndarray, " draw"], ddof: int = 0) -> float:
    """The standard deviation, also where squares are beyond the range of numbers."""
    size = float(np.abs(values).max(initial=0.0))
    return size * float((values / size).std(ddof=ddof)) if _is_large(values) else float(values.std(ddof=ddof))


def _is_large(values: Float[np.ndarray, " draw"]) -> bool:
    """Whether sums of the squares may be beyond the range of numbers."""
    return float(np.abs(values).max(initial=0.0)) > 1e-4 * math.sqrt(float(np.finfo(values.dtype).max))


def summarize_weighted(
    values: Float[np.ndarray, " draw"], weights: Float[np.ndarray, " draw"], mean: float, mcse: float
) -> Summary:
    """The same for draws that weigh differently."""
    q05, q50, q95 = (float(q) for q in np.quantile(values, QUANTILES, weights=weights, method="inverted_cdf"))
    spread = np.average((values - np.average(values, weights=weights)) ** 2, weights=weights)
    return Summary(mean=mean, sd=math.sqrt(spread), mcse=mcse, q05=q05, q50=q50, q95=q95)


def summarize_independent(values: Float[np.ndarray, " draw"]) -> Summary:
    """The summary of independent draws; the error of one draw is unknown and stands as infinite."""
    mcse = _spread(values, ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.inf
    # Shares are summed, since the sum itself may be beyond the range of numbers.
    mean = (values / len(values)).sum() if _is_large(values) else values.mean()
    return summarize(values, float(mean), mcse)
