"""Reference points against closed forms and simulation."""

from __future__ import annotations

import numpy as np
import pytest

from bayesgc.task import ArrayTask, DenseMeasurements, ObservedCells, completion, sensing
from bayesgc.task.array.feasibility import least_train_loss
from bayesgc.task.array.references import reference_points, why_no_chance


def dependent_task():
    """A noiseless 3×4 task whose fifth measurement is a combination of the others."""
    rng = np.random.default_rng(5)
    truth = np.outer(rng.normal(size=3), rng.normal(size=4))
    truth /= np.linalg.norm(truth)
    matrix = rng.normal(size=(4, 12))
    matrix = np.concatenate([matrix, matrix[:1] + matrix[2:3]])
    return ArrayTask("data", (3, 4), DenseMeasurements((3, 4), matrix), matrix @ truth.ravel(), truth)


TASKS = {"sensing": sensing(3, 5, 1, 9, seed=1), "completion": completion(4, 3, 2, 7, seed=2), "data": dependent_task()}


def test_measurements_are_decomposed_once(monkeypatch):
    decomposed, svd = [], np.linalg.svd

    def counted(matrix, **options):
        decomposed.append(matrix.shape)
        return svd(matrix, **options)

    monkeypatch.setattr(np.linalg, "svd", counted)
    task = sensing(4, 5, 1, 13, seed=0)
    reference_points(task, normalize=True)
    # What they do not see, the best fits and the bound on the loss are all read from it.
    least_train_loss(task, normalize=True)
    assert decomposed.count((13, 20)) == 1


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())
def test_points_and_their_losses(task):
    points = reference_points(task, normalize=True)
    assert list(points) == ["zero", "least_squares", "nuclear_norm", "chance"]
    assert points["zero"].fit == pytest.approx(task.zero_train_loss)
    assert points["zero"].primary == pytest.approx(task.zero_gen_loss)
    expected = np.linalg.pinv(task.measurements.dense()) @ task.targets
    assert np.allclose(points["least_squares"].output, expected.reshape(task.shape), atol=1e-12)
    # The least-squares fit has no part off the measurements, so it predicts zero there.
    assert points["least_squares"].primary == pytest.approx(task.zero_gen_loss, rel=1e-10)
    for name in ("least_squares", "nuclear_norm"):
        assert points[name].output.shape == task.shape
        assert points[name].fit < 1e-20
    norms = {name: np.linalg.norm(points[name].output, "nuc") for name in ("least_squares", "nuclear_norm")}
    assert norms["nuclear_norm"] < norms["least_squares"]


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())
def test_chance_level_by_simulation(task):
    rng = np.random.default_rng(0)
    A = task.measurements.dense()
    point = np.linalg.pinv(A) @ task.targets
    kernel = np.linalg.svd(A)[2][np.linalg.matrix_rank(A) :]
    directions = rng.normal(size=(20_000, len(kernel)))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    draws = point + np.sqrt(1 - point @ point) * directions @ kernel
    losses = np.mean(((draws - task.truth.ravel()) @ kernel.T) ** 2, axis=1)
    chance = reference_points(task, normalize=True)["chance"]
    error = losses.std() / np.sqrt(len(losses))
    assert np.allclose(draws @ A.T, task.targets)
    assert abs(losses.mean() - chance.primary) < 4 * error
    # Negative control: the level of the unconditioned sphere is told apart.
    assert abs(losses.mean() - (1 / 12 + task.zero_gen_loss)) > 4 * error
    assert chance.fit == 0.0
    assert chance.output is None


def test_chance_level_of_noiseless_unit_truth():
    # 2ρ²/|B|: the truth itself has ‖b‖² = ρ².
    task = sensing(5, 5, 1, 15, seed=0)
    point = np.linalg.pinv(task.measurements.dense()) @ task.targets
    expected = 2 * (1 - point @ point) / 10
    assert reference_points(task, normalize=True)["chance"].primary == pytest.approx(expected, rel=1e-10)


def test_chance_is_absent_where_it_does_not_exist():
    task = TASKS["sensing"]
    too_long = ArrayTask("data", task.shape, task.measurements, task.targets * 10, task.truth)
    unknown = ArrayTask("data", task.shape, task.measurements, task.targets)
    determined = completion(3, 2, 1, 6, seed=0)
    dependent = TASKS["data"]
    inconsistent = ArrayTask(
        "data", (3, 4), dependent.measurements, dependent.targets + np.arange(5) / 10, dependent.truth
    )
    reasons = {
        "no array of norm 1 fits exactly": (too_long, inconsistent),
        "the truth is unknown": (unknown,),
        "nothing is held out": (determined,),
    }
    for reason, tasks in reasons.items():
        for each in tasks:
            assert "chance" not in reference_points(each, normalize=True)
            assert why_no_chance(each, normalize=True) == reason
    assert "chance" not in reference_points(task, normalize=False)
    assert why_no_chance(task, normalize=False) == "the model is not normalised"


def test_unknown_truth_leaves_training_losses():
    task = TASKS["completion"]
    points = reference_points(ArrayTask("data", task.shape, task.measurements, task.targets), normalize=False)
    assert all(point.primary is None for point in points.values())
    assert points["zero"].fit == pytest.approx(np.mean(task.targets**2))


def test_tensors_have_the_same_points():
    cells = ObservedCells((2, 3, 2), np.arange(0, 12, 2))
    task = ArrayTask("data", (2, 3, 2), cells, np.arange(6.0), np.ones((2, 3, 2)), dims=("a", "b", "c"))
    points = reference_points(task, normalize=False)
    assert list(points) == ["zero", "least_squares", "nuclear_norm"]
    assert points["nuclear_norm"].output.shape == (2, 3, 2)
    assert points["nuclear_norm"].fit < 1e-20
    assert points["least_squares"].output.shape == (2, 3, 2)
    assert points["least_squares"].primary == pytest.approx(1.0)


def test_inconclusive_nuclear_norm_warns(monkeypatch):
    monkeypatch.setattr("bayesgc.task.array.nuclear._STEPS", 1)
    monkeypatch.setattr("bayesgc.task.array.nuclear._WORK", 1)
    task = completion(30, 20, 5, 150, seed=0)
    with pytest.warns(RuntimeWarning, match="stopped after 100 steps"):
        reference_points(task, normalize=False)
