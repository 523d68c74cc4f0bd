"""Numbers that no task can be made of, or that a precision cannot hold: one line each, from files and from Python."""

from __future__ import annotations

import numpy as np
import pytest

import bayesgc as gc
from bayesgc.analysis.tree.summary import result_object
from bayesgc.task import ArrayTask, DenseMeasurements, ObservedCells, load
from bayesgc.validate import InputError

pytestmark = pytest.mark.usefixtures("unchecked")

RNG = np.random.default_rng(0)
A, Y = RNG.normal(size=(3, 6)), RNG.normal(size=3)


def task(matrix=A, targets=Y, truth=None):
    return ArrayTask("data", (2, 3), DenseMeasurements((2, 3), matrix), targets, truth)


def infer(made, **kept):
    return gc.infer(gc.MatrixFactorization(normalize=False), made, method="rejection", gd=False, map=False, **kept)


@pytest.mark.parametrize("scale", [1e200, 1e-200, 5e-324])
def test_sizes_beyond_double_precision(scale):
    for name, arguments in {"A": {"matrix": A * scale}, "y": {"targets": Y * scale}}.items():
        with pytest.raises(InputError, match=rf"largest entry of {name} is .* it must be from 1e-75 to 1e\+75"):
            task(**arguments)
    with pytest.raises(InputError, match="largest entry of truth"):
        task(truth=np.full((2, 3), scale))


@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_sizes_beyond_single_precision(scale):
    for made in (task(A * scale), task(targets=Y * scale), task(truth=np.full((2, 3), scale))):
        with pytest.raises(InputError, match=r"1e-15 to 1e\+15, .* double precision \(`dtype=float64`\)"):
            infer(made, eps="50%")
    both = infer(task(A * scale, Y * scale), eps="50%", dtype="float64", draws=2, max_evaluations=8192)
    plain = infer(task(), eps="50%", dtype="float64", draws=2, max_evaluations=8192)
    # The same question in other units, with the same draws.
    assert both.attrs["log_volume"] == pytest.approx(plain.attrs["log_volume"], abs=1e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: task(A + 0j), "A is of type complex128; it must hold real numbers"),
        (lambda: task(targets=Y.astype(object)), "y is of type object; it must hold real numbers"),
        (lambda: task(targets=np.array(["a", "b", "c"])), "y is of type <U1"),
        (
            lambda: task(np.where(A.argmax() == np.arange(18).reshape(3, 6), np.inf, A)),
            r"A\[\d, \d\] is inf; every entry must be a finite number",
        ),
        (lambda: task(targets=[1.0, np.nan, 2.0]), r"y\[1\] is nan"),
        (lambda: task(truth=np.full((2, 3), np.nan)), r"truth\[0, 0\] is nan"),
        (lambda: task(targets=Y[:, None]), r"y has shape \(3, 1\); it must be \(3,\)"),
        (lambda: task(A[:0], Y[:0]), "There is no measurement"),
        (lambda: task(A.ravel()), r"of shape \(18,\); they must be \(n, 6\)"),
        (lambda: ObservedCells((2, 3), np.array([0.0, 1.0])), "observed cells are float64 .* whole numbers"),
    ],
)
def test_what_no_task_is_made_of(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_whole_numbers_truths_lists_and_half_precision_are_numbers():
    eye = np.eye(6)[:3] * 2
    for matrix in (eye.astype(int), eye.tolist(), eye.astype(np.float16)):
        made = task(matrix, [1, 0, 2])
        assert made.targets.dtype == made.measurements.dense().dtype == np.float64
        assert infer(made, eps="90%", draws=2, max_evaluations=8192).attrs["log_volume"] < 0
    assert ObservedCells((2, 3), [0, 4]).complement.count == 4


@pytest.mark.parametrize("given", [[[1.0, 2.0]], None, 3, {}, b"a.npz"])
def test_load_says_what_it_reads(given):
    with pytest.raises(InputError, match=f"load reads a file, and was given {type(given).__name__}: "):
        gc.load(given)


def test_a_table_in_units_whose_squares_are_beyond_double_precision(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("a,b\n1e200,2\n3,\n2e200,5\n,1\n")
    [cell, other] = result_object(infer(load(file), eps="50%", draws=20, chains=2))["unobserved"]
    assert 0 < cell["sd"] < 10
    assert 1e199 < other["sd"] < 1e201
