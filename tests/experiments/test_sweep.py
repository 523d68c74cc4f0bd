"""The grid of a sweep: its cells, its file, its keys, and what is refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small import OPTIONS, small_sweep

import bayesgc as gc
from bayesgc.experiments import Sweep
from bayesgc.experiments.checks import check_cells

FILE = """
title = "Width"
question = "Does width hurt?"

[options]
eps = 0.02
no-such = 1

[axes]
width = [5, 10]
task-seed = [0, 1, 2]

[[panel]]
name = "linear"

[[panel]]
name = "tanh, steady"
activation = "tanh"
gd-init-scale = 0.1
"""


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "sweep.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_file_is_a_grid(tmp_path):
    sweep = Sweep.load(written(tmp_path, FILE.replace("no-such = 1\n", "")))
    assert list(sweep.dimensions) == ["panel", "width", "task_seed"]
    cells = sweep.cells()
    assert len(cells) == 2 * 2 * 3
    last = cells[-1]
    assert last.place == {"panel": "tanh, steady", "width": 10, "task_seed": 2}
    chosen = last.options
    assert (chosen.activation, chosen.width, chosen.task_seed, chosen.eps) == ("tanh", 10, 2, 0.02)
    assert chosen.gd_init_scale == 0.1
    assert (chosen.draws, chosen.max_evaluations, chosen.restarts) == (25, 200_000_000, 4)
    assert cells[0].options.gd_init_scale is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (FILE, "there is no option 'no_such'"),
        (FILE.replace("no-such = 1", "depth = '3'"), "[options]: depth is '3'; it must be a whole number."),
        (
            FILE.replace("no-such = 1", "max-evaluations = 3e6"),
            "[options]: max_evaluations is 3000000.0; it must be a whole number: write 3000000.",
        ),
        (FILE.replace("no-such = 1", "width = 3"), "width is an axis and an option too"),
        (FILE.replace("no-such = 1", "depth = 0"), "depth is 0"),
        (FILE.replace("no-such = 1", "activation = 'sigmoid'"), "activation is 'sigmoid'"),
        (FILE.replace("no-such = 1", "method = 'gibbs'"), "method is 'gibbs'"),
        (FILE.replace("no-such = 1", "gd = false"), "--gd-init-scale is for gradient descent"),
        (FILE.replace("no-such = 1", "data = 'missing.npz'"), "missing.npz"),
        (FILE.replace("no-such = 1", "eps = 0"), "TOML"),
        (FILE.replace("no-such = 1\n", "").replace("eps = 0.02", "eps = 0"), "eps is 0"),
        (FILE.replace("[5, 10]", "[]"), "axes.width is empty"),
        (FILE.replace("[5, 10]", "[5, 5]"), "each value may be there once"),
        (FILE.replace("[5, 10]", "5"), "axes.width is 5; it must be a list, as [2, 3]"),
        (FILE.replace("no-such = 1\n", "").replace("width = [", "wdth = ["), "'wdth'; did you mean width"),
        (FILE.replace("no-such = 1\n", "").replace('activation = "tanh"', "width = 3"), "panel 'tanh, steady' sets it"),
        (FILE.replace("no-such = 1\n", "").replace('name = "tanh, steady"', ""), "panel.name is None"),
        (FILE.replace("no-such = 1\n", "").replace("tanh, steady", "linear"), "panel.name is 'linear'"),
        (FILE.replace('title = "Width"', ""), "title is missing"),
        (FILE.replace('title = "Width"', 'titel = "Width"'), "there is no key 'titel'; did you mean title?"),
        (FILE.replace("[axes]", "[axis]"), "there is no key 'axis'; did you mean [axes]?"),
        ("title = 3\n[axes]\ndepth = [2]", "title is 3; it must be a text"),
        ("title = 'x'\nextra = 3\n[axes]\ndepth = [2]", "there is no key 'extra'."),
        ("title = 'x'\n[axis]\ndepth = [2]", "there is no key 'axis'; did you mean [axes]?"),
        ("titel = 'x'\n[axes]\ndepth = [2]", "there is no key 'titel'; did you mean title?"),
        ("title = 'x'\nepsilon = 1\ngd-lr = 1\n[axes]\ndepth = [2]", "there is no key 'epsilon'."),
        ("title = 'x'\ngd-lr = 1\n[axes]\ndepth = [2]", "gd-lr is an option; write it below [options]"),
        (
            "title = 'x'\n[options]\nepsilon = 1\n[axes]\ndepth = [2]",
            "[options]: there is no option 'epsilon'; did you mean eps?",
        ),
        ("title = 'x'\n[axes]\nlearning-rate = [2]", "[axes]: there is no option 'learning_rate'; did you mean gd_lr?"),
        ("title = 'x'\n[axes]\ndepth = [2]\n[[panel]]\nname = 'p'\ndepht = 3", "panel 'p': there is no option 'depht'"),
        ("title = 'x'\n[axes]\ndepth = [2]\n[panel]\nname = 'p'", "write each panel as a table [[panel]]"),
        ("title = 'x'\n[axes]\n", "axes is empty"),
        ("title =", "is not TOML"),
        (
            FILE.replace("no-such = 1\n", "").replace("task-seed = [0, 1, 2]", "device = ['auto', 'cpu']"),
            "device is an axis",
        ),
        (
            FILE.replace("no-such = 1\n", "").replace('activation = "tanh"', "device = 'cpu'"),
            "device is an option of a",
        ),
    ],
)
def test_a_fault_is_named_with_its_key(tmp_path, text, said):
    with pytest.raises(gc.InputError, match=said.replace("[", "\\[")) as refused:
        check_cells(Sweep.load(written(tmp_path, text)).cells())
    assert "\n" not in str(refused.value)


def test_the_example_of_the_documentation_is_a_sweep(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text(encoding="utf-8")
    sweep = Sweep.load(written(tmp_path, page.split("```toml\n")[1].split("```")[0]))
    check_cells(sweep.cells())
    assert list(sweep.dimensions) == ["panel", "width", "task_seed"]


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(gc.InputError, match="cannot be read"):
        Sweep.load(tmp_path / "none.toml")


def test_a_file_in_another_encoding(tmp_path):
    (tmp_path / "latin.toml").write_bytes('title = "Größe"'.encode("latin-1"))
    with pytest.raises(gc.InputError, match=r"latin\.toml is not text in UTF-8, as TOML is; save it so"):
        Sweep.load(tmp_path / "latin.toml")


def test_the_cell_with_the_fault_is_named():
    sweep = small_sweep(axes={"depth": [2, 3], "rank": [1, 4]})
    with pytest.raises(gc.InputError, match="cell panel = tanh, depth = 2, rank = 4: rank is 4"):
        check_cells(sweep.cells())


# --- keys -------------------------------------------------------------------------------------------------------------


def cell(**options):
    [only] = Sweep(title="", options={**OPTIONS, "task_seed": 0, **options}, axes={"depth": [3]}).cells()
    return only


def test_conditioning_does_not_know_of_descent_nor_descent_of_conditioning():
    base = cell()
    for changes in ({"gd_lr": 0.1}, {"restarts": 3}, {"gd_momentum": 0.9}):
        other = cell(**changes)
        assert (other.key == base.key, other.descent_key == base.descent_key) == (True, False)
    for changes in ({"eps": 0.1}, {"normalize": True}, {"prior": "uniform"}, {"method": "splitting"}, {"draws": 3}):
        other = cell(**changes)
        assert (other.key == base.key, other.descent_key == base.descent_key) == (False, True)
    for changes in ({"width": 7}, {"activation": "tanh"}, {"seed": 1}, {"rank": 2}, {"task": "completion"}):
        other = cell(**changes)
        assert (other.key == base.key, other.descent_key == base.descent_key) == (False, False)


def test_a_start_at_the_prior_depends_on_it():
    def at_prior(**changes):
        options = {name: value for name, value in OPTIONS.items() if name != "gd_init_scale"}
        options |= {"gd_init": "prior", **changes}
        return Sweep(title="", options=options, axes={"depth": [3]}).cells()[0].descent_key

    assert at_prior() != at_prior(prior="uniform")


def test_an_option_for_every_cell_is_replaced_in_panels_too():
    sweep = small_sweep(panels={"a": {"method": "splitting"}, "b": {"activation": "tanh"}})
    replaced = sweep.with_options(method="rejection").cells()
    assert {one.options.method for one in replaced} == {"rejection"}
    assert {one.options.activation for one in replaced} == {"linear", "tanh"}


def test_a_default_that_is_given_changes_no_key():
    assert cell(activation="linear", gd_tol=1e-6).key == cell().key
    assert cell(activation="linear", gd_tol=1e-6).descent_key == cell().descent_key


def test_a_clock_changes_the_key_even_where_it_is_that_of_infer():
    for method in ("splitting", "rejection"):
        keys = {(one.key, one.draws_key) for one in (cell(method=method, max_seconds=each) for each in (60, 600))}
        assert len(keys | {(cell(method=method).key, cell(method=method).draws_key)}) == 3
        assert len({key for key, _ in keys | {(cell(method=method).key, "")}}) == 3


def test_neighbouring_tasks_descend_together():
    first, seventh, eighth = (cell(task_seed=seed) for seed in (0, 7, 8))
    assert first.descent_key == seventh.descent_key != eighth.descent_key
    assert first.task_seeds == list(range(8))
    assert eighth.task_seeds == list(range(8, 16))
    assert first.key != seventh.key


def test_a_file_counts_by_what_is_in_it(tmp_path):
    file, copy, other = (tmp_path / name for name in ("a.csv", "b.csv", "c.csv"))
    file.write_text("a,b\n1,2\n3,\n2,5\n", encoding="utf-8")
    copy.write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    other.write_text("a,b\n1,2\n3,\n2,6\n", encoding="utf-8")
    keys = [
        Sweep(title="", options={"data": str(path)}, axes={"depth": [2]}).cells()[0].key for path in (file, copy, other)
    ]
    assert keys[0] == keys[1] != keys[2]


def test_code_counts_by_what_is_in_it_wherever_it_stands_in_a_list(tmp_path):
    file = tmp_path / "mine.py"

    def key(prior, text):
        file.write_text(text, encoding="utf-8")
        return cell(prior=prior.replace("FILE", str(file))).key

    for prior in ("FILE:spiky", "gaussian,...,FILE:spiky", "FILE:spiky:scale=2,slope=3,gaussian,gaussian"):
        assert key(prior, "one") == key(prior, "one") != key(prior, "two")


def test_names_of_priors_are_their_own_keys(tmp_path, monkeypatch):
    # Stores that are there must be found again, also from a folder with files of such names.
    monkeypatch.chdir(tmp_path)
    Path("uniform").write_text("notes", encoding="utf-8")
    for text in ("uniform", "gaussian:mean=0.5", "student-t:df=3,scale=2,...,gaussian", "package.module:prior"):
        assert cell(prior=text)._chosen(without=())["prior"] == text


def test_arrays_are_as_good_as_lists():
    axes = {"width": np.array([5, 20]), "eps": np.array([0.1, 0.02]), "depth": range(2, 4), "activation": ("tanh",)}
    plain = {"width": [5, 20], "eps": [0.1, 0.02], "depth": [2, 3], "activation": ["tanh"]}
    found, lists = (Sweep(title="", axes=each) for each in (axes, plain))
    assert found.axes == lists.axes
    assert [one.key for one in found.cells()] == [one.key for one in lists.cells()]
    with pytest.raises(gc.InputError, match="width is 5; it must be a list, as"):
        Sweep(title="", axes={"width": np.array(5)})


def test_cells_have_streams_of_their_own_but_for_rejection():
    for method, distinct in (("splitting", 8), ("rejection", 2)):
        options = OPTIONS | {"method": method}
        axes = {"depth": [2, 3], "task_seed": [0, 1], "eps": [0.05, 0.1]}
        del options["eps"]
        seeds = {one.seed for one in Sweep(title="", options=options, axes=axes).cells()}
        assert len(seeds) == distinct
