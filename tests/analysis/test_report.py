"""The page: nothing is fetched, it says what is wrong with a source, and labels stay text."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import shlex
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bokeh.models import Scatter
from pages_for_tests import EVIL, Tables, page_of
from records_for_tests import configuration, descent, draws, run, sensing_task, table_task, tree

import bayesgc as gc
from bayesgc.analysis.plots.curve import descent_beside
from bayesgc.analysis.plots.joint import joint_points, shared_points
from bayesgc.analysis.report import write_report
from bayesgc.analysis.report.charts import FONT, joint_chart
from bayesgc.analysis.report.rerun import rerun_command, why_no_command
from bayesgc.validate import InputError


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without pictures, which take longest to make."""
    monkeypatch.setattr("bayesgc.analysis.report.result._pictures", lambda tree, result: iter(()))


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Tables]:
    """The page of the usual result."""
    return page_of(tree(), tmp_path_factory.mktemp("usual"))


def test_nothing_is_fetched_and_pictures_have_words(usual: tuple[str, Tables]) -> None:
    text, page = usual
    assert all(address.startswith(("#", "data:")) for address in page.addresses)
    assert len(re.findall(r'<img class="still"[^>]* alt="[^"]{20,}"', text)) == text.count('<img class="still"') == 5
    assert len(text) < 5e6
    stills = [base64.b64decode(still).decode() for still in re.findall(r"data:image/svg\+xml;base64,([\w+/=]+)", text)]
    assert len(stills) == 5
    assert "In weights that fit, σ₂ is" in text
    assert not any("In weights that fit, σ₂ is" in still for still in stills)  # captions have the titles


def by_weights(effective: float, shape: float) -> dict[str, Any]:
    """A run by importance whose weights are so even."""
    task = sensing_task()
    diagnostics = {"effective_sample_size": effective, "pareto_k": shape, "pareto_k_limit": 0.7}
    plain = run(task, posterior=draws(task, 0.08, 11))
    return {"task": task, "run": dataclasses.replace(plain, method="importance", diagnostics=diagnostics)}


@pytest.mark.usefixtures("bare")
def test_the_diagnosis_and_its_warning_are_there(tmp_path: Path) -> None:
    text, page = page_of(tree(**by_weights(30.0, 0.9)), tmp_path)
    assert page.table("The checks that suit importance")["Pareto k̂ of the weights"][:3] == ["0.900", "≤ 0.7", "wrong"]
    assert "With care:" in text
    assert "<p>No. Do not rely on this result as it is.</p>" in text


@pytest.mark.usefixtures("bare")
def test_whether_to_rely_on_it_is_said_and_nothing_to_do_has_no_column(tmp_path: Path) -> None:
    good = by_weights(400.0, 0.2)
    asked = configuration(good["task"]) | {"precision": 0.1}
    text, page = page_of(tree(**good, configuration=asked), tmp_path)
    assert "<p>Yes. Nothing is wrong with this result.</p>" in text
    assert page.table("The checks that suit importance")["outcome"] == ["converged", "converged", "fine"]
    few = tree(**good, configuration=asked, gd=descent(good["task"], 0.01, converged=3))
    text, page = page_of(few, tmp_path)
    assert "<p>Yes. This result can be relied on, but mind: share of the restarts of gradient" in text
    (row,) = [row for row in page.table("The checks that suit importance").values() if row[2] == "caution"]
    assert "biased few" in row[3]


def test_headings_stand_once(usual: tuple[str, Tables]) -> None:
    titles = re.findall("<h[23][^>]*>(.*?)</h", usual[0])
    assert len(titles) == len(set(titles)) > 5
    assert "Run it again" in titles


def test_descent_is_promised_beside_the_curve_only_where_it_is_drawn(tmp_path: Path) -> None:
    promise = "Beside it gradient descent"
    drawn, absent = tree(), tree(with_gd=False)
    for result, there in ((drawn, True), (absent, False)):
        text, _ = page_of(result, tmp_path)
        assert (promise in text) is there is (descent_beside(result) is not None)


def test_restarts_at_the_same_place_are_one_point_that_says_how_many() -> None:
    result = tree()
    for name in ("train_loss", "gen_loss"):
        result["gd"][name][:5] = result["gd"][name][0]
    x, y, count = joint_points(result, "gd")
    assert (x.size, y.size, count.sum()) == (8, 8, 12)
    assert sorted(count) == [1] * 7 + [5]
    assert shared_points(result) == "Restarts that came to the same place share a point: GD, at its end, 12 in 8."
    assert shared_points(tree()) == ""
    marks = [each.glyph.marker for each in joint_chart(result).renderers if isinstance(each.glyph, Scatter)]
    assert len(set(marks[2:])) == 2  # at ε and at the end


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
    assert ("No draw reached" in text) is not accepted


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
            text = words.pop(0)
            if name == "hide":  # no option of an inference, but of the command
                continue
            kind = str(Options.model_fields[name].annotation)
            number = "float" in kind and not text.endswith("%")
            given[name] = float(text) if number else int(text) if "int" in kind and text.isdigit() else text
    return given


