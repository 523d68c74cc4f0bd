"""Claims that a sweep states itself: read from its file, refused where they say nothing, decided by the rule."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from test_claims import curve, write

import bayesgc as gc
from bayesgc.analysis.claims.claims import judge
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
    assert claim.measured == "L_gen of gradient descent at its end at width 40 over that of Guess & Check"


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
