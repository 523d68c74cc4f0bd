"""Depth: a long product of Gaussian matrices, normalised, is u vᵀ with u and v uniform on their spheres (Newman 1986).

At width 5 the second singular value falls behind the first by a factor e^(−0.14) a layer, so that a thousand layers are
the limit to any precision: splitting on them must agree with splitting on the limit law, a Pyro program of ten normals.
"""

from __future__ import annotations

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from problems import condition, criterion, errors_apart
from scipy.special import digamma

from bayesgc.inference import Outcome, Splitting
from bayesgc.models import MatrixFactorization, ProgramModel
from bayesgc.task import sensing

pytestmark = pytest.mark.usefixtures("unchecked")

TASK, EPS = sensing(), 0.0035


def outer_product() -> torch.Tensor:
    """u vᵀ, with u and v uniform on the spheres of R^5; a leading batch dimension passes through."""
    sides = [pyro.sample(name, dist.Normal(0.0, 1.0).expand([5]).to_event(1)) for name in ("u", "v")]
    u, v = (side / torch.linalg.vector_norm(side, dim=-1, keepdim=True) for side in sides)
    return u[..., :, None] * v[..., None, :]


def gaps(deep, limit):
    """Standard errors between two runs in log volume and E[L_gen]."""
    losses = [run.posterior.summaries["gen_loss"] for run in (deep, limit)]
    volumes = [run.log_volume for run in (deep, limit)]
    return (
        errors_apart(volumes[0].value, volumes[1].value, volumes[0].mcse, volumes[1].mcse),
        errors_apart(losses[0].mean, losses[1].mean, losses[0].mcse, losses[1].mcse),
    )


@pytest.fixture(scope="module")
def limit():
    return condition(Splitting(), criterion(ProgramModel(outer_product, batched=True), TASK, EPS), precision=0.02)


def test_the_prior_of_a_thousand_layers_is_that_of_the_limit():
    problem = criterion(MatrixFactorization(1000, 5), TASK, EPS, torch.float64)
    deep = problem.vectors(problem.draw(torch.Generator().manual_seed(0), 100))
    values = torch.linalg.svdvals(deep.T.unflatten(1, TASK.shape))
    # 140 nats lie between the first two in the mean, with a spread of about twelve: only rounding is left.
    assert float((values[:, 1] / values[:, 0]).max()) < 1e-12
    assert float((values[:, 0] - 1).abs().max()) < 1e-12


def test_singular_values_grow_with_the_exponents_of_newman():
    """Between 60 and 120 layers log σ_i grows by ½ [log 2 + ψ((k − i + 1)/2)] a layer, for unit variance."""
    draws, logs = 1000, {}
    for depth in (60, 120):
        deep = criterion(MatrixFactorization(depth, 5, scaling="unit", normalize=False), TASK, dtype=torch.float64)
        normals = deep.draw(torch.Generator().manual_seed(depth), draws)
        logs[depth] = torch.linalg.svdvals(deep.vectors(normals).T.unflatten(1, TASK.shape)).log()[:, :2]
    rates = (logs[120].mean(0) - logs[60].mean(0)) / 60
    errors = sum(each.var(0) / draws for each in logs.values()) ** 0.5 / 60
    for i in range(2):
        exponent = (math.log(2) + digamma((5 - i) / 2)) / 2
        assert errors_apart(float(rates[i]), exponent, float(errors[i])) < 4
        # Negative control: the exponent of one degree of freedom less.
        assert errors_apart(float(rates[i]), (math.log(2) + digamma((4 - i) / 2)) / 2, float(errors[i])) > 6


@pytest.mark.slow
@pytest.mark.parametrize("depth", [1000])
def test_a_deep_posterior_is_that_of_the_limit(depth, limit, capsys):
    deep = condition(Splitting(), criterion(MatrixFactorization(depth, 5), TASK, EPS), precision=0.1)
    assert deep.outcome is Outcome.CONVERGED
    assert limit.outcome is Outcome.CONVERGED
    with capsys.disabled():
        for name, run in (("depth", deep), ("limit", limit)):
            loss, volume = run.posterior.summaries["gen_loss"], run.log_volume
            print(  # noqa: T201
                f"\n{name}: log volume {volume.value:.3f} ± {volume.mcse:.3f}, "
                f"E[L_gen] {loss.mean:.5f} ± {loss.mcse:.5f}, {run.seconds:.0f} s"
            )
    # Two comparisons of Student's t with 15 degrees of freedom: beyond 4.5 by chance with probability 8e-4.
    assert max(gaps(deep, limit)) < 4.5


@pytest.mark.slow
def test_a_shallow_posterior_is_not_that_of_the_limit(limit):
    """The negative control: at depth 8 the same comparison fails."""
    shallow = condition(Splitting(), criterion(MatrixFactorization(8, 5), TASK, EPS), precision=0.02)
    assert max(gaps(shallow, limit)) > 4.5
