"""Labelled tasks: labels and numbers, test sets, measures, what is standardised; and what fits by closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import torch

from bayesgc.models import MLP
from bayesgc.task import LabelledTask, classification, regression
from bayesgc.task.labelled.examples import labelled_task, standardized
from bayesgc.task.labelled.labels import as_classes
from bayesgc.validate import InputError

DRAWS = 40_000


def inputs(count: int, features: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, features))


def task(**changes) -> LabelledTask:
    given = {"y": np.arange(12) % 2, "test": (inputs(20, seed=1), np.arange(20) % 2)} | changes
    return classification(inputs(12), given.pop("y"), **given)


@pytest.mark.parametrize(("labels", "names"), [
    ([3, 10, 3], ("3", "10")),
    ([1.0, -1.0, 1.0], ("-1", "1")),
    (["b", "a", "b"], ("a", "b")),
    ([True, False, True], ("False", "True")),
])  # fmt: skip
def test_labels_become_classes_in_order(labels, names) -> None:
    found, codes = as_classes(np.array(labels))
    assert found == names
    assert [found[code] for code in codes] == [
        str(int(each)) if isinstance(each, float) else str(each) for each in labels
    ]


@pytest.mark.parametrize(("labels", "said"), [
    ([1, 1], "every label is '1'"),
    ([1.0, np.nan], "the label of example 1 is nan"),
    ([0.5, 1.0], "numbers with fractions; classes are whole numbers or text. Is it a regression"),
    ([1j, 2j], "of type complex128"),
    (list(range(1001)), "there are 1001 classes among 1001 labels; is it a regression"),
])  # fmt: skip
def test_labels_that_are_no_classes(labels, said) -> None:
    with pytest.raises(InputError, match=said):
        as_classes(np.array(labels))


def test_classes_that_are_known_need_no_example() -> None:
    found = task(y=np.zeros(12, dtype=int), classes=("0", "1"), test=None)
    assert (found.classes, found.shape) == (("0", "1"), (12, 2))
    with pytest.raises(InputError, match="class 5 is none of 0, 1"):
        task(y=np.full(12, 5), classes=("0", "1"))


def test_images_keep_their_shape() -> None:
    images = np.random.default_rng(0).random((6, 4, 5))
    found = classification(images, np.arange(6) % 2)
    assert (found.inputs.features, found.inputs.flat_train.shape) == ((4, 5), (20, 6))
    np.testing.assert_array_equal(found.inputs.flat_train[:, 2], images[2].ravel())
    with pytest.raises(InputError, match="examples are of unequal size"):
        classification([np.ones((2, 2)), np.ones((3, 2))], [0, 1])


def test_measures_are_errors_and_shares() -> None:
    found = task()
    right = torch.nn.functional.one_hot(torch.arange(12) % 2, 2).double()
    outputs = torch.stack([right, 1 - right, torch.zeros_like(right)]).flatten(1).T
    tested = torch.nn.functional.one_hot(torch.arange(20) % 2, 2).double()
    held_out = torch.stack([tested, 1 - tested, torch.zeros_like(tested)]).flatten(1).T
    measures = found.measures(outputs, held_out)
    assert measures["train_errors"].tolist() == [0, 12, 12]
    assert measures["test_error"].tolist() == [0, 1, 1]
    assert measures["prediction"][0].tolist() == found.test_labels.tolist()
    assert found.with_fit("margin").measures(outputs)["train_errors"].tolist() == [0, 12, 12]


def test_a_regression_has_one_output_and_squared_errors() -> None:
    targets, tested = np.linspace(-1, 1, 12), np.linspace(0, 2, 20)
    found = regression(inputs(12), targets, test=(inputs(20, seed=1), tested))
    assert (found.kind, found.shape, found.primary, found.fit) == ("regression", (12, 1), "gen_loss", "train_loss")
    outputs = torch.stack([torch.from_numpy(targets), torch.zeros(12, dtype=torch.float64)], 1)
    held_out = torch.stack([torch.from_numpy(tested) + 1, torch.zeros(20, dtype=torch.float64)], 1)
    measures = found.measures(outputs, held_out)
    np.testing.assert_allclose(measures["train_loss"], [0, (targets**2).mean()])
    np.testing.assert_allclose(measures["gen_loss"], [1, (tested**2).mean()])
    assert "prediction" not in measures
    with pytest.raises(InputError, match="is for classes, and the labels are numbers"):
        found.with_fit("errors")


@pytest.mark.parametrize(("targets", "said"), [
    (["a", "b"], "y is of type <U1; it must hold real numbers"),
    ([1.0, np.inf], r"y\[1\] is inf"),
    ([[1.0], [2.0]], r"y has shape \(2, 1\); it must be \(2,\)"),
])  # fmt: skip
def test_numbers_that_cannot_be_fitted(targets, said) -> None:
    with pytest.raises(InputError, match=said):
        regression(inputs(2), targets)


def test_fractions_decide_what_is_a_regression() -> None:
    arrays = {"X": inputs(4), "y": np.array([0.0, 1.0, 0.0, 1.0])}
    kinds = [labelled_task(arrays, {}, fit).kind for fit in (None, "errors", "squared")]
    assert kinds == ["classification", "classification", "regression"]
    assert labelled_task(arrays | {"y": arrays["y"] / 2}, {}, None).kind == "regression"
    with pytest.raises(InputError, match="this is a regression; `fit=margin` is for classes"):
        labelled_task(arrays | {"y": arrays["y"] / 2}, {}, "margin")


def test_features_are_standardised_by_the_training_inputs() -> None:
    constant = np.hstack([inputs(12), np.full((12, 1), 7.0)])
    tested = np.hstack([inputs(20, seed=1), np.full((20, 1), 7.0)])
    plain = classification(constant, np.arange(12) % 2, test=(tested, np.arange(20) % 2))
    found = standardized(plain)
    np.testing.assert_allclose(found.inputs.train.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(found.inputs.train.std(0), [1, 1, 1, 0], atol=1e-12)
    expected = (tested[:, :3] - constant[:, :3].mean(0)) / constant[:, :3].std(0)
    np.testing.assert_allclose(found.inputs.test[:, :3], expected)
    assert (plain.preparation, found.facts["preparation"]) == (None, "features standardised by the training inputs")


def fitted(model: MLP, found: LabelledTask, seed: int = 0) -> np.ndarray:
    """Which of many draws of the prior have at most 0, 1, 2, … errors, as shares."""
    whitened = model.whiten(found.domain)
    normals = torch.randn(whitened.size, DRAWS, generator=torch.Generator().manual_seed(seed))
    errors = found.measures(whitened.vectors(normals))["train_errors"]
    return np.array([float((errors <= k).double().mean()) for k in range(found.inputs.count)])


def standard_errors(shares: np.ndarray, known: np.ndarray) -> float:
    """The largest difference in binomial standard errors of the known value."""
    return float(np.max(np.abs(shares - known) / np.sqrt(known * (1 - known) / DRAWS)))


@pytest.mark.parametrize("labels", [[0, 1, 0, 1, 1], [0, 0, 0, 0, 1]])
def test_one_layer_on_orthonormal_inputs_fits_any_labels_with_two_to_the_minus_n(labels) -> None:
    rotation = scipy.linalg.qr(inputs(7, 7))[0][:5]
    shares = fitted(MLP(()), classification(rotation, labels))
    known = np.cumsum([math.comb(5, k) for k in range(5)]) / 2**5
    assert standard_errors(shares, known) < 4  # the largest of five: fails with probability 3e-4 under a true answer
    skewed = fitted(MLP(()), classification(rotation + 0.5, labels))
    assert standard_errors(skewed, known) > 4  # negative control: inputs at an angle


def test_two_inputs_at_an_angle_with_one_label_each() -> None:
    """Labels differ with the probability that a random line parts the inputs, θ/π, half of it either way."""
    angle = 2.0
    pair = np.array([[1.0, 0.0], [math.cos(angle), math.sin(angle)]])
    found = fitted(MLP(()), classification(pair, [0, 1]))[0]
    known = angle / (2 * math.pi)
    assert abs(found - known) < 4 * math.sqrt(known * (1 - known) / DRAWS)
    alike = fitted(MLP(()), classification(pair, [0, 0], classes=("0", "1")))[0]
    assert abs(alike - (0.5 - known)) < 4 * math.sqrt(known * (1 - known) / DRAWS)


def test_all_labellings_share_out_all_draws_but_those_with_ties() -> None:
    """The same draws under every labelling of four inputs: each fits exactly one, or has a tie."""
    four, model = inputs(4), MLP((2,), "relu")
    whitened = model.whiten(classification(four, [0, 1, 0, 1]).domain)
    normals = torch.randn(whitened.size, 2000, generator=torch.Generator().manual_seed(0))
    outputs = whitened.vectors(normals)
    fits = torch.zeros(2000)
    for code in range(16):
        labels = [code >> place & 1 for place in range(4)]
        found = classification(four, labels, classes=("0", "1"))
        fits += (found.score(outputs) < found.threshold(None)).float()
    pairs = outputs.unflatten(0, (4, 2))
    tied = (pairs[:, 0] == pairs[:, 1]).any(0)
    assert 0 < int(tied.sum()) < 2000  # narrow nets have dead units
    np.testing.assert_array_equal(fits, (~tied).float())
