from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from records_for_tests import CHAINS, DRAWS, RESTARTS, draws, mode, run, sensing_task, table_task, tree

from bayesgc.analysis.tree.datatree import load, save
from bayesgc.validate import InputError


def test_groups_and_dimensions_are_the_documented_ones() -> None:
    result = tree(weights=True)
    assert set(result.children) == {
        "posterior", "posterior_predictive", "prior", "gd", "gd_at_eps", "sample_stats", "levels", "observed_data",
        "constant_data", "ground_truth",
    }  # fmt: skip
    posterior = result["posterior"].to_dataset()
    assert dict(posterior["end_to_end"].sizes) == {"chain": CHAINS, "draw": DRAWS, "row": 4, "col": 3}
    assert posterior["singular_value"].dims == ("chain", "draw", "component")
    assert posterior["W1"].dims == ("chain", "draw", "W1_row", "W1_col")
    assert posterior["scale"].dims == ("chain", "draw")
    for group in ("gd", "gd_at_eps"):
        assert dict(result[group]["end_to_end"].sizes) == {"restart": RESTARTS, "row": 4, "col": 3}
    assert result["gd"]["curve_gen_loss"].dims == ("restart", "threshold")
    assert dict(result["constant_data"]["A"].sizes) == {"measurement": 7, "row": 4, "col": 3}
    assert result["levels"]["threshold"].dims == ("level",)


def test_the_mode_has_the_groups_of_descent_and_its_energies() -> None:
    task = sensing_task()
    record = mode(task, converged=2)
    found = tree(task, mode=record)["map"].to_dataset()
    assert dict(found["end_to_end"].sizes) == {"restart": RESTARTS, "row": 4, "col": 3}
    np.testing.assert_array_equal(found["energy"].values, record.energy)
    assert found["converged"].values.sum() == 2
    assert json.loads(found.attrs["configuration"]) == {"restarts": RESTARTS}
    assert "energy" not in tree(task)["gd"].data_vars


def test_values_and_summaries_survive_labelling() -> None:
    task = sensing_task()
    record = draws(task, 0.08, 11)
    posterior = tree(task)["posterior"].to_dataset()
    np.testing.assert_array_equal(posterior["gen_loss"].values, record.quantities["gen_loss"].numpy())
    assert posterior["gen_loss"].attrs["mcse"] == record.summaries["gen_loss"].mcse
    relative = posterior["gen_loss_relative"]
    assert task.zero_gen_loss is not None
    np.testing.assert_allclose(relative.values * task.zero_gen_loss, posterior["gen_loss"].values, rtol=1e-6)
    assert relative.attrs["q95"] == pytest.approx(record.summaries["gen_loss"].q95 / task.zero_gen_loss)


def test_a_table_is_in_its_own_units_and_labelled() -> None:
    task = table_task()
    result = tree(task)
    matrix = result["posterior"]["end_to_end"]
    assert task.units is not None
    expected = task.units.to_units(draws(task, 0.08, 11).end_to_end.double().numpy())
    np.testing.assert_allclose(matrix.values, expected)
    assert matrix.sel(row="Dé", col="µ").shape == (CHAINS, DRAWS)
    assert "A" not in result["constant_data"].data_vars
    np.testing.assert_array_equal(result["constant_data"]["cells"], [0, 2, 3, 4, 6, 7, 8, 10, 11])
    assert "ground_truth" not in result.children
    assert "gen_loss" not in result["posterior"].data_vars


def test_root_attributes_say_how_the_result_was_found() -> None:
    attributes = tree().attrs
    assert json.loads(attributes["configuration"])["method"] == {"name": "splitting", "particles": 2000, "bound": None}
    assert json.loads(attributes["seeds"]) == {"seed": 2**70, "task": 1}
    assert json.loads(attributes["diagnostics"])["lost"] is None
    assert {"bayesgc", "torch", "pyro-ppl", "numpy", "arviz-base", "python"} <= set(json.loads(attributes["versions"]))
    assert (attributes["log_volume"], attributes["log_volume_high"]) == (-8.4, -8.23)
    assert (attributes["eps"], attributes["outcome"], attributes["wall_time"]) == (0.0035, "converged", 5.0)
    assert "log_evidence" not in attributes


def test_replicates_are_fitted_values_with_noise_of_the_size_of_the_residuals() -> None:
    task = sensing_task()
    result = tree(task)
    found, matrices = result["posterior_predictive"]["y"], result["posterior"]["end_to_end"].values
    assert found.dims == ("chain", "draw", *result["observed_data"]["y"].dims)
    fitted = np.einsum("cdij,nij->cdn", matrices, result["constant_data"]["A"].values)
    scaled = (found.values - fitted) / np.sqrt(result["posterior"]["train_loss"].values)[..., None]
    # Standard errors of mean and variance of so many normals; no noise, or twice as much, is far outside.
    assert abs(scaled.mean()) < 5 / np.sqrt(scaled.size)
    assert abs(scaled.var() - 1) < 5 * np.sqrt(2 / scaled.size)
    xr.testing.assert_identical(tree(task)["posterior_predictive"]["y"], found)


def test_replicates_are_kept_of_as_many_draws_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bayesgc.analysis.tree.datatree._REPLICATED", CHAINS * 7 * 20)
    assert dict(tree()["posterior_predictive"]["y"].sizes) == {"chain": CHAINS, "draw": 20, "measurement": 7}


def test_arviz_draws_replicates_beside_the_data() -> None:
    from arviz_plots import plot_ppc_dist

    assert "y" in plot_ppc_dist(tree(), backend="none", num_samples=5).viz["plot"]


CASES = {
    "sensing": {"weights": True},
    "table": {"task": table_task()},
    "nothing accepted": {"accepted": False},
    "mode": {"mode": mode(sensing_task())},
    "no descent": {"with_gd": False, "references": {}},
}


