"""Running a sweep: the same bits wherever, however often interrupted; failures are there as failures."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import xarray as xr
from small import OPTIONS, Deadly, Dying, assert_same_bits, small_sweep

import bayesgc as gc
from bayesgc.analysis.tree.datatree import assemble
from bayesgc.experiments import Sweep, jobs, run_sweep, runners
from bayesgc.experiments.dataset import BETWEEN_FLAGS
from bayesgc.experiments.jobs import CellJob, DescentJob
from bayesgc.experiments.runners import run_jobs
from bayesgc.experiments.store import CELLS, DESCENTS, FAILURES, SUMMARIES, Store
from bayesgc.experiments.watch import SweepProgress

RUN = """
import sys
sys.path.insert(0, sys.argv[2])
from small import small_sweep
from bayesgc.experiments import run_sweep
if __name__ == "__main__":
    axes = {"depth": [2, 3], "task_seed": range(int(sys.argv[4]))}
    run_sweep(small_sweep(axes=axes), sys.argv[1], workers=int(sys.argv[3]))
"""


@dataclass(frozen=True)
class Undisturbed:
    """The small sweep, run in this process: its store, and how many parts were done, ran and were wanted meanwhile."""

    store: Path
    dataset: xr.Dataset
    told: list[tuple[int, int, int]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    store = tmp_path_factory.mktemp("stores") / "reference"
    told: list[tuple[int, int, int]] = []

    def report(progress: SweepProgress) -> None:
        told.append((progress.done, len(progress.running), progress.total))

    return Undisturbed(store, run_sweep(small_sweep(), store, workers=1, report=report), told)


@pytest.fixture
def reference(undisturbed: Undisturbed) -> xr.Dataset:
    return undisturbed.dataset


@pytest.fixture
def finished(undisturbed: Undisturbed, tmp_path: Path) -> Path:
    """A store of the small sweep that a test may do to as it likes."""
    return shutil.copytree(undisturbed.store, tmp_path / "finished" / "store")


def test_the_dataset_has_every_cell(reference):
    assert dict(reference.sizes) == {"panel": 1, "depth": 2, "task_seed": 2}
    assert set(reference["method"].values.ravel()) == {"importance"}
    assert (reference["failure"] == "").all()
    assert (reference["gd_restarts"] == 2).all()
    assert json.loads(reference.attrs["sweep"])["title"] == "small"


def test_a_cell_is_what_infer_gives(reference):
    options = {name: value for name, value in OPTIONS.items() if not name.startswith("gd") and name != "restarts"}
    task = gc.sensing(3, 3, 1, 5, seed=1)
    model = gc.MatrixFactorization(depth=3, width=5, activation="tanh", normalize=False)
    place = reference.sel(panel="tanh", depth=3, task_seed=1)
    result = gc.infer(
        model,
        task,
        eps=options["eps"],
        method=options["method"],
        max_evaluations=options["max_evaluations"],
        seed=int(place["seed_used"]),
        draws=25,
        gd=False,
    )
    found = gc.result_object(result)
    assert float(place["posterior_gen_loss"]) == found["posterior"]["gen_loss"]["mean"]
    assert float(place["log_volume"]) == found["log_volume"]["estimate"]
    descent = gc.GradientDescent(steps=100, init_scale=0.3, restarts=2)
    alone = gc.infer(model, task, eps=options["eps"], gd=descent, method="rejection", max_evaluations=10_000)
    # The same starts; in another batch they round differently.
    np.testing.assert_allclose(
        float(place["gd_gen_loss"]), gc.result_object(alone)["gd"]["gen_loss"]["median"], rtol=1e-3
    )
    at_eps = gc.result_object(alone)["gd"]["at_eps"]
    assert float(place["gd_at_eps_converged"]) == at_eps["converged"]
    # Read off levels that lie 15 % apart, of which half that is left at a slope of one.
    np.testing.assert_allclose(float(place["gd_at_eps_gen_loss"]), at_eps["gen_loss"]["median"], rtol=0.07)


def test_two_processes_give_the_same_bits(reference, tmp_path):
    assert_same_bits(run_sweep(small_sweep(), tmp_path / "store", workers=2), reference)


def test_a_larger_sweep_takes_over_what_is_there(reference, tmp_path):
    part = small_sweep(axes={"depth": [3], "task_seed": [1]})
    run_sweep(part, tmp_path / "store", workers=1)
    seen: list[int] = []
    whole = run_sweep(small_sweep(), tmp_path / "store", workers=1, report=lambda progress: seen.append(progress.total))
    assert seen[0] == 3 + 1  # three cells and a descent more
    assert_same_bits(whole, reference)


def without_descent(**changes):
    chosen = {name: value for name, value in OPTIONS.items() if name not in ("restarts", "gd_steps", "gd_init_scale")}
    return chosen | {"gd": False} | changes


def test_rejection_shares_its_draws_and_gives_each_cell_the_bits_it_would_get_alone(tmp_path):
    options = without_descent(method="rejection", max_evaluations=60_000, precision=0.04)
    del options["eps"], options["normalize"]
    axes = {"normalize": [True, False], "eps": [0.01, 0.1], "task_seed": [0, 1]}
    sweep = Sweep(title="", options=options, axes=axes)
    labels: list[str] = []
    found = run_sweep(sweep, tmp_path / "all", workers=1, report=lambda progress: labels.extend(progress.running))
    assert set(labels) == {"normalize True, eps 0.01, task_seed 0 and 7 more on the same draws"}
    assert len(np.unique(found["seed_used"])) == 1
    # They stop at different times, by their own rule.
    assert len(np.unique(found["evaluations"])) > 2
    for cell in (sweep.cells()[0], sweep.cells()[-1]):
        place = found.sel({name: str(at) if name == "normalize" else at for name, at in cell.place.items()})
        task = cell.options.make_task()
        settings = jobs.conditioning_settings(cell.options, cell.seed)
        alone = gc.result_object(gc.infer(cell.options.make_model(task), task, **settings))
        assert float(place["posterior_gen_loss"]) == alone["posterior"]["gen_loss"]["mean"]
        assert float(place["log_volume"]) == alone["log_volume"]["estimate"]
        assert float(place["evaluations"]) == alone["diagnostics"]["evaluations"]
    part = Sweep(title="", options=options, axes=axes | {"task_seed": [1]})
    run_sweep(part, tmp_path / "apart", workers=1)
    assert_same_bits(run_sweep(sweep, tmp_path / "apart", workers=1), found)


def test_a_cell_that_fails_takes_none_of_those_on_its_draws_with_it(tmp_path, monkeypatch):
    plain = jobs.infer_together

    def fails(problems, **settings):
        if any(task.description["seed"] == 1 for _, task, _ in problems):
            raise ArithmeticError("no luck")
        return plain(problems, **settings)

    monkeypatch.setattr(jobs, "infer_together", fails)
    options = without_descent(method="rejection", max_evaluations=20_000, eps=0.1)
    sweep = Sweep(title="", options=options, axes={"task_seed": [0, 1]})

    def breaks(model, task, **settings):
        raise ArithmeticError("no luck again")

    monkeypatch.setattr(jobs, "infer", breaks)
    found = run_sweep(sweep, tmp_path / "store", workers=1)
    assert found["failure"].values.tolist() == ["ArithmeticError: no luck again"] * 2
    monkeypatch.undo()
    again = run_sweep(sweep, tmp_path / "store", workers=1)
    assert again["failure"].values.tolist() == ["", ""]
    assert (again["evaluations"] > 0).all()


PROGRAM = """
import pyro
import pyro.distributions as dist


