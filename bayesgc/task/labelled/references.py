"""What simple rules make of labelled examples: the most common label, the nearest neighbour, a linear fit."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

from bayesgc.task.labelled.labelled import LabelledTask
from bayesgc.task.task import Reference

RIDGE = 1.0
"""The penalty on the squared weights of standardised features, summed over examples: scikit-learn's default C = 1."""


def reference_points(task: LabelledTask) -> dict[str, Reference]:
    """``majority``, ``nearest_neighbour`` and ``logistic`` for classes; ``mean``, the second and ``ridge`` for numbers.

    The linear fits standardise the features by the training inputs and penalise weights by `RIDGE`; nothing is chosen
    by the test set. Their outputs are not kept.
    """
    train, test = task.inputs.flat_train.T, task.inputs.flat_test
    tested = None if test is None else test.T
    if task.classes is None:
        return {
            "mean": _judged(task, np.full(len(train), task.labels.mean()), _constant(tested, task.labels.mean())),
            "nearest_neighbour": _judged(task, task.labels, _nearest(train, task.labels, tested)),
            "ridge": _ridge(task, train, tested),
        }
    majority = int(np.bincount(task.labels).argmax())
    return {
        "majority": _judged(task, np.full(len(train), majority), _constant(tested, majority)),
        "nearest_neighbour": _judged(task, task.labels, _nearest(train, task.labels, tested)),
        "logistic": _logistic(task, train, tested),
    }


def _judged(task: LabelledTask, fitted: np.ndarray, predicted: np.ndarray | None) -> Reference:
    """A reference point by what it gives for the training and the test inputs."""
    measure = _squared if task.classes is None else _errors
    train = measure(fitted, task.labels)
    if task.fit == "train_errors":
        train *= len(task.labels)
    elif task.classes is not None:
        train = float("nan")  # a rule of classes alone has no such loss
    known = predicted is not None and task.test_labels is not None
    judged = measure(predicted, task.test_labels) if known else None  # type: ignore[arg-type]
    return Reference(None, None if np.isnan(train) else train, judged)


def _squared(values: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean((values - labels) ** 2))


def _errors(values: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(values != labels))


def _constant(tested: np.ndarray | None, value: float) -> np.ndarray | None:
    return None if tested is None else np.full(len(tested), value)


def _nearest(train: np.ndarray, labels: np.ndarray, tested: np.ndarray | None) -> np.ndarray | None:
    """The label of the training input at the least Euclidean distance."""
    if tested is None:
        return None
    distance = (train**2).sum(1) - 2 * tested @ train.T
    return np.asarray(labels[distance.argmin(1)])


def _standardised(train: np.ndarray, tested: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    centre, spread = train.mean(0), train.std(0)
    spread = np.where(spread > 0, spread, 1.0)
    return (train - centre) / spread, None if tested is None else (tested - centre) / spread


def _ridge(task: LabelledTask, train: np.ndarray, tested: np.ndarray | None) -> Reference:
    scaled, scaled_test = _standardised(train, tested)
    mean = task.labels.mean()
    # In the span of the examples, of which there may be fewer than features.
    dual = np.linalg.solve(scaled @ scaled.T + RIDGE * np.eye(len(scaled)), task.labels - mean)
    weights = scaled.T @ dual
    return _judged(task, scaled @ weights + mean, None if scaled_test is None else scaled_test @ weights + mean)


def _logistic(task: LabelledTask, train: np.ndarray, tested: np.ndarray | None) -> Reference:
    """Multinomial logistic regression with a ridge penalty, in the span of the examples."""
    scaled, scaled_test = _standardised(train, tested)
    basis, singular, right = np.linalg.svd(scaled, full_matrices=False)
    features = basis * singular
    weights, offset = _fit_logistic(features, task.labels, len(task.classes or ()))
    fitted = (features @ weights + offset).argmax(1)
    predicted = None if scaled_test is None else (scaled_test @ right.T @ weights + offset).argmax(1)
    return _judged(task, fitted, predicted)


def _fit_logistic(
    features: Float[np.ndarray, "example feature"], labels: np.ndarray, classes: int
) -> tuple[np.ndarray, np.ndarray]:
    targets = np.eye(classes)[labels]
    count = features.shape[1]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights, offset = flat[: count * classes].reshape(count, classes), flat[count * classes :]
        logits = features @ weights + offset
        total = logsumexp(logits, axis=1)
        residual = np.exp(logits - total[:, None]) - targets
        value = float((total - (logits * targets).sum(1)).sum() + 0.5 * RIDGE * (weights**2).sum())
        return value, np.concatenate([(features.T @ residual + RIDGE * weights).ravel(), residual.sum(0)])

    from scipy.optimize import minimize  # which takes a while to load

    found = minimize(loss, np.zeros((count + 1) * classes), jac=True, method="L-BFGS-B", options={"maxiter": 1000}).x
    return found[: count * classes].reshape(count, classes), found[count * classes :]
