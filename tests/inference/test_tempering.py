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

from bayesgc.inference import Control, Estimate, Importance, Outcome, Request, Tempering
from bayesgc.inference.ladders import Power, PowerLadder
from bayesgc.inference.passage import Passage
from bayesgc.inference.pilot import Climb, run_pilot
from bayesgc.task import completion
from bayesgc.validate import InputError

pytestmark = pytest.mark.usefixtures("unchecked")


# --- the evidence of an island is unbiased ----------------------------------------------------------------------------

CELLS = completion(3, 4, 1, 5, seed=0)
TASK = replace(CELLS, targets=np.array([1.5, -1.2, 1.0, 0.8, -0.9]))
EPS = 0.3
ISLANDS = 150


def island_volumes(particles=40, moves=3):
    """Volume of each island over the exact one, for a Gaussian matrix: only the residual is left to be sampled."""
    target = collapsed_target(unnormalised(1), TASK, EPS)
    climb = Climb(particles, moves, 0.25)
    schedule = run_pilot(target, PowerLadder(0.9), climb, 0, Control())
    assert len(schedule.rungs) >= 3
    passage = Passage(target, schedule, climb, Request(chains=2), Control())
    found = np.array([island.log_volume for island in passage.islands(list(range(ISLANDS)))])
    return np.exp(found - gaussian_log_volume(TASK, EPS))


def apart(volumes):
    return errors_apart(volumes.mean(), 1.0, volumes.std(ddof=1) / math.sqrt(len(volumes)))


def test_the_volume_of_an_island_is_unbiased():
    volumes = island_volumes()
    assert apart(volumes) < 4
    # What is not unbiased is its logarithm.
    assert np.log(volumes).mean() < 0


def ignores_the_score(self, proposed, current, uniforms):
    return uniforms() < 2


def takes_the_worse(self, proposed, current, uniforms):
    return uniforms().log() < self.height * (current - proposed)


@pytest.mark.parametrize("wrong", [ignores_the_score, takes_the_worse])
def test_a_wrong_acceptance_is_caught(wrong, monkeypatch):
    monkeypatch.setattr(Power, "accept", wrong)
    assert apart(island_volumes()) > 6


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
    assert tempered.method == "importance"


def test_it_bounds_nothing_when_the_pilot_fails():
    target = collapsed_target(unnormalised(2, 5), SENSING)
    found = Tempering().run(target, Request(precision=0.01, chains=16, draws=10), Control(max_evaluations=1000))
    assert found.outcome is Outcome.EXHAUSTED
    assert found.posterior is None
    assert found.log_evidence is None


def test_a_volume_that_was_not_reached_has_no_bound_but_one():
    """Powers h < 1 of a density that may exceed one: E[p^h] bounds E[p] on neither side."""
    target = collapsed_target(unnormalised(1), TASK, EPS)
    method, wanted = Tempering(particles=40, moves=3, survival=0.9), Request(precision=0.01, chains=2, draws=10)
    found = method.run(target, wanted, Control(max_evaluations=1120))
    assert found.outcome is Outcome.EXHAUSTED
    assert (found.diagnostics["islands"], found.diagnostics["levels"]) == (2, 2)
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