def program():
    left = pyro.sample("left", dist.Normal(0.0, 1.0).expand([3, 2]).to_event(2))
    right = pyro.sample("right", dist.Normal(0.0, SCALE).expand([2, 3]).to_event(2))
    return left @ right
"""


def test_a_program_of_ones_own_counts_by_its_text(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(PROGRAM.replace("SCALE", "1.0"), encoding="utf-8")
    options = {"rows": 3, "cols": 3, "measurements": 5, "method": "rejection", "max_evaluations": 10_000, "eps": 0.5}
    options |= {"model": f"{file}:program", "gd_steps": 50, "restarts": 2}
    sweep = Sweep(title="", options=options, axes={"task_seed": [0, 1]})
    found = run_sweep(sweep, tmp_path / "store", workers=1)
    assert (found["failure"] == "").all()
    assert (found["gd_restarts"] == 2).all()
    before = [(cell.key, cell.descent_key) for cell in sweep.cells()]
    file.write_text(PROGRAM.replace("SCALE", "2.0"), encoding="utf-8")
    after = [(cell.key, cell.descent_key) for cell in sweep.cells()]
    assert not {key for keys in before for key in keys} & {key for keys in after for key in keys}


def test_tasks_of_a_program_descend_each_for_as_long_as_it_takes(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(PROGRAM.replace("SCALE", "1.0"), encoding="utf-8")
    options = {"rows": 3, "cols": 3, "measurements": 2, "model": f"{file}:program", "gd_tol": 0.3, "restarts": 2}
    cell = Sweep(title="", options=options | {"gd_steps": 3000}, axes={"task_seed": [0]}).cells()[0]
    [part] = jobs.DescentJob.of(cell).run()
    (tmp_path / "gd.nc").write_bytes(part.content)
    found = xr.load_dataset(tmp_path / "gd.nc", engine="h5netcdf")
    assert len(np.unique(found["steps"].max("restart") // 100)) > 1
    assert not np.isnan(found["train_loss_at_step"]).any()


def test_what_is_there_is_not_run_again(reference, finished, monkeypatch):
    monkeypatch.setattr(CellJob, "run", None)
    monkeypatch.setattr(DescentJob, "run", None)
    (finished / "sweep.nc").unlink()
    assert_same_bits(run_sweep(small_sweep(), finished, workers=1), reference)
    assert_same_bits(xr.load_dataset(finished / "sweep.nc", engine="h5netcdf"), reference)


@pytest.mark.parametrize("kind", [CELLS, DESCENTS])
def test_a_part_that_is_cut_short_is_made_again(reference, finished, kind):
    [first, *_] = sorted((finished / kind).iterdir())
    first.write_bytes(first.read_bytes()[:-1000])
    totals: list[int] = []
    again = run_sweep(small_sweep(), finished, workers=1, report=lambda progress: totals.append(progress.total))
    assert totals[0] == 1
    assert_same_bits(again, reference)


def test_a_cell_that_opens_and_cannot_be_read_fails_alone_and_is_made_again(reference, finished):
    [first, *_] = sorted((finished / CELLS).iterdir())
    with h5py.File(first, "a") as file:
        del file["prior"]
    damaged = run_sweep(small_sweep(), finished, workers=1)
    assert (damaged["outcome"] == "failed").sum() == 1
    [reason] = [text for text in damaged["failure"].values.ravel() if text]
    assert reason == f"cells/{first.name} cannot be read; the same command makes it again"
    assert_same_bits(run_sweep(small_sweep(), finished, workers=1), reference)


@pytest.mark.parametrize("fails", [False, True])
def test_a_job_has_one_thread_and_leaves_the_callers_as_they_were(fails):
    class Counting:
        label, keys = "counting", ("counting",)

        def run(self):
            if torch.get_num_threads() != 1 or fails:
                raise ArithmeticError
            return []

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert bool(jobs.execute(Counting())) is fails
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_progress_counts_what_runs(undisturbed):
    assert undisturbed.told[:2] == [(0, 0, 6), (0, 1, 6)]
    assert undisturbed.told[-1] == (6, 0, 6)


# --- failures ---------------------------------------------------------------------------------------------------------


def test_a_failing_cell_is_there_as_a_failure(reference, finished, monkeypatch):
    plain = jobs.infer

    def fails(model, task, **settings):
        if model.depth == 3 and task.description["seed"] == 1:
            raise ArithmeticError("no luck\ntoday")
        return plain(model, task, **settings)

    monkeypatch.setattr(jobs, "infer", fails)
    for cell in small_sweep().cells():
        if cell.place["depth"] == 3:
            (finished / CELLS / f"{cell.key}.nc").unlink()
    found = run_sweep(small_sweep(), finished, workers=1)
    bad = found.sel(depth=3, task_seed=1)
    assert set(bad["failure"].values) == {"ArithmeticError: no luck today"}
    assert set(bad["outcome"].values) == {"failed"}
    for name in ("prior_gen_loss", "posterior_gen_loss", "log_volume", "seconds"):
        assert np.isnan(bad[name]).all()
    # No threshold is known by which its restarts would have fitted or not.
    assert (bad["gd_restarts"] == 2).all()
    assert np.isnan(bad["gd_converged"]).all()
    assert set(bad["flag"].values) == {""}
    for others in ({"depth": 2}, {"task_seed": 0}):
        assert_same_bits(found.sel(others), reference.sel(others))
    monkeypatch.undo()
    assert_same_bits(run_sweep(small_sweep(), finished, workers=1), reference)


def test_descent_that_fails_is_flagged(finished, monkeypatch):
    def fails(*_):
        raise MemoryError("too wide")

    monkeypatch.setattr(jobs, "_descend", fails)
    shutil.rmtree(finished / DESCENTS)
    found = run_sweep(small_sweep(), finished, workers=1)
    assert all("gradient descent failed: MemoryError: too wide" in flag for flag in found["flag"].values.ravel())
    assert np.isnan(found["gd_gen_loss"]).all()
    assert (found["failure"] == "").all()


def test_what_did_not_fit_is_no_failure(tmp_path):
    options = without_descent(method="rejection", eps=1e-9, max_evaluations=20_000)
    sweep = Sweep(title="", options=options, axes={"task_seed": [0, 1]})
    found = run_sweep(sweep, tmp_path / "store", workers=1)
    assert set(found["outcome"].values) == {"exhausted"}
    assert (found["failure"] == "").all()
    assert [str(flag).split(BETWEEN_FLAGS)[0] for flag in found["flag"].values] == list(found["outcome"].values)
    assert np.isnan(found["posterior_gen_loss"]).all()


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced_and_a_job_that_kills_every_worker_is_the_only_failure(tmp_path):
    # The others lose their workers with it, or on their own account once.
    jobs = [Dying(str(tmp_path / "once")), Deadly(), Dying(str(tmp_path / "once, too"))]
    found = dict(run_jobs(jobs, workers=2, scheduler=None, started=lambda job: None))
    assert found[jobs[0]] == found[jobs[2]] == []
    [lost] = found[jobs[1]]
    assert (lost.kind, lost.key) == (FAILURES, "deadly")
    assert b"its worker ended 3 times" in lost.content


def test_a_job_that_a_broken_pool_refuses_is_not_lost(tmp_path, monkeypatch):
    (tmp_path / "there").touch()
    wanted = [Dying(str(tmp_path / "there"), label=name) for name in ("first", "second")]
    refusals = ["second"]

    class Pool:
        def submit(self, function, job):
            future = Future()
            if job.label in refusals:
                refusals.remove(job.label)
                raise BrokenProcessPool
            if not refusals:
                future.set_result(function(job))
            return future

    there = threading.Event()
    there.set()
    monkeypatch.setattr(runners, "_pool", lambda workers: contextlib.nullcontext((Pool(), there)))
    begun = []
    found = dict(run_jobs(wanted, workers=2, scheduler=None, started=begun.append))
    assert found == {job: [] for job in wanted}
    assert sorted(job.label for job in begun) == ["first", "second"]


def test_a_script_without_a_main_guard_is_told_so_and_stores_no_failure(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from small import small_sweep\nfrom bayesgc.experiments import run_sweep\n"
        "run_sweep(small_sweep(), sys.argv[1], workers=2)\n"
    )
    # It used to wait for ever; the limit is far above what a busy machine needs.
    command = [sys.executable, str(script), str(tmp_path / "store")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode != 0
    [said] = [line for line in ended.stderr.splitlines() if "__main__" in line]
    assert "no worker process could begin" in said
    assert "workers=1" in said
    assert not list((tmp_path / "store").glob("failures/*"))


# --- killed and interrupted -------------------------------------------------------------------------------------------


def start(store: Path, workers: int, tasks: int = 2) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-c", RUN, str(store), str(Path(__file__).parent), str(workers), str(tasks)]
    return subprocess.Popen(arguments, stderr=subprocess.PIPE)


def parts(store: Path) -> int:
    return len(list(store.glob("cells/*.nc"))) + len(list(store.glob("gd/*.nc")))


def killed_again_and_again(store: Path, kills: int, workers: int) -> list[int]:
    """Kill -9 the sweep when so many of its parts are there, and a random moment later; how many there were."""
    dice = random.Random(0)
    left = []
    for kill in range(kills):
        wanted = round(6 * kill / kills)
        with start(store, workers) as process:
            while process.poll() is None and parts(store) <= wanted:
                time.sleep(0.01)
            time.sleep(dice.uniform(0, 0.3))
            process.kill()
        left.append(parts(store))
    return left


@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_killed_twice_it_ends_with_the_same_bits(reference, tmp_path):
    left = killed_again_and_again(tmp_path / "store", 2, workers=1)
    assert left[0] < 6
    assert_same_bits(run_sweep(small_sweep(), tmp_path / "store", workers=1), reference)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kill -9")
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_twenty_times_it_ends_with_the_same_bits(reference, tmp_path, workers):
    left = killed_again_and_again(tmp_path / "store", 20, workers)
    assert len(set(left)) > 2
    assert_same_bits(run_sweep(small_sweep(), tmp_path / "store", workers=workers), reference)


@pytest.mark.skipif(os.name != "posix", reason="a signal from outside")
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_an_interrupted_sweep_has_a_dataset_and_goes_on(reference, tmp_path, workers):
    store = tmp_path / "store"
    tasks = 6  # enough that some are left, however late the signal comes
    with start(store, workers, tasks) as process:
        while process.poll() is None and parts(store) < 2:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode in (1, -signal.SIGINT), errors
    assert b"KeyboardInterrupt" in errors
    assert b"Process SpawnProcess" not in errors
    found = xr.load_dataset(store / "sweep.nc", engine="h5netcdf")
    done = (found["outcome"] != "").values
    assert 0 <= done.sum() < 2 * tasks
    assert np.isnan(found["posterior_gen_loss"].values[~done]).all()
    whole = run_sweep(small_sweep(axes={"depth": [2, 3], "task_seed": range(tasks)}), store, workers=1)
    assert (whole["outcome"] != "").all()
    assert_same_bits(whole.sel(task_seed=[0, 1]).assign_attrs(reference.attrs), reference)


def test_an_interruption_counts_however_late_in_a_cell_it_comes(monkeypatch, tmp_path):
    def late(*arguments, **options):
        signal.raise_signal(signal.SIGINT)
        return assemble(*arguments, **options)

    monkeypatch.setattr("bayesgc.api.assemble", late)
    options = {name: OPTIONS[name] for name in ("rows", "cols", "measurements", "eps", "normalize", "method")}
    with pytest.raises(KeyboardInterrupt):
        run_sweep(small_sweep(options=options | {"gd": False}), tmp_path / "store", workers=1)
    assert parts(tmp_path / "store") == 0


def test_a_full_disk_ends_the_sweep_and_loses_nothing(reference, tmp_path, monkeypatch):
    written = []
    plain = Store.put

    def put(self, kind, key, content):
        if len(written) == 3:
            raise gc.InputError("Cannot write: No space left on device.")
        plain(self, kind, key, content)
        if kind != SUMMARIES:
            written.append(key)

    monkeypatch.setattr(Store, "put", put)
    with pytest.raises(gc.InputError, match="No space left"):
        run_sweep(small_sweep(), tmp_path / "store", workers=1)
    monkeypatch.undo()
    assert parts(tmp_path / "store") == 3
    assert_same_bits(run_sweep(small_sweep(), tmp_path / "store", workers=1), reference)
