"""The same methods on a GPU: the answers of the CPU within their errors, the same bits from the same seed."""

from __future__ import annotations

import pytest
import torch
from problems import MILD_MODEL, condition, criterion, errors_apart

from bayesgc.inference import Control, GradientDescent, Rejection, Splitting
from bayesgc.inference.streams import Stream, generator
from bayesgc.models import MatrixFactorization
from bayesgc.task import completion, sensing

pytestmark = pytest.mark.gpu

METHODS = {"splitting": Splitting(particles=400, moves=10), "rejection": Rejection()}
PROBLEMS = {
    "mild": (MILD_MODEL, sensing(3, 3, 1, 4, seed=1), 0.02),
    "completion, tanh": (MatrixFactorization(depth=3, activation="tanh"), completion(3, 4, 1, 5), 0.02),
}


@pytest.fixture
def gpu():
    return torch.accelerator.current_accelerator()


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_agrees_with_the_cpu(problem, name, gpu):
    there = condition(METHODS[name], criterion(*problem, device=gpu), precision=0.02)
    here = condition(METHODS[name], criterion(*problem), precision=0.02)
    volumes = there.log_volume, here.log_volume
    assert errors_apart(*(each.value for each in volumes), *(each.mcse for each in volumes)) < 4.5
    losses = there.posterior.summaries["gen_loss"], here.posterior.summaries["gen_loss"]
    assert errors_apart(*(each.mean for each in losses), *(each.mcse for each in losses)) < 4.5
    assert there.posterior.end_to_end.device.type == "cpu"


@pytest.mark.parametrize("name", METHODS)
def test_one_seed_repeats(name, gpu):
    problem = criterion(device=gpu)
    first, second = (condition(METHODS[name], problem, seed=3, precision=0.1) for _ in range(2))
    assert torch.equal(first.posterior.end_to_end, second.posterior.end_to_end)
    assert first.log_volume == second.log_volume


def test_streams_differ(gpu):
    keys = [(0, Stream.PRIOR, 0), (1, Stream.PRIOR, 0), (2**32, Stream.PRIOR, 0), (0, Stream.PILOT, 0)]
    drawn = [torch.randn(50, generator=generator(*key, gpu), device=gpu).cpu() for key in keys]
    assert len({row[0].item() for row in drawn}) == len(keys)


def test_descent_fits(gpu):
    found = GradientDescent(restarts=8, steps=3000, init_scale=0.3).run(MILD_MODEL, criterion(device=gpu), 0, Control())
    assert found.converged.all()
