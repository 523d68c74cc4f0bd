"""The least training loss against brute force, closed forms and constructed hard cases."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from bayesgc.api import infer
from bayesgc.models import MatrixFactorization
from bayesgc.task import ArrayTask, DenseMeasurements, ObservedCells, completion, sensing
from bayesgc.task.array.feasibility import infeasible, least_train_loss, resolution
from bayesgc.validate import InputError


def data(matrix, targets, shape):
    return ArrayTask("data", shape, DenseMeasurements(shape, np.asarray(matrix, float)), np.asarray(targets, float))


def loss_on_sphere(task, vector):
    residual = task.measurements.dense() @ (vector / np.linalg.norm(vector)) - task.targets
    return np.mean(residual**2)


def brute_force(task, starts=8):
    """The least loss over the sphere by local searches from random points."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(starts, int(np.prod(task.shape))))
    found = [minimize(lambda w: loss_on_sphere(task, w), point, options={"gtol": 1e-10}) for point in points]
    return min(each.fun for each in found)


def random_task(shape, n, scale, seed, dependent=False):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(n, int(np.prod(shape))))
    if dependent:
        matrix[-1] = matrix[0] - 2 * matrix[1]
    return data(matrix, scale * rng.normal(size=n), shape)


CASES = {
    "far outside": random_task((2, 3), 4, 10.0, 0),
    "little outside": random_task((3, 2), 4, 2.5, 1),
    "n = q, outside": random_task((2, 3), 6, 5.0, 2),
    "n = q, inside": random_task((2, 3), 6, 0.1, 3),
    "n > q": random_task((2, 2), 7, 1.0, 4),
    "n > q, inside": random_task((2, 2), 7, 0.1, 5),
    "dependent": random_task((2, 3), 4, 3.0, 6, dependent=True),
    "dependent, n = q": random_task((2, 3), 6, 0.2, 7, dependent=True),
    "one row": random_task((1, 8), 5, 8.0, 8),
}


@pytest.mark.parametrize("task", CASES.values(), ids=CASES.keys())
def test_agrees_with_brute_force(task):
    # The searches stop at gradients of 1e-10 or at what finite differences resolve.
    assert least_train_loss(task, normalize=True) == pytest.approx(brute_force(task), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("seed", range(40))
def test_is_a_lower_bound_that_is_attained_nearby(seed):
    task = random_task((2, 2), 1 + seed % 6, 10.0 ** (seed % 3 - 1), 100 + seed, dependent=seed % 6 >= 2)
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(20_000, 4))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    losses = np.mean((points @ task.measurements.dense().T - task.targets) ** 2, axis=1)
    least = least_train_loss(task, normalize=True)
    curvature = np.linalg.norm(task.measurements.dense(), 2) ** 2 / task.measurements.count
    assert losses.min() >= least - 1e-12
    # 20 000 points on the 3-sphere come within an angle of about 0.1 of the minimiser.
    reach = 2 * 0.1 * np.sqrt(curvature * losses.min()) + 0.1**2 * curvature
    assert losses.min() - least <= reach


def test_hard_case_by_hand():
    # The mode s = 1 has no target. At λ = −1 the other has c = 3 · 0.5 / (9 − 1), and the first takes the rest.
    task = data(np.diag([1.0, 3.0]), [0.0, 0.5], (1, 2))
    second = 3 * 0.5 / (9 - 1)
    expected = ((1 - second**2) + (3 * second - 0.5) ** 2) / 2
    assert least_train_loss(task, normalize=True) == pytest.approx(expected, rel=1e-12)
    assert expected == pytest.approx(brute_force(task), rel=1e-6)


@pytest.mark.parametrize("pull", [1e-3, 1e-9, 1e-15, 1e-200])
def test_nearly_hard_cases_are_continuous(pull):
    hard = least_train_loss(data(np.diag([1.0, 1.0, 3.0]), [0.0, 0.0, 0.5], (1, 3)), normalize=True)
    near = least_train_loss(data(np.diag([1.0, 1.0, 3.0]), [pull, 0.0, 0.5], (1, 3)), normalize=True)
    assert near == pytest.approx(hard, abs=2 * pull + 1e-14)


def test_hard_case_is_left_when_the_rest_is_too_long():
    task = data(np.diag([1.0, 1.2]), [0.0, 5.0], (1, 2))
    assert least_train_loss(task, normalize=True) == pytest.approx((5 - 1.2) ** 2 / 2, rel=1e-12)


def test_no_target_at_all():
    assert least_train_loss(data(np.diag([2.0, 3.0]), [0.0, 0.0], (2, 1)), normalize=True) == pytest.approx(2.0)
    assert least_train_loss(data([[2.0, 0.0]], [0.0], (2, 1)), normalize=True) == 0.0


@pytest.mark.parametrize(
    ("cells", "targets", "expected"),
    [
        ([0, 4], [0.3, -0.4], 0.0),
        ([0, 4], [3.0, -4.0], (5 - 1) ** 2 / 2),
        ([0, 1, 2, 3, 4, 5], [0.1] * 6, (1 - np.sqrt(0.06)) ** 2 / 6),
    ],
)
def test_observed_cells_have_a_closed_form(cells, targets, expected):
    task = ArrayTask("completion", (2, 3), ObservedCells((2, 3), np.array(cells)), np.array(targets))
    dense = data(np.eye(6)[cells], targets, (2, 3))
    assert least_train_loss(task, normalize=True) == pytest.approx(expected, rel=1e-12, abs=1e-15)
    assert least_train_loss(dense, normalize=True) == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_large_tables_are_cheap():
    # A dense matrix of these measurements would hold 5.4e9 numbers.
    rng = np.random.default_rng(0)
    cells = rng.choice(90_000, size=60_000, replace=False)
    task = ArrayTask("completion", (300, 300), ObservedCells((300, 300), cells), rng.normal(size=60_000))
    norm = np.linalg.norm(task.targets)
    assert least_train_loss(task, normalize=True) == pytest.approx((norm - 1) ** 2 / 60_000, rel=1e-9)


