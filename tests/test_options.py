"""The declared options: types, what is given and what is open, and the objects that they stand for."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

import bayesgc as gc
from bayesgc.options import About, Options
from bayesgc.options.names import shipped
from bayesgc.validate import real_in


def test_without_options_the_papers_depth_experiment():
    options = Options.checked({})
    task = options.make_task()
    assert (task.kind, task.shape, task.measurements.count) == ("sensing", (5, 5), 15)
    assert options.make_model(task) == gc.MatrixFactorization()
    assert options.settings() == {
        "gd": gc.GradientDescent(),
        "eps": 0.0035,
        "method": "auto",
        "map": None,
        "seed": 0,
        "chains": None,
        "draws": None,
        "precision": None,
        "max_seconds": 600.0,
        "max_evaluations": None,
        "device": "auto",
        "dtype": "float32",
    }


def test_every_option_reaches_the_object_it_belongs_to():
    given = {"task": "completion", "rows": 6, "cols": 8, "rank": 2, "measurements": 20, "task_seed": 3, "depth": 3}
    given |= {"activation": "tanh", "prior": "uniform", "scaling": "fan-in", "normalize": False, "eps": "5%"}
    given |= {"gd_optimizer": "momentum", "gd_lr": 0.1, "gd_momentum": 0.8, "gd_steps": 10, "gd_init_scale": 0.5}
    given |= {"gd_tol": 0.1, "restarts": 3}
    options = Options.checked(given)
    task = options.make_task()
    same = gc.completion(6, 8, 2, 20, 3)
    assert (task.targets == same.targets).all()
    assert options.make_model(task) == gc.MatrixFactorization(3, 6, "tanh", "uniform", "fan-in", False)
    assert options.make_descent() == gc.GradientDescent("momentum", 0.1, 0.8, 10, "small", 0.5, 0.1, 3)
    assert options.settings()["eps"] == "5%"
    assert options.given == set(given)


def test_a_shape_makes_a_tensor_and_chooses_a_family_for_it():
    options = Options.checked({"shape": "3x4x5", "rank": 2, "measurements": 20, "task_seed": 3, "depth": 3})
    task = options.make_task()
    same = gc.sensing(shape=(3, 4, 5), rank=2, measurements=20, seed=3)
    assert (task.targets == same.targets).all()
    # As wide as any tensor of this shape can need: all sides but the longest.
    assert options.make_model(task) == gc.CPFactorization(3, 12)
    train = Options.checked({"shape": "3x4x5", "family": "tensor-train", "width": 2})
    assert train.make_model(task) == gc.TensorTrain(2, 2)
    flat = Options.checked({"shape": "6x8"})
    assert flat.make_model(flat.make_task()) == gc.MatrixFactorization(width=6)
    assert (flat.make_task().targets == gc.sensing(6, 8).targets).all()


def test_a_matrix_model_of_a_tensor_is_refused():
    options = Options.checked({"shape": "3x4x5", "family": "matrix"})
    with pytest.raises(gc.InputError, match=r"--family matrix is for matrices; the task has the shape \(3, 4, 5\)"):
        options.make_model(options.make_task())


def test_data_brings_its_own_task(tmp_path: Path):
    file = tmp_path / "table.csv"
    file.write_text("a,b\n1,2\n3,\n2,5\n", encoding="utf-8")
    options = Options.checked({"data": str(file)})
    task = options.make_task()
    assert task.shape == (3, 2)
    assert options.make_model(task) == gc.MatrixFactorization(width=2, normalize=False)
    assert options.settings(task)["eps"] is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"dept": 2}, "there is no option 'dept'; did you mean depth"),
        ({"zzz": 2}, "choose one of model, family, depth, width"),
        ({"depth": "2"}, "depth is '2'; it must be a whole number"),
        ({"depth": 2.0}, "depth is 2.0; it must be a whole number: write 2"),
        ({"depth": True}, "depth is True; it must be a whole number"),
        ({"activation": 3}, "activation is 3; it must be a text"),
        ({"normalize": "yes"}, "normalize is 'yes'; it must be true or false"),
        ({"eps": [1]}, r"eps is \[1\]; it must be"),
        ({"gd": False, "restarts": 32}, "--restarts is for gradient descent"),
        ({"task_seed": -1}, "task-seed is -1"),
        ({"shape": "4x4x4", "rows": 4}, "--rows is for a matrix; --shape is '4x4x4'"),
        ({"data": "a.npz", "shape": "4x4x4"}, "--shape describes a synthetic task"),
    ],
)
def test_a_wrong_option_is_named(given, said):
    with pytest.raises(gc.InputError, match=said):
        Options.checked(given)


def test_a_program_has_no_small_start(tmp_path: Path):
    file = tmp_path / "mine.py"
    file.write_text("import bayesgc\n\ndef f(): pass\n\nfactors = bayesgc.MatrixFactorization()\n", encoding="utf-8")
    task = gc.sensing()
    for given in ({"gd_init": "small"}, {"gd_init_scale": 0.1}):
        with pytest.raises(gc.InputError, match=f"--{next(iter(given)).replace('_', '-')} is for a factorisation"):
            Options.checked({"model": f"{file}:f", **given}).make_model(task)
        Options.checked({"model": f"{file}:factors", **given}).make_model(task)
    Options.checked({"model": f"{file}:f", "gd_init": "prior"}).make_model(task)


def test_a_scaling_is_for_priors_that_take_a_scale(tmp_path: Path):
    file = tmp_path / "mine.py"
    law = "dist.Normal(0.0, 1.0).expand([rows, cols])"
    file.write_text(f"import pyro.distributions as dist\n\ndef f(rows, cols):\n    return {law}\n", encoding="utf-8")
    task = gc.sensing()
    for prior in (f"{file}:f", f"{file}:f,..."):
        Options.checked({"prior": prior}).make_model(task)
        with pytest.raises(gc.InputError, match="--scaling is for priors that take a scale; --prior .*mine.py:f"):
            Options.checked({"prior": prior, "scaling": "fan-in"}).make_model(task)
    Options.checked({"prior": f"gaussian,{file}:f", "scaling": "fan-in"}).make_model(task)


def test_every_option_says_what_it_is():
    for name, field in Options.model_fields.items():
        assert [each.help for each in field.metadata if isinstance(each, About)], name


def test_labelled_examples_have_options_of_their_own():
    given = {"task": "two-moons", "train": 6, "test": "10%", "classes": "0,1", "balanced": True, "task_seed": 3}
    options = Options.checked(given | {"fit": "margin", "standardize": True, "width": "4,3", "bias": True, "eps": 0.5})
    task = options.make_task()
    same = gc.two_moons(train=6, test=0.1, balanced=True, seed=3, fit="margin", standardize=True)
    assert (task.inputs.train == same.inputs.train).all()
    assert (task.inputs.count, task.tested, task.facts["fit"]) == (6, 500, "margin")
    assert "preparation" in task.facts
    assert options.make_model(task) == gc.MLP((4, 3), bias=True)
    assert options.settings(task)["gd"] == gc.SGD()
    plain = Options.checked({"task": "two-moons"})
    assert plain.make_model(plain.make_task()) == gc.MLP((20, 10, 5), "relu")
    for settings in (plain.settings(plain.make_task()), plain.settings()):
        assert (settings["eps"], settings["gd"]) == (None, gc.SGD())
    assert "preparation" not in plain.make_task().facts


def test_a_teacher_is_drawn_from_the_models_prior_unless_it_has_widths_of_its_own():
    own = Options.checked({"task": "teacher", "features": 4, "width": 6, "activation": "tanh"}).make_task()
    same = gc.teacher(network=gc.MLP((6,), "tanh"), features=4)
    assert (own.labels == same.labels).all()
    assert own.description == same.description
    wide = Options.checked({"task": "teacher", "width": 6, "teacher_width": "9,9"}).make_task()
    assert "width [9, 9]" in wide.description["network"]


def test_a_table_with_a_target_is_labelled_examples(tmp_path: Path):
    file = tmp_path / "table.csv"
    file.write_text("a,b\n" + "1,x\n2,y\n" * 6, encoding="utf-8")
    task = Options.checked({"data": str(file), "target": "b", "train": 6, "task_seed": 1}).make_task()
    assert (task.kind, task.classes, task.inputs.count, task.tested) == ("classification", ("x", "y"), 6, 6)


HELD = """
import json
from bayesgc.inference import INITIALIZATIONS, METHODS, OPTIMIZERS
from bayesgc.inference.descent.protocols import PROTOCOLS
from bayesgc.inference.descent.sgd import STARTS
from bayesgc.inference.device import DTYPES
from bayesgc.models import ACTIVATIONS, FAMILIES, NETWORKS, NORMALIZATIONS, PRIORS, SCALINGS
from bayesgc.task import DATASETS, FITS, TASKS
from bayesgc.task.array.sheets import TABLES

held = {"task": TASKS, "set": DATASETS, "fit": FITS, "method": METHODS, "family": FAMILIES, "network": NETWORKS}
held |= {"activation": ACTIVATIONS, "prior": PRIORS, "scaling": SCALINGS, "normalize_weights": NORMALIZATIONS}
held |= {"gd_optimizer": OPTIMIZERS, "gd_init": {**INITIALIZATIONS, **STARTS}, "gd_protocol": PROTOCOLS}
print(json.dumps({kind: sorted(names) for kind, names in (held | {"dtype": DTYPES, "table": TABLES}).items()}))
"""


def test_the_names_that_are_known_beforehand_are_those_of_the_registries():
    # In a process of its own: other tests register names.
    held = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=True)
    assert json.loads(held.stdout) == {kind: sorted(names) for kind, names in shipped().items()}


def test_a_number_without_bounds_is_refused_without_any():
    with pytest.raises(gc.InputError, match=r"^mean is 'x'; it must be a finite number\.$"):
        real_in("mean", "x", -math.inf)
    with pytest.raises(gc.InputError, match=r"^mean is 2; it must be a finite number at most 1\.$"):
        real_in("mean", 2, -math.inf, 1)
