"""Both kinds of measurements are linear maps with the right transpose, rank and complement."""

from __future__ import annotations

import pickle
import tracemalloc

import numpy as np
import pytest
import torch

from bayesgc.task import ArrayTask, DenseMeasurements, Measurements, ObservedCells
from bayesgc.validate import InputError

SHAPE = (2, 3, 4)


def dense(count: int = 7) -> DenseMeasurements:
    return DenseMeasurements(SHAPE, np.random.default_rng(0).standard_normal((count, 24)))


def cells(count: int = 7) -> ObservedCells:
    return ObservedCells(SHAPE, np.random.default_rng(1).permutation(24)[:count])


@pytest.fixture(params=[dense, cells])
def measurements(request: pytest.FixtureRequest) -> Measurements:
    return request.param()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_apply_and_adjoint_are_the_matrix_and_its_transpose(measurements: Measurements, dtype: torch.dtype) -> None:
    vectors = torch.randn(24, 5, dtype=dtype, generator=torch.Generator().manual_seed(0))
    matrix = torch.tensor(measurements.dense(), dtype=dtype)
    residual = measurements.apply(vectors)
    assert residual.dtype == dtype
    torch.testing.assert_close(residual, matrix @ vectors)
    torch.testing.assert_close(measurements.adjoint(residual), matrix.T @ residual)


def test_complement_is_an_orthonormal_basis_of_what_is_not_measured(measurements: Measurements) -> None:
    basis = measurements.complement.dense()
    assert measurements.rank == 7
    assert basis.shape == (17, 24)
    np.testing.assert_allclose(basis @ basis.T, np.eye(17), atol=1e-13)
    np.testing.assert_allclose(basis @ measurements.dense().T, 0.0, atol=1e-13)


@pytest.mark.parametrize("full", [dense(24), cells(24)])
def test_nothing_is_held_out_of_a_full_set(full: Measurements) -> None:
    assert full.rank == 24
    assert full.complement.count == 0
    assert full.complement.apply(torch.zeros(24, 3)).shape == (0, 3)
    assert full.complement.complement.count == 24


def test_many_measurements_of_few_entries_never_become_a_square() -> None:
    few = DenseMeasurements((2, 2), np.random.default_rng(3).standard_normal((2000, 4)))
    tracemalloc.start()
    rank, left = few.rank, few.decomposition.left
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (rank, left.shape, few.complement.count) == (4, (2000, 4), 0)
    # A left basis of 2000 vectors would be 32 MB.
    assert peak < 2e6


def test_dependent_measurements_count_once() -> None:
    matrix = dense(5).matrix
    repeated = DenseMeasurements(SHAPE, np.vstack([matrix, matrix[0], matrix[1] - 3.0 * matrix[2]]))
    assert (repeated.count, repeated.rank, repeated.complement.count) == (7, 5, 19)


def test_dependence_is_judged_at_the_precision_of_the_rows() -> None:
    matrix = dense(5).matrix
    stored = np.vstack([matrix, matrix[0] + matrix[1]]).astype(np.float32).astype(np.float64)
    assert DenseMeasurements(SHAPE, stored, float(np.finfo(np.float32).eps)).rank == 5
    # Taken at face value in float64, rounding to float32 makes the sixth row look independent.
    assert DenseMeasurements(SHAPE, stored).rank == 6


def test_unobserved_cells_are_the_others_in_order() -> None:
    observed = ObservedCells((2, 3), np.array([4, 0, 3]))
    assert observed.complement.cells.tolist() == [1, 2, 5]
    vectors = torch.arange(6.0)[:, None]
    assert observed.apply(vectors)[:, 0].tolist() == [4.0, 0.0, 3.0]


def test_many_cells_never_become_a_matrix() -> None:
    shape, count = (400, 100), 24_000
    observed = ObservedCells(shape, np.random.default_rng(0).permutation(40_000)[:count])
    tracemalloc.start()
    task = ArrayTask("data", shape, observed, np.ones(count), np.ones(shape))
    vectors = torch.ones(40_000, 2)
    losses = task.train_loss(vectors), task.gen_loss(vectors), task.measurements.adjoint(torch.ones(count, 2))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [float(loss.sum()) for loss in losses] == [0.0, 0.0, 2.0 * count]
    # Arrays of numpy count here; one n by q matrix would be 7.7 GB.
    assert peak < 20e6


def test_a_pickled_copy_measures_alike_and_leaves_tensors_behind(measurements: Measurements) -> None:
    vectors = torch.randn(24, 3, generator=torch.Generator().manual_seed(2))
    before = len(pickle.dumps(measurements))
    expected = measurements.apply(vectors)
    assert torch.equal(pickle.loads(pickle.dumps(measurements)).apply(vectors), expected)
    # The array itself is in the pickle once more at most; the copies on devices are not.
    assert len(pickle.dumps(measurements)) < before + 500


def test_copies_are_made_once_for_each_dtype(measurements: Measurements) -> None:
    vectors = torch.zeros(24, 1)
    copy = measurements._copies.like(vectors)
    assert measurements._copies.like(vectors) is copy
    assert measurements._copies.like(vectors.double()).dtype != torch.float32


def test_cells_outside_the_array_or_repeated_are_refused() -> None:
    with pytest.raises(InputError, match="cell 6 is outside an array of 6 entries"):
        ObservedCells((2, 3), np.array([0, 6]))
    with pytest.raises(InputError, match="repeat"):
        ObservedCells((2, 3), np.array([1, 1]))


def test_rows_of_another_length_are_refused() -> None:
    with pytest.raises(InputError, match=r"5 entries each; shape \(2, 3\) has 6"):
        DenseMeasurements((2, 3), np.ones((1, 5)))
