"""Studies: several sweeps under one question, written as sweeps are, with a quick look at each."""

from __future__ import annotations

from pathlib import Path

import pytest

import bayesgc as gc
from bayesgc.experiments.studies import STUDIES, study_named

PLAIN = """
title = "Width"
question = "Does width hurt?"
notes = ["a note"]

[options]
eps = 0.02
gd-lr = 1e-3

[axes]
task-seed = [4, 5, 6, 7]
width = [5, 10, 20]

[[panel]]
name = "tanh"
activation = "tanh"

[[claim]]
claim = "width hurts"
at = {width = "last"}
over_at = {width = "first"}
above = 1.1
"""
PARTS = PLAIN.replace("width = [5, 10, 20]\n", "").replace(
    "[[claim]]",
    """[[part]]
name = "small-ones"
axes = {width = [5, 10, 20]}

[[part]]
name = "large"
options = {gd-lr = 1e-4}
axes = {width = [80, 160]}

[[claim]]""",
)


@pytest.fixture
def written(tmp_path):
    def write(text: str) -> Path:
        file = tmp_path / "study.toml"
        file.write_text(text, encoding="utf-8")
        return file

    return write


def test_a_file_of_a_sweep_is_a_study_of_one(written):
    file = written(PLAIN)
    [(folder, sweep)] = gc.Study.load(file).sweeps().items()
    alone = gc.Sweep.load(file)
    assert folder == ""
    # Replicates are the last axis, wherever they are written.
    assert list(sweep.axes) == ["width", "task_seed"]
    assert {cell.key for cell in sweep.cells()} == {cell.key for cell in alone.cells()}
    assert (sweep.title, sweep.question, sweep.notes, sweep.claims) == (
        alone.title, alone.question, alone.notes, alone.claims,
    )  # fmt: skip


def test_parts_have_options_and_axes_of_their_own_beside_the_common_ones(written):
    small, large = (sweep := gc.Study.load(written(PARTS)).sweeps())["small-ones"], sweep["large"]
    assert (small.title, large.title) == ("Width, small ones", "Width, large")
    assert (small.options, large.options) == ({"eps": 0.02, "gd_lr": 1e-3}, {"eps": 0.02, "gd_lr": 1e-4})
    assert (small.axes, large.axes) == (
        {"width": [5, 10, 20], "task_seed": [4, 5, 6, 7]},
        {"width": [80, 160], "task_seed": [4, 5, 6, 7]},
    )
    assert [claim.claim for claim in large.claims] == ["width hurts"]


@pytest.mark.parametrize(
    ("text", "folder", "widths"), [(PLAIN, "", [5, 20]), (PARTS, "small-ones", [5, 10]), (PARTS, "large", [80, 160])]
)
def test_a_quick_look_is_at_the_ends_and_in_parts_at_what_is_cheap(written, text, folder, widths):
    quick = gc.Study.load(written(text)).sweeps(quick=True)[folder]
    assert quick.axes == {"width": widths, "task_seed": [4, 5, 6]}
    assert quick.notes == ["Few sizes and tasks (--quick): a look, not the study.", "a note"]


def test_a_quick_look_at_an_axis_of_one_value():
    study = gc.Study(title="", options={"eps": 0.02}, axes={"width": [5]})
    assert study.sweeps(quick=True)[""].axes == {"width": [5]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PARTS.replace("[[part]]", "[part]", 1).replace("[[part]]\n", ""), "is not TOML"),
        (PARTS.replace('name = "large"\n', ""), "part.name is None; each [[part]] needs a name of its own"),
        (PARTS.replace("axes = {width = [80, 160]}", "axes = {wdth = [80]}"), "'wdth'; did you mean width"),
        (PARTS.replace("options = {gd", "option = {gd"), "there is no key 'parts.large.option'"),
        (PARTS.replace("axes = {width = [80, 160]}", "axes = {width = 80}"), "parts.large.axes.width is 80"),
        (PARTS.replace("eps = 0.02", "eps = 0.02\nwidth = 5"), "width is an axis and an option too"),
        (PARTS.replace('title = "Width"', 'one_axs = true\ntitle = "Width"'), "did you mean one-axis"),
        (PARTS.replace('name = "large"', 'name = "../large"'), "part.name is '../large'; it must serve as the name of"),
        (PARTS.replace('name = "large"', 'name = ".."'), "part.name is '..'"),
        (PARTS.replace('name = "large"', 'name = ""'), "part.name is ''"),
    ],
)
def test_what_does_not_fit_is_named(written, text, said):
    file = written(text)
    with pytest.raises(gc.InputError) as caught:
        gc.Study.load(file)
    assert said in str(caught.value)
    assert str(caught.value).startswith(str(file))


def test_parts_may_be_written_in_the_plural(written):
    assert list(gc.Study.load(written(PARTS.replace("[[part]]", "[[parts]]"))).parts) == ["small-ones", "large"]


def test_a_sweep_with_parts_is_told_what_it_is(written):
    with pytest.raises(gc.InputError, match=r"\[\[part\]\] makes this a study.*`bayesgc study`"):
        gc.Sweep.load(written(PARTS))


def test_what_is_shipped_is_found_by_name_and_what_is_not_by_file(written):
    assert study_named("ranks").title == "Ranks of the truth"
    assert study_named(str(written(PLAIN))).title == "Width"
    with pytest.raises(gc.InputError, match=r"missing.toml cannot be read"):
        study_named("missing.toml")


def test_every_file_that_is_shipped_is_listed():
    folder = Path(gc.__file__).parent / "experiments" / "shipped_studies"
    assert {file.stem for file in folder.iterdir()} == set(STUDIES)
