"""The minimum nuclear norm against known cases, a convex solver and its own dual certificate."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest

from bayesgc.task import ArrayTask, DenseMeasurements, ObservedCells, completion, sensing
from bayesgc.task.array.nuclear import minimum_nuclear_norm
from bayesgc.validate import InputError


def nuclear_norm(matrix):
    return np.linalg.svd(matrix, compute_uv=False).sum()


def convex_twin(task):
    """The same minimum from the dual program by an interior-point solver: max ⟨y, ν⟩ over ‖Aᵀν‖_op ≤ 1."""
    A = task.measurements.dense()
    multipliers = cp.Variable(len(A))
    combined = cp.reshape(A.T @ multipliers, task.shape, order="C")
    return cp.Problem(cp.Maximize(task.targets @ multipliers), [cp.sigma_max(combined) <= 1]).solve(solver="CLARABEL")


TASKS = {
    "sensing": sensing(5, 5, 1, 15, seed=0),
    "rank two": sensing(5, 5, 2, 22, seed=1),
    "wide": sensing(3, 7, 2, 12, seed=2),
    "tall": sensing(6, 2, 1, 5, seed=3),
    "completion": completion(5, 5, 1, 15, seed=1),
    "tall completion": completion(6, 4, 3, 17, seed=2),
}


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())
def test_agrees_with_a_convex_solver(task):
    fit = minimum_nuclear_norm(task)
    assert fit.converged
    # Ours is exact to 1e-9; the solver's default accuracy is 1e-8.
    assert nuclear_norm(fit.end_to_end) == pytest.approx(convex_twin(task), rel=1e-6)
    # Negative control: the least-squares fit is no minimiser, so agreement is not trivial.
    least_squares = np.linalg.pinv(task.measurements.dense()) @ task.targets
    assert nuclear_norm(least_squares.reshape(task.shape)) > nuclear_norm(fit.end_to_end) * (1 + 1e-3)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("make", [sensing, completion])
def test_certificate_proves_the_minimum(make, seed):
    task = make(5, 5, 1, 15, seed=seed)
    fit = minimum_nuclear_norm(task)
    A = task.measurements.dense()
    assert np.allclose(A @ fit.end_to_end.ravel(), task.targets, atol=1e-12)
    multipliers, *_ = np.linalg.lstsq(A.T, fit.dual.ravel(), rcond=None)
    assert np.allclose(A.T @ multipliers, fit.dual.ravel(), atol=1e-10)
    assert np.linalg.norm(fit.dual, 2) <= 1 + 1e-12
    assert multipliers @ task.targets >= nuclear_norm(fit.end_to_end) * (1 - 1e-8)


def test_everything_observed_returns_the_matrix():
    truth = np.outer([1.0, -2.0, 0.5], [3.0, 1.0])
    task = ArrayTask("completion", (3, 2), ObservedCells((3, 2), np.arange(6)), truth.ravel(), truth)
    fit = minimum_nuclear_norm(task)
    assert fit.converged
    assert fit.iterations == 0
    assert np.allclose(fit.end_to_end, truth, atol=1e-14)


def test_one_missing_cell_of_a_diagonal_block():
    # ‖[[a, b], [c, x]]‖_*² = a² + b² + c² + x² + 2|ax − bc|: at a=2, b=c=1 least at x = bc/a.
    task = ArrayTask("completion", (2, 2), ObservedCells((2, 2), np.arange(3)), np.array([2.0, 1.0, 1.0]))
    assert minimum_nuclear_norm(task).end_to_end[1, 1] == pytest.approx(0.5, abs=1e-4)


def test_recovers_a_table_of_low_rank():
    task = completion(60, 40, 1, 1440, seed=0)
    fit = minimum_nuclear_norm(task)
    assert fit.converged
    assert np.allclose(fit.end_to_end, task.truth, atol=1e-5)


def test_inconsistent_and_dependent_measurements_use_the_least_squares_fit():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(6, 12))
    matrix = np.concatenate([rows, rows[:2] + rows[2:4]])
    targets = rng.normal(size=8)
    fit = minimum_nuclear_norm(ArrayTask("data", (4, 3), DenseMeasurements((4, 3), matrix), targets))
    nearest = matrix @ np.linalg.pinv(matrix) @ targets
    consistent = ArrayTask("data", (4, 3), DenseMeasurements((4, 3), rows), nearest[:6])
    assert fit.converged
    assert np.allclose(matrix @ fit.end_to_end.ravel(), nearest, atol=1e-12)
    assert nuclear_norm(fit.end_to_end) == pytest.approx(convex_twin(consistent), rel=1e-6)


def test_zero_targets_give_zero():
    fit = minimum_nuclear_norm(ArrayTask("completion", (2, 3), ObservedCells((2, 3), np.array([1, 4])), np.zeros(2)))
    assert fit.converged
    assert not fit.end_to_end.any()


def test_scale_does_not_matter():
    task = TASKS["sensing"]
    scaled = ArrayTask("data", task.shape, task.measurements, task.targets * 1e6)
    assert np.allclose(minimum_nuclear_norm(scaled).end_to_end, 1e6 * minimum_nuclear_norm(task).end_to_end, rtol=1e-4)


def test_too_few_steps_are_reported():
    fit = minimum_nuclear_norm(TASKS["sensing"], max_iterations=5)
    assert not fit.converged
    assert fit.relative_gap > 1e-9
    assert fit.iterations == 5


def unfolded(tensor, mode):
    return np.moveaxis(tensor, mode, 0).reshape(tensor.shape[mode], -1)


def mean_nuclear_norm(tensor):
    return np.mean([nuclear_norm(unfolded(tensor, mode)) for mode in range(tensor.ndim)])


def convex_twin_of_tensors(task):
    """The least mean of the nuclear norms of the unfoldings, from the primal program."""
    vector = cp.Variable(task.measurements.entries)
    places = np.arange(task.measurements.entries).reshape(task.shape)
    orders = [unfolded(places, mode) for mode in range(places.ndim)]
    norms = [cp.normNuc(cp.reshape(vector[order.ravel()], order.shape, order="C")) for order in orders]
    fits = [task.measurements.dense() @ vector == task.targets]
    return cp.Problem(cp.Minimize(sum(norms) / len(norms)), fits).solve(solver="CLARABEL")


TENSORS = {
    "sensing": sensing(shape=(3, 4, 2), rank=1, measurements=15, seed=0),
    "completion": completion(shape=(3, 3, 3), rank=2, measurements=14, seed=1),
    "order four": sensing(shape=(2, 3, 2, 2), rank=1, measurements=14, seed=2),
}


@pytest.mark.parametrize("task", TENSORS.values(), ids=TENSORS.keys())
def test_tensors_agree_with_a_convex_solver(task):
    fit = minimum_nuclear_norm(task)
    assert fit.converged
    assert fit.end_to_end.shape == task.shape
    assert np.allclose(task.measurements.dense() @ fit.end_to_end.ravel(), task.targets, atol=1e-12)
    assert mean_nuclear_norm(fit.end_to_end) == pytest.approx(convex_twin_of_tensors(task), rel=1e-6)
    least_squares = np.linalg.pinv(task.measurements.dense()) @ task.targets
    assert mean_nuclear_norm(least_squares.reshape(task.shape)) > mean_nuclear_norm(fit.end_to_end) * (1 + 1e-3)
    # The certificate: each dual is feasible, and their sum is seen by the measurements alone.
    assert max(np.linalg.norm(unfolded(each, mode), 2) for mode, each in enumerate(fit.dual)) <= 1 + 1e-12
    total = fit.dual.mean(0).ravel()
    assert np.allclose(total, np.linalg.pinv(task.measurements.dense()) @ (task.measurements.dense() @ total))
    assert total @ least_squares >= mean_nuclear_norm(fit.end_to_end) * (1 - 1e-8)


def test_refuses_no_steps():
    with pytest.raises(InputError, match="max_iterations is 0"):
        minimum_nuclear_norm(TASKS["sensing"], max_iterations=0)
