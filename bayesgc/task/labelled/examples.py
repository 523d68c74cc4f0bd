"""Labelled tasks from arrays as they come from files: what is classification, and what is done to the inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from bayesgc.task.domain import Inputs
from bayesgc.task.labelled.fits import fit_named
from bayesgc.task.labelled.labelled import LabelledTask, classification, regression
from bayesgc.validate import InputError


def labelled_task(
    arrays: Mapping[str, Any], description: dict[str, int | float | str], fit: str | None, *, standardize: bool
) -> LabelledTask:
    """The task of ``X`` and ``y``, with ``X_test`` and ``y_test`` where they are there.

    Labels that are numbers with fractions, or numbers under the fit ``squared``, are a regression; others are classes.

    Raises:
        InputError: where one of a pair is missing, or the arrays do not match.
    """
    for one, other in (("X", "y"), ("X_test", "y_test")):
        if (one in arrays) != (other in arrays):
            missing = other if one in arrays else one
            raise InputError(f"has no array {missing}; X and y go together, and so do X_test and y_test.")
    labels = np.asarray(arrays["y"])
    test = (arrays["X_test"], arrays["y_test"]) if "X_test" in arrays else None
    if _are_numbers(labels, fit):
        if fit not in (None, "squared"):
            fit_named(fit)
            raise InputError(f"y holds numbers with fractions, so this is a regression; --fit {fit} is for classes.")
        task = regression(arrays["X"], labels, test=test, description=description)
    else:
        task = classification(arrays["X"], labels, test=test, fit=fit or "errors", description=description)
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
