"""What a CPU can show of accelerators: double precision keeps off Apple's GPUs, and draws say where they are made."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from collapsed_problems import collapsed_problem, unnormalised

from bayesgc.inference import Control, Importance, Request
from bayesgc.models.placement import exact_device

CPU, APPLE, CUDA = torch.device("cpu"), torch.device("mps"), torch.device("cuda", 1)


@pytest.fixture
def problem():
    return collapsed_problem(unnormalised(), eps=0.02)


def evidence(problem):
    run = Importance().run(problem, Request(seed=1, draws=20), Control(None, 2**12))
    return run.log_volume, run.posterior.end_to_end


def test_double_precision_keeps_off_apples_gpus():
    assert [exact_device(each) for each in (CPU, APPLE, CUDA)] == [CPU, CPU, CUDA]


def test_collapsed_work_for_an_apple_gpu_is_the_cpus(problem):
    here, there = (evidence(dataclasses.replace(problem, device=device)) for device in (CPU, APPLE))
    assert here[0] == there[0]
    assert torch.equal(here[1], there[1])


def test_no_refresh_on_an_apple_gpu(problem):
    assert problem._refreshable
    assert not dataclasses.replace(problem, device=APPLE)._refreshable


def test_the_order_of_draws_is_made_where_its_generator_is(problem, monkeypatch):
    randperm, places = torch.randperm, []

    def recorded(*args, device=None, **kwargs):
        places.append(device)
        return randperm(*args, device=device, **kwargs)

    monkeypatch.setattr(torch, "randperm", recorded)
    evidence(problem)
    assert places == [CPU]
