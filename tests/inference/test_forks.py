"""Threads: one for each operation in every part of a run, so that a forked child waits for none that it lacks."""

from __future__ import annotations

import subprocess
import sys

import torch

import bayesgc as gc
from bayesgc.inference.control import in_order, one_thread_each

CHILDREN = """
import os, sys, torch
import bayesgc as gc
from bayesgc.inference import MaximumAPosteriori

torch.set_num_threads(2)
torch.randn(600, 600) @ torch.randn(600, 600)  # starts OpenMP's threads, which no child has
task = gc.sensing(2, 2, 1, 3, seed=0)
methods = {"rejection": {}, "splitting": {}, "importance": {}, "nuts": {"chains": 1, "max_evaluations": 100}}
mode = MaximumAPosteriori(restarts=2)

def run(method, **settings):
    model = gc.MatrixFactorization(depth=2, width=2, normalize=False)
    settings = {"draws": 20, "max_evaluations": 10_000, **settings}
    return gc.infer(model, task, eps=0.1, method=method, gd=gc.GradientDescent(steps=50), map=mode, **settings)

run("splitting")
for method, settings in methods.items():
    child = os.fork()
    if not child:
        print(method, run(method, **settings).attrs["outcome"], flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, method
print("all")
"""


def test_every_method_runs_in_a_forked_child_after_a_run_in_its_parent():
    # A child that hangs would wait for ever; the limit is far above what a busy machine needs.
    found = subprocess.run([sys.executable, "-c", CHILDREN], capture_output=True, text=True, timeout=900, check=False)
    assert found.returncode == 0, found.stderr
    assert found.stdout.split()[0::2] == ["rejection", "splitting", "importance", "nuts", "all"]


def test_every_part_of_a_run_has_one_thread_an_operation():
    threads, seen = torch.get_num_threads(), {}
    torch.set_num_threads(2)
    try:
        model = gc.MatrixFactorization(depth=2, width=3, normalize=False)
        task = gc.sensing(3, 3, 1, 5, seed=0)

        def report(progress):
            seen.setdefault(progress.stage, set()).add(torch.get_num_threads())

        settings = {"method": gc.Splitting(particles=100), "draws": 10, "max_evaluations": 100_000, "map": True}
        gc.infer(model, task, eps=0.05, gd=gc.GradientDescent(steps=200), report=report, **settings)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert seen == {stage: {1} for stage in ("prior", "pilot", "islands", "gradient descent", "MAP")}


def test_blocks_run_at_once_within_the_rule_too():
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with one_thread_each() as outer, one_thread_each() as inner:
            assert (outer, inner, torch.get_num_threads()) == (3, 3, 1)
            with one_thread_each(1) as alone, one_thread_each() as within:
                assert (alone, within) == (1, 1)
            assert list(in_order(lambda job: torch.get_num_threads(), range(5), torch.device("cpu"))) == [1] * 5
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)


def test_blocks_that_wait_change_no_threads_for_others_nor_when_they_end():
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with one_thread_each(2):
            waiting = in_order(lambda job: job, range(100), torch.device("cpu"))
            assert next(waiting) == 0
        alone = in_order(lambda job: torch.get_num_threads(), range(100), torch.device("cpu"))
        assert next(alone) == 1
        for jobs in (waiting, alone):
            assert torch.get_num_threads() == 3
            with one_thread_each() as allowed:
                assert allowed == 3
            jobs.close()  # as when an error that ended a run is forgotten
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
