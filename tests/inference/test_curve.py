"""The ε-curve of collapsed methods: exact volumes, other methods at single thresholds, the limit of exact fits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from closed_forms import gaussian_log_volume
from collapsed_problems import SENSING, collapsed_problem, collapsed_target, run, unnormalised
from problems import errors_apart

from bayesgc.inference import Control, Importance, Request, Splitting, Tempering, curve
from bayesgc.task import completion

pytestmark = pytest.mark.usefixtures("unchecked")

CELLS = completion(3, 4, 1, 5, seed=0)
MODEL = unnormalised(2, 5)


def known(levels, name):
    """Indices of the levels with a finite threshold, a value and an error."""
    error = getattr(levels, f"{name}_mcse")
    return np.flatnonzero((levels.threshold > 0) & np.isfinite(levels.threshold) & np.isfinite(error))


def exact_gaps(levels, factor=1.0):
    """Standard errors from the exact volume of a Gaussian matrix at ``factor`` times each threshold."""
    return [
        errors_apart(
            levels.log_volume[i], gaussian_log_volume(CELLS, factor * levels.threshold[i]), levels.log_volume_mcse[i]
        )
        for i in known(levels, "log_volume")
    ]


@pytest.mark.parametrize("eps", [0.0, 0.02])
def test_the_volume_is_exact_at_every_threshold(eps):
    levels = run(Importance(), collapsed_problem(unnormalised(1), CELLS, eps), precision=0.01, draws=10).levels
    assert np.isfinite(levels.log_volume[levels.threshold > 0]).mean() > 0.9
    # Two dozen correlated comparisons at a fixed seed.
    assert max(exact_gaps(levels)) < 4.5
    assert np.median(exact_gaps(levels, 0.9)) > 6
    # Off the measurements the posterior is the prior, at every threshold.
    expected = 1 / 3 + CELLS.zero_gen_loss
    # The scale of a layer has the digits of float32.
    apart = [errors_apart(levels.primary[i], expected, levels.primary_mcse[i], 1e-7) for i in known(levels, "primary")]
    assert max(apart) < 4.5


@pytest.fixture(scope="module", params=["plain", "tempered"])
def exact(request):
    """One run at ε = 0 by either road."""
    if request.param == "plain":
        return run(Importance(), collapsed_problem(MODEL), precision=0.005, draws=10)
    wanted = Request(precision=0.02, chains=32, draws=10)
    return Tempering(particles=300, moves=6).run(collapsed_target(MODEL), wanted, Control())


@pytest.mark.parametrize("eps", [0.3, 0.05, 1e-3])
def test_one_curve_holds_what_runs_at_single_thresholds_find(exact, eps, monkeypatch):
    single = run(Splitting(particles=500), collapsed_problem(MODEL, SENSING, eps), precision=0.03)
    levels, expected = exact.levels, single.posterior.summaries["gen_loss"]
    for name, value, error in [
        ("log_volume", single.log_volume.value, single.log_volume.mcse),
        ("primary", expected.mean, expected.mcse),
    ]:
        at = known(levels, name)
        # Between the thresholds the curve is nearly straight in log ε; they are at most a factor 1.5 apart.
        found, own = (
            np.interp(math.log(eps), np.log(levels.threshold[at])[::-1], values[at][::-1])
            for values in (getattr(levels, name), getattr(levels, f"{name}_mcse"))
        )
        assert errors_apart(found, value, own, error, 0.02 * abs(value)) < 4


def test_it_begins_with_the_prior_and_ends_with_the_exact_fit(exact):
    levels = exact.levels
    assert (levels.threshold[0], levels.threshold[-1]) == (math.inf, 0.0)
    assert (np.diff(levels.threshold) < 0).all()
    assert (levels.log_volume[0], levels.log_volume_mcse[0]) == (0.0, 0.0)
    prior = 1 / 3 + SENSING.zero_gen_loss
    assert errors_apart(levels.primary[0], prior, levels.primary_mcse[0]) < 4
    loss = exact.posterior.summaries["gen_loss"]
    assert levels.primary[-1] == pytest.approx(loss.mean, rel=1e-9)
    assert np.isnan(levels.log_volume[-1])
    # The volume tends to that of the ball times the evidence, and it never grows as ε falls.
    low, n = levels.threshold[-2], SENSING.measurements.count
    limit = curve.log_ball(n, low) + exact.log_evidence.value
    assert levels.log_volume[-2] == pytest.approx(limit, abs=0.02)
    assert (np.diff(levels.log_volume[:-1]) < 0).all()


def test_it_ends_with_the_threshold_that_was_asked_for():
    found = run(Importance(), collapsed_problem(MODEL, SENSING, 0.01), precision=0.01, draws=10)
    assert found.levels.threshold[-1] == 0.01
    assert found.levels.log_volume[-1] == pytest.approx(found.log_volume.value, abs=1e-9)
    assert found.levels.primary[-1] == pytest.approx(found.posterior.summaries["gen_loss"].mean, rel=1e-9)


def test_uneven_draws_say_nothing():
    """A threshold that neither guesses nor densities can tell of is left out, not made up."""
    target = collapsed_target(unnormalised(1), CELLS, 1e-12)
    profile = curve.Profile(
        np.stack([np.full(4000, -1.0), np.zeros(4000), -np.geomspace(1, 1e12, 4000)]), None, np.ones((2, 4000))
    )
    stage = curve.Stage(profile, np.zeros((4, 1000)), np.zeros(4))
    levels = curve.pool_curve([stage], target.task, 1e-12)
    assert np.isnan(levels.log_volume[1])
    assert np.isfinite(levels.log_volume[-1])
