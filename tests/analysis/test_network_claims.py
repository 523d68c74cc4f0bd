"""Claims about networks, on made-up sweeps whose answer is known: each verdict has a case that turns it round."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import bayesgc as gc
from bayesgc.analysis.claims.claims import judge
from bayesgc.analysis.claims.decisions import Claim

TASKS = 8
_MEASURES = {"fit": "train_errors", "generalisation": "test_error"}


def write(folder: Path, axis: str, places: list, **errors) -> Path:
    """A store of labelled cells with these test errors: (place, task), or what broadcasts to it."""
    shape = (len(places), TASKS)
    known = {"prior": 0.5, "posterior": 0.2, "gd": 0.05, "gd_at_eps": 0.15, "majority": 0.5} | errors
    values = {
        name if name == "certificate" else f"{name}_test_error": ((axis, "task_seed"), np.broadcast_to(each, shape))
        for name, each in known.items()
    }
    for law in ("prior", "posterior"):
        values[f"{law}_test_error_mcse"] = ((axis, "task_seed"), np.full(shape, 0.002))
    values["outcome"] = ((axis, "task_seed"), np.full(shape, "converged", dtype=object))
    attributes = {"title": "Networks", "sweep": json.dumps({"options": {}}), "measures": json.dumps(_MEASURES)}
    folder.mkdir(parents=True)
    coords = {axis: places, "task_seed": range(TASKS)}
    xr.Dataset(values, coords, attributes).to_netcdf(folder / "sweep.nc", engine="h5netcdf")
    return folder


def around(*means: float, spread: float = 0.02, seed: int = 0) -> np.ndarray:
    """Test errors (place, task) around these means; tasks differ alike at all places."""
    random = np.random.default_rng(seed)
    return np.array(means)[:, None] + random.normal(0, 0.03, TASKS) + random.normal(0, spread, (len(means), TASKS))


def claims(store: Path) -> dict[str, Claim]:
    """The claims by name and the end of the axis that they are about."""
    found = judge([store]).claims
    return {f"{claim.claim} | {claim.panel.removeprefix('Networks').removeprefix(', ')}": claim for claim in found}


@pytest.mark.parametrize(("last", "verdict"), [(0.3, "holds"), (0.19, "fails"), (0.212, "undecided")])
def test_width_hurts_where_the_test_error_rises(tmp_path, last, verdict):
    store = write(tmp_path / "s", "width", ["20,10", "40,20"], posterior=around(0.2, last, spread=0.01))
    assert claims(store)["width hurts | "].verdict == verdict


@pytest.mark.parametrize(("means", "hurts", "helps"), [((0.2, 0.3), "holds", "fails"), ((0.3, 0.2), "fails", "holds")])
def test_layers_that_are_added_are_depth(tmp_path, means, hurts, helps):
    store = write(tmp_path / "s", "width", ["40", "40,20"], posterior=around(*means, spread=0.005))
    found = claims(store)
    assert (found["depth hurts | "].verdict, found["depth helps | "].verdict) == (hurts, helps)
    assert "width hurts | " not in found


def test_widths_and_depths_at_once_are_neither(tmp_path):
    found = claims(write(tmp_path / "s", "width", ["40", "20", "20,10"]))
    assert not any("hurts" in name for name in found)
    assert any("gradient descent does better" in name for name in found)


@pytest.mark.parametrize(("last", "verdict"), [(0.02, "holds"), (0.08, "fails")])
def test_width_helps_descent_where_its_error_falls(tmp_path, last, verdict):
    store = write(tmp_path / "s", "width", ["20,10", "40,20"], gd=around(0.05, last, spread=0.003))
    claim = claims(store)["width helps gradient descent | "]
    assert claim.verdict == verdict
    assert claim.effect == pytest.approx(100 * (last - 0.05), abs=0.5)
    assert claim.unit == "percentage points"


def test_descent_is_judged_where_it_was_run(tmp_path):
    """An infinitely wide network has none."""
    widths, descent = ["20,10", "40,20", "inf,inf"], np.array([[0.1], [0.05], [np.nan]]) * np.ones(TASKS)
    store = write(tmp_path / "s", "width", widths, gd=descent, gd_at_eps=descent)
    cells = xr.load_dataset(store / "sweep.nc", engine="h5netcdf")
    cells["gd_restarts"] = (("width", "task_seed"), np.where(np.isnan(descent), np.nan, 8))
    cells.to_netcdf(store / "sweep.nc", engine="h5netcdf")
    found = claims(store)
    assert found["width helps gradient descent | "].verdict == "holds"
    assert "at width 40,20 less that at 20,10" in found["width helps gradient descent | "].measured
    assert "at width inf,inf over that at 20,10" in found["width hurts | "].measured
    assert "gradient descent does better at its end | width inf,inf" not in found


def test_an_axis_is_judged_from_its_least_to_its_greatest_value(tmp_path):
    """In whatever order a file lists them; widths that do not grow are no axis of widths."""
    falling = around(0.1, 0.3, spread=0.005)
    found = claims(write(tmp_path / "s", "train", [128, 8], posterior=falling, gd=0.05))
    assert "at train 128 less that at 8" in found["the advantage of gradient descent at its end closes | "].measured
    assert found["the advantage of gradient descent at its end closes | "].effect == pytest.approx(20, abs=1)
    for widths in (["40,20", "20,10"], ["5,100", "100,5"], ["inf,inf", "20,10"]):
        names = claims(write(tmp_path / widths[0], "width", widths))
        assert not any("hurts" in name for name in names)


def test_each_seed_is_judged_by_itself(tmp_path):
    store = write(tmp_path / "s", "train", [8, 128])
    cells = xr.load_dataset(store / "sweep.nc", engine="h5netcdf")
    xr.concat([cells, cells], xr.IndexVariable("seed", [0, 1])).to_netcdf(store / "sweep.nc", engine="h5netcdf")
    found = claims(store)
    assert found["gradient descent does better at its end | seed 1, train 8"].tasks == TASKS
    assert len(found) == 2 * len(claims(write(tmp_path / "one", "train", [8, 128])))


@pytest.mark.parametrize(("outcome", "verdict"), [("converged", "holds"), ("failed", "undecided"), ("", "undecided")])
def test_cells_that_are_missing_leave_it_undecided_and_those_without_descent_do_not(tmp_path, outcome, verdict):
    descent = np.array([[0.05], [np.nan]]) * np.ones(TASKS)
    store = write(tmp_path / "s", "train", [8, 128], gd=descent, gd_at_eps=descent)
    cells = xr.load_dataset(store / "sweep.nc", engine="h5netcdf")
    cells["gd_restarts"] = (("train", "task_seed"), np.where(np.isnan(descent), np.nan, 8))
    cells["outcome"][1] = outcome
    cells.to_netcdf(store / "sweep.nc", engine="h5netcdf")
    name = "gradient descent does better at its end"
    found = [claim for each, claim in claims(store).items() if each.startswith(name)]
    assert found[-1].verdict == verdict
    assert len(found) == (1 if verdict == "holds" else 2)


def test_of_kinds_every_one_is_judged(tmp_path):
    found = claims(write(tmp_path / "s", "activation", ["linear", "relu", "tanh"]))
    assert "gradient descent does better at its end | activation relu" in found
    assert not any("closes" in name for name in found)


def test_no_test_error_is_no_number_under_a_ratio(tmp_path):
    never = around(0.3, 0.2)
    never[1, 2] = 0.0
    found = claims(write(tmp_path / "s", "train", [8, 128], posterior=never, certificate=0.6))
    assert found["the certificate is within a factor of two | "].tasks == TASKS - 1
    assert found["the certificate holds | "].verdict == "holds"


def test_a_certificate_is_judged_where_there_may_be_one(tmp_path):
    bound = np.array([[np.nan], [0.9], [0.5]]) * np.ones(TASKS)
    found = claims(write(tmp_path / "s", "train", [4, 8, 128], posterior=around(0.4, 0.3, 0.2), certificate=bound))
    assert found["the certificate holds | "].verdict == "holds"


@pytest.mark.parametrize(("descent", "verdict"), [(0.1, "holds"), (0.3, "fails"), (0.0, "holds")])
def test_descent_does_better_where_its_error_is_lower(tmp_path, descent, verdict):
    errors = np.clip(around(descent, descent), 0, 1)  # an error of zero is a number like any other
    store = write(tmp_path / "s", "train", [16, 64], posterior=around(0.2, 0.2), gd=errors, gd_at_eps=0.4)
    found = claims(store)
    assert found["gradient descent does better at its end | train 16"].verdict == verdict
    assert found["gradient descent does better at equal fit | train 64"].verdict == "fails"


@pytest.mark.parametrize(("median", "verdict"), [(0.1, "fails"), (0.4, "holds")])
def test_descent_is_held_against_the_median_of_the_draws(tmp_path, median, verdict):
    store = write(tmp_path / "s", "train", [16, 64], posterior=around(0.2, 0.2), gd=around(0.15, 0.15, spread=0.001))
    cells = xr.load_dataset(store / "sweep.nc", engine="h5netcdf")
    for name, value in (("q50", median), ("q50_mcse", 0.001)):
        cells[f"posterior_test_error_{name}"] = cells["posterior_test_error"] * 0 + value
    cells.to_netcdf(store / "sweep.nc", engine="h5netcdf")
    assert claims(store)["gradient descent does better at its end | train 16"].verdict == verdict


def test_a_task_without_a_fit_leaves_it_undecided(tmp_path):
    missing = around(0.1, 0.1)
    missing[0, 3] = np.nan
    claim = claims(write(tmp_path / "s", "train", [16, 64], gd=missing))[
        "gradient descent does better at its end | train 16"
    ]
    assert (claim.verdict, claim.tasks) == ("undecided", TASKS - 1)


@pytest.mark.parametrize(
    ("few", "many", "points", "share"),
    [((0.2, 0.05), (0.02, 0.005), "holds", "undecided"), ((0.2, 0.05), (0.05, 0.045), "holds", "holds")],
)
def test_an_advantage_closes_in_points_and_as_a_share(tmp_path, few, many, points, share):
    noise = 1 + np.random.default_rng(1).normal(0, 0.1, (2, TASKS))
    posterior, descent = (np.array([[few[i]], [many[i]]]) for i in (0, 1))
    store = write(tmp_path / "s", "train", [8, 128], posterior=posterior, gd=descent * noise)
    found = claims(store)
    assert found["the advantage of gradient descent at its end closes | "].verdict == points
    assert found["the relative advantage of gradient descent at its end closes | "].verdict == share


@pytest.mark.parametrize(
    ("bound", "holds", "says", "near"),
    [
        ((0.9, 0.3), "holds", "holds", "holds"),
        ((0.9, 0.6), "holds", "fails", "fails"),
        ((0.05, 0.3), "fails", "holds", "holds"),
    ],
)
def test_a_certificate(tmp_path, bound, holds, says, near):
    limits = np.array(bound)[:, None] * np.ones(TASKS)
    found = claims(write(tmp_path / "s", "train", [8, 128], posterior=around(0.3, 0.2), certificate=limits))
    assert found["the certificate holds | "].verdict == holds
    assert found["the certificate is better than guessing | "].verdict == says
    assert found["the certificate is within a factor of two | "].verdict == near
    cells = xr.load_dataset(tmp_path / "s" / "sweep.nc", engine="h5netcdf")
    guessing = 0.25 + 0 * cells["certificate"]  # a class at random, which errs less than the most common label
    store = tmp_path / "random"
    store.mkdir()
    cells.assign(guessing=guessing).to_netcdf(store / "sweep.nc", engine="h5netcdf")
    assert claims(store)["the certificate is better than guessing | "].verdict == "fails"


def test_cells_of_one_task_decide_nothing(tmp_path):
    store = write(tmp_path / "s", "train", [8, 128])
    one = xr.load_dataset(store / "sweep.nc", engine="h5netcdf").isel(task_seed=[0])
    one.to_netcdf(store / "sweep.nc", engine="h5netcdf")
    with pytest.raises(gc.InputError, match="no claim can be judged: .* of labels also along train"):
        judge([store])
