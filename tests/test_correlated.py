"""Errors of the mean of correlated draws: their 95 % intervals cover, however short the chains are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from arviz_stats.base import array_stats
from scipy.signal import lfilter

from bayesgc.correlated import mean_error

_REPEATS = 400
_BURN_IN = 200


def chains(correlation: float, length: int, seed: int) -> np.ndarray:
    """Two stationary autoregressive chains around zero."""
    noise = np.random.default_rng(seed).standard_normal((2, length + _BURN_IN))
    return lfilter([1.0], [1.0, -correlation], noise, axis=1)[:, _BURN_IN:]


def coverage(error, correlation: float, length: int, mean: float = 0.0, law=lambda values: values) -> float:
    found = [law(chains(correlation, length, seed)) for seed in range(_REPEATS)]
    return float(np.mean([abs(values.mean() - mean) <= 1.96 * error(values) for values in found]))


def plain(values: np.ndarray) -> float:
    return float(array_stats.mcse(values, method="mean"))


@pytest.mark.parametrize(
    ("correlation", "length"), [(-0.3, 50), (0.0, 50), (0.4, 50), (0.8, 50), (0.9, 50), (0.9, 250)]
)
def test_intervals_cover_the_mean_of_short_chains(correlation, length):
    # Binomial(400, 0.95) lies within 0.92 to 0.975 with probability 0.99.
    assert 0.92 <= coverage(mean_error, correlation, length) <= 0.975


def test_an_error_that_takes_its_own_estimate_for_the_truth_is_caught():
    """The negative control: the spread of the mean alone, without Student's t, is too small for short chains."""
    assert coverage(plain, 0.9, 50) < 0.92


def test_intervals_cover_the_mean_of_a_skewed_quantity():
    """A log-normal of skewness three, as losses may be; skewness costs two in a hundred of independent draws too."""
    scale = 0.7
    noise = scale * math.sqrt(1 - 0.7**2)
    lognormal = {"mean": math.exp(scale**2 / 2), "law": lambda values: np.exp(noise * values)}
    assert 0.91 <= coverage(mean_error, 0.7, 50, **lognormal) <= 0.975
    # The negative control: by the effective sample size for the mean alone.
    assert coverage(plain, 0.7, 50, **lognormal) < 0.89


def test_the_error_of_long_chains_is_that_of_arviz():
    values = chains(0.4, 20_000, seed=1)
    assert mean_error(values) == pytest.approx(plain(values), rel=0.02)


def test_a_constant_has_no_error_and_a_handful_of_draws_no_known_one():
    assert mean_error(np.full((2, 50), 0.3)) == 0
    assert mean_error(chains(0.0, 5, seed=0)) == math.inf
