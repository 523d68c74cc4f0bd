"""The cases with known answers load as tasks, and their losses equal an independent computation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch

from bayesgc.task import load

NAMES = sorted(file.stem for file in (Path(__file__).parents[1] / "cases").glob("shared-*.npz"))


@pytest.mark.parametrize("name", NAMES)
def test_losses_on_a_case(cases: dict[str, Any], name: str) -> None:
    case = cases[name].facts
    task = load(cases[name].path)
    assert task.shape == (case["rows"], case["cols"])
    assert task.measurements.count == case["n"]
    assert task.observed_cells == case["completion"]
    assert (task.kind, task.description) == ("data", {"file": f"{name}.npz"})

    with np.load(cases[name].path) as arrays:
        stack, targets, truth = arrays["A"], arrays["y"], arrays["truth"]
    matrices = np.random.default_rng(0).standard_normal((4, *truth.shape))
    # Any orthonormal basis of the complement gives the same loss; scipy's null space is another than the task's.
    basis = scipy.linalg.null_space(stack.reshape(len(stack), -1)).T.reshape(-1, *truth.shape)
    train = np.mean((np.einsum("nij,bij->bn", stack, matrices) - targets) ** 2, axis=1)
    gen = np.mean(np.einsum("nij,bij->bn", basis, matrices - truth) ** 2, axis=1)

    vectors = torch.tensor(matrices.reshape(4, -1).T)
    np.testing.assert_allclose(task.train_loss(vectors), train, rtol=1e-12)
    np.testing.assert_allclose(task.gen_loss(vectors), gen, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_every_answer_has_its_error(cases: dict[str, Any], name: str) -> None:
    case = cases[name].facts
    answers = {"log_volume", "prior_gen", "gen"} if case["eps"] > 0 else {"log_evidence", "gen"}
    assert all(np.isfinite(case[answer]) and case[f"{answer}_se"] > 0 for answer in answers)
