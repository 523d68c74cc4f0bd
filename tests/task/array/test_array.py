"""The losses of a task: their definitions, what they are when something is unknown, and their precision."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bayesgc.task import ArrayTask, DenseMeasurements, ObservedCells, Units, completion, sensing
from bayesgc.validate import InputError

TASKS = [sensing(4, 6, 2, seed=3), completion(6, 4, 2, seed=3), sensing(1, 7), completion(5, 5)]


def draws(task: ArrayTask, count: int = 6, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    entries = task.measurements.entries
    return torch.randn(entries, count, dtype=dtype, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("task", TASKS)
def test_losses_follow_their_definitions(task: ArrayTask) -> None:
    vectors = draws(task)
    arrays = vectors.T.reshape(-1, *task.shape).numpy()
    stack = task.measurements.dense().reshape(-1, *task.shape)
    basis = task.held_out.dense().reshape(-1, *task.shape)
    train = np.mean((np.einsum("nij,bij->bn", stack, arrays) - task.targets) ** 2, axis=1)
    gen = np.mean(np.einsum("nij,bij->bn", basis, arrays - task.truth) ** 2, axis=1)
    np.testing.assert_allclose(task.train_loss(vectors), train, rtol=1e-12)
    np.testing.assert_allclose(task.gen_loss(vectors), gen, rtol=1e-12)
    np.testing.assert_allclose(task.error(vectors), ((arrays - task.truth) ** 2).sum((1, 2)), rtol=1e-12)


@pytest.mark.parametrize("task", TASKS)
def test_reference_losses_are_those_of_the_zero_and_the_true_matrix(task: ArrayTask) -> None:
    zero = torch.zeros(task.measurements.entries, 1, dtype=torch.float64)
    assert task.zero_train_loss == pytest.approx(float(task.train_loss(zero)), rel=1e-12)
    assert task.zero_gen_loss == pytest.approx(float(task.gen_loss(zero)), rel=1e-12)
    truth = torch.tensor(task.truth.reshape(-1, 1))
    # Exact up to rounding of numbers below 1, squared.
    assert max(float(task.train_loss(truth)), float(task.gen_loss(truth)), float(task.error(truth))) < 1e-30


def test_observed_and_held_out_parts_add_up_to_the_error() -> None:
    task = completion(4, 6, 2, seed=1)
    vectors = draws(task)
    parts = task.measurements.count * task.train_loss(vectors) + task.held_out.count * task.gen_loss(vectors)
    torch.testing.assert_close(parts, task.error(vectors))


@pytest.mark.parametrize("task", TASKS)
def test_the_adjoint_gives_the_gradient_of_the_training_loss(task: ArrayTask) -> None:
    vectors = draws(task).requires_grad_()
    task.train_loss(vectors).sum().backward()
    residual = task.measurements.apply(vectors.detach()) - torch.tensor(task.targets)[:, None]
    torch.testing.assert_close(vectors.grad, task.measurements.adjoint(residual) * (2.0 / task.measurements.count))


def test_small_losses_keep_their_digits_in_single_precision() -> None:
    task = sensing(5, 5, seed=2)
    truth = torch.tensor(task.truth.reshape(-1, 1))
    vectors = (truth + 3e-4 * draws(task, 200)).float()
    exact = task.train_loss(vectors.double())
    assert 1e-8 < float(exact.mean()) < 1e-6
    # Residuals of 3e-4 carry rounding errors of numbers near 0.2, some 1e-8 each and 15 to a mean: about 1e-4.
    torch.testing.assert_close(task.train_loss(vectors).double(), exact, rtol=5e-4, atol=0.0)
    # Control: the square multiplied out, a difference of numbers near 0.04, loses these digits.
    matrix, targets = torch.tensor(task.measurements.dense()).float(), torch.tensor(task.targets).float()
    outputs = matrix @ vectors
    expanded = (outputs.square() - 2 * targets[:, None] * outputs + targets.square()[:, None]).mean(0)
    assert float((expanded.double() / exact - 1).abs().median()) > 5e-3


def test_generalisation_is_none_where_the_truth_is_unknown() -> None:
    task = replace(sensing(), truth=None)
    vectors = draws(task)
    assert (task.gen_loss(vectors), task.error(vectors), task.zero_gen_loss) == (None, None, None)
    assert task.held_out_targets is None
    assert task.train_loss(vectors).shape == (6,)


@pytest.mark.parametrize("make", [sensing, completion])
def test_generalisation_is_none_where_nothing_is_held_out(make: type) -> None:
    task = make(3, 4, measurements=12)
    vectors = draws(task)
    assert task.held_out.count == 0
    assert (task.gen_loss(vectors), task.zero_gen_loss, task.held_out_targets) == (None, None, None)
    assert task.error(vectors).shape == (6,)


def test_arrays_of_any_order() -> None:
    generator = np.random.default_rng(0)
    truth = generator.standard_normal((2, 3, 4))
    matrix = generator.standard_normal((9, 24))
    measurements = DenseMeasurements((2, 3, 4), matrix)
    task = ArrayTask("data", (2, 3, 4), measurements, matrix @ truth.ravel(), truth, dims=("a", "b", "c"))
    vectors = draws(task, 2)
    assert task.gen_loss(vectors).shape == (2,)
    assert task.held_out.count == 15


def test_unobserved_cells_are_known_only_where_single_cells_are_measured() -> None:
    task = completion(3, 4, seed=5)
    assert task.observed_cells
    assert sorted([*task.unobserved_cells, *task.measurements.cells]) == list(range(12))
    assert not sensing().observed_cells
    assert sensing().unobserved_cells is None


def test_units_go_there_and_back() -> None:
    units = Units(center=np.array([1.0, -2.0]), scale=np.array([3.0, 0.5]))
    table = np.random.default_rng(0).standard_normal((2, 4, 2))
    np.testing.assert_allclose(units.to_units(np.zeros((4, 2))), np.tile([1.0, -2.0], (4, 1)))
    np.testing.assert_allclose(units.from_units(units.to_units(table)), table)


@pytest.mark.parametrize(
    ("center", "scale", "kept"),
    [(1.0, 3.0, "float32"), (-9.0, 1.0, "float32"), (1.7e12, 5e4, "float64"), (0.0, 1e35, "float64")],
)
def test_units_keep_the_precision_of_draws_where_it_is_enough(center: float, scale: float, kept: str) -> None:
    """Single precision rounds by 6e-8 of the largest number, which must be nothing beside the scale of the column."""
    task = replace(completion(3, 4, seed=5), units=Units(center=np.full((1, 4), center), scale=np.full((1, 4), scale)))
    draws = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    found = task.in_units(draws)
    assert found.dtype == kept
    np.testing.assert_allclose((found.astype(np.float64) - center) / scale, draws, atol=1e-6)
    assert task.in_units(draws.astype(np.float64)).dtype == np.float64
    far = np.full((1, 3, 4), [[[-1e3, -7.0, 7.0, 1e3]]], np.float32)
    back = (task.in_units(far).astype(np.float64) - center) / scale
    np.testing.assert_allclose(back, far, rtol=2.5 * 2**-24)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "sens"}, "kind is 'sens'; choose one of sensing, completion, data"),
        ({"shape": (6, 4)}, r"measurements are of shape \(4, 6\); the task's is \(6, 4\)"),
        ({"targets": np.zeros(3)}, "3 targets for 14 measurements"),
        ({"truth": np.zeros((6, 4))}, r"truth is of shape \(6, 4\)"),
        ({"dims": ("row",)}, "must name the 2 axes"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(sensing(4, 6), **change)


@pytest.mark.gpu
@pytest.mark.parametrize("task", TASKS)
def test_losses_agree_on_an_accelerator(task: ArrayTask) -> None:
    vectors = draws(task, dtype=torch.float32)
    device = torch.accelerator.current_accelerator()
    for loss in (task.train_loss, task.gen_loss, task.error):
        on_device = loss(vectors.to(device))
        assert on_device.device.type == device.type
        torch.testing.assert_close(on_device.cpu(), loss(vectors))


def test_single_cells_stay_in_the_order_of_their_targets() -> None:
    task = ArrayTask("data", (2, 2), ObservedCells((2, 2), np.array([3, 0])), np.array([30.0, 0.0]))
    vectors = torch.tensor([[0.0], [5.0], [6.0], [30.0]])
    assert float(task.train_loss(vectors)) == 0.0
