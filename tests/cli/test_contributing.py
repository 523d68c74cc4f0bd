"""A method and a kind of task from outside the package, as CONTRIBUTING shows them, in every command."""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import xarray as xr

import bayesgc as gc
from bayesgc import plugins
from bayesgc.analysis.tree.schema import schema
from bayesgc.correlated import ErrorRule
from bayesgc.inference import METHODS
from bayesgc.task import TASKS

SHOWN = dict(
    re.findall(
        r"```python\n(?=# (\w+)\.py\n)(.*?)```",
        (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8"),
        re.DOTALL,
    )
)
QUICK = ("--eps", 0.02, "--chains", 16, "--draws", 100)
OUTSIDE = ("--method", "walk.py:Walk:steps=5", "--task", "signs.py:signs:size=4")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The files that CONTRIBUTING shows, in a folder to be in; what they register is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for registry in (METHODS, TASKS):
        for name in ("walk", "signs"):
            monkeypatch.setitem(registry, name, None)
            monkeypatch.delitem(registry, name)
    for name, code in SHOWN.items():
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
    yield tmp_path
    for name in SHOWN:
        sys.modules.pop(name, None)


def test_each_is_one_file_of_under_forty_lines():
    assert set(SHOWN) == {"walk", "signs"}
    assert all(code.count("\n") < 40 for code in SHOWN.values())


def test_they_are_there_in_every_command(command):
    told = command("infer", *OUTSIDE, *QUICK, "--json", "--out", "walk.nc")
    assert (told.code, told.err) == (0, "bayesgc: saved in walk.nc\n")
    assert told.object["task"]["kind"] == "signs"
    assert told.object["method"] == "walk"
    assert told.object["measures"] == {"fit": "wrong_side", "generalisation": "sign_error"}
    assert told.object["posterior"]["wrong_side"]["mean"] < 0.02
    assert command("infer", *OUTSIDE[2:], *QUICK, "--method", "rejection", "--quiet", "--out", "other.nc").code == 0
    assert "sign error" in command("show", "walk.nc").out
    compared = json.loads(command("compare", "walk.nc", "other.nc", "--json").out)
    jsonschema.validate(compared, schema("comparison"))
    assert len(compared["differences"]) == 1
    checked = json.loads(command("diagnose", "walk.nc", "--json").out)
    assert [each["status"] for each in checked["checks"] if each["name"] == "independent chains"] == ["fine"]
    assert command("report", "walk.nc", "-o", "walk.html").code == 0
    assert "sign error" in Path("walk.html").read_text(encoding="utf-8")


def test_they_are_known_by_name_once_they_are_imported(command):
    __import__("walk"), __import__("signs")
    listed = json.loads(command("list", "--json").out)
    assert listed["method"]["walk"].endswith("Options: steps=10.")
    assert listed["task"]["signs"].endswith("Options: size=5, share=0.6.")
    found = command("infer", "--method", "walk", "--task", "signs", "--task-seed", 3, *QUICK, "--json").object
    assert (found["method"], found["outcome"]) == ("walk", "converged")


def test_an_installed_package_offers_them(command, monkeypatch):
    points = [EntryPoint("theirs", "walk:Walk", METHODS.group), EntryPoint("their-signs", "signs:signs", TASKS.group)]
    monkeypatch.setattr(plugins, "entry_points", lambda *, group: [each for each in points if each.group == group])
    found = command("infer", "--method", "theirs:steps=2", "--task", "their-signs:size=4", *QUICK, "--json").object
    assert (found["method"], found["task"]["kind"]) == ("walk", "signs")
    assert "theirs" in json.loads(command("list", "--json").out)["method"]


def test_a_sweep_takes_them(command, folder):
    lines = ["title = 'Both'", "question = 'Do they agree?'", "[options]", "task = 'signs.py:signs:size=4'"]
    lines += ["eps = 0.05", "chains = 8", "draws = 20", "gd = false"]
    lines += ["[axes]", "method = ['walk.py:Walk:steps=2', 'rejection']"]
    (folder / "grid.toml").write_text("\n".join(lines), encoding="utf-8")
    assert command("sweep", "grid.toml", "--out", "store", "--quiet", "--workers", 1).code == 0
    data = xr.open_dataset(folder / "store" / "sweep.nc")
    assert np.isfinite(data["posterior_sign_error"]).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--method", "walk.py:Walk:pace=2"), "option of method 'walk.py:Walk:pace=2' is 'pace'; choose one of steps"),
        (("--method", "signs.py:signs"), "it must be a subclass of bayesgc.Method"),
        (("--method", "walk.py:Walk:steps=1.5"), "method 'walk' failed with"),
        (("--task", "signs.py:signs:size=4", "--rank", 2), "--rank is not an option of this task"),
        (("--task", "sensing:rows=4", "--rows", 3), "and --rows is given too; give it once"),
        (("--task", "walk.py:Method"), "it must be a function that makes a bayesgc.Task"),
        (("--task", "signs.py:sensing", "--fit", "errors"), "--fit is for labelled examples"),
        (("--task", "nowhere"), "choose one of sensing, completion"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(command, arguments, words):
    ended = command("infer", *arguments, *QUICK, "--no-gd")
    assert ended.code == 2
    assert words in ended.err
    begun = "failed with" in words  # which was said before
    assert ended.err.count("\n") == 1 + begun


def test_the_walk_is_the_law_that_rejection_draws_and_its_rule_of_error_is_needed():
    walk = plugins.load("method", "walk.py:Walk")
    task = plugins.load("task", "signs.py:signs")(size=4)
    model = gc.MatrixFactorization(depth=2, width=4)
    options = {"eps": 0.02, "gd": False, "map": False, "seed": 1}
    walked = gc.infer(model, task, method=walk(steps=3), chains=64, draws=100, **options)
    drawn = gc.infer(model, task, method="rejection", precision=0.02, **options)
    assert walked.attrs["errors"] == ErrorRule.REPLICATES
    one, other = (each["posterior"]["sign_error"].attrs for each in (walked, drawn))
    # Four standard errors of the difference.
    assert abs(one["mean"] - other["mean"]) < 4 * np.hypot(one["mcse"], other["mcse"])
    # The control: neighbours on a walk are alike, so as independent draws they would promise twice too much at least.
    assert one["mcse"] > 2 * one["sd"] / np.sqrt(6400)
    assert json.loads(walked.attrs["configuration"])["method"] == {"name": "walk", "steps": 3}