@pytest.mark.parametrize("case", CASES)
def test_a_result_loads_back_the_same(case: str, tmp_path: Path) -> None:
    result = tree(**CASES[case])  # type: ignore[arg-type]
    path = save(result, tmp_path / "result.nc")
    xr.testing.assert_identical(load(path), result)
    assert [file.name for file in tmp_path.iterdir()] == ["result.nc"]
    path.unlink()  # only a closed file can be removed on every system


def test_what_repeats_itself_takes_little_room_and_comes_back_the_same(tmp_path: Path) -> None:
    """Labels that draws predict are few; random numbers are left as they are, since compression gains nothing there."""
    result, source = tree(), np.random.default_rng(0)
    labels = source.integers(0, 2, (CHAINS, DRAWS, 2000)).astype(np.float32)
    noise = source.normal(size=(CHAINS, DRAWS, 1000)).astype(np.float32)
    plain = save(result, tmp_path / "plain.nc").stat().st_size
    posterior = result["posterior"].to_dataset()
    for name, values in (("prediction", labels), ("noise", noise)):
        result["posterior"] = posterior.assign({name: (("chain", "draw", name), values)})
        added = save(result, tmp_path / f"{name}.nc").stat().st_size - plain
        assert (added < values.nbytes / 4) is (name == "prediction")
        assert (added > values.nbytes * 0.99) is (name == "noise")
        again = load(tmp_path / f"{name}.nc")
        np.testing.assert_array_equal(again["posterior"][name].values, values)
        part = again.isel(draw=slice(0, 3))
        assert load(save(part, tmp_path / "part.nc"))["posterior"][name].shape[:2] == (CHAINS, 3)


def test_a_loaded_result_can_be_saved_over_its_own_file(tmp_path: Path) -> None:
    path = save(tree(), tmp_path / "result.nc")
    loaded = load(path)
    save(loaded, path)
    xr.testing.assert_identical(load(path), loaded)


def test_a_failed_save_leaves_the_old_file_and_no_scraps(tmp_path: Path) -> None:
    path = save(tree(), tmp_path / "result.nc")
    before = path.read_bytes()
    broken = tree()
    broken["prior"]["gen_loss"].attrs["bad"] = None
    with pytest.raises(TypeError):
        save(broken, path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["result.nc"]


def test_saving_into_a_missing_folder_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Cannot write .*writable folder"):
        save(tree(), tmp_path / "absent" / "result.nc")


def test_unusable_files_get_one_clear_line(tmp_path: Path) -> None:
    good = save(tree(), tmp_path / "good.nc").read_bytes()
    (tmp_path / "text.nc").write_text("no netCDF")
    (tmp_path / "empty.nc").touch()
    for share in (10, 50, 99):
        (tmp_path / f"cut{share}.nc").write_bytes(good[: len(good) * share // 100])
    xr.Dataset({"x": 1.0}).to_netcdf(tmp_path / "foreign.nc", engine="h5netcdf")
    part = tree()
    del part["constant_data"], part.attrs["reasons"]
    save(part, tmp_path / "part.nc")
    older = tree()
    older.attrs["schema"] = 0
    save(older, tmp_path / "older.nc")
    newer = tree()
    newer.attrs["schema"] = 99
    save(newer, tmp_path / "newer.nc")
    messages = {
        "absent.nc": "is not a file",
        "text.nc": "of another format",
        "empty.nc": "is empty",
        "cut10.nc": "damaged",
        "cut50.nc": "damaged",
        "cut99.nc": "damaged",
        "foreign.nc": "not written by bayesgc",
        "part.nc": "the group 'constant_data' is missing",
        "older.nc": "schema 0; .* from 1 on",
        "newer.nc": "schema 99.*up to 1",
    }
    for name, message in messages.items():
        with pytest.raises(InputError, match=f"{name}.*{message}") as caught:
            load(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="is not a file"):
        load(tmp_path)


def test_a_zero_predictor_without_loss_gives_no_relative_losses() -> None:
    task = sensing_task()
    still = type(task)(task.kind, task.shape, task.measurements, np.zeros_like(task.targets), np.zeros(task.shape))
    posterior = tree(still)["posterior"].to_dataset()
    assert "gen_loss" in posterior
    assert "gen_loss_relative" not in posterior


def test_sample_stats_keep_their_type() -> None:
    task = sensing_task()
    stats = {"diverging": torch.zeros(CHAINS, DRAWS, dtype=torch.bool), "steps": torch.ones(CHAINS, DRAWS).long()}
    record = run(task, posterior=draws(task, 0.08, 11))
    record.posterior.sample_stats.update(stats)  # type: ignore[union-attr]
    found = tree(task, run=record)["sample_stats"].to_dataset()
    assert found["diverging"].dtype == bool
    assert found["steps"].dims == ("chain", "draw")


def test_draws_that_are_no_chains_say_so_in_the_tree(tmp_path: Path) -> None:
    task = sensing_task()
    record = run(task, posterior=draws(task, 0.08, 11))
    assert "note" not in tree(task, run=record)["posterior"].attrs
    weights = {"log_weight": np.zeros(10)}
    resampled = tree(task, run=dataclasses.replace(record, method="importance", importance=weights))
    assert "were resampled by their weights" in resampled["posterior"].attrs["note"]
    assert record.posterior is not None
    record.posterior.sample_stats["island"] = torch.arange(CHAINS * DRAWS).reshape(CHAINS, DRAWS) % 16
    note = load(save(tree(task, run=record), tmp_path / "islands.nc"))["posterior"].attrs["note"]
    for words in ("share ancestors", "effective sample sizes", "too optimistic", "attribute mcse of each variable"):
        assert words in note