LABELLED = "id,a,b\n1,1.0,2.0\n2,2.0,\n3,4.0,7.0\n"


@pytest.mark.parametrize(
    "loading",
    [
        {"standardize": False, "index": True},
        {"index": False},
        {"index": True},
        {"header": False},
        {"drop": "id", "missing": "4.0,x"},
        {"columns": "a,b"},
        {"separator": "\t"},
        {"rows": "id", "cols": "a", "values": "b"},
    ],
)
def test_the_command_loads_a_table_as_it_was_loaded(tmp_path: Path, loading: dict[str, Any]) -> None:
    from bayesgc.options import Options

    names, rows = LABELLED.split("\n", 1)
    text = rows if "header" in loading else f"{names}\n{rows}"
    (tmp_path / "table.csv").write_text(text.replace(",", loading.get("separator", ",")), encoding="utf-8")
    task = gc.load(tmp_path / "table.csv", **loading)
    model = gc.MatrixFactorization(depth=2, width=3, normalize=False)
    result = gc.infer(
        model, task, eps="90%", method="rejection", gd=False, map=False, chains=2, draws=20, max_seconds=None
    )
    command = str(rerun_command(result))
    assert command.isprintable()
    given = _given(shlex.split(command)[2:])
    again = Options.checked(given | {"data": tmp_path / given["data"]})
    assert again.make_task().shape == task.shape
    np.testing.assert_array_equal(again.make_task().targets, task.targets)
    assert again.max_seconds >= 1e9  # none was set


@pytest.mark.parametrize(
    ("eps", "hide", "words", "absent"),
    [
        ("evidence", "20%", "--eps evidence --hide 20%", None),
        ("5%", None, "--eps 5% --hide 0", None),
        (0.5, 0.25, "--eps 0.5 --hide 0.25", None),
        (None, None, "--hide 0", "--eps"),
    ],
)
def test_the_command_has_the_options_as_they_were_given(
    tmp_path: Path, eps: Any, hide: Any, words: str, absent: str | None
) -> None:
    values = np.random.default_rng(0).normal(size=(8, 3)).round(2).astype(str)
    values[[0, 3], [1, 2]] = ""
    (tmp_path / "table.csv").write_text("\n".join(map(",".join, [["a", "b", "c"], *values])), encoding="utf-8")
    model = gc.MatrixFactorization(depth=2, width=2, normalize=False)
    kept = {"gd": False, "map": False, "max_evaluations": 200_000}
    result = gc.infer(model, gc.load(tmp_path / "table.csv"), eps=eps, hide=hide, **kept)
    command = str(rerun_command(result))
    assert all(word in command for word in words.split(" --"))
    assert absent is None or absent not in command
    configuration = json.loads(result.attrs["configuration"])
    del configuration["given"]
    result.attrs["configuration"] = json.dumps(configuration)
    assert f"--eps {configuration['eps']}" in str(rerun_command(result))  # of earlier versions


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
        ({"method": PLAIN | {"warmup": 10}}, "--method nuts:warmup=10"),
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
        ({"method": PLAIN | {"kernel": "mine"}}, "nuts was given settings of its own"),
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


def test_a_page_has_the_ending_of_one_and_a_folder_to_be_in(tmp_path: Path) -> None:
    gc.save_result(tree(), tmp_path / "run.nc")
    with pytest.raises(InputError, match=r"must end in \.html"):
        write_report(tmp_path / "run.nc", tmp_path / "run.txt")
    with pytest.raises(InputError, match="the folder .* does not exist"):
        write_report(tmp_path / "run.nc", tmp_path / "no" / "run.html")


def test_a_table_is_seen_before_it_is_listed_and_facts_stand_once(tmp_path: Path) -> None:
    page, _ = page_of(tree(table_task()), tmp_path)
    assert page.index('id="figure-cells"') < page.index("Missing cells in the table&#39;s own units")
    assert page.index('id="cells"') < page.index('id="numbers"')
    page, _ = page_of(tree(), tmp_path)
    assert page.index('id="numbers"') < page.index('id="pictures"') < page.index('id="mechanisms"')
    names = re.findall("<dt>(.*?)</dt>", page)
    assert len(names) == len(set(names)) > 4


def test_pictures_have_the_font_of_the_page() -> None:
    style = files("bayesgc.analysis.report").joinpath("page.css").read_text(encoding="utf-8")
    assert FONT in style
