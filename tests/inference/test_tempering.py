"""Tempering the collapsed evidence: unbiased, in agreement with plain weights, and wrong when its moves are."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from closed_forms import gaussian_log_volume
from collapsed_problems import SENSING, collapsed_problem, collapsed_target, run, unnormalised
from problems import errors_apart
from scipy import stats

from bayesgc.inference import Control, Estimate, Importance, Outcome, Request, Tempering
from bayesgc.inference.collapsed.noisy import NoisyCriterion
from bayesgc.inference.islands.ladders import Noise, NoiseLadder
from bayesgc.inference.islands.passage import Passage
from bayesgc.inference.islands.pilot import Climb, run_pilot
from bayesgc.models import MatrixFactorization
from bayesgc.task import completion, sensing
from bayesgc.validate import InputError

pytestmark = pytest.mark.usefixtures("unchecked")


# --- the evidence of an island is unbiased ----------------------------------------------------------------------------

CELLS = completion(3, 4, 1, 5, seed=0)
CAUCHY = MatrixFactorization(1, 4, prior="student-t:df=1", normalize=False)
TASK = replace(CELLS, targets=np.array([1.5, -1.2, 1.0, 0.8, -0.9]))
EPS = 0.3
ISLANDS = 150


def noisy(target):
    return NoisyCriterion(target.task, target.collapsed, target.eps, target.device, target.dtype)


def island_volumes(particles=40, moves=3):
    """Evidence of each island over the exact one, for a matrix of Cauchy entries: their scales are left to sample."""
    found = climb(collapsed_target(CAUCHY, TASK), NoiseLadder(0.6, 1.0, 0.0), particles, moves)
    return np.exp(found - stats.cauchy.logpdf(TASK.targets, scale=3**-0.5).sum())


def climb(target, ladder, particles, moves):
    """log volume of each island."""
    target, way = noisy(target), Climb(particles, moves, 0.25)
    schedule = run_pilot(target, ladder, way, 0, Control())
    assert schedule.failure is None
    assert len(schedule.rungs) >= (2 if target.eps else 3)
    passage = Passage(target, schedule, way, Request(chains=2), Control())
    return np.array([island.log_volume for island in passage.islands(list(range(ISLANDS)))])


def apart(volumes):
    return errors_apart(volumes.mean(), 1.0, volumes.std(ddof=1) / math.sqrt(len(volumes)))


def test_the_volume_of_an_island_is_unbiased():
    volumes = island_volumes(particles=10)
    assert apart(volumes) < 4
    # What is not unbiased is its logarithm.
    assert np.log(volumes).mean() < 0


@pytest.mark.parametrize("large", [False, True], ids=["one end", "many ends"])
def test_the_volume_of_a_hard_threshold_is_unbiased(large, monkeypatch):
    """Also where, as for large systems, a column has many last layers."""
    monkeypatch.setattr(NoisyCriterion, "large", large)
    found = climb(collapsed_target(unnormalised(1), TASK, EPS), NoiseLadder(0.9, 1.0, EPS), 40, 3)
    volumes = np.exp(found - gaussian_log_volume(TASK, EPS))
    assert apart(volumes) < 4
    # The same step with weights of a noise that is a tenth larger, (11/10)^(n/2) too much.
    assert apart(volumes * 1.1**2.5) > 6


def ignores_the_score(self, proposed, current, uniforms):
    return uniforms() < 2


def takes_the_worse(self, proposed, current, uniforms):
    return uniforms().log() < current - proposed


@pytest.mark.parametrize("wrong", [ignores_the_score, takes_the_worse])
def test_a_wrong_acceptance_is_caught(wrong, monkeypatch):
    monkeypatch.setattr(Noise, "accept", wrong)
    assert apart(island_volumes()) > 6


# --- narrow peaks -----------------------------------------------------------------------------------------------------

HORSESHOE = MatrixFactorization(2, 2, prior="horseshoe", normalize=False)
NEARLY_RANK_ONE = sensing(4, 4, rank=1, measurements=8, seed=0)
BY_REJECTION = Estimate(-11.261, 0.020, (None, 0.0))
"""The log volume at ε = 0.01 from 2·10⁸ draws of the prior."""


def test_narrow_peaks_are_found():
    """Weights whose second component nearly vanishes hold much of the volume; powers of the evidence miss it by 0.5."""
    target = collapsed_target(HORSESHOE, NEARLY_RANK_ONE, 0.01)
    wanted = Request(precision=0.2, chains=8, draws=10)
    found = Tempering(particles=200, moves=4).run(target, wanted, Control())
    volume, loss = found.log_volume, found.posterior.summaries["gen_loss"]
    assert volume.mcse < 0.12
    assert errors_apart(volume.value, BY_REJECTION.value, volume.mcse, BY_REJECTION.mcse) < 4
    # By the same draws of the prior.
    assert errors_apart(loss.mean, 0.084, loss.mcse, 0.002) < 4


def heavy(prior, depth=2, width=2, activation="linear"):
    return MatrixFactorization(depth, width, activation, prior, normalize=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "task", "eps", "volume", "loss"),
    [
        (heavy("student-t:df=1"), sensing(4, 4, 1, 8, seed=3), 0.04, (-8.356, 0.019), (0.2281, 0.0040)),
        (heavy("student-t:df=1.5"), sensing(5, 4, 2, 8, seed=5), 0.02, (-8.620, 0.037), (0.1524, 0.0039)),
        (heavy("student-t:df=3", 2, 3), completion(4, 4, 1, 9, seed=2), 0.03, (-7.657, 0.023), (0.3570, 0.0130)),
        (heavy("horseshoe", 3, 3), sensing(3, 4, 1, 6, seed=1), 0.01, (-9.229, 0.029), (0.1645, 0.0051)),
        (heavy("horseshoe", 2, 3, "tanh"), sensing(3, 3, 1, 6, seed=4), 0.02, (-7.506, 0.021), (0.3394, 0.0103)),
    ],
    ids=["Cauchy", "t of rank two", "completion", "three layers", "tanh"],
)
def test_heavy_tails_agree_with_rejection(model, task, eps, volume, loss):
    """Log volume and E[L_gen] with their errors, from 4 or 12 million draws of the prior."""
    wanted = Request(precision=0.1, chains=10, draws=100, seed=1)
    found = Tempering(moves=8).run(collapsed_target(model, task, eps), wanted, Control())
    own = found.posterior.summaries["gen_loss"]
    assert found.outcome is Outcome.CONVERGED
    assert errors_apart(found.log_volume.value, volume[0], found.log_volume.mcse, volume[1]) < 3.5
    assert errors_apart(own.mean, loss[0], own.mcse, loss[1]) < 3.5


def test_an_evidence_that_rests_on_peaks_too_narrow_does_not_converge():
    """Eight of nine entries are fixed exactly by hidden layers of full width: the peaks at ε = 0 have no end."""
    target = collapsed_target(unnormalised(3, 3), sensing(3, 3, 1, 8, seed=0))
    wanted = Request(precision=10, chains=8, draws=10, seed=1)
    found = Tempering(particles=100, moves=3).run(target, wanted, Control(max_evaluations=150_000))
    assert found.outcome is Outcome.EXHAUSTED
    # By 16 islands of 400 particles with 20 moves. Missed peaks are not in the errors, so it is well not to trust them.
    assert errors_apart(found.log_evidence.value, 9.87, found.log_evidence.mcse, 0.10) > 4


# --- against plain weights --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[(0.0, "linear"), (0.0, "tanh"), (0.01, "linear")], ids=str)
def pair(request):
    eps, activation = request.param
    problem = collapsed_problem(unnormalised(2, 5, activation), SENSING, eps)
    target = collapsed_target(unnormalised(2, 5, activation), SENSING, eps)
    wanted = Request(precision=0.03, chains=16, draws=100)
    tempered = Tempering(particles=200, moves=5).run(target, wanted, Control(max_seconds=30))
    return tempered, run(Importance(), problem, precision=0.02, draws=100)


def test_it_agrees_with_plain_weights(pair):
    tempered, plain = pair
    ours, theirs = (each.log_evidence or each.log_volume for each in pair)
    assert tempered.outcome is plain.outcome is Outcome.CONVERGED
    assert errors_apart(ours.value, theirs.value, ours.mcse, theirs.mcse) < 4.5
    losses = [each.posterior.summaries["gen_loss"] for each in pair]
    assert errors_apart(losses[0].mean, losses[1].mean, losses[0].mcse, losses[1].mcse) < 4.5


def test_its_draws_fit(pair):
    tempered, _ = pair
    vectors = tempered.posterior.end_to_end.flatten(0, 1).flatten(1).T
    assert float(SENSING.train_loss(vectors).max()) < max(tempered.eps, 1e-20)
    assert tempered.diagnostics["path"] == "tempering"
    assert tempered.method == Tempering.name  # which `Importance` puts its own in place of


def test_it_bounds_nothing_when_the_pilot_fails():
    target = collapsed_target(unnormalised(2, 5), SENSING)
    found = Tempering().run(target, Request(precision=0.01, chains=16, draws=10), Control(max_evaluations=1000))
    assert found.outcome is Outcome.EXHAUSTED
    assert found.posterior is None
    assert found.log_evidence is None


def test_a_volume_that_was_not_reached_has_no_bound_but_one():
    """A density of noisy measurements may exceed one: its mean bounds that without noise on neither side."""
    target = collapsed_target(unnormalised(1), TASK, EPS)
    method, wanted = Tempering(particles=40, moves=3, survival=0.9), Request(precision=0.01, chains=2, draws=10)
    found = method.run(target, wanted, Control(max_evaluations=500))
    assert found.outcome is Outcome.EXHAUSTED
    # The pilot may spend half, and islands that could not end in the posterior are not begun.
    assert found.diagnostics["islands"] == 0
    assert 0 < found.evaluations <= 250
    assert found.log_volume == Estimate(None, None, (None, 0.0))
    assert found.posterior is found.levels is None


def test_threads_change_no_bit(threads):
    target, found = collapsed_target(unnormalised(2, 5), SENSING), []
    for number in (1, 2):
        threads(number)
        wanted = Request(precision=0.5, chains=4, draws=10, weights=True)
        found.append(Tempering(particles=50, moves=2).run(target, wanted, Control()))
    assert torch.equal(found[0].posterior.end_to_end, found[1].posterior.end_to_end)
    assert found[0].log_evidence == found[1].log_evidence
    weights = found[0].posterior.weights
    torch.testing.assert_close(weights["W2"] @ weights["W1"], found[0].posterior.end_to_end)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"particles": 1}, "particles is 1; it must be a whole number at least 2"),
        ({"moves": 0}, "moves is 0"),
        ({"survival": 1.0}, "survival is 1.0; it must be a finite number greater than 0 and at most 0.95"),
        ({"acceptance": 0.0}, "acceptance is 0.0"),
    ],
)
def test_hyperparameters_are_checked(options, message):
    with pytest.raises(InputError, match=message):
        Tempering(**options)
