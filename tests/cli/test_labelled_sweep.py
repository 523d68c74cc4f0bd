"""A sweep over labelled examples: its dataset, table, picture, report, and what the paper's claims say of it."""

from __future__ import annotations

import json

import numpy as np
import pytest

import bayesgc as gc
from bayesgc.analysis.claims.claims import judge
from bayesgc.analysis.measures import measures_over
from bayesgc.analysis.plots import plot_sweep
from bayesgc.analysis.report.sweep import sweep_page
from bayesgc.analysis.tree.stores import load_store
from bayesgc.cli.sweep_tables import VACUOUS, _medians, beside
from bayesgc.experiments.checks import check_cells
from bayesgc.experiments.dataset import _of_labels
from bayesgc.experiments.forecast import seconds_of
from bayesgc.validate import InputError


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Two widths on six examples of two features, whose label is the sign of the first: fits are one draw in dozens."""
    folder = tmp_path_factory.mktemp("labelled")
    source = np.random.default_rng(0)
    inputs, tests = source.normal(size=(6, 2)), source.normal(size=(40, 2))
    inputs[:, 0] = np.abs(inputs[:, 0]) * [1, 1, 1, -1, -1, -1]
    labels, wanted = ((each[:, 0] > 0).astype(int) for each in (inputs, tests))
    np.savez(folder / "signs.npz", X=inputs, y=labels, X_test=tests, y_test=wanted)
    options = {
        "data": str(folder / "signs.npz"), "family": "mlp", "eps": 0, "method": "rejection", "max_evaluations": 20_000,
        "restarts": 4, "gd_epochs": 50,
    }  # fmt: skip
    sweep = gc.Sweep(title="Signs", question="Does width help?", options=options, axes={"width": ["3", "6"]})
    return gc.run_sweep(sweep, folder / "store", workers=1), folder / "store"


def test_its_cells_have_test_errors_of_all_laws(swept):
    cells, _ = swept
    assert measures_over(cells).generalisation.name == "test_error"
    for name in ("prior", "posterior", "gd", "gd_at_eps", "majority", "nearest_neighbour"):
        found = cells[f"{name}_test_error"].values
        assert found.shape == (2,)
        assert ((found >= 0) & (found <= 1)).all()
    assert (cells["posterior_test_error"] < cells["prior_test_error"]).all()
    assert not [name for name in cells.data_vars if str(name).endswith("gen_loss")]
    assert (cells["gd_restarts"] == 4).all()


def test_its_table_and_picture_are_in_per_cent(swept):
    cells, store = swept
    top = plot_sweep(cells).axes[0]
    assert top.get_ylabel() == "test error (%)"
    assert "the most common label" in top.get_legend_handles_labels()[1]
    middle = 100 * float(cells["posterior_test_error"].values[0])
    (line,) = [each for each in top.lines if each.get_label() == "G&C posterior"]
    assert line.get_ydata()[0] == pytest.approx(middle)
    plan = json.loads((store / "sweep.json").read_text())
    assert plan["options"]["family"] == "mlp"


def test_its_table_shows_descent_at_both_ends_and_no_bound_where_there_is_none(swept):
    """Six examples are too few for a certificate."""
    cells, _ = swept
    assert list(beside(cells)) == ["GD 1st fit", "GD end", "majority"]
    assert "bound" in beside(cells.assign(certificate=0.9 + 0 * cells["eps"]))
    majority = cells["majority_test_error"]
    for factor, vacuous in ((0.9, False), (1.1, True)):
        row = _medians(
            cells.assign(certificate=factor * majority).isel(dict.fromkeys(cells["eps"].dims, 0)), ["certificate"]
        )
        assert row[3].endswith(VACUOUS) is vacuous
    # Guessing is a class at random where that errs less than the most common label, as of a single run.
    for share, vacuous in ((1.0, False), (0.8, True)):
        known = cells.assign(certificate=0.9 * majority, guessing=share * majority)
        row = _medians(known.isel(dict.fromkeys(cells["eps"].dims, 0)), ["certificate"])
        assert row[3].endswith(VACUOUS) is vacuous
    certified = {"ensemble": None, "gd": None, "certificate": {"bound": 0.4, "guessing": 0.5}}
    assert _of_labels(certified, "test_error", []) == {"certificate": 0.4, "guessing": 0.5}
    vote, draw = (cells[f"{law}_test_error"].values for law in ("ensemble", "posterior"))
    assert (vote < draw).all()


def test_a_named_set_is_enough_to_sweep_over(tmp_path):
    """No family, no threshold: those of the examples are taken, as `infer` does."""
    options = {"task": "two-moons", "train": 4, "method": "rejection", "max_evaluations": 4000, "gd_epochs": 5}
    sweep = gc.Sweep(title="Moons", options=options, axes={"width": ["3"], "fit": ["errors"]})
    cells = gc.run_sweep(sweep, tmp_path / "store", workers=1)
    assert float(cells["eps"].values.item()) == 0
    assert int(cells["gd_restarts"].values.item()) == 4
    assert 0 < float(cells["posterior_test_error"].values.item()) < 0.5
    assert not list((tmp_path / "store").glob("failures/*"))


@pytest.mark.parametrize(
    ("name", "value"),
    [("activation", "linear"), ("scaling", "fan-out"), ("standardize", True), ("eps", 0.0035), ("gd_lr", 0.01)],
)
def test_an_option_that_is_open_for_labels_tells_cells_apart_at_its_own_default_too(name, value):
    """Left open these are ReLU, fan-in, no, no errors and the protocol's rate, whatever arrays take."""
    options = {"task": "two-moons", "train": 4, "width": "3", "gd_protocol": "chiang"}
    keys = [
        cell.key
        for given in ({}, {name: value})
        for cell in gc.Sweep(title="Keys", options=options | given, axes={"task_seed": [0]}).cells()
    ]
    assert len(set(keys)) == 2
    arrays = [gc.Sweep(title="Keys", options=given, axes={"task_seed": [0]}).cells() for given in ({}, {"eps": 0.0035})]
    assert len({cell.key for (cell,) in arrays}) == 1


def test_a_bin_sweeps_and_a_forecast_counts_it(tmp_path):
    options = {"task": "two-moons", "train": 4, "fit": "cross-entropy", "right": True, "gd_epochs": 5, "width": "3"}
    sweep = gc.Sweep(title="Bins", options=options, axes={"eps_low": [0.3, 0.4], "eps": [0.6]})
    cells = sweep.cells()
    assert len({cell.key for cell in cells}) == 2
    assert all(cell.labelled and cell.descent_key is None for cell in cells)
    check_cells(cells)
    seconds = seconds_of(cells)
    assert all(0.8 < each < 600 for each in seconds.values())
    wrong = gc.Sweep(title="Bins", options=options, axes={"eps_low": [0.7], "eps": [0.6]}).cells()
    with pytest.raises(InputError, match="eps_low = 0.7, eps = 0.6: eps is 0.6; with a lower end of 0.7"):
        check_cells(wrong)


def test_its_report_is_by_the_test_error_and_no_claim_is_about_it(swept):
    _, store = swept
    page = sweep_page(store)
    assert "the factor by which test error of a fit changes" in page.answer
    assert load_store(store).axes == ["width"]
    with pytest.raises(InputError, match="no claim can be judged"):
        judge([store])
