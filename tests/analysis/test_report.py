"""The page: its numbers are those of the data, it says what is wrong with a source, and labels stay text."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from records_for_tests import configuration, draws, run, sensing_task, table_task, tree
from scipy import stats
from stores_for_tests import write_store

import bayesgc as gc
from bayesgc.analysis.numerals import rounded, with_error
from bayesgc.analysis.report import write_report
from bayesgc.analysis.report.rerun import rerun_command, why_no_command
from bayesgc.analysis.report.trends import answer, change, panels
from bayesgc.analysis.stores import Store, load_store
from bayesgc.validate import InputError

EVIL = "<script>alert(1)</script>"


class Tables(HTMLParser):
    """The cells of every table of a page, row by row, under the table's caption; and the addresses it asks for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.addresses: list[str] = []
        self._rows: list[list[str]] = []
        self._inside: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag == "table":
            self._rows, self._caption = [], ""
        elif tag == "tr":
            self._rows.append([])
        if tag in ("caption", "th", "td"):
            self._inside = tag
            if tag != "caption":
                self._rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self._inside == "caption":
            self._caption += data
        elif self._inside is not None:
            self._rows[-1][-1] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = None
        if tag == "table":
            self.tables[self._caption] = self._rows

    def table(self, start: str) -> dict[str, list[str]]:
        """The table whose caption starts so, its rows by their first cells."""
        (rows,) = [rows for caption, rows in self.tables.items() if caption.startswith(start)]
        return {row[0]: row[1:] for row in rows[1:]}


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without pictures, which take longest to make."""
    monkeypatch.setattr("bayesgc.analysis.report.result._pictures", lambda tree, result: iter(()))


def page_of(result: xr.DataTree, folder: Path) -> tuple[str, Tables]:
    gc.save_result(result, folder / "run.nc")
    text = write_report(folder / "run.nc", folder / "run.html").read_text(encoding="utf-8")
    return text, Tables(text)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    axes: dict[str, list[Any]] = {"activation": ["linear", "tanh"], "depth": [2, 3], "task_seed": [0, 1, 2]}
    told = {"question": "Does depth help?", "notes": ["Tiny problems & few draws.", EVIL]}
    return write_store(tmp_path_factory.mktemp("sweeps") / "store", axes, **told)


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Tables]:
    """The page of the usual result."""
    return page_of(tree(), tmp_path_factory.mktemp("usual"))


def test_the_numbers_of_a_result_are_those_of_the_draws(usual: tuple[str, Tables]) -> None:
    result, (text, page) = tree(), usual
    laws = page.table("Losses under each law")
    for law, name in (("prior", "prior"), ("posterior", "G&C posterior")):
        values = result[law]["gen_loss"].values
        mean, error = values.mean(dtype=np.float64), values.std(dtype=np.float64) / np.sqrt(values.size)
        assert laws[name][0] == with_error(mean, error)
        zero = float(np.mean((result["ground_truth"]["end_to_end"].values.ravel() @ _held_out(result)) ** 2))
        assert laws[name][1] == rounded(mean / zero, 2)
    assert laws["GD\n12/12 fitted"][0].startswith(rounded(float(result["gd"]["gen_loss"].median())))
    mechanisms = page.table("Where gradient descent stands")
    share = (result["posterior"]["gen_loss"].values < result["gd"]["gen_loss"].median().item()).mean()
    assert mechanisms["GD's generalisation loss"][0].startswith(f"{share:.3f}"[:4])
    rho = stats.spearmanr(*(result["prior"][name].values.ravel() for name in ("train_loss", "gen_loss"))).statistic
    assert mechanisms["Spearman's ρ under the prior"][0].startswith(f"{rho:.2f}")
    assert re.search(r"log P\(fit\) = -8.400 ± 0.080", text)


def _held_out(result: xr.DataTree) -> np.ndarray:
    """An orthonormal basis of what the measurements do not see, by singular vectors."""
    measured = result["constant_data"]["A"].values.reshape(7, -1)
    return np.linalg.svd(measured)[2][7:].T


def test_nothing_is_fetched_and_pictures_have_words(usual: tuple[str, Tables]) -> None:
    text, page = usual
    assert all(address.startswith(("#", "data:")) for address in page.addresses)
    assert len(re.findall(r'<img class="still"[^>]* alt="[^"]{20,}"', text)) == text.count('<img class="still"') == 5
    assert len(text) < 5e6


@pytest.mark.usefixtures("bare")
def test_the_diagnosis_and_its_warning_are_there(tmp_path: Path) -> None:
    task = sensing_task()
    weak = dataclasses.replace(
        run(task, posterior=draws(task, 0.08, 11)),
        method="importance",
        diagnostics={"effective_sample_size": 30.0, "pareto_k": 0.9, "pareto_k_limit": 0.7},
    )
    text, page = page_of(tree(task, run=weak), tmp_path)
    assert page.table("The checks that suit importance")["Pareto k̂ of the weights"][:3] == ["0.900", "≤ 0.7", "wrong"]
    assert "With care:" in text


@pytest.mark.usefixtures("bare")
def test_a_completed_table_lists_its_cells_with_quantiles_of_the_draws(tmp_path: Path) -> None:
    result = tree(table_task())
    _, page = page_of(result, tmp_path)
    rows = page.table("Missing cells")
    assert list(rows) == ["Ada", "Bo", "Dé"]
    values = result["posterior"]["end_to_end"].sel(row="Ada", col="age").values.astype(float)
    low, high = np.quantile(values, [0.05, 0.95])
    assert rows["Ada"] == [
        "age",
        rounded(values.mean(), 4),
        rounded(low, 4),
        rounded(high, 4),
        rounded(values.std(), 4),
    ]


def test_labels_from_files_stay_text(tmp_path: Path) -> None:
    task = table_task()
    named = dataclasses.replace(
        task,
        coords={"row": [EVIL, "</script><b>", "Cy", '"x"'], "col": ["mass", EVIL, "µ"]},
        description={"file": EVIL},
    )
    text, page = page_of(tree(named), tmp_path)
    assert EVIL not in text
    assert "</script><b>" not in text
    assert EVIL in page.table("Missing cells")


@pytest.mark.parametrize("accepted", [True, False])
def test_a_result_without_a_posterior_or_descent_has_a_page_too(tmp_path: Path, accepted: bool) -> None:
    text, _ = page_of(tree(accepted=accepted, with_gd=False, references={}), tmp_path)
    assert ("No draw fitted" in text) is not accepted


def test_the_command_on_the_page_gives_the_same_configuration(tmp_path: Path) -> None:
    from bayesgc.options import Options

    task = gc.completion(rows=4, cols=5, rank=2, measurements=12, seed=3)
    descent = gc.GradientDescent(restarts=3, steps=30, lr=0.02, optimizer="adam")
    model = gc.MatrixFactorization(depth=3, width=6, activation="tanh", prior="uniform", normalize=False)
    result = gc.infer(
        model,
        task,
        eps=0.3,
        method="rejection",
        gd=descent,
        map=False,
        seed=7,
        chains=2,
        draws=20,
        max_evaluations=9000,
    )
    words = shlex.split(str(rerun_command(result)))
    assert words[:2] == ["bayesgc", "infer"]
    options = Options.checked(_given(words[2:]))
    again_task = options.make_task()
    again = gc.infer(options.make_model(again_task), again_task, **options.settings())
    assert json.loads(again.attrs["configuration"]) == json.loads(result.attrs["configuration"])
    np.testing.assert_array_equal(again["posterior"]["end_to_end"], result["posterior"]["end_to_end"])


def _given(words: list[str]) -> dict[str, Any]:
    """Options as the command line would read them."""
    from bayesgc.options import Options

    given: dict[str, Any] = {}
    while words:
        name = words.pop(0).removeprefix("--").replace("-", "_")
        if name.startswith("no_"):
            given[name.removeprefix("no_")] = False
        elif not words or words[0].startswith("--"):
            given[name] = True
        else:
            text, kind = words.pop(0), str(Options.model_fields[name].annotation)
            given[name] = float(text) if "float" in kind else int(text) if "int" in kind else text
    return given


LABELLED = "id,a,b\n1,1.0,2.0\n2,2.0,\n3,4.0,7.0\n"


@pytest.mark.parametrize("loading", [{"standardize": False, "index": True}, {"index": False}, {"index": True}])
def test_the_command_loads_a_table_as_it_was_loaded(tmp_path: Path, loading: dict[str, bool]) -> None:
    from bayesgc.options import Options

    (tmp_path / "table.csv").write_text(LABELLED, encoding="utf-8")
    task = gc.load(tmp_path / "table.csv", **loading)
    model = gc.MatrixFactorization(depth=2, width=3, normalize=False)
    result = gc.infer(
        model, task, eps="90%", method="rejection", gd=False, map=False, chains=2, draws=20, max_seconds=None
    )
    given = _given(shlex.split(str(rerun_command(result)))[2:])
    again = Options.checked(given | {"data": tmp_path / given["data"]})
    assert again.make_task().shape == task.shape
    np.testing.assert_array_equal(again.make_task().targets, task.targets)
    assert again.max_seconds >= 1e9  # none was set


PLAIN = {"name": "nuts", "warmup": 150, "target_accept": 0.9, "max_tree_depth": 8, "most_divergent": 0.01}


def _command(**changes: Any) -> tuple[str | None, str | None]:
    """The command of a result with another configuration, and why there is none."""
    settings = configuration(sensing_task()) | {"method": PLAIN}
    settings["model"] = {**settings["model"], "family": "matrix-factorization"}
    for name, value in changes.items():
        settings[name] = {**settings[name], **value} if name == "model" else value
    result = tree(configuration=settings)
    return rerun_command(result), why_no_command(result)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "--method nuts"),
        ({"model": {"prior": "student-t:df=4,mean=1"}}, "--prior student-t:df=4,mean=1"),
        ({"model": {"prior": "uniform,...,gaussian"}}, "--prior uniform,...,gaussian"),
        ({"model": {"prior": "my priors.py:spiky:share=0.1"}}, "--prior 'my priors.py:spiky:share=0.1'"),
        ({"model": {"family": "program", "name": "mine.py:net"}}, "--model mine.py:net"),
        ({"map": {"restarts": 16, "chill": 20.0}}, "--map"),
        ({"max_seconds": 20.5, "max_evaluations": 100}, "--max-seconds 20.5 --max-evaluations 100"),
    ],
)
def test_whatever_has_a_name_gets_its_command(changes: dict[str, Any], words: str) -> None:
    command, reason = _command(**changes)
    assert reason is None
    assert words in str(command)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"model": {"family": "program", "name": "mine"}}, "the model was given in Python"),
        ({"model": {"prior": "a_function_of_mine"}}, "a prior was given as a function"),
        ({"model": {"prior": "laplace", "prior_given": "in Python"}}, "a prior was given as a function"),
        ({"model": {"width": [3, 4]}}, "the widths differ"),
        ({"model": {"scaling": "<function mine>"}}, "the scaling was given"),
        ({"method": PLAIN | {"warmup": 10}}, "nuts was given settings of its own"),
        ({"map": {"restarts": 2, "chill": 20.0}}, "the search for the mode was given settings"),
        ({"task": {"kind": "data", "shape": [4, 3], "measurements": 7}}, "the task was given"),
    ],
)
def test_no_command_is_made_up_for_what_options_cannot_say(changes: dict[str, Any], why: str) -> None:
    command, reason = _command(**changes)
    assert command is None
    assert why in str(reason)


def test_the_command_of_a_tensor_names_family_and_shape() -> None:
    task = gc.sensing(shape=(2, 3, 2), rank=1, measurements=5, seed=4)
    model = gc.CPFactorization(depth=2, width=2, normalize=True)
    kept = {"chains": 2, "draws": 20, "max_evaluations": 9000}
    result = gc.infer(model, task, eps="90%", method="rejection", gd=False, map=False, **kept)
    words = str(rerun_command(result))
    assert "--family cp" in words
    assert "--shape 2x3x2" in words
    assert "--no-gd" in words


def test_the_numbers_of_a_sweep_are_those_of_its_cells(store: Path, tmp_path: Path) -> None:
    text = write_report(store, tmp_path / "sweep.html").read_text(encoding="utf-8")
    page, cells = Tables(text), xr.open_dataset(store / "sweep.nc", engine="h5netcdf").load()
    losses = cells["posterior_gen_loss"]
    for activation in ("linear", "tanh"):
        rows = page.table(f"{activation}: median")
        for depth in (2, 3):
            low, middle, high = np.nanquantile(losses.sel(activation=activation, depth=depth), [0.25, 0.5, 0.75])
            assert rows[str(depth)][1] == f"{rounded(middle)} [{rounded(low, 2)}, {rounded(high, 2)}]"
        first, last = (losses.sel(activation=activation, depth=depth).values for depth in (2, 3))
        mean, error = (last - first).mean(), stats.sem(last - first)
        assert page.table("E[L_gen] at the last value")[activation] == [with_error(mean, error), "3"]
        assert f"{activation}: {with_error(mean, error)} over 3 tasks" in text
    (every,) = [rows for caption, rows in page.tables.items() if caption.startswith("Every cell")]
    assert len(every) == 1 + 12
    one = cells.isel(activation=1, depth=0, task_seed=2)
    assert every[1 + 6 + 2][:4] == [
        "tanh", "2", "2", with_error(one["posterior_gen_loss"].item(), one["posterior_gen_loss_mcse"].item())
    ]  # fmt: skip
    assert "Does depth help?" in text
    notes = text.partition(">What to know</h2>")[2].partition("</section>")[0]
    assert "Tiny problems &amp; few draws." in notes
    assert EVIL not in text


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
    assert "1 of 12 cells did not converge and 1 is flagged" in text
    assert "not run" in text
    assert EVIL not in text
    gap = change(next(panels(load_store(copy))))
    assert gap is not None
    assert gap.tasks == 2


def test_the_answer_names_the_ends_that_are_known_and_is_as_sure_as_the_tasks_allow(
    store: Path, tmp_path: Path
) -> None:
    cells = xr.open_dataset(store / "sweep.nc", engine="h5netcdf").load()
    cells = cells.isel(activation=[0], depth=[0, 1, 0], task_seed=[0, 1]).assign_coords(depth=[2, 3, 4])
    losses = cells["posterior_gen_loss"]
    losses[0, 0], losses[0, 1], losses[0, 2] = [1.0, 1.0], [1.9, 2.1], np.nan
    copy = tmp_path / "known"
    copy.mkdir()
    (copy / "sweep.json").write_text((store / "sweep.json").read_text(encoding="utf-8"), encoding="utf-8")
    cells.to_netcdf(copy / "sweep.nc", engine="h5netcdf")
    gap = change(next(panels(load_store(copy))))
    assert gap is not None
    assert (gap.first, gap.last) == (2, 3)
    # Ten standard errors, but of two tasks: stats.ttest_1samp([0.9, 1.1], 0) has p = 0.06.
    assert gap.difference == pytest.approx(10 * gap.mcse)
    assert stats.ttest_1samp([0.9, 1.1], 0).pvalue > 0.05
    assert answer(load_store(copy)).startswith("From depth 2 to 3, weights that fit generalise alike, within error")


def test_seeds_repeat_a_task_and_are_no_panels_nor_tasks_of_their_own() -> None:
    axes = {"depth": [2, 3], "task_seed": [0, 1, 2], "seed": [0, 1, 2, 3]}
    losses = np.random.default_rng(0).lognormal(size=(2, 3, 4))
    cells = xr.Dataset({name: (tuple(axes), losses) for name in ("outcome", "posterior_gen_loss")}, coords=axes)
    (panel,) = panels(Store(Path("store"), {}, cells))
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


def test_a_page_has_the_ending_of_one_and_a_folder_to_be_in(tmp_path: Path) -> None:
    gc.save_result(tree(), tmp_path / "run.nc")
    with pytest.raises(InputError, match=r"must end in \.html"):
        write_report(tmp_path / "run.nc", tmp_path / "run.txt")
    with pytest.raises(InputError, match="Cannot write"):
        write_report(tmp_path / "run.nc", tmp_path / "no" / "run.html")
