"""Last layers that get every label right: against scipy, plain counting and rejection, with controls."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from bayesgc.inference import Control, Orthants, Outcome, Rejection, Request
from bayesgc.inference.collapsed import margins as module
from bayesgc.inference.collapsed.margins import Margins, fitting
from bayesgc.models import MLP
from bayesgc.settings import Settings
from bayesgc.task import LabelledTask, classification, regression
from bayesgc.validate import InputError

LABELS = torch.tensor([0, 2, 1, 1])


def features(draws: int, count: int, examples: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(draws, count, examples, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def blobs(examples: int, classes: int = 2, seed: int = 0) -> LabelledTask:
    """Points about a centre for each class."""
    source = np.random.default_rng(seed)
    labels = np.arange(examples + 40) % classes
    points = source.standard_normal((examples + 40, 5)) + 1.5 * np.eye(classes, 5)[labels]
    return classification(points[:examples], labels[:examples], test=(points[examples:], labels[examples:]))


def criterion(model: MLP, task: LabelledTask, method: object = None):
    """What infer would hand to the method."""
    settings = Settings.checked(model, task, None, method or Orthants(), False, False, "cpu", "float32", Request())
    return settings.criterion


def test_margins_are_outputs_less_others_and_back_is_the_transpose():
    margins, seen = Margins(LABELS, 3), features(5, 4, 4)
    weights = features(5, 3, 4, seed=1)
    outputs = weights @ seen
    expected = [outputs[:, LABELS[i], i] - outputs[:, c, i] for i in range(4) for c in range(3) if c != LABELS[i]]
    torch.testing.assert_close(margins.of(outputs), torch.stack(expected, 1))
    other = features(5, 1, 8, seed=2)[:, 0]
    left = (margins.of(outputs) * other).sum(1)
    torch.testing.assert_close(left, (outputs * margins.back(other)).sum((1, 2)))


def test_the_covariance_is_that_of_the_margins():
    margins, seen = Margins(LABELS, 3), features(1, 4, 4)
    found = margins.of(features(200_000, 3, 4, seed=3) @ seen)
    torch.testing.assert_close(margins.covariance(seen)[0], found.T.cov(), rtol=0.05, atol=0.1)


@pytest.mark.parametrize(("classes", "width"), [(2, 5), (3, 9)])
def test_the_estimate_is_the_orthant_of_scipy(classes, width):
    labels = LABELS.clamp_max(classes - 1)
    margins, seen = Margins(labels, classes), features(1, width, 4, seed=4)
    many = seen.expand(2000, -1, -1)
    log_weight, found = fitting(margins, many, features(2000, classes, width, seed=5), 4, torch.Generator())
    assert (margins.of(found @ many) > 0).all()
    weight = log_weight.exp().numpy()
    covariance = margins.covariance(seen)[0].numpy()
    exact = stats.multivariate_normal.cdf(np.zeros(len(covariance)), cov=covariance, abseps=1e-7, releps=1e-7)
    assert abs(weight.mean() - exact) < 4 * weight.std() / math.sqrt(len(weight)) + 1e-5
    # The control: the mean of the logs is that of no probability.
    assert abs(math.exp(log_weight.mean()) - exact) > 4 * weight.std() / math.sqrt(len(weight))


def test_fewer_features_than_margins_and_an_exact_angle():
    """Two features and five labels: weights fit in a sector, whose angle is exact."""
    angles = torch.tensor([0.1, 0.5, 0.9, 1.2, 1.4], dtype=torch.float64)
    seen = torch.stack([angles.cos(), angles.sin()])[None]
    margins, many = Margins(torch.ones(5, dtype=torch.long), 2), seen.expand(4000, -1, -1)
    log_weight, found = fitting(margins, many, features(4000, 2, 2), 16, torch.Generator())
    exact = 0.5 - 1.3 / (2 * math.pi)
    weight = log_weight.exp()
    assert abs(weight.mean() - exact) < 4 * weight.std() / 4000**0.5 + 1e-4 * exact
    assert ((margins.of(found @ many) > 0).all(1)).double().mean() > 0.999


def test_weights_have_the_law_of_those_that_fit():
    margins, seen = Margins(LABELS, 3), features(1, 4, 4, seed=6)
    drawn = features(400_000, 3, 4, seed=7)
    kept = drawn[(margins.of(drawn @ seen) > 0).all(1)]
    many = seen.expand(20_000, -1, -1)
    log_weight, found = fitting(margins, many, features(20_000, 3, 4, seed=8), 8, torch.Generator())
    share = log_weight.exp() / log_weight.exp().sum()
    for own, other in ((found, kept), (found**2, kept**2)):
        mean = (share[:, None, None] * own).sum(0)
        error = ((share[:, None, None] * (own - mean)) ** 2).sum(0) + other.var(0) / len(other)
        assert ((mean - other.mean(0)).abs() < 4.5 * error.sqrt()).all()
    # The control: the chances left out, as if all features' particles weighed the same.
    first = fitting(margins, many, features(20_000, 3, 4, seed=8), 1, torch.Generator())[1]
    apart = (first.mean(0) - kept.mean(0)).abs() / (first.var(0) / 20_000 + kept.var(0) / len(kept)).sqrt()
    assert apart.max() > 10


def test_an_example_without_features_cannot_be_right():
    seen = features(3, 4, 4)
    seen[1, :, 2] = 0.0
    before = features(3, 3, 4, seed=1)
    log_weight, found = fitting(Margins(LABELS, 3), seen, before, 4, torch.Generator())
    assert log_weight.isfinite().tolist() == [True, False, True]
    assert torch.equal(found[1], before[1])
    assert not torch.equal(found[0], before[0])


@pytest.mark.parametrize(
    ("model", "classes"),
    [(MLP((8,), bias=True), 2), (MLP((6, 6), "tanh"), 3), (MLP((12, 3), prior=("uniform", "laplace", "gaussian")), 2)],
    ids=["biases", "three classes", "narrow, other priors below"],
)
def test_it_agrees_with_rejection(model, classes):
    task, request = blobs(6, classes), Request(precision=0.05)
    own = Orthants(particles=8).run(criterion(model, task), request, Control())
    other = Rejection().run(criterion(model, task, Rejection()), request, Control())
    assert (own.outcome, other.outcome) == (Outcome.CONVERGED, Outcome.CONVERGED)
    assert abs(own.log_volume.value - other.log_volume.value) < 4 * math.hypot(
        own.log_volume.mcse, other.log_volume.mcse
    )
    mine, theirs = (run.posterior.summaries["test_error"] for run in (own, other))
    assert abs(mine.mean - theirs.mean) < 4 * math.hypot(mine.mcse, theirs.mcse)
    assert own.posterior.quantities["train_errors"].max() == 0


def test_a_wrong_orthant_is_caught(monkeypatch):
    """The control of the test above: chances that are not multiplied."""
    task, request, honest = blobs(6, 3), Request(precision=0.05), module._orthant
    model = MLP((6, 6), "tanh")
    other = Rejection().run(criterion(model, task, Rejection()), request, Control()).log_volume

    def wrong(root, particles, source):
        log_weight, wanted = honest(root, particles, source)
        return 0.9 * log_weight, wanted

    monkeypatch.setattr(module, "_orthant", wrong)
    own = Orthants(particles=8).run(criterion(model, task), request, Control()).log_volume
    assert abs(own.value - other.value) > 6 * math.hypot(own.mcse, other.mcse)


def test_the_seed_decides_the_bits():
    task = blobs(6)
    budget = Control(max_evaluations=2048)
    runs = [Orthants().run(criterion(MLP((8,)), task), Request(seed=seed), budget) for seed in (1, 1, 2)]
    assert runs[0].log_volume == runs[1].log_volume != runs[2].log_volume
    assert torch.equal(runs[0].posterior.end_to_end, runs[1].posterior.end_to_end)


def test_weights_that_stay_uneven_are_no_success():
    run = Orthants(most_draws=4096).run(criterion(MLP((20, 2)), blobs(30)), Request(), Control())
    assert run.outcome is Outcome.EXHAUSTED
    assert "too uneven for errors this small: use splitting" in run.message


def test_a_budget_ends_it():
    run = Orthants().run(criterion(MLP((8,)), blobs(6)), Request(), Control(max_evaluations=2000))
    assert (run.outcome, run.evaluations) == (Outcome.EXHAUSTED, 7 * 256)
    assert "The budget ended" in run.message


@pytest.mark.parametrize(
    ("model", "eps", "reason"),
    [
        (MLP((8,)), 1.0, "every training label right"),
        (MLP((8,), prior="uniform"), 0.0, "Gaussian prior on its last layer"),
        (MLP((), "linear"), 0.0, "a hidden layer"),
    ],
    ids=["an error", "uniform", "no hidden layer"],
)
def test_what_has_no_orthant_is_refused(model, eps, reason):
    with pytest.raises(InputError, match=reason):
        Settings.checked(model, blobs(6), eps, Orthants(), False, False, "cpu", "float32", Request())


def test_numbers_have_no_orthant():
    task = regression(np.eye(4), np.arange(4.0))
    with pytest.raises(InputError, match="every training label right"):
        Settings.checked(MLP((8,)), task, 0.1, Orthants(), False, False, "cpu", "float32", Request())


def test_more_margins_than_can_be_drawn_are_refused_before_any_is():
    task = blobs(1050, 3)
    with pytest.raises(InputError, match="1050 examples of 3 classes have 2100, more than 2000"):
        Settings.checked(MLP((8,)), task, None, Orthants(), False, False, "cpu", "float32", Request())
