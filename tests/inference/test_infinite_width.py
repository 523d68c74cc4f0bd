"""Infinitely wide perceptrons: exact volumes, independent draws of the process, and wide networks against them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from problems import condition
from scipy.stats import multivariate_normal
from test_networks import clusters, criterion, errors_apart

import bayesgc as gc
from bayesgc.inference import Control, Outcome, Rejection, Splitting
from bayesgc.models import MLP, InfiniteMLP
from bayesgc.task import LabelledTask, classification

LIMIT = 4
"""Combined standard errors, which a true answer passes with probability 6e-5, on a seed that is fixed."""
MODELS = [
    InfiniteMLP(2), InfiniteMLP(2, bias=True), InfiniteMLP(1, "tanh"), InfiniteMLP(2, "tanh", bias=True),
    InfiniteMLP(2, bias=True, scaling="fan-out"),
]  # fmt: skip


def wrong(model: InfiniteMLP) -> InfiniteMLP:
    """Another kernel, for negative controls: four layers more of relu, or relu in place of tanh."""
    deeper = 4 * (model.activation == "relu")
    return InfiniteMLP(model.layers + deeper, "relu", model.bias, model.prior, model.scaling)


def halves() -> LabelledTask:
    """Five points of a plane, at several distances from zero, with labels by a line."""
    source = np.random.default_rng(20)
    inputs, tested = 4 * source.standard_normal((5, 2)), 4 * source.standard_normal((40, 2))
    middle = np.median(inputs[:, 0])
    labels, wanted = ((each[:, 0] > middle).astype(int) for each in (inputs, tested))
    return classification(inputs, labels, test=(tested, wanted))


def exact_log_volume(model: InfiniteMLP, task: LabelledTask) -> float:
    """Of two classes: all differences of the two outputs, one Gaussian process of twice the kernel, of the right sign.

    Of the 2ⁿ orthants this is one.
    """
    signs = 2.0 * task.labels - 1
    covariance = 2 * model.kernel(task.domain.flat_train, 2) * np.outer(signs, signs)
    scale = np.sqrt(covariance.diagonal())
    return math.log(
        multivariate_normal.cdf(
            np.zeros(len(signs)), np.zeros(len(signs)), covariance / np.outer(scale, scale), abseps=1e-6, releps=0.0
        )
    )


# --- exact volumes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_the_volume_is_an_orthant(unchecked, model):
    task = halves()
    run = condition(Rejection(), criterion(task, model), precision=0.03)
    assert run.outcome is Outcome.CONVERGED
    assert errors_apart(run.log_volume, exact_log_volume(model, task)) < LIMIT
    # Negative control: another kernel.
    assert errors_apart(run.log_volume, exact_log_volume(wrong(model), task)) > LIMIT


@pytest.mark.parametrize("model", [MODELS[1], MODELS[3]], ids=str)
def test_splitting_finds_the_orthant(unchecked, model):
    task = clusters(16, seed=3)
    run = condition(Splitting(particles=200), criterion(task, model), precision=0.1)
    assert run.outcome is Outcome.CONVERGED
    exact = exact_log_volume(model, task)
    assert exact < -4
    assert errors_apart(run.log_volume, exact) < LIMIT


def test_two_inputs_at_an_angle():
    """One layer of relu hands on cos → J(cos); the difference of outputs has equal signs at two inputs by its angle."""
    angle = 2.0
    task = classification(np.array([[1.0, 0.0], [math.cos(angle), math.sin(angle)]]), np.array([0, 1]))
    onward = (math.sin(angle) + (math.pi - angle) * math.cos(angle)) / math.pi
    run = condition(Rejection(), criterion(task, InfiniteMLP(1)), precision=0.01)
    assert errors_apart(run.log_volume, math.log(math.acos(onward) / (2 * math.pi))) < LIMIT


def test_inputs_that_are_the_same_take_no_two_labels():
    """Not by rounding either, on which splitting would fasten."""
    inputs = np.random.default_rng(0).standard_normal((5, 3))
    task = classification(np.concatenate([inputs, inputs[:1]]), np.array([0, 1, 1, 0, 1, 1]))
    run = condition(Splitting(particles=20), criterion(task, InfiniteMLP(2)), Control(max_evaluations=200_000))
    assert run.outcome is Outcome.STALLED
    assert run.log_volume.value is None


# --- draws of the process made apart ----------------------------------------------------------------------------------


def rejected(model: InfiniteMLP, task: LabelledTask, draws: int, seed: int) -> tuple[float, float, float, float]:
    """log P(fit) and the mean test error, each with its error, by eigenvectors of the kernel and numpy alone."""
    domain, source = task.domain, np.random.default_rng(seed)
    kernel = model.kernel(np.concatenate([domain.flat_train, domain.flat_test], axis=1), domain.outputs)
    values, vectors = np.linalg.eigh(kernel)
    root = vectors * np.sqrt(values.clip(0))
    outputs = np.einsum("ij,kjd->kid", root, source.standard_normal((domain.outputs, len(root), draws)))
    said = outputs.argmax(0)
    fits = (said[: domain.count] == task.labels[:, None]).all(0)
    errors = (said[domain.count :] != task.test_labels[:, None]).mean(0)[fits]
    share = fits.mean()
    return math.log(share), math.sqrt((1 - share) / fits.sum()), errors.mean(), errors.std() / math.sqrt(len(errors))


def three_classes() -> LabelledTask:
    source = np.random.default_rng(2)
    labels = np.arange(36) % 3
    inputs = source.standard_normal((36, 3)) + 1.2 * np.eye(3)[labels]
    return classification(inputs[:6], labels[:6], test=(inputs[6:], labels[6:]))


@pytest.mark.parametrize("model", [MODELS[0], MODELS[3]], ids=str)
@pytest.mark.parametrize("make", [halves, three_classes], ids=lambda make: make.__name__)
def test_volume_and_test_error_are_those_of_a_twin(unchecked, model, make):
    task = make()
    run = condition(Rejection(), criterion(task, model), precision=0.01, seed=4)
    volume, volume_error, error, its = rejected(model, task, 60_000, 11)
    found = run.posterior.summaries["test_error"]
    assert errors_apart(run.log_volume, volume, volume_error) < LIMIT
    assert abs(found.mean - error) / math.hypot(found.mcse, its) < LIMIT
    # Negative control: those of another kernel.
    other = rejected(wrong(model), task, 60_000, 11)
    assert errors_apart(run.log_volume, other[0], other[1]) > LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("model", [MODELS[0], MODELS[3]], ids=str)
def test_splitting_and_rejection_test_alike(unchecked, model):
    task = three_classes()
    one, other = (
        condition(method, criterion(task, model), precision=0.02, seed=5) for method in (Rejection(), Splitting())
    )
    assert errors_apart(one.log_volume, other.log_volume.value, other.log_volume.mcse) < LIMIT
    first, second = (run.posterior.summaries["test_error"] for run in (one, other))
    assert abs(first.mean - second.mean) / math.hypot(first.mcse, second.mcse) < LIMIT


# --- wide networks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [InfiniteMLP(1), InfiniteMLP(1, "tanh", True, scaling="kaiming")], ids=str)
def test_a_wide_network_fits_as_often(unchecked, model):
    """Of width 1000, whose difference from the limit is a thousandth or so."""
    task = halves()
    wide = MLP(1000, model.activation, model.bias, scaling=model.scaling)
    run = condition(Rejection(), criterion(task, wide), Control(max_evaluations=10_000), precision=0.01)
    assert errors_apart(run.log_volume, exact_log_volume(model, task)) < LIMIT
    assert errors_apart(run.log_volume, exact_log_volume(wrong(model), task)) > LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_wide_networks_generalise_as_their_limit(unchecked, activation, bias):
    """Volume and test error of two hidden layers of 400, of three classes; both by independent draws."""
    task = three_classes()
    wide, limit = MLP((400, 400), activation, bias), InfiniteMLP(2, activation, bias)
    run = condition(Rejection(), criterion(task, wide), Control(max_evaluations=6000), precision=0.01, seed=6)
    volume, volume_error, error, its = rejected(limit, task, 100_000, 12)
    found = run.posterior.summaries["test_error"]
    assert errors_apart(run.log_volume, volume, volume_error) < LIMIT
    assert abs(found.mean - error) / math.hypot(found.mcse, its) < LIMIT


# --- results ----------------------------------------------------------------------------------------------------------


def test_there_is_nothing_to_train():
    result = gc.infer(InfiniteMLP(1), halves(), method="rejection", max_evaluations=4096)
    object_ = gc.result_object(result)
    assert object_["gd"] is None
    assert object_["reasons"]["gd"] == "an infinitely wide network has no weights to train"
    assert object_["model"]["width"] == ["inf"]
    assert json.dumps(object_["model"], allow_nan=False)


def test_no_weights_are_kept():
    with pytest.raises(gc.InputError, match="an infinitely wide network has no weights that could be kept"):
        gc.infer(InfiniteMLP(1), halves(), method="rejection", weights=True)
