"""Gradient descent on any Pyro program: the same as on a factorisation written as one, and what has no gradient."""

from __future__ import annotations

import json

import pyro
import pyro.distributions as dist
import pytest
import torch
from problems import MILD_TASK, criterion

from bayesgc import infer
from bayesgc.inference import Control, GradientDescent, why_no_descent
from bayesgc.inference.descent.unconstrained import UnconstrainedProgram
from bayesgc.models import MatrixFactorization, as_model
from bayesgc.models.priors.laws import Haar, LowRankGaussian

MODEL = MatrixFactorization(2, 4, normalize=False)


def hierarchical():
    spread = pyro.sample("spread", dist.HalfCauchy(1.0))
    share = pyro.sample("share", dist.Beta(2.0, 2.0))
    simplex = pyro.sample("simplex", dist.Dirichlet(torch.ones(3)))
    w = pyro.sample("w", dist.Normal(0.0, 1.0).expand([3, 3]).to_event(2))
    return spread * share * w + torch.diag(simplex)


def test_a_factorisation_written_as_a_program_descends_the_same_way():
    method = GradientDescent(init="prior", steps=200, restarts=3)
    problem = criterion(MODEL, MILD_TASK, dtype=torch.float64)
    ours = method.run(MODEL, problem, 0, Control())
    program = as_model(MODEL.program(MILD_TASK.shape))
    whitened = program.whiten(MILD_TASK.shape)
    theirs = method.run_program(whitened, criterion(program, MILD_TASK, dtype=torch.float64), 0, Control())
    torch.testing.assert_close(ours.end_to_end, theirs.end_to_end, rtol=1e-4, atol=1e-5)


def test_coordinates_go_there_and_back():
    whitened = as_model(hierarchical).whiten((3, 3))
    free = UnconstrainedProgram.of(whitened)
    columns = torch.randn(whitened.size, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    values = {name: value[0] for name, value in whitened.weights(columns).items()}
    again = free.assembled()([free.inverse(values)[None, None]])
    torch.testing.assert_close(again[0], whitened.vectors(columns)[:, 0], rtol=1e-5, atol=1e-6)


def test_a_hierarchical_program_fits():
    program = as_model(hierarchical)
    method = GradientDescent(optimizer="adam", lr=0.05, steps=500, restarts=3)
    found = method.run_program(program.whiten((3, 3)), criterion(program, MILD_TASK, 0.02), 0, Control())
    assert found.configuration["init"] == "prior"
    assert bool(found.converged.all())


def test_infer_runs_it_beside():
    result = infer(hierarchical, MILD_TASK, eps=0.5, gd=GradientDescent(restarts=2, steps=5), precision=0.9, draws=20)
    assert result["gd"].sizes["restart"] == 2
    recorded = json.loads(result.attrs["configuration"])["gd"]
    assert (recorded["init"], recorded["init_scale"], recorded["steps"]) == ("prior", None, 5)


def bare():
    return pyro.sample("w", dist.Normal(0.0, 1.0).expand([3, 3]).to_event(2))


def test_a_program_that_returns_a_site_as_it_is_descends():
    program = as_model(bare)
    method = GradientDescent(optimizer="adam", lr=0.05, steps=300, restarts=3)
    found = method.run_program(program.whiten((3, 3)), criterion(program, MILD_TASK, 0.02), 0, Control())
    assert bool(found.converged.all())


def branching():
    value = pyro.sample("w", dist.Normal(0.0, 1.0).expand([3, 3]).to_event(2))
    return 2 * value if value[0, 0] > 0 else value


def switched():
    return pyro.sample("on", dist.Bernoulli(0.5)) * pyro.sample("w", dist.Normal(0.0, 1.0)) * torch.eye(3)


def rotated():
    return pyro.sample("turn", Haar(3, 3)) * pyro.sample("scale", dist.LogNormal(0.0, 1.0))


def of_low_rank():
    return pyro.sample("w", LowRankGaussian(3, 3, 1))


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (switched, "site 'on' is discrete (Bernoulli)"),
        (branching, "the program branches on drawn values"),
        (rotated, "site 'turn' (Haar) has no density, so that a descent would leave its support"),
        (of_low_rank, "site 'w' (LowRankGaussian) has no density"),
    ],
)
def test_what_has_no_descent_says_why(program, reason):
    assert reason in why_no_descent(as_model(program).whiten((3, 3)))


def test_the_reason_is_in_the_result():
    result = infer(rotated, MILD_TASK, eps=0.5, gd=GradientDescent(restarts=2, steps=5), precision=0.9, draws=20)
    assert "gd" not in result.children
    assert "site 'turn' (Haar) has no density" in result.attrs["reasons"]
