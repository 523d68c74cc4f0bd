"""The page about a sweep: its answer is as sure as the tasks allow, and a broken store is named with what is wrong."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from pages_for_tests import EVIL
from scipy import stats

from bayesgc.analysis.claims.decisions import Ratio, decide
from bayesgc.analysis.report import write_report
from bayesgc.analysis.report.claims import verdicts
from bayesgc.analysis.report.page import Table
from bayesgc.analysis.report.trends import answer, change, headline
from bayesgc.analysis.tree.panels import main_axis
from bayesgc.analysis.tree.stores import Store, load_store
from bayesgc.validate import InputError


def test_unfinished_and_flagged_cells_are_marked_and_leave_their_pairs_out(store: Path, tmp_path: Path) -> None:
    cells = xr.open_dataset(store / "sweep.nc", engine="h5netcdf").load()
    copy = tmp_path / "part"
    copy.mkdir()
    (copy / "sweep.json").write_text((store / "sweep.json").read_text(encoding="utf-8"), encoding="utf-8")
    cells["posterior_gen_loss"][0, 1, 0] = np.nan
    cells["outcome"][0, 1, 0] = ""
    cells["flag"][1, 0, 0] = EVIL
    cells.to_netcdf(copy / "sweep.nc", engine="h5netcdf")
    text = write_report(copy, tmp_path / "part.html").read_text(encoding="utf-8")
    assert "1 of 12 cells have not run, 1 is flagged; the table" in text
    assert "not run" in text
    assert EVIL not in text
    gap = change(load_store(copy).panels[0])
    assert gap is not None
    assert gap.tasks == 2


def test_the_answer_names_the_ends_that_are_known_and_is_as_sure_as_the_tasks_allow(
    store: Path, tmp_path: Path
) -> None:
    cells = xr.open_dataset(store / "sweep.nc", engine="h5netcdf").load()
    cells = cells.isel(activation=[0], depth=[0, 1, 0], task_seed=[0, 1]).assign_coords(depth=[2, 3, 4])
    losses = cells["posterior_gen_loss"]
    losses[0, 0], losses[0, 1], losses[0, 2] = [1.0, 1.0], [1.8, 2.2], np.nan
    copy = tmp_path / "known"
    copy.mkdir()
    (copy / "sweep.json").write_text((store / "sweep.json").read_text(encoding="utf-8"), encoding="utf-8")
    cells.to_netcdf(copy / "sweep.nc", engine="h5netcdf")
    gap = change(load_store(copy).panels[0])
    assert gap is not None
    assert (gap.first, gap.last) == (2, 3)
    # Seven standard errors of the logarithm, but of two tasks: stats.ttest_1samp has p = 0.09.
    assert gap.difference == pytest.approx(5 * gap.mcse)
    assert stats.ttest_1samp(np.log([1.8, 2.2]), 0).pvalue > 0.05
    words = "From depth 2 to 3, whether weights that fit generalise better is not known, as two tasks cannot decide"
    assert answer(load_store(copy)).startswith(words)
    assert headline(gap, "depth").startswith("two tasks cannot decide about depth")
    assert min(gap.ratio.over_tasks().factors()) > 0
    # What is known of these very tasks is said beside it.
    cells["posterior_gen_loss_mcse"][:] = 0.01
    cells.to_netcdf(copy / "sweep.nc", engine="h5netcdf")
    assert "cannot decide, though worse on these very tasks" in answer(load_store(copy))
    gap = change(load_store(copy).panels[0])
    assert gap is not None
    assert headline(gap, "depth") == "two tasks cannot decide about depth, though worse on these very tasks"


@pytest.mark.parametrize(
    ("factors", "words", "title"),
    [
        ((2.0, 3.0), "weights that fit generalise worse (", "worse with depth"),
        ((0.2, 0.3), "weights that fit generalise better (", "better with depth"),
        ((1.0, 1.0), "weights that fit generalise alike, to within 10 % (", "alike whatever the depth, to within 10 %"),
    ],
)
def test_the_answer_is_a_sentence_whatever_the_change(factors: tuple[float, float], words: str, title: str) -> None:
    """The panels of one change stand together; their tasks are counted once."""
    axes = {"activation": ["linear", "tanh"], "depth": [2, 3], "task_seed": [0, 1, 2, 3]}
    losses = np.ones((2, 2, 4))
    losses[:, 1] = np.array(factors)[:, None] * np.linspace(0.99, 1.01, 4)
    variables = {name: (tuple(axes), losses) for name in ("outcome", "posterior_gen_loss")}
    both = Store(Path("store"), {}, xr.Dataset(variables, axes))
    said = answer(both)
    assert said.startswith(f"From depth 2 to 3, {words}linear × ")
    assert said.count("tasks") == 1
    assert "; tanh × " in said
    assert said.endswith("The numbers are the factor by which L_gen of a fit changes, over 4 tasks.")
    gap = change(both.panels[0])
    assert gap is not None
    assert headline(gap, "depth") == title
    alone = answer(replace(both, cells=both.cells.isel(activation=[0]).squeeze("activation", drop=True)))
    assert f"{words}L_gen × " in alone


@pytest.mark.parametrize(
    ("question", "axis"),
    [
        ("What does a tighter threshold do?", "eps"),
        ("Does depth still help as ε goes to zero?", "depth"),
        ("Which start is better?", "depth"),
        ("Does it matter how many measurements there are?", "depth"),
        ("", "depth"),
    ],
)
def test_the_answer_is_about_the_axis_that_the_question_names(question: str, axis: str) -> None:
    """Where it names none, or none that is swept over, about the first of numbers."""
    axes = {"depth": [2, 3], "eps": [0.1, 0.2], "measurements": [9], "task_seed": [0, 1, 2]}
    losses = np.random.default_rng(0).lognormal(size=(2, 2, 1, 3))
    variables = {name: (tuple(axes), losses) for name in ("outcome", "posterior_gen_loss")}
    store = Store(Path("store"), {}, xr.Dataset(variables, axes, {"question": question}))
    assert {panel.axis for panel in store.panels} == {axis}
    assert answer(store).startswith(f"From {axis} ")


def test_where_all_is_worse_than_predicting_zero_the_answer_says_so() -> None:
    axes = {"depth": [2, 3], "task_seed": [0, 1, 2, 3]}
    losses = np.exp(0.01 * np.random.default_rng(0).normal(size=(2, 4)))
    losses[1] /= 3  # so that it falls with depth

    def said(zero: float, deepest: float) -> str:
        nothing = np.full((2, 4), zero)
        nothing[1] = deepest
        variables = {
            "outcome": (tuple(axes), np.full((2, 4), "converged")),
            "posterior_gen_loss": (tuple(axes), losses),
            "posterior_gen_loss_mcse": (tuple(axes), 0.001 * losses),
            "zero_gen_loss": (tuple(axes), nothing),
        }
        return answer(Store(Path("store"), {}, xr.Dataset(variables, axes)))

    worse = "Everywhere weights that fit generalise worse than predicting zero."
    assert said(0.1, 0.1).endswith(worse)
    assert "generalise better" in said(0.1, 0.1)
    assert worse not in said(0.1, 0.5)  # at depth 3 they are better
    assert worse not in said(2.0, 2.0)


def test_where_no_loss_can_be_known_the_answer_says_so_and_not_that_cells_are_missing(store: Path) -> None:
    found = load_store(store)
    unknown = found.cells.assign(posterior_gen_loss=found.cells["posterior_gen_loss"] * np.nan)
    assert answer(replace(found, cells=unknown)).startswith("How well the weights generalise is not known here")
    waiting = unknown.assign(outcome=xr.full_like(unknown["outcome"], ""))
    assert answer(replace(found, cells=waiting)) == "Too few cells have run to say anything yet."


def test_seeds_repeat_a_task_and_are_no_panels_nor_tasks_of_their_own() -> None:
    axes = {"depth": [2, 3], "task_seed": [0, 1, 2], "seed": [0, 1, 2, 3]}
    losses = np.random.default_rng(0).lognormal(size=(2, 3, 4))
    cells = xr.Dataset({name: (tuple(axes), losses) for name in ("outcome", "posterior_gen_loss")}, coords=axes)
    (panel,) = Store(Path("store"), {}, cells).panels
    gap = change(panel)
    assert gap is not None
    means = losses.mean(axis=2)
    assert (panel.axis, gap.tasks) == ("depth", 3)
    assert gap.mcse == pytest.approx(stats.sem(means[1] - means[0]))


def test_seventy_two_cells_make_a_small_page_quickly(store: Path, tmp_path: Path) -> None:
    """Times are those of this machine; the limits are ten seconds and five megabytes."""
    small = xr.open_dataset(store / "sweep.nc", engine="h5netcdf").load()
    wide = small.isel(depth=[0, 1, 0, 1], task_seed=[0, 1, 2] * 3).assign_coords(depth=[2, 3, 4, 5], task_seed=range(9))
    assert wide["outcome"].size == 72
    copy = tmp_path / "wide"
    copy.mkdir()
    (copy / "sweep.json").write_text((store / "sweep.json").read_text(encoding="utf-8"), encoding="utf-8")
    wide.to_netcdf(copy / "sweep.nc", engine="h5netcdf")
    start = time.process_time()
    page = write_report(copy, tmp_path / "wide.html")
    assert time.process_time() - start < 10
    assert page.stat().st_size < 5e6


def _break(name: str, folder: Path) -> str:
    """Break a copy of a store in one way; returns the file that the message must name."""
    plan, table = folder / "sweep.json", folder / "sweep.nc"
    if name == "no plan":
        plan.unlink()
        return "sweep.json"
    if name == "no JSON":
        plan.write_text("{", encoding="utf-8")
        return "sweep.json"
    if name == "older":
        plan.write_text('{"schema": 0}', encoding="utf-8")
        return "sweep.json"
    if name == "no cell":
        table.unlink()
    elif name == "cut short":
        table.write_bytes(table.read_bytes()[:2000])
    else:
        xr.Dataset({"x": 1.0}).to_netcdf(table, engine="h5netcdf")
    return "sweep.nc"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no plan", "is missing"),
        ("no JSON", "is not JSON"),
        ("older", "schema 0"),
        ("no cell", "finished no cell"),
        ("cut short", "cut short"),
        ("foreign", "variable 'outcome' is missing"),
    ],
)
def test_a_broken_store_is_named_with_what_is_wrong(store: Path, tmp_path: Path, name: str, words: str) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in ("sweep.json", "sweep.nc"):
        (copy / file).write_bytes((store / file).read_bytes())
    file = _break(name, copy)
    with pytest.raises(InputError, match=f"{file}.*{words}"):
        write_report(copy, tmp_path / "x.html")


AXES = {"depth": [2, 3], "prior": ["gaussian", "student-t:df=4"], "normalize": [0, 1], "task_seed": [0, 1]}


@pytest.mark.parametrize(
    ("question", "axis"),
    [
        ("Does depth help?", "depth"),
        ("Do priors matter?", "prior"),
        ("Is the student-t worse at any depth?", "depth"),  # by its name before by a value
        ("Does the student-t do worse?", "prior"),
        ("What does normalisation do?", "normalize"),
        ("Is bigger better?", "depth"),  # named by nothing: the first of numbers
        ("", "depth"),
    ],
)
def test_a_question_names_an_axis_in_many_words(question: str, axis: str) -> None:
    dims = tuple(AXES)
    cells = xr.Dataset({"posterior_gen_loss": (dims, np.ones((2, 2, 2, 2)))}, AXES, {"question": question})
    assert main_axis(cells) == axis


def test_without_a_question_that_names_one_it_is_the_axis_of_the_claims() -> None:
    claim = {"claim": "x", "at": {"prior": "last", "depth": 2}, "over_at": {"prior": "first", "depth": 2}, "above": 1}
    cells = xr.Dataset({"posterior_gen_loss": (tuple(AXES), np.ones((2, 2, 2, 2)))}, AXES)
    cells.attrs["sweep"] = json.dumps({"claims": [claim]})
    assert main_axis(cells) == "prior"
    assert main_axis(cells.assign_attrs(question="How deep?")) == "depth"


def test_the_page_shows_what_the_sweep_claims_with_verdicts(store: Path, tmp_path: Path) -> None:
    claims = [
        {"claim": "nothing is above zero", "at": {"depth": "last"}, "over": "zero", "below": 1e-6},
        {"claim": f"all is <{EVIL}> finite", "over": "zero", "below": 1e6},
    ]
    cells = xr.open_dataset(store / "sweep.nc", engine="h5netcdf").load()
    losses = cells["posterior_gen_loss"]
    cells["zero_gen_loss"] = (losses.dims, np.ones(losses.shape))
    losses[:] = np.exp(0.01 * np.arange(losses.size).reshape(losses.shape))
    cells.attrs["sweep"] = json.dumps({"claims": claims})
    copy = tmp_path / "claims"
    copy.mkdir()
    (copy / "sweep.json").write_text((store / "sweep.json").read_text(encoding="utf-8"), encoding="utf-8")
    cells.to_netcdf(copy / "sweep.nc", engine="h5netcdf")
    text = write_report(copy, tmp_path / "claims.html").read_text(encoding="utf-8")
    assert "Claimed: “nothing is above zero” fails in every panel *; “all is" in text
    few = "(* a t-interval takes tasks to be normal, which fewer than six cannot show)"
    assert f"holds in every panel * {few}. " in text
    assert "What is claimed" in text
    assert text.count(">fails<") == 2
    assert EVIL not in text
    # A sweep that claims nothing has no such words.
    assert (
        "laimed" not in write_report(store, tmp_path / "none.html").read_text(encoding="utf-8").partition("<main>")[2]
    )


def test_verdicts_that_differ_are_counted() -> None:
    made = [decide("x", "", Ratio(np.exp([low, low + 0.01])), 1.1, "", above=True) for low in (1.0, 1.0, -1.0)]
    assert verdicts(made) == (
        "Claimed: “x” holds in 2 of 3 panels, fails in 1 * (* a t-interval takes tasks to be normal, which fewer than "
        "six cannot show)."
    )
    sure = decide("x", "", Ratio(np.exp(1 + 0.01 * np.arange(6))), 1.1, "", above=True)
    assert verdicts([sure]) == "Claimed: “x” holds."
    assert verdicts([]) == ""


def test_columns_in_which_no_row_says_anything_are_left_out() -> None:
    rows = [("a", "-", "1", "-", "kept"), ("b", "-", "-", "-", "-")]
    table = Table("", ("name", "none", "one", "no", "note"), rows, {1: "caution"}, 1, 3).told
    assert table.headings == ("name", "one", "note")
    assert table.rows == [("a", "1", "kept"), ("b", "-", "-")]
    assert [table.numeric(place) for place in range(3)] == [False, True, False]
    assert table.marks == {1: "caution"}
