"""``--width inf,inf``: from the command line to result, report, comparison and sweep, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from test_bad_labels import assert_refused

import bayesgc as gc
from bayesgc.experiments.forecast import seconds_of
from bayesgc.options import Options

QUICK = ("--method", "rejection", "--max-evaluations", 4096)


@pytest.fixture
def data(tmp_path) -> str:
    source = np.random.default_rng(0)
    train, test = source.normal(size=(8, 3)), source.normal(size=(20, 3))
    train[:, 0] = 2 * np.array([1, 1, 1, 1, -1, -1, -1, -1])
    labels, wanted = ((each[:, 0] > 0).astype(int) for each in (train, test))
    np.savez(tmp_path / "mine.npz", X=train, y=labels, X_test=test, y_test=wanted)
    return "mine.npz"


def test_a_result_says_what_it_is(command, data, tmp_path):
    given = ("infer", "--data", data, "--width", "inf,inf", "--bias", *QUICK, "--out", "wide.nc")
    found = command(*given, "--json").object
    assert found["model"] == {
        "family": "mlp", "width": ["inf", "inf"], "activation": "relu", "bias": True, "prior": "gaussian",
        "scaling": "fan-in",
    }  # fmt: skip
    assert (found["gd"], found["reasons"]["gd"]) == (None, "an infinitely wide network has no weights to train")
    assert found["certificate"]["bound"] < 1
    assert all(found[name] for name in ("ensemble", "calibration", "curve"))
    shown = " ".join(command("show", "wide.nc").out.split())
    assert "No gradient descent: an infinitely wide network has no weights to train" in shown
    narrow = ("--width", "4,4", *QUICK, "--no-gd", "--out", "narrow.nc")
    assert command("infer", "--data", data, *narrow).code in (0, 3)  # converged or not
    compared = command("compare", "wide.nc", "narrow.nc")
    assert (compared.code, "width inf" in compared.out) == (0, True)
    assert command("diagnose", "wide.nc").code in (0, 3)
    assert command("report", "wide.nc", "--out", "wide.html").code == 0
    assert "--width inf,inf" in (tmp_path / "wide.html").read_text(encoding="utf-8")


def test_a_sweep_goes_to_infinity(data, tmp_path):
    options = {
        "data": str(tmp_path / data), "method": "rejection", "max_evaluations": 4096, "gd_epochs": 200, "restarts": 4,
    }  # fmt: skip
    sweep = gc.Sweep(title="To infinity", options=options, axes={"width": ["4", "inf"]})
    assert all(seconds > 0 for seconds in seconds_of(sweep.cells()).values())
    cells = gc.run_sweep(sweep, tmp_path / "store", workers=1)
    assert cells["posterior_test_error"].notnull().all()
    assert cells["gd_test_error"].notnull().values.tolist() == [True, False]


def test_a_teacher_may_be_infinitely_wide(monkeypatch):
    """Its labels are those of a draw of the limit, from a smaller supply here."""
    monkeypatch.setattr("bayesgc.task.labelled.datasets._SUPPLY", 200)
    options = Options.checked({"task": "teacher", "width": "5", "teacher_width": "inf,inf", "features": 3, "train": 8})
    task = options.make_task()
    assert "'inf', 'inf'" in str(task.facts)
    assert options.make_model(task).width == (5,)
    own = Options.checked({"task": "teacher", "width": "inf", "features": 3, "train": 8})
    assert own.make_model(own.make_task()).layers == 1


@pytest.mark.parametrize(("options", "said"), [
    (["--width", "20,inf"], "--width is '20,inf'; all hidden layers are infinitely wide, as inf,inf, or none is"),
    (["--width", "inf,"], "--width is 'inf,'; all hidden layers are"),
    (["--width", "inf", "--family", "lenet"], "infinitely wide is an mlp, and --family is 'lenet'"),
    (["--width", "inf", "--prior", "uniform"], "prior is 'uniform'; an infinitely wide network has a kernel"),
    (["--width", "inf", "--scaling", "unit"], "scaling is 'unit', with which the outputs of an infinitely wide"),
    (["--width", "inf", "--weights"], "no weights that could be kept; leave --weights out"),
    (["--width", "inf", "--normalize-weights", "frobenius", "--fit", "margin", "--eps", 1], "there are none"),
    (["--width", "inf", "--method", "nuts"], "choose auto, splitting or rejection"),
    (["--width", "inf", "--method", "importance"], "choose auto, splitting or rejection"),
], ids=str)  # fmt: skip
def test_what_has_no_limit_is_refused(command, data, options, said):
    assert_refused(command("infer", "--data", data, "--max-evaluations", 2000, *options), said)


@pytest.mark.parametrize("family", [(), ("--family", "cp"), ("--family", "matrix")], ids=str)
def test_factorisations_are_not_infinitely_wide(command, family):
    ended = command("infer", "--width", "inf", "--no-gd", "--max-evaluations", 2000, *family)
    assert_refused(ended, "--width is 'inf'; infinitely wide is an mlp for labelled examples")


def test_a_number_that_is_infinite_is_asked_for_as_text():
    with pytest.raises(gc.InputError, match=r"\[axes\]: width is inf; write it as a text"):
        gc.Sweep(title="", options={"task": "digits"}, axes={"width": [5, float("inf")]}).cells()
