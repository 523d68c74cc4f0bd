"""Estimates: values by hand, and intervals that cover as often as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bayesgc.inference.estimates import binomial_log_volume, log_mean, summarize_independent, weighted_mean

REPLICATES, ISLANDS = 2000, 16
# A count of 2000 intervals that cover at 95 % has a standard error of 0.5 %. The delta method on 16 skewed islands
# may miss by some more: two and a half per cent in all.
COVERAGE = pytest.approx(0.95, abs=0.025)


def covers(estimates, truth):
    return np.mean([low <= truth <= high for low, high in estimates])


@pytest.fixture(scope="module")
def simulated():
    """Log volumes (σ = 0.4 about a mean volume of 1) and means that depend on them, for many runs."""
    rng = np.random.default_rng(0)
    log_volumes = 0.4 * rng.standard_normal((REPLICATES, ISLANDS)) - 0.08
    means = 2 + 0.3 * log_volumes + 0.2 * rng.standard_normal((REPLICATES, ISLANDS))
    # E[V · mean] / E[V] with V log-normal: the mean of log V under the weight V is −0.08 + 0.16.
    return log_volumes, means, 2 + 0.3 * 0.08


def test_coverage_of_the_pooled_log_volume(simulated):
    log_volumes, _, _ = simulated
    found = [log_mean(row) for row in log_volumes]
    assert covers([each.ci95 for each in found], 0.0) == COVERAGE
    # Negative controls: the mean of the logs is off by σ²/2 = 0.08, and half the error covers too rarely.
    naive = [(row.mean() - 0.21, row.mean() + 0.21) for row in log_volumes]
    assert covers(naive, 0.0) != COVERAGE
    halved = [(each.value - each.mcse, each.value + each.mcse) for each in found]
    assert covers(halved, 0.0) != COVERAGE


def test_coverage_of_the_weighted_mean(simulated):
    log_volumes, means, truth = simulated
    found = [weighted_mean(*rows) for rows in zip(means, log_volumes, strict=True)]
    assert covers([each.ci95 for each in found], truth) == COVERAGE
    # Negative control: unweighted means are biased by 0.048, near one of their standard errors.
    half = stats.t.ppf(0.975, ISLANDS - 1) * means.std(1, ddof=1) / math.sqrt(ISLANDS)
    assert covers(zip(means.mean(1) - half, means.mean(1) + half, strict=True), truth) != COVERAGE


def test_log_mean_by_hand():
    estimate = log_mean(np.log([1.0, 2.0, 3.0]))
    assert estimate.value == pytest.approx(math.log(2))
    # The standard error of the mean is 1/√3, relative to the mean 2.
    assert estimate.mcse == pytest.approx(0.5 / math.sqrt(3))
    half = 4.302652729911275 * 0.5 / math.sqrt(3)
    assert estimate.ci95 == pytest.approx((math.log(2) - half, math.log(2) + half))


def test_a_lost_island_counts_as_zero():
    estimate = log_mean(np.array([-math.inf, math.log(2.0)]))
    assert estimate.value == pytest.approx(0.0)
    weighted = weighted_mean(np.array([99.0, 3.0]), np.array([-math.inf, -700.0]))
    assert weighted.value == pytest.approx(3.0)
    # One island cannot tell its own error.
    assert weighted.mcse == math.inf


@pytest.mark.parametrize("log_values", [[], [-2.0], [-math.inf, -math.inf]], ids=["none", "one", "all lost"])
def test_without_two_islands_there_is_no_error(log_values):
    values = np.array(log_values)
    assert log_mean(values).value is None
    assert weighted_mean(np.zeros_like(values), values).mcse is None or len(values) > 1


def test_tiny_volumes_do_not_underflow():
    estimate = log_mean(np.array([-2000.0, -2000.0 + math.log(3)]))
    assert estimate.value == pytest.approx(-2000 + math.log(2))


@pytest.mark.parametrize(("accepted", "total"), [(1, 100), (50, 100), (100, 100), (7, 10**9)])
def test_binomial_interval_is_that_of_clopper_and_pearson(accepted, total):
    estimate = binomial_log_volume(accepted, total)
    low = stats.beta.ppf(0.025, accepted, total - accepted + 1)
    high = 1.0 if accepted == total else stats.beta.ppf(0.975, accepted + 1, total - accepted)
    assert estimate.value == pytest.approx(math.log(accepted / total))
    assert estimate.ci95 == pytest.approx((math.log(low), math.log(high)))


def test_nothing_accepted_bounds_the_volume():
    estimate = binomial_log_volume(0, 1000)
    assert estimate.value is None
    assert estimate.mcse is None
    assert estimate.ci95 == (None, pytest.approx(math.log(1 - 0.025**0.001)))


def test_summary_of_independent_draws():
    summary = summarize_independent(np.arange(101.0))
    assert (summary.mean, summary.q05, summary.q50, summary.q95) == (50.0, 5.0, 50.0, 95.0)
    assert summary.mcse == pytest.approx(np.std(np.arange(101), ddof=1) / math.sqrt(101))
    assert summarize_independent(np.ones(1)).mcse == math.inf
