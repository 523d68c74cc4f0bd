"""Reference points of labelled examples: against scikit-learn, and by what they are."""

from __future__ import annotations

import numpy as np
import pytest

from bayesgc.task import classification, regression

GENERATOR = np.random.default_rng(0)
TRAIN, TEST = GENERATOR.standard_normal((40, 6)) * [1, 2, 3, 4, 5, 6], GENERATOR.standard_normal((300, 6)) * 3
WEIGHTS = GENERATOR.standard_normal((6, 3))


def classes(rows: np.ndarray) -> np.ndarray:
    return (rows @ WEIGHTS + 0.3).argmax(1)


TASK = classification(TRAIN, classes(TRAIN), test=(TEST, classes(TEST)))


def test_the_majority_is_one_label() -> None:
    found = TASK.references()["majority"]
    label = np.bincount(TASK.labels).argmax()
    assert found.fit == (TASK.labels != label).sum()
    assert found.primary == pytest.approx((TASK.test_labels != label).mean())


def test_the_nearest_neighbour_is_that_of_scikit_learn() -> None:
    neighbours = pytest.importorskip("sklearn.neighbors")
    other = neighbours.KNeighborsClassifier(1).fit(TRAIN, TASK.labels)
    found = TASK.references()["nearest_neighbour"]
    assert (found.fit, found.primary) == (0, pytest.approx((other.predict(TEST) != TASK.test_labels).mean()))


@pytest.mark.parametrize("count", [40, 4])
def test_logistic_regression_is_that_of_scikit_learn(count) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    rows = np.concatenate([np.flatnonzero(TASK.labels == k)[: count // 3 + 1] for k in range(3)])
    train, labels = TRAIN[rows], TASK.labels[rows]
    task = classification(train, labels, test=(TEST, TASK.test_labels))
    centre, spread = train.mean(0), train.std(0)
    other = linear.LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit((train - centre) / spread, labels)
    predicted = other.predict((TEST - centre) / spread)
    found = task.references()["logistic"]
    assert found.fit == (other.predict((train - centre) / spread) != labels).sum()
    # Of 300 predictions one may lie on the border between classes, where two solvers differ.
    assert abs(found.primary - (predicted != TASK.test_labels).mean()) <= 1 / 300
    weaker = linear.LogisticRegression(C=1e-3).fit((train - centre) / spread, labels).predict((TEST - centre) / spread)
    assert abs(found.primary - (weaker != TASK.test_labels).mean()) > 1 / 300  # negative control


@pytest.mark.parametrize("count", [40, 4])
def test_ridge_regression_is_its_normal_equations(count) -> None:
    targets, tested = TRAIN[:, 0] + 0.5, TEST[:, 0] + 0.5
    task = regression(TRAIN[:count], targets[:count], test=(TEST, tested))
    centre, spread = TRAIN[:count].mean(0), TRAIN[:count].std(0)
    scaled, mean = (TRAIN[:count] - centre) / spread, targets[:count].mean()
    weights = np.linalg.solve(scaled.T @ scaled + np.eye(6), scaled.T @ (targets[:count] - mean))
    found = task.references()
    assert found["ridge"].fit == pytest.approx(((scaled @ weights + mean - targets[:count]) ** 2).mean())
    assert found["ridge"].primary == pytest.approx((((TEST - centre) / spread @ weights + mean - tested) ** 2).mean())
    assert found["mean"].primary == pytest.approx(((mean - tested) ** 2).mean())


def test_without_a_test_set_nothing_is_judged() -> None:
    task = classification(TRAIN, classes(TRAIN))
    assert {name: each.primary for name, each in task.references().items()} == dict.fromkeys(
        ["majority", "nearest_neighbour", "logistic"]
    )


def test_a_training_set_of_one_label_has_rules_too() -> None:
    task = classification(TRAIN, np.zeros(40, dtype=int), classes=("0", "1"), test=(TEST, classes(TEST) % 2))
    wrong = [each.primary for each in task.references().values()]
    np.testing.assert_allclose(wrong, (classes(TEST) % 2).mean())
