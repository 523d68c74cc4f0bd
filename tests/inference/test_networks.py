"""Networks on labelled examples: exact volumes, agreement of methods, the curve over training errors."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from problems import CPU, condition
from scipy.stats import multivariate_normal

from bayesgc.inference import Control, Criterion, Outcome, Rejection, Splitting
from bayesgc.models import MLP
from bayesgc.task import LabelledTask, classification, regression

LINEAR = MLP((), "linear", scaling="unit")


def criterion(task: LabelledTask, model: MLP, eps: float | None = None) -> Criterion:
    return Criterion(task, model.whiten(task.domain), task.threshold(eps), CPU, torch.float32)


def two_classes(inputs: np.ndarray, labels: list[int], test: tuple[np.ndarray, list[int]] | None = None):
    return classification(inputs, np.array(labels), test=test)


def clusters(examples: int, features: int = 6, seed: int = 0, test: int = 60) -> LabelledTask:
    """Two overlapping clouds of examples."""
    source = np.random.default_rng(seed)
    labels = np.arange(examples + test) % 2
    inputs = source.standard_normal((examples + test, features)) + 0.8 * (2 * labels - 1)[:, None]
    return two_classes(inputs[:examples], labels[:examples], (inputs[examples:], labels[examples:]))


def errors_apart(found, expected: float, expected_error: float = 0.0) -> float:
    return abs(found.value - expected) / math.hypot(found.mcse, expected_error)


# --- exact volumes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [Rejection(), Splitting(particles=300)], ids=lambda each: each.name)
def test_orthonormal_inputs_fit_with_probability_two_to_the_minus_n(method):
    """One layer: each output difference is a normal of its own, so each label is right with probability ½."""
    task = two_classes(np.eye(8)[:5], [0, 1, 1, 0, 1], (np.eye(8)[5:], [0, 1, 0]))
    run = condition(method, criterion(task, LINEAR), precision=0.05)
    assert run.outcome is Outcome.CONVERGED
    assert errors_apart(run.log_volume, -5 * math.log(2)) < 4
    # On inputs orthogonal to these nothing was learnt.
    error = run.posterior.summaries["test_error"]
    assert abs(error.mean - 0.5) < 4 * error.mcse


@pytest.mark.parametrize("method", [Rejection(), Splitting(particles=300)], ids=lambda each: each.name)
def test_the_curve_over_errors_is_binomial(method):
    task = two_classes(np.eye(8), [0, 1, 1, 0, 1, 0, 0, 1], (np.eye(8), [0, 1] * 4))
    curve = condition(method, criterion(task, LINEAR), precision=0.1).curve
    assert curve.threshold.tolist() == list(range(7, -1, -1))
    for threshold, volume in zip(curve.threshold, curve.log_volume, strict=True):
        exact = sum(math.comb(8, k) for k in range(int(threshold) + 1)) / 2**8
        assert errors_apart(volume, math.log(exact)) < 4
    # Negative control: of exactly so many errors is another number.
    assert errors_apart(curve.log_volume[3], math.log(math.comb(8, 4) / 2**8)) > 6


def test_two_inputs_at_an_angle():
    angle = 1.0
    inputs = np.array([[1.0, 0.0], [math.cos(angle), math.sin(angle)]])
    for labels, exact in (([0, 1], angle / (2 * math.pi)), ([1, 0], angle / (2 * math.pi))):
        run = condition(Rejection(), criterion(two_classes(inputs, labels), LINEAR))
        assert errors_apart(run.log_volume, math.log(exact)) < 4


def test_dependent_inputs_fit_with_an_orthant_probability():
    task = clusters(4)
    signs = np.diag(2.0 * task.labels - 1)
    covariance = 2 * signs @ task.inputs.train @ task.inputs.train.T @ signs
    exact = multivariate_normal.cdf(np.zeros(4), np.zeros(4), covariance, abseps=1e-7, releps=1e-7)
    run = condition(Splitting(particles=300), criterion(task, LINEAR), precision=0.1)
    assert errors_apart(run.log_volume, math.log(exact)) < 4


def test_all_labellings_share_the_volume():
    """What is missing of 1 are draws with an output of zero, here dead units: they fit no labels."""
    inputs, model, draws = np.random.default_rng(1).standard_normal((3, 2)), MLP((3,)), 40_000
    total = 0.0
    for labels in itertools.product([0, 1], repeat=3):
        task = LabelledTask(
            clusters(3).inputs.__class__(inputs, None, 2), np.array(labels), None, ("0", "1"), clusters(3).criterion
        )
        problem = criterion(task, model)
        normals = problem.draw(torch.Generator().manual_seed(0), draws)
        total += float((problem.score(normals) < 0).float().mean())
    outputs = problem.vectors(normals).unflatten(0, (3, 2))
    dead = float((outputs[:, 0] == outputs[:, 1]).any(0).float().mean())
    assert dead > 0.1
    assert total == pytest.approx(1 - dead, abs=1e-6)


def test_scales_of_layers_do_not_matter_without_biases():
    task = clusters(6)
    scores = []
    for scaling in ("fan-in", "unit"):
        problem = criterion(task, MLP((5, 4), scaling=scaling))
        scores.append(problem.score(problem.draw(torch.Generator().manual_seed(3), 2000)))
    torch.testing.assert_close(*scores, rtol=1e-3, atol=1e-4)


# --- agreement --------------------------------------------------------------------------------------------------------

AGREE = {
    "relu": (MLP((8, 5)), 8, 0.0),
    "tanh with biases": (MLP((6,), "tanh", bias=True, scaling="unit"), 8, 0.0),
    "signs, one error": (MLP((7,), prior="rademacher"), 9, 1.0),
    "uniform": (MLP((6, 4), prior="uniform", bias=True, scaling="unit"), 7, 0.0),
}


@pytest.mark.parametrize("name", AGREE)
def test_splitting_agrees_with_rejection(name):
    model, examples, eps = AGREE[name]
    problem = criterion(clusters(examples), model, eps)
    ours = condition(Splitting(particles=400), problem, chains=12, precision=0.2)
    twin = condition(Rejection(), problem, precision=0.05)
    assert twin.outcome is Outcome.CONVERGED
    assert errors_apart(ours.log_volume, twin.log_volume.value, twin.log_volume.mcse) < 4
    one, other = (run.posterior.summaries["test_error"] for run in (ours, twin))
    assert abs(one.mean - other.mean) < 4 * math.hypot(one.mcse, other.mcse)
    assert (ours.posterior.quantities["train_errors"] <= eps).all()
    # Negative control: with one more error allowed the volume is another.
    assert errors_apart(ours.log_volume, twin.curve.log_volume[-2].value, twin.curve.log_volume[-2].mcse) > 4


@pytest.mark.parametrize("fit", ["cross-entropy", "margin", "squared"])
def test_other_fits_agree_too(fit):
    task = clusters(5).with_fit(fit)
    problem = criterion(task, MLP((5,), "tanh", scaling="unit"), {"squared": 0.9}.get(fit, 0.4))
    ours = condition(Splitting(particles=400), problem, chains=12, precision=0.2)
    twin = condition(Rejection(), problem, precision=0.1)
    assert errors_apart(ours.log_volume, twin.log_volume.value, twin.log_volume.mcse) < 4
    one, other = (run.posterior.summaries["test_error"] for run in (ours, twin))
    assert abs(one.mean - other.mean) < 4 * math.hypot(one.mcse, other.mcse)


BINS = {"a narrow bin": ("cross-entropy", 0.45, True, 0.5), "any labels": ("margin", 0.4, False, 0.6)}
BINS |= {"no lower end": ("squared", None, True, 0.8)}


@pytest.mark.parametrize("name", BINS)
def test_a_bin_agrees_too(name):
    fit, low, right, eps = BINS[name]
    model = MLP((5,), "tanh", scaling="unit")
    problem = criterion(clusters(6).with_fit(fit, low=low, right=right), model, eps)
    ours = condition(Splitting(particles=400), problem, chains=12, precision=0.2)
    twin = condition(Rejection(), problem, precision=0.1)
    assert errors_apart(ours.log_volume, twin.log_volume.value, twin.log_volume.mcse) < 4
    one, other = (run.posterior.summaries["test_error"] for run in (ours, twin))
    assert abs(one.mean - other.mean) < 4 * math.hypot(one.mcse, other.mcse)
    found = ours.posterior.quantities
    assert (low or 0.0) <= float(found["train_loss"].min()) <= float(found["train_loss"].max()) < eps
    assert not right or not found["train_errors"].any()
    # Levels on the way are told by the loss where they say something of it, and by their volumes in any case.
    assert (np.diff(ours.levels.log_volume) < 0.1).all()
    assert ours.levels.threshold[-1] == eps
    # Negative control: a bin that is twice as deep, or without the labels.
    wrong = clusters(6).with_fit(fit, low=None if low is None else 2 * low - eps, right=right and low is not None)
    other = condition(Rejection(), criterion(wrong, model, eps), precision=0.1).log_volume
    assert errors_apart(ours.log_volume, other.value, other.mcse) > 4


def test_a_bin_that_is_not_reached_says_so():
    """Two equal inputs of other classes are never both right, however small the loss is."""
    task = two_classes(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), [0, 1, 1])
    run = condition(Splitting(particles=100), criterion(task.with_fit("margin", low=0.1, right=True), MLP((5,)), 2.0))
    assert run.outcome is Outcome.STALLED
    assert run.posterior is None
    assert run.reached is None
    assert "The lowest threshold reached was outside the bin or with labels wrong." in run.message
    assert not np.isfinite(run.levels.threshold[1:]).any()


def test_a_run_that_stops_above_its_number_of_errors_says_on_what_score_it_came_so_far():
    run = condition(Splitting(particles=100), criterion(clusters(40), MLP((5,))), Control(max_evaluations=20_000))
    assert run.reached is not None
    threshold = run.reached.eps
    assert threshold % 1
    assert f"The lowest threshold reached was {threshold:.4g} on errors − 1 + violation;" in run.message
    # What that score says: so many errors at most, the last by little.
    assert run.reached.posterior.quantities["train_errors"].max() == math.floor(threshold) + 1


def test_numbers_are_fitted_as_classes_are():
    source = np.random.default_rng(2)
    inputs = source.standard_normal((30, 3))
    targets = np.tanh(inputs[:, 0])
    task = regression(inputs[:5], targets[:5], test=(inputs[5:], targets[5:]))
    problem = criterion(task, MLP((6,), "tanh"), 0.15)
    runs = [condition(each, problem, precision=0.1, chains=12) for each in (Splitting(particles=400), Rejection())]
    assert errors_apart(runs[0].log_volume, runs[1].log_volume.value, runs[1].log_volume.mcse) < 4
    one, other = (run.posterior.summaries["gen_loss"] for run in runs)
    assert abs(one.mean - other.mean) < 4 * math.hypot(one.mcse, other.mcse)


def test_fewer_particles_are_tested_where_that_is_much_work():
    problem = criterion(clusters(6), MLP((5,)))
    normals = problem.draw(torch.Generator().manual_seed(0), 600)
    sources = [torch.Generator().manual_seed(i) for i in range(2)]
    # On the way at most a hundred of each island, at the end all where that is little work.
    assert problem.generalisation(normals, sources).isfinite().view(2, 300).sum(1).tolist() == [100, 100]
    assert problem.generalisation(normals[:, :120], sources).isfinite().all()
    assert problem.testable(600) == 600
    type(problem.whitened).work_held_out, before = property(lambda self: 10**8), type(problem.whitened).work_held_out
    try:
        some = problem.generalisation(normals, sources)
        assert some.isfinite().view(2, 300).sum(1).tolist() == [24, 24]
        assert problem.testable(600) == 200
    finally:
        type(problem.whitened).work_held_out = before