@pytest.mark.parametrize("make", [sensing, completion])
@pytest.mark.parametrize("normalize", [True, False])
def test_synthetic_tasks_are_feasible(make, normalize):
    task = make(4, 3, 2, 9, seed=0)
    assert least_train_loss(task, normalize=normalize) <= 1e-20
    assert not infeasible(task, 1e-9, normalize=normalize)
    assert not infeasible(task, 0.0, normalize=normalize)


def test_fully_observed_unit_truth_is_feasible_at_zero():
    # Its norm is one but for rounding, which must not count as a proof.
    assert not any(infeasible(completion(5, 4, 1, 20, seed=seed), 0.0, normalize=True) for seed in range(20))
    longer = completion(5, 4, 1, 20, seed=0)
    longer = ArrayTask("data", longer.shape, longer.measurements, longer.targets * 1.001)
    assert infeasible(longer, 0.0, normalize=True)


def test_unnormalised_least_loss_is_the_residual():
    task = CASES["n > q"]
    _, residual, *_ = np.linalg.lstsq(task.measurements.dense(), task.targets, rcond=None)
    assert least_train_loss(task, normalize=False) == pytest.approx(residual[0] / 7, rel=1e-10)
    assert infeasible(task, 0.0, normalize=False)


def test_infeasible_on_either_side_of_the_least_loss():
    task = CASES["far outside"]
    least = least_train_loss(task, normalize=True)
    assert infeasible(task, least * 0.999, normalize=True)
    assert not infeasible(task, least * 1.001, normalize=True)
    assert infeasible(task, 0.0, normalize=True)
    assert not infeasible(task, 0.0, normalize=False)


TWICE = data([[1, 0, 0, 0], [1, 0, 0, 0]], [0.3, 0.5], (2, 2))
"""One cell measured twice: the least training loss is 0.01."""
SINGLE, DOUBLE = torch.float32, torch.float64


@pytest.mark.parametrize(
    ("eps", "dtype", "says"),
    [
        (0.01, SINGLE, r"eps is 0.01, within .* of the least .*, 0.01; float32 needs .*: raise eps\.$"),
        (0.01, DOUBLE, r"eps is 0.01, within .* of the least .*, 0.01; float64 needs .*: raise eps\.$"),
        (0.01 + 1e-10, SINGLE, r"raise eps, or compute in double precision \(`dtype=float64`\)\.$"),
        (0.01 + 1e-10, DOUBLE, None),
        (0.01 + 1e-7, SINGLE, None),
    ],
)
@pytest.mark.parametrize("method", ["rejection", "splitting"])
def test_a_threshold_that_losses_cannot_tell_from_the_least_one_is_refused(eps, dtype, says, method):
    model, name = MatrixFactorization(normalize=False), str(dtype).removeprefix("torch.")
    settings = {"eps": eps, "dtype": name, "method": method, "gd": False, "map": False, "draws": 2, "chains": 2}
    with contextlib.nullcontext() if says is None else pytest.raises(InputError, match=says):
        infer(model, TWICE, max_evaluations=10_000, **settings)


def test_tiny_thresholds_and_those_just_above_the_least_loss_on_the_sphere():
    whole = resolution(sensing(4, 4, 1, 8, seed=0), normalize=True)
    outside = random_task((2, 3), 4, 10.0, 0)
    sphere = resolution(outside, normalize=True)
    tiny = 1e-14 * sensing(4, 4, 1, 8, seed=0).zero_train_loss
    assert whole.least == 0.0 < sphere.least == least_train_loss(outside, normalize=True)
    for each, eps in ((whole, tiny), (sphere, sphere.least * (1 + 1e-7))):
        with pytest.raises(InputError, match="double precision"):
            each.check(eps, SINGLE)
        each.check(eps, DOUBLE)
    whole.check(200 * tiny, SINGLE)
    sphere.check(sphere.least * (1 + 1e-4), SINGLE)


@pytest.mark.parametrize(("part", "right"), [(1.0, True), (0.02, False)])
def test_what_fits_is_right_from_the_resolution_on_and_wrong_far_below_it(part, right):
    """The fits are the cells with (w − 0.4)² < ε − 0.01: half of an interval of twice their width."""
    found = resolution(TWICE, normalize=False)
    above = part * found.step(SINGLE)
    cells = 0.4 + 2 * math.sqrt(above) * torch.linspace(-1, 1, 100_001, dtype=DOUBLE)
    arrays = torch.zeros(4, len(cells))
    arrays[0] = cells
    share = float((TWICE.train_loss(arrays) < found.least + above).float().mean())
    # The error of the log volume that a converged run may have.
    assert (abs(math.log(share / 0.5)) < 0.15) == right


def test_a_share_of_a_zero_loss_is_refused():
    nothing = data(np.eye(4)[:2], [0, 0], (2, 2))
    for eps in ("5%", "evidence"):
        with pytest.raises(InputError, match=rf"eps is '{eps}', .* every target is 0; give a training loss above 0"):
            infer(MatrixFactorization(normalize=False), nothing, eps=eps)
