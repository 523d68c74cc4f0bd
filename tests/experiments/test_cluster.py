"""Sweeps on Dask: two workers of their own processes, over TCP on this machine."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
import xarray as xr
from small import assert_same_bits, small_sweep

import bayesgc as gc
from bayesgc.experiments import run_sweep, runners
from bayesgc.inference.version import ALGORITHM

distributed = pytest.importorskip("distributed")

OTHER_VERSION = rf"worker tcp://.* has version {ALGORITHM} of the algorithms; this bayesgc has 99"


@pytest.fixture(scope="module")
def cluster() -> Iterator[distributed.LocalCluster]:
    options = {"processes": True, "threads_per_worker": 1, "protocol": "tcp", "dashboard_address": None}
    with distributed.LocalCluster(n_workers=2, **options) as started:
        yield started


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    """The small sweep, run in this process."""
    return run_sweep(small_sweep(), tmp_path_factory.mktemp("here") / "store", workers=1)


def test_two_workers_over_tcp_give_the_bits_of_one_process(cluster, here, tmp_path):
    address = cluster.scheduler_address
    assert address.startswith("tcp://127.0.0.1:")
    found = run_sweep(small_sweep(), tmp_path / "dask", scheduler=address, workers=2)
    assert_same_bits(found, here)


def test_a_worker_that_is_killed_is_made_up_for(cluster, here, tmp_path):
    killed = []

    def kill_one(progress):
        if progress.done == 1 and not killed:
            process = next(iter(cluster.workers.values())).process
            killed.append(process.pid)
            os.kill(process.pid, signal.SIGKILL)

    found = run_sweep(small_sweep(), tmp_path / "dask", scheduler=cluster.scheduler_address, report=kill_one)
    assert killed
    assert (found["failure"] == "").all()
    assert_same_bits(found, here)


def test_workers_of_another_version_are_refused(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(runners, "ALGORITHM", 99)
    with pytest.raises(gc.InputError, match=OTHER_VERSION):
        run_sweep(small_sweep(), tmp_path / "store", scheduler=cluster.scheduler_address)


def test_a_worker_of_another_version_that_comes_late_is_refused(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(runners, "_check_workers", lambda client: None)
    monkeypatch.setattr(runners, "ALGORITHM", 99)
    with pytest.raises(gc.InputError, match=OTHER_VERSION):
        run_sweep(small_sweep(), tmp_path / "store", scheduler=cluster.scheduler_address)


def test_workers_that_do_not_come(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(runners, "_PATIENCE_WITH_WORKERS", 0.5)
    with pytest.raises(gc.InputError, match=r"--workers is 5; after 0 minutes there are [12]\."):
        run_sweep(small_sweep(), tmp_path / "store", scheduler=cluster.scheduler_address, workers=5)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://x"])
def test_a_scheduler_that_does_not_answer(tmp_path, monkeypatch, address):
    monkeypatch.setattr(runners, "_PATIENCE", 1.0)
    with pytest.raises(gc.InputError, match="no Dask scheduler answers there"):
        run_sweep(small_sweep(), tmp_path / "store", scheduler=address)


def test_dask_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(gc.InputError, match=r"bayesgc\[cluster\]"):
        run_sweep(small_sweep(), tmp_path / "store", scheduler="local")
