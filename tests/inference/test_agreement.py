"""Methods against each other and against closed forms, with a wrong sampler that the same checks must catch."""

from __future__ import annotations

import math

import pytest
import torch
from closed_forms import gaussian_log_volume
from problems import MILD_EPS, condition, criterion, errors_apart
from scipy import stats

from bayesgc.inference import Rejection, Splitting
from bayesgc.inference.islands.islands import Islands
from bayesgc.inference.islands.ladders import Threshold
from bayesgc.models import MatrixFactorization
from bayesgc.task import completion, sensing

pytestmark = pytest.mark.usefixtures("unchecked")

SPLITTING = Splitting(particles=400, moves=15)
REJECTION = Rejection()
METHODS = {"splitting": SPLITTING, "rejection": REJECTION}
QUANTITIES = ("gen_loss", "train_loss", "error", "nuclear_norm", "effective_rank")


def gaps(run, other):
    """How many combined standard errors two runs differ by, in the volume and in the mean of every quantity."""
    found = {"log_volume": errors_apart(run.log_volume.value, other.log_volume.value, *_errors(run, other))}
    for name in QUANTITIES:
        ours, theirs = run.posterior.summaries[name], other.posterior.summaries[name]
        found[name] = errors_apart(ours.mean, theirs.mean, ours.mcse, theirs.mcse)
    return found


def _errors(*runs):
    return [run.log_volume.mcse for run in runs]


@pytest.fixture(scope="module")
def reference():
    return condition(REJECTION, precision=0.01)


def test_splitting_agrees_with_rejection(reference):
    found = gaps(condition(SPLITTING, precision=0.02), reference)
    # Student's t with 15 degrees of freedom passes 4.5 by chance with probability 4e-4, for one of six numbers.
    assert max(found.values()) < 4.5, found


def forgets_cosine(self, rung, angles):
    """Like the true move, but z + ξ sin θ in place of z cos θ + ξ sin θ: a random walk without the prior."""
    noise = torch.cat([self.target.draw(each, self.particles) for each in self.generators], dim=1)
    proposal = self.normals + math.sin(angles[0]) * noise
    score = self.target.score(proposal)
    accept = rung.accept(score, self.score, self._column_uniforms)
    self.normals = torch.where(accept, proposal, self.normals)
    self.score = torch.where(accept, score, self.score)
    return accept.float().mean().repeat(len(angles))


def prefers_low_losses(self, rung, angles, move=Islands.move):
    """The true move below a threshold that is too low."""
    return move(self, Threshold(0.7 * rung.height), angles)


@pytest.mark.parametrize("wrong_move", [forgets_cosine, prefers_low_losses])
def test_a_wrong_sampler_is_caught(wrong_move, reference, monkeypatch):
    monkeypatch.setattr(Islands, "move", wrong_move)
    found = gaps(condition(SPLITTING, precision=0.02), reference)
    assert max(found.values()) > 6, found


# --- depth one, Gaussian: exact at any size ---------------------------------------------------------------------------

GAUSSIAN = MatrixFactorization(depth=1, normalize=False)
ORTHONORMAL = completion(3, 4, 1, 5, seed=0)


@pytest.mark.parametrize("eps", [0.05, 0.01])
@pytest.mark.parametrize("name", METHODS)
def test_exact_volume_and_posterior_of_a_gaussian_matrix(name, eps):
    run = condition(METHODS[name], criterion(GAUSSIAN, ORTHONORMAL, eps), precision=0.02)
    expected = gaussian_log_volume(ORTHONORMAL, eps)
    assert errors_apart(run.log_volume.value, expected, run.log_volume.mcse) < 4.5
    # Off the measurements the posterior is the prior: E L_gen = 1/rows + ‖b‖²/|B| at every ε.
    loss = run.posterior.summaries["gen_loss"]
    prior = 1 / 3 + ORTHONORMAL.zero_gen_loss
    assert errors_apart(loss.mean, prior, loss.mcse) < 4.5
    # Negative control: a tenth of the threshold away both checks would see it.
    assert errors_apart(run.log_volume.value, gaussian_log_volume(ORTHONORMAL, 0.5 * eps), run.log_volume.mcse) > 6
    assert errors_apart(loss.mean, 1.2 * prior, loss.mcse) > 6


def test_the_unmeasured_cells_keep_the_law_of_the_prior():
    run = condition(REJECTION, criterion(GAUSSIAN, ORTHONORMAL, 0.05), precision=0.02)
    cells = run.posterior.end_to_end.flatten(0, 1).flatten(1)[:, ORTHONORMAL.unobserved_cells].double()
    assert all(stats.kstest(cell, stats.norm(scale=3**-0.5).cdf).pvalue > 1e-4 for cell in cells.T.numpy())


def test_the_volume_curve_is_exact_at_every_threshold_on_the_way():
    run = condition(SPLITTING, criterion(GAUSSIAN, ORTHONORMAL, 1e-3), precision=0.02)
    for level in range(1, len(run.levels.threshold)):
        expected = gaussian_log_volume(ORTHONORMAL, run.levels.threshold[level])
        assert errors_apart(run.levels.log_volume[level], expected, run.levels.log_volume_mcse[level]) < 4.5


@pytest.mark.parametrize(
    ("model", "task", "eps"),
    [
        (MatrixFactorization(depth=3, width=4), sensing(3, 4, 1, 4, seed=2), 0.01),
        (MatrixFactorization(depth=2, activation="relu", normalize=False), sensing(4, 3, 1, 5, seed=0), 0.03),
        (MatrixFactorization(depth=2, activation="tanh", prior="uniform:mean=0.2"), completion(3, 3, 1, 4), 0.02),
    ],
    ids=["normalised linear", "relu", "tanh, uniform off centre"],
)
def test_methods_agree_on_other_models(model, task, eps):
    problem = criterion(model, task, eps)
    found = gaps(*(condition(method, problem, precision=0.03) for method in METHODS.values()))
    assert max(found.values()) < 4.5, found


def test_the_mild_problem_is_mild(reference):
    # Guards the two tests above against a threshold at which there is nothing left to test.
    assert reference.eps == MILD_EPS
    assert -7 < reference.log_volume.value < -2
