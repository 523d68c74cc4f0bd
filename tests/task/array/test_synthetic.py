"""Synthetic tasks: the right matrices, the right laws, reproducible from their seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from bayesgc.task import ArrayTask, completion, sensing
from bayesgc.validate import InputError

MAKERS = [sensing, completion]
Maker = Callable[..., ArrayTask]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(("rows", "cols", "rank"), [(5, 5, 1), (4, 6, 2), (6, 3, 3), (1, 1, 1), (1, 9, 1)])
def test_truth_has_its_rank_and_norm_one_and_is_measured_exactly(make: Maker, rows: int, cols: int, rank: int) -> None:
    task = make(rows, cols, rank, seed=7)
    assert task.shape == (rows, cols)
    assert task.measurements.count == round(0.6 * rows * cols)
    assert np.linalg.matrix_rank(task.truth) == rank
    assert np.linalg.norm(task.truth) == pytest.approx(1.0, abs=1e-14)
    np.testing.assert_allclose(task.targets, task.measurements.dense() @ task.truth.ravel(), atol=1e-14)
    np.testing.assert_allclose(np.linalg.norm(task.measurements.dense(), axis=1), 1.0, atol=1e-14)
    assert task.description == {"rank": rank, "seed": 7}


@pytest.mark.parametrize("make", MAKERS)
def test_a_seed_is_one_task_and_two_seeds_are_two(make: Maker) -> None:
    first, again = make(seed=11), make(seed=11)
    assert np.array_equal(first.truth, again.truth)
    assert np.array_equal(first.measurements.dense(), again.measurements.dense())
    # Seeds that agree in their lowest 32 bits are different seeds too.
    for other in (make(seed=12), make(seed=11 + 2**32)):
        assert not np.allclose(first.truth, other.truth)
        assert not np.array_equal(first.measurements.dense(), other.measurements.dense())


def test_truth_and_measurements_come_from_streams_of_their_own() -> None:
    assert np.array_equal(sensing(seed=4).truth, completion(seed=4).truth)
    few, many = sensing(measurements=9, seed=4), sensing(measurements=20, seed=4)
    assert np.array_equal(few.truth, many.truth)
    assert np.array_equal(few.measurements.dense(), many.measurements.dense()[:9])
    fewer, more = completion(measurements=9, seed=4), completion(measurements=20, seed=4)
    assert set(fewer.measurements.cells) < set(more.measurements.cells)


def stream(seed: int, number: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed, number]))


@pytest.mark.parametrize("named", [{"rows": 4, "cols": 6}, {"shape": (4, 6)}])
def test_the_bits_of_a_matrix_task_are_those_of_its_streams(named: dict) -> None:
    source = stream(3, 1)
    product = source.standard_normal((4, 2)) @ source.standard_normal((2, 6))
    matrix = stream(3, 2).standard_normal((14, 24))
    task = sensing(rank=2, seed=3, **named)
    assert np.array_equal(task.truth, product / np.linalg.norm(product))
    assert np.array_equal(task.measurements.dense(), matrix / np.linalg.norm(matrix, axis=1, keepdims=True))
    cells = completion(rank=2, seed=3, **named).measurements.cells
    assert np.array_equal(cells, np.sort(stream(3, 2).permutation(24)[:14]))


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(("shape", "rank"), [((3, 4, 5), 1), ((4, 4, 4), 2), ((2, 3, 2, 4), 2)])
def test_a_tensor_is_a_sum_of_outer_products_of_norm_one(make: Maker, shape: tuple[int, ...], rank: int) -> None:
    task = make(shape=shape, rank=rank, seed=7)
    assert task.shape == shape
    assert task.dims == tuple(f"mode{axis + 1}" for axis in range(len(shape)))
    assert task.unfolding == (shape[0], np.prod(shape[1:]))
    assert task.measurements.count == round(0.6 * np.prod(shape))
    assert np.linalg.norm(task.truth) == pytest.approx(1.0, abs=1e-14)
    np.testing.assert_allclose(task.targets, task.measurements.dense() @ task.truth.ravel(), atol=1e-14)
    # Every unfolding of a generic sum of as many outer products has that rank.
    for axis, side in enumerate(shape):
        unfolded = np.moveaxis(task.truth, axis, 0).reshape(side, -1)
        assert np.linalg.matrix_rank(unfolded) == rank
    source = stream(7, 1)
    vectors = [source.standard_normal((shape[0], rank)).T]
    vectors += [source.standard_normal((rank, side)) for side in shape[1:]]
    letters = "abcd"[: len(shape)]
    product = np.einsum(f"{','.join(f'r{letter}' for letter in letters)}->{letters}", *vectors)
    np.testing.assert_allclose(task.truth, product / np.linalg.norm(product), atol=1e-14)


def test_cells_are_sorted_and_distinct() -> None:
    cells = completion(7, 8, seed=0).measurements.cells
    assert np.all(np.diff(cells) > 0)


def uniformity(counts: np.ndarray, tasks: int, observed: int) -> float:
    """p-value of the counts of observed cells under uniform choice without replacement.

    Counts of cells correlate by -1/(q-1), so (q-1)/q Σ (O-E)²/(N p (1-p)) tends to χ² with q-1 degrees of freedom.
    """
    cells = counts.size
    share = observed / cells
    statistic = (cells - 1) / cells * np.sum((counts - tasks * share) ** 2) / (tasks * share * (1 - share))
    return float(stats.chi2.sf(statistic, cells - 1))


def test_observed_cells_are_uniform() -> None:
    tasks, observed = 1500, 5
    counts = sum(
        completion(3, 4, measurements=observed, seed=seed).measurements.dense().sum(0) for seed in range(tasks)
    )
    # One fixed set of seeds; a right sampler would fail at one set in a thousand.
    assert uniformity(counts, tasks, observed) > 1e-3
    # Control: cells that favour the first by a tenth are found out.
    skewed = np.random.default_rng(0)
    weights = np.r_[1.5, np.ones(11)] / 12.5
    control = sum(
        np.bincount(skewed.choice(12, observed, replace=False, p=weights), minlength=12) for _ in range(tasks)
    )
    assert uniformity(control, tasks, observed) < 1e-3


def test_targets_of_sensing_have_mean_square_one_over_the_entries() -> None:
    squares = np.array([sensing(4, 5, seed=seed).zero_train_loss for seed in range(400)])
    error = squares.std() / np.sqrt(squares.size)
    # A uniform direction against a fixed unit vector: E y² = 1/q; four standard errors.
    assert abs(squares.mean() - 1 / 20) < 4 * error
    # Control: measurements of another norm, by a tenth, would be seen.
    assert abs(1.1**2 * squares.mean() - 1 / 20) > 4 * error


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": 0}, "rows is 0; it must be a whole number at least 1"),
        ({"cols": -2}, "cols is -2"),
        ({"rows": 3, "cols": 4, "rank": 4}, "rank is 4; it must be a whole number from 1 to 3"),
        ({"rank": 0}, "rank is 0"),
        ({"rows": 3, "cols": 4, "measurements": 13}, "measurements is 13; it must be a whole number from 1 to 12"),
        ({"measurements": 0}, "measurements is 0"),
        ({"seed": -1}, "seed is -1; it must be a whole number at least 0"),
        ({"shape": (4, 4, 4), "rank": 17}, "rank is 17; it must be a whole number from 1 to 16"),
        ({"shape": (4, 4, 4), "rows": 4}, r"shape is \(4, 4, 4\), which takes the place of rows and cols"),
        ({"shape": (4,)}, r"shape is \(4,\); it must be two or more whole numbers"),
        ({"shape": (4, 0, 4)}, "side of shape is 0; it must be a whole number at least 1"),
    ],
)
def test_impossible_sizes_are_refused(make: Maker, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(**options)
