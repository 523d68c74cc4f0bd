"""One rule for a difference: its intervals cover, its degrees of freedom are known, and rounding decides nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bayesgc.intervals import Number, Ratio, Standing, log_loss, mean_of, resolved


def test_intervals_are_students():
    assert Number(1.0, 0.5, 4).interval() == pytest.approx(stats.t.interval(0.95, 4, 1.0, 0.5))
    assert Number(1.0, 0.5).interval(0.01) == pytest.approx(stats.norm.interval(0.99, 1.0, 0.5))
    assert Number(1.0).interval() == (1.0, 1.0)


def test_the_difference_of_two_means_is_welchs():
    source = np.random.default_rng(0)
    first, second = source.normal(1.0, 1.0, 9), source.normal(0.0, 3.0, 5)
    ours, theirs = (Number(float(x.mean()), float(stats.sem(x)), x.size - 1) for x in (first, second))
    welch = stats.ttest_ind(first, second, equal_var=False).confidence_interval()
    assert (ours - theirs).interval() == pytest.approx((welch.low, welch.high))
    assert mean_of([ours, ours]).error == pytest.approx(ours.error / math.sqrt(2))


@pytest.mark.parametrize(
    ("value", "error", "judgement"),
    [
        (-0.5, 0.1, "lower"),
        (0.5, 0.1, "higher"),
        (0.01, 0.01, "alike"),
        (0.05, 0.1, "undecided"),
        (-1.0, math.inf, "undecided"),
    ],
)
def test_alike_is_what_is_known_to_be_alike(value, error, judgement):
    assert Number(value, error).judgement == judgement


def test_an_interval_over_tasks_covers_and_a_normal_one_does_not():
    """Coverage of two tasks within four standard deviations of 95 %; the control by a normal law falls far short."""
    source, repeats = np.random.default_rng(1), 2000
    numbers = [Ratio(np.exp(source.normal(0.3, 0.5, 2))).over_tasks() for _ in range(repeats)]
    covered = [low <= 0.3 <= high for low, high in (number.interval() for number in numbers)]
    margin = 4 * math.sqrt(0.05 * 0.95 / repeats)
    assert abs(np.mean(covered) - 0.95) < margin
    normal = [abs(number.value - 0.3) <= 1.96 * number.error for number in numbers]
    assert np.mean(normal) < 0.95 - margin


def test_tasks_and_sampling_are_two_questions():
    ratio = Ratio(np.array([0.2, 0.6]), np.array([0.01, 0.01]))
    assert ratio.judgement == "undecided"
    assert ratio.of_these_tasks().judgement == "lower"
    shared = Ratio(np.full(4, 0.5), np.full(4, 0.4), shared=True)
    assert shared.over_tasks().error == pytest.approx(0.4)
    assert shared.judgement == "undecided"
    assert Ratio(np.full(4, 0.5), np.full(4, 0.4)).judgement == "lower"  # the spread of independent errors would show
    assert Ratio(np.array([0.5, 0.5, np.nan])).judgement == "undecided"


def test_factors_have_no_end_below_zero_and_none_beyond_all_numbers():
    low, high = Number(0.0, 1.0, 1).factors()
    assert 0 < low < 1 < high
    assert Number(0.0, 1e4).factors() == (0.0, None)
    assert Number(0.0, math.inf).factors() is None


def test_rounding_decides_nothing():
    """The mean of squares of residuals kept in single precision, against the same in double precision."""
    truth = np.random.default_rng(2).normal(size=(50, 400))
    zero = (truth**2).mean(1)
    for scale in (1.0, 1e-3, 1e-6, 0.0):
        found = truth * (1 + scale)
        exact = ((found - truth) ** 2).mean(1)
        rounded = ((found.astype(np.float32) - truth.astype(np.float32)) ** 2).mean(1, dtype=float)
        for one, two, of_zero in zip(exact, rounded, zero, strict=True):
            ours, theirs = (log_loss(float(each), 0.0, zero=float(of_zero)) for each in (one, two))
            assert (ours - theirs).standing is Standing.EQUAL
    # The control: without it all of them would be differences.
    assert Number(1e-9).standing is Standing.HIGHER


def test_losses_below_what_is_resolved_are_raised_to_it():
    raised, _ = resolved(np.array([0.0, 1e-20, 0.1]), np.ones(3))
    assert raised[0] == raised[1] == pytest.approx((16 * np.finfo("float32").eps) ** 2)
    assert raised[2] == 0.1
    assert resolved(np.array([0.0]), np.array([np.nan]))[0] > 0
