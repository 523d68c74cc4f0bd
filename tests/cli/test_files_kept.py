"""What is the user's stays: data, programs, results that are read, and files that are there already."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

FAST = ("--method", "rejection", "--no-gd", "--no-map", "--max-evaluations", 20_000, "--quiet")
PRIOR = """
import pyro.distributions as dist

def normal(rows, cols):
    return dist.Normal(0.0, 1.0).expand([rows, cols]).to_event(2)
"""


@pytest.fixture
def data(tmp_path):
    generator = np.random.default_rng(0)
    stack, truth = generator.normal(size=(15, 5, 5)), generator.normal(size=(5, 5))
    dataset = xr.Dataset({"A": (("n", "i", "j"), stack), "y": ("n", np.einsum("nij,ij->n", stack, truth))})
    dataset.to_netcdf(tmp_path / "data.nc", engine="h5netcdf")
    return "data.nc"


def assert_kept(ended, *words):
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    for word in words:
        assert word in ended.err


@pytest.fixture
def idle(monkeypatch):
    """No inference may begin."""

    def begin(*_, **__):
        raise AssertionError("work has begun")

    monkeypatch.setattr("bayesgc.cli.session.infer", begin)


@pytest.mark.parametrize("force", [(), ("--force",)])
@pytest.mark.parametrize("spelled", ["data.nc", "./data.nc", "link.nc", "hard.nc"])
def test_the_data_are_no_output(command, data, idle, spelled, force):
    Path("link.nc").symlink_to(data)
    Path("hard.nc").hardlink_to(data)
    before = Path(data).read_bytes()
    ended = command("infer", "--data", data, "--out", spelled, *FAST, *force)
    assert_kept(ended, "--out", Path(spelled).name, "the input")
    assert Path(data).read_bytes() == before


def test_nor_are_programs_and_priors(command, idle, tmp_path):
    (tmp_path / "own.py").write_text(PRIOR)
    Path("own.nc").symlink_to("own.py")
    Path("own.png").symlink_to("own.py")
    for option in (("--prior", "gaussian,own.py:normal"), ("--model", "own.py:normal")):
        assert_kept(command("infer", *option, "--out", "own.nc", *FAST, "--force"), "the input", "own.py")
        assert_kept(command("infer", *option, "--plot", "own.png", *FAST, "--force"), "--plot", "own.py")


def test_a_file_of_others_is_replaced_by_force_alone(command):
    for name, option in {"mine.nc": "--out", "mine.png": "--plot"}.items():
        Path(name).write_text("mine")
        assert_kept(command("infer", option, name, "--eps", 0.05, *FAST), name, "--force")
        assert Path(name).read_text() == "mine"
    both = ("--out", "mine.nc", "--plot", "mine.png")
    assert command("infer", *both, "--force", "--eps", 0.05, *FAST).code == 0
    assert command("infer", *both, "--eps", 0.05, *FAST).code == 0  # they are ours now


def test_a_result_that_takes_the_place_of_another_says_so(command):
    Path("empty.nc").touch()
    loud = [each for each in ("--eps", 0.05, *FAST) if each != "--quiet"]
    said = [command("infer", "--out", name, *loud).err for name in ("run.nc", "run.nc", "empty.nc")]
    assert ["bayesgc: replaced run.nc\n" in err for err in said] == [False, True, False]
    assert "replaced" in command("infer", "--out", "run.nc", "--json", *loud).err
    assert "replaced" not in command("infer", "--out", "run.nc", *loud, "--quiet").err


def test_two_outputs_are_two_files(command, idle):
    Path("run.nc").touch()
    Path("run.png").hardlink_to("run.nc")
    assert_kept(command("infer", "--out", "run.nc", "--plot", "run.png", *FAST), "--plot", "--out")


def test_a_failed_run_leaves_no_name_behind(command, monkeypatch, tmp_path):
    def fail(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("bayesgc.cli.session.infer", fail)
    assert command("infer", *FAST).code == 130
    assert list(tmp_path.iterdir()) == []


def test_a_name_taken_during_the_run_is_left_alone(command, monkeypatch, tmp_path):
    import bayesgc.cli.session as session

    plain = session.infer

    def meanwhile(*args, **options):
        Path("sensing-5x5-depth2-eps0.05-rejection-seed0.nc").write_text("another run's")
        return plain(*args, **options)

    monkeypatch.setattr(session, "infer", meanwhile)
    assert command("infer", "--eps", 0.05, *FAST).code == 0
    assert Path("sensing-5x5-depth2-eps0.05-rejection-seed0.nc").read_text() == "another run's"
    assert Path("sensing-5x5-depth2-eps0.05-rejection-seed0-2.nc").stat().st_size > 0


def test_show_draws_over_nothing_that_it_reads(command):
    assert command("infer", "--eps", 0.05, "--out", "run.nc", *FAST).code == 0
    Path("run.png").symlink_to("run.nc")
    Path("own.png").write_text("mine")
    assert_kept(command("show", "run.nc", "--plot", "run.png", "--force"), "the input")
    assert_kept(command("show", "run.nc", "--plot", "own.png"), "own.png", "--force")
    assert_kept(command("report", "run.nc", "-o", "own.png"), ".html")
    Path("own.html").write_text("mine")
    assert_kept(command("report", "run.nc", "-o", "own.html"), "own.html", "--force")
    assert command("report", "run.nc", "-o", "own.html", "--force").code == 0


SWEEP = """
title = "small"
[axes]
depth = [2]
task_seed = [0]
[options]
method = "rejection"
eps = 0.05
gd = false
"""


@pytest.mark.parametrize("name", ["sweep.nc", "figure.png", "figure.svg", "sweep.zarr"])
def test_a_sweep_replaces_nothing_in_a_folder_that_is_no_store(command, monkeypatch, tmp_path, name):
    monkeypatch.setattr("bayesgc.cli.sweep.run_sweep", lambda *_, **__: pytest.fail("work has begun"))
    (tmp_path / "small.toml").write_text(SWEEP)
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / name).write_text("mine")
    assert_kept(command("sweep", "small.toml", "--out", "store", "--zarr"), name, "--force")
    assert [path.name for path in (tmp_path / "store").iterdir()] == [name]


def test_nor_its_own_input(command, tmp_path, data):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "sweep.nc").symlink_to(tmp_path / data)
    (tmp_path / "small.toml").write_text(SWEEP.replace("task_seed = [0]\n", "") + f'data = "{data}"\n')
    before = Path(data).read_bytes()
    assert_kept(command("sweep", "small.toml", "--out", "store", "--force"), "the input", data)
    assert Path(data).read_bytes() == before
