"""Labelled tasks from examples: what is classification, which examples are taken, what is done to the inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from bayesgc.task.domain import Inputs
from bayesgc.task.labelled.choice import Choice, Examples, pool_of
from bayesgc.task.labelled.fits import fit_named
from bayesgc.task.labelled.labelled import LabelledTask, classification, regression
from bayesgc.validate import InputError

Description = dict[str, int | float | str]


def labelled_task(
    arrays: Mapping[str, Any],
    description: Description,
    fit: str | None,
    *,
    choice: Choice | None = None,
    standardize: bool = False,
) -> LabelledTask:
    """The task of ``X`` and ``y``, with ``X_test`` and ``y_test`` where they are there; all of them, or a choice.

    Labels that are numbers with fractions, or numbers under the fit ``squared``, are a regression; others are classes.

    Raises:
        InputError: where one of a pair is missing, the arrays do not match, or the choice cannot be made.
    """
    for one, other in (("X", "y"), ("X_test", "y_test")):
        if (one in arrays) != (other in arrays):
            missing = other if one in arrays else one
            raise InputError(f"has no array {missing}; X and y go together, and so do X_test and y_test.")
    train = pool_of(arrays["X"], arrays["y"], ("X", "y"))
    test = pool_of(arrays["X_test"], arrays["y_test"], ("X_test", "y_test")) if "X_test" in arrays else None
    return task_of(train, test, description, fit, choice=choice, standardize=standardize)


def task_of(
    train: Examples,
    test: Examples | None,
    description: Description,
    fit: str | None,
    *,
    choice: Choice | None = None,
    standardize: bool = False,
) -> LabelledTask:
    """The task of examples, or of a ``choice`` among them.

    Raises:
        InputError: as :func:`labelled_task`.
    """
    numbers = _are_numbers(train.labels, fit)
    if choice is not None:
        train, test = choice.applied(train, test, numbers=numbers)
        description = description | {"seed": choice.seed, "balanced": choice.balanced}
    tests = None if test is None else (test.inputs, test.labels)
    if not numbers:
        task = classification(
            train.inputs,
            train.labels,
            test=tests,
            fit=fit or "errors",
            classes=train.classes,
            description=description,
            independent=choice is None or not choice.balanced,
        )
    else:
        if fit not in (None, "squared"):
            fit_named(fit)
            raise InputError(f"y holds numbers with fractions, so this is a regression; `fit={fit}` is for classes.")
        task = regression(train.inputs, train.labels, test=tests, description=description)
    return standardized(task) if standardize else task


def _are_numbers(labels: np.ndarray, fit: str | None) -> bool:
    if labels.dtype.kind != "f":
        return False
    return fit == "squared" or bool((np.isfinite(labels) & (labels != np.round(labels))).any())


def standardized(task: LabelledTask) -> LabelledTask:
    """The same with every feature centred and scaled by its mean and standard deviation over the training inputs."""
    train = task.inputs.train
    centre, spread = train.mean(0), train.std(0)
    spread = np.where(spread > 0, spread, 1.0)
    test = None if task.inputs.test is None else (task.inputs.test - centre) / spread
    inputs = Inputs((train - centre) / spread, test, task.inputs.outputs)
    return replace(task, inputs=inputs, preparation="features standardised by the training inputs")
