"""Gradient descent of a sweep at a threshold of which its run knew nothing."""

from __future__ import annotations

import numpy as np

from bayesgc.experiments.equal_fit import at_threshold

LEVELS = np.array([1.0, 0.5, 0.25, 0.125])


def test_a_state_that_jumped_below_eps_is_taken_as_it_is():
    # The first state at or below 0.5 has 0.2, so it is the first at or below 0.3 too.
    train, gen = np.array([[0.9, 0.2, 0.2, 0.1]]), np.array([[5.0, 3.0, 3.0, 1.0]])
    np.testing.assert_allclose(at_threshold(LEVELS, train, gen, 0.3), [[0.2], [3.0]])


def test_between_two_slow_states_both_losses_follow_a_power():
    # gen = train² along the way: interpolation on logarithmic scales is exact.
    train = LEVELS[None] * 0.999
    found = at_threshold(LEVELS, train, train**2, 0.3)
    np.testing.assert_allclose(found, [[0.3], [0.09]])


def test_a_restart_that_never_fitted_has_no_number():
    train = np.array([[0.9, 0.4, np.nan, np.nan], [0.9, 0.4, 0.2, 0.1]])
    found = at_threshold(LEVELS, train, train, 0.25)
    assert np.isnan(found).tolist() == [[True, False], [True, False]]
