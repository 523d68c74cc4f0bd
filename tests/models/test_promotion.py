"""Constants of any number type in programs and priors, under single and double precision."""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import pytest
import torch

from bayesgc.api import infer
from bayesgc.inference import GradientDescent
from bayesgc.models import MatrixFactorization
from bayesgc.models.promotion import promoting
from bayesgc.models.whitening import WhitenedProgram
from bayesgc.task import sensing
from bayesgc.validate import InputError

pytestmark = pytest.mark.usefixtures("unchecked")

TASK = sensing(3, 3, 1, 4, seed=1)
TYPES = [torch.float32, torch.float64, torch.int64]
NEW = (torch.eye(3) + torch.tensor([[0, 1, 0]])).tolist()


def program_with(kind, how):
    matrix = torch.tensor(NEW).to(kind)

    def weights():
        return pyro.sample("w", dist.Normal(0.0, 0.3).expand([3, 3]).to_event(2))

    def product():
        return matrix @ weights()

    def law():
        return pyro.sample("v", dist.Normal(0.3 * matrix, 0.3).to_event(2)) @ weights()

    def place():
        held = torch.zeros(3, 3, dtype=kind if kind.is_floating_point else None)
        held[torch.arange(3)] = weights()
        return torch.einsum("ij,jk->ik", matrix, held)

    return {"product": product, "law": law, "place": place}[how]


def prior_with(kind):
    def prior(rows, cols):
        return dist.Normal(torch.zeros(rows, cols, dtype=kind), torch.tensor(0.5)).to_event(2)

    return prior


def volume(model, dtype, gd):
    gd = GradientDescent(steps=20, restarts=2, init="prior") if gd else False
    few = {"method": "rejection", "draws": 10, "chains": 2, "max_evaluations": 8192}
    result = infer(model, TASK, eps=0.3, dtype=dtype, gd=gd, map=False, **few)
    assert str(result["prior"]["end_to_end"].dtype) == dtype
    assert str(result["posterior"]["end_to_end"].dtype) == dtype
    assert ("gd" in result.children) == bool(gd)
    return result.attrs["log_volume"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("how", ["product", "law", "place"])
def test_matrices_are_those_of_one_precision(how, dtype):
    whitened = [WhitenedProgram(program_with(kind, how), (3, 3), batched=False) for kind in TYPES]
    normals = torch.randn(whitened[0].size, 5, generator=torch.Generator().manual_seed(0), dtype=dtype)
    found = [each.vectors(normals) for each in whitened]
    for each in found:
        assert each.dtype == dtype
        # Sums of nine products of numbers of order one, in single precision where a constant has it.
        assert torch.allclose(each, found[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("gd", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("how", ["product", "law"])
def test_constants_of_a_program(how, dtype, gd):
    found = [volume(program_with(kind, how), dtype, gd) for kind in TYPES]
    # The same draws up to rounding: one of 8192 may cross the threshold.
    assert found == pytest.approx([found[0]] * 3, abs=1e-3)


@pytest.mark.parametrize("gd", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_constants_of_a_prior(dtype, gd):
    mixed = [(prior_with(kind), prior_with(other)) for kind, other in zip(TYPES, TYPES[1:] + TYPES[:1], strict=True)]
    found = [volume(MatrixFactorization(prior=priors, width=3, normalize=False), dtype, gd) for priors in mixed]
    assert found == pytest.approx([found[0]] * 3, abs=1e-3)


def test_whole_numbers_that_cannot_be_promoted_are_explained():
    def counts():
        return pyro.sample("w", dist.Normal(torch.zeros(3, 3, dtype=torch.int64), torch.ones(())).to_event(2))

    with pytest.raises(InputError, match=r"model 'counts' failed with TypeError: whole numbers .*; write .float\(\)"):
        infer(counts, TASK)


def test_a_program_that_fails_at_a_later_draw_is_named():
    def picky():
        w = pyro.sample("w", dist.Normal(0.0, 0.3).expand([3, 3]).to_event(2))
        if w[0, 0] > 0.9:
            raise ValueError("too large")
        return w

    with pytest.raises(InputError, match="model 'picky' failed with ValueError: too large"):
        infer(picky, TASK, draws=400, chains=2)


def test_faults_and_numbers_of_other_kinds_stay_as_they_are():
    single, double, index = torch.ones(2, 2), torch.ones(2, 2, dtype=torch.float64), torch.tensor([1, 0])
    calls = {
        "shape": lambda: single @ torch.ones(3),
        "mixed shape": lambda: single @ torch.ones(3, dtype=torch.float64),
        "index": lambda: single.gather(1, index.float()[:, None]),
        "in place": lambda: single.addmm_(double, double),
    }
    for call in calls.values():
        with pytest.raises(RuntimeError) as plain:
            call()
        with pytest.raises(RuntimeError) as promoted:
            promoting(call)()
        assert str(promoted.value) == str(plain.value)
    assert promoting(lambda: single.mm(double))().dtype == torch.float64
    assert promoting(lambda: single + double.float())().dtype == torch.float32
    assert promoting(lambda: double.gather(1, index[:, None]))().dtype == torch.float64
