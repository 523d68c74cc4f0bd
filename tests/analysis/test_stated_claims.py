"""Claims that a sweep states itself: read from its file, refused where they say nothing, decided by the rule."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from rich.console import Console
from test_claims import TASKS, curve, write
from test_network_claims import write as write_labelled

import bayesgc as gc
from bayesgc.analysis.claims.claims import Judgement, judge, numbers_of
from bayesgc.analysis.claims.decisions import Claim
from bayesgc.analysis.claims.stated import Stated, decided
from bayesgc.validate import InputError

AXES = {"width": [5, 40, 640], "task_seed": [0, 1, 2]}
HURTS = {"claim": "width hurts a lot", "at": {"width": "last"}, "over_at": {"width": 5}, "above": 1.5}
EQUAL = {"claim": "descent does better", "law": "gd", "at": {"width": 40}, "below": 0.9}


def claiming(folder: Path, *claims: dict, **losses: np.ndarray) -> Path:
    """A store along width whose sweep makes these claims."""
    store = write(folder, "width", **losses)
    with xr.load_dataset(store / "sweep.nc", engine="h5netcdf") as dataset:
        dataset.attrs["sweep"] = json.dumps({"options": {}, "claims": list(claims)})
        dataset.to_netcdf(store / "sweep.nc", engine="h5netcdf")
    return store


@pytest.mark.parametrize(("factors", "verdict"), [((1, 2, 3), "holds"), ((1, 1, 1.1), "fails")])
def test_a_claim_of_ones_own_is_decided_and_nothing_else(tmp_path: Path, factors: tuple, verdict: str) -> None:
    [claim] = judge([claiming(tmp_path / "s", HURTS, posterior_gen_loss=curve(*factors))]).claims
    assert (claim.claim, claim.verdict, claim.limit, claim.above) == ("width hurts a lot", verdict, 1.5, True)
    assert claim.measured == "E[L_gen] of Guess & Check at width 640 over that at width 5"


def test_laws_are_compared_at_the_same_cells(tmp_path: Path) -> None:
    descent = 0.5 * curve(1, 1, 1)
    [claim] = judge([claiming(tmp_path / "s", EQUAL, posterior_gen_loss=curve(1, 1, 1), gd_gen_loss=descent)]).claims
    assert claim.verdict == "holds"
    assert claim.effect == pytest.approx(0.5)
    assert claim.measured == "median L_gen of gradient descent at its end at width 40 over that of Guess & Check"


def test_axes_that_are_not_named_make_panels(tmp_path: Path) -> None:
    everywhere = {"claim": "better than nothing", "over": "zero", "below": 0.5}
    claims = judge([claiming(tmp_path / "s", everywhere)]).claims
    assert [claim.panel for claim in claims] == [f"widths, linear, width {width}" for width in (5, 40, 640)]
    assert {claim.verdict for claim in claims} == {"fails"}


def test_a_file_states_claims_which_its_store_keeps(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text(
        'title = "Widths"\naxes = {width = [5, 40, 640], task-seed = [0, 1, 2]}\n'
        '[[claim]]\nclaim = "width hurts a lot"\nat = {width = "last"}\nover_at = {width = 5}\nabove = 1.5\n'
    )
    sweep = gc.Sweep.load(file)
    assert [each.model_dump(exclude_defaults=True) for each in sweep.claims] == [HURTS]
    assert sweep == gc.Sweep(title="Widths", axes=AXES, claims=[HURTS])
    assert sweep.with_options(eps=0.1).claims == sweep.claims


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"below": 0.5}, "give one of above, below and within"),
        ({"above": None}, "give one of above, below and within"),
        ({"above": -1}, "a number above 0"),
        ({"above": None, "within": 0.9}, "within is 0.9"),
        ({"at": {"depth": 3}, "over_at": {"depth": 2}}, "there is no axis 'depth' to be at; choose from width"),
        ({"at": {"width": 6}}, "width is 6; choose from 5, 40, 640, first, last"),
        ({"at": {"width": [5]}}, "width is [5]; choose from"),
        ({"over_at": {}}, "must name the same axes"),
        ({"over_at": None}, "its factor is always 1"),
        ({"above": math.inf}, "a number above 0"),
        ({"above": True}, "claims.0.above is True"),
        ({"claim": " "}, "a claim has no words"),
        ({"over_at": {"width": 640}}, "its factor is always 1"),
        ({"law": "mode"}, "law is 'mode'; it must be 'posterior', 'prior'"),
        ({"under": 1}, "there is no key 'claims.0.under'"),
    ],
)
def test_claims_that_say_nothing_are_refused(change: dict, said: str) -> None:
    with pytest.raises(InputError) as refused:
        gc.Sweep(title="Widths", axes=AXES, claims=[HURTS | change])
    assert said in str(refused.value)


def test_a_claim_takes_several_tasks() -> None:
    with pytest.raises(InputError, match="give the axis task-seed at least two values"):
        gc.Sweep(title="Widths", axes=AXES | {"task_seed": [0]}, claims=[HURTS])


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        ("normalize", [False, True]),
        ("eps", [0.1, 0.01, 0.001]),
        ("eps", ["10%", "5%", 0.001]),
        ("width", [5, 20, 640]),
        ("width", ["5", "20,10", "640"]),
    ],
)
def test_values_are_found_where_the_dataset_has_their_text(tmp_path: Path, axis: str, values: list[object]) -> None:
    store = write(tmp_path / "s", "width", posterior_gen_loss=curve(1, 2, 3))
    stated = {"claim": "it hurts", "at": {axis: values[1]}, "over_at": {axis: "first"}, "above": 1.5}
    [claim] = gc.Sweep(title="Widths", axes={axis: values, "task_seed": [0, 1]}, claims=[stated]).claims
    dataset = xr.load_dataset(store / "sweep.nc", engine="h5netcdf").isel(width=slice(len(values)))
    dataset = dataset.assign_coords(width=np.array([str(each) for each in values], dtype=object)).rename(width=axis)
    [found] = decided(claim, dataset, "")
    assert (found.verdict, found.effect) == ("holds", pytest.approx(2, rel=0.1))


def test_axes_may_have_dashes(tmp_path: Path) -> None:
    stated = {"claim": "slow is better", "at": {"gd-lr": 0.1}, "over_at": {"gd-lr": 0.2}, "below": 1.0}
    axes = {"gd-lr": [0.1, 0.2], "task-seed": [0, 1]}
    assert gc.Sweep(title="Rates", axes=axes, claims=[stated]).claims[0].at == {"gd_lr": 0.1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('claims = []\n[[claim]]\nclaim = "x"', "claim and claims are both there"),
        ("panels = {}\n[[panel]]\nname = 'x'", "panel and panels are both there"),
        ('[claim]\nclaim = "x"', "write each claim as a table [[claim]]"),
        ('[[claim]]\nclaim = "x"\nunder = 1', "[[claim]] 1: there is no key 'under'."),
        ('[[claim]]\nclaim = "x"\noverat = 1', "[[claim]] 1: there is no key 'overat'; did you mean over_at?"),
        ('[[claim]]\nclaim = "x"\nat = "last"', "[[claim]] 1: at is 'last'; it must be a table of names"),
        ('[[claim]]\nclaim = "x"\nabove = 1\nat = {widht = 5}', "there is no axis 'widht' to be at; choose from"),
        ('[[claim]]\nclaim = "x"\nabove = 1\nat = {width = "lst"}', "Did you mean 'last'?"),
    ],
)
def test_a_file_that_writes_them_otherwise_is_told_how(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "s.toml"
    file.write_text(f'title = "Widths"\naxes = {{width = [5, 40], task-seed = [0, 1]}}\n{text}\n')
    with pytest.raises(InputError) as refused:
        gc.Sweep.load(file)
    assert said in str(refused.value)


def labelled(folder: Path, stated: dict, **errors: object) -> Claim:
    """The claim on a store of labelled cells."""
    store = write_labelled(folder, "train", [8, 32], **errors)
    dataset = xr.load_dataset(store / "sweep.nc", engine="h5netcdf")
    [claim, _] = decided(Stated(**stated), dataset, "")
    return claim


def test_who_knows_nothing_of_labels_guesses_the_most_common_one(tmp_path: Path) -> None:
    claim = labelled(tmp_path / "s", {"claim": "it learns", "over": "zero", "below": 0.5})
    assert (claim.verdict, claim.effect) == ("holds", pytest.approx(0.4))
    assert claim.measured == "the mean test error of Guess & Check over that of guessing the most common label"


def test_there_is_no_factor_to_no_error(tmp_path: Path) -> None:
    trained = np.full((2, TASKS), 0.1)
    stated = {"claim": "training is better", "law": "gd", "below": 0.9}
    assert labelled(tmp_path / "s", stated, gd=trained).verdict == "holds"
    trained[:, :5] = 0.0
    claim = labelled(tmp_path / "t", stated, gd=trained)
    assert (claim.verdict, claim.tasks) == ("undecided", TASKS - 5)


def test_who_has_no_draws_has_no_errors_of_draws(tmp_path: Path) -> None:
    store = write(tmp_path / "s", "width")
    dataset = xr.load_dataset(store / "sweep.nc", engine="h5netcdf")
    dataset["outcome"][:] = "exhausted"
    stated = {"claim": "descent learns", "law": "gd", "over": "zero", "below": 0.5}
    assert {claim.note for claim in decided(Stated(**stated), dataset, "")} == {""}
    both = {"claim": "it learns", "over": "zero", "below": 0.5}
    assert all("did not converge" in claim.note for claim in decided(Stated(**both), dataset, ""))


def test_why_nothing_is_decided_is_told_with_each_claim(tmp_path: Path) -> None:
    losses = curve(1, 2, 3)
    losses[:, 0] = np.nan
    claims = [HURTS, HURTS | {"claim": "width hurts", "above": 1.1}]
    text = io.StringIO()
    Console(file=text, width=200).print(judge([claiming(tmp_path / "s", *claims, posterior_gen_loss=losses)]))
    assert text.getvalue().count("1 of 8 tasks have no number") == 2


@pytest.mark.parametrize(("tasks", "marked"), [(3, True), (5, True), (6, False), (TASKS, False)])
def test_few_tasks_are_marked_as_taken_to_be_normal(tmp_path: Path, tasks: int, *, marked: bool) -> None:
    dataset = xr.load_dataset(claiming(tmp_path / "s", HURTS) / "sweep.nc", engine="h5netcdf")
    [claim] = decided(Stated(**HURTS), dataset.isel(task_seed=slice(tasks)), "")
    *_, shown = numbers_of(claim)
    assert (shown == f"{tasks} *", shown == str(tasks)) == (marked, not marked)
    text = io.StringIO()
    Console(file=text, width=200).print(Judgement([claim]))
    assert "* a t-interval takes tasks to be normal" in text.getvalue()
