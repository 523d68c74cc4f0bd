"""Draws that are not finite: counted, said, and no fits, whichever method meets them and however rare they are."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from problems import CPU, condition, criterion, errors_apart

from bayesgc.analysis.compare.compare import compare
from bayesgc.analysis.diagnose import diagnose
from bayesgc.analysis.tree.datatree import load, save
from bayesgc.analysis.tree.summary import result_object
from bayesgc.analysis.words.legend import legend_line
from bayesgc.api import infer
from bayesgc.inference import Control, Rejection, Request, Splitting, draw_prior
from bayesgc.inference.estimates import summarize_independent
from bayesgc.models import MatrixFactorization, as_model
from bayesgc.task import ArrayTask, ObservedCells, sensing
from bayesgc.validate import InputError

pytestmark = pytest.mark.usefixtures("unchecked")

TASK = sensing(3, 3, 1, 4, seed=1)


def spoiled(bound: float, value: float = math.nan, entries: object = ...):
    """A matrix of normals, some entries of which are ``value`` in draws in which a normal site is below the bound."""

    def program():
        u = pyro.sample("u", dist.Normal(0.0, 1.0))
        w = pyro.sample("w", dist.Normal(0.0, 0.4).expand([3, 3]).to_event(2))
        mask = torch.zeros(3, 3)
        mask[entries] = 1.0
        return torch.where((mask > 0) & (u < bound), value, w)

    return program


ALWAYS, HALF, NEVER = 9.0, 0.0, -9.0


@pytest.mark.parametrize("method", [Rejection(), Splitting(particles=300, moves=5)])
@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
def test_half_of_the_volume_is_lost_with_half_of_the_draws(method, value):
    volumes = [
        condition(method, criterion(spoiled(bound, value), TASK, 0.05), precision=0.1, seed=seed).log_volume
        for seed, bound in enumerate((NEVER, HALF))
    ]
    whole, half = volumes
    # Of two independent estimates; without the loss the gap would be the log of 2, at errors of at most 0.15.
    assert errors_apart(whole.value - half.value, math.log(2), whole.mcse, half.mcse) < 4
    assert errors_apart(whole.value, half.value, whole.mcse, half.mcse) > 4


def test_an_entry_that_no_measurement_sees_spoils_a_draw_too():
    cells = np.array([[0, 1], [1, 2]])
    task = completion_of(cells)
    run = condition(Rejection(), criterion(spoiled(HALF, entries=(2, 2)), task, 0.1), precision=0.2)
    assert run.posterior.end_to_end.isfinite().all()


def completion_of(cells):
    flat = np.ravel_multi_index(tuple(cells.T), (3, 3))
    return ArrayTask(
        "completion", (3, 3), ObservedCells((3, 3), flat), np.array([0.2, -0.1]), truth=np.full((3, 3), 0.1)
    )


@pytest.mark.parametrize("flipped", [False, True])
def test_luck_of_the_trial_run_decides_nothing(flipped):
    """Of two programs, one of which gives NaN where the other does not, the plain run of seed 0 would refuse one."""

    def program():
        u = pyro.sample("u", dist.Normal(0.0, 1.0))
        w = pyro.sample("w", dist.Normal(0.0, 0.4).expand([3, 3]).to_event(2))
        return w * torch.where((u < 0) == flipped, 1.0, math.nan)

    prior = draw_prior(criterion(program, TASK), Request(seed=0, chains=4, draws=1000), Control())
    # 4000 draws: standard error 0.008.
    assert prior.not_finite == pytest.approx(0.5, abs=0.04)
    assert all(math.isfinite(summary.mean) for summary in prior.summaries.values())
    assert prior.end_to_end.isfinite().all()
    assert prior.end_to_end.shape[0] == 4
    assert prior.end_to_end.shape[1] == 1000 - math.ceil(1000 * prior.not_finite)


def test_rare_draws_that_are_finite_are_found_and_none_is_refused():
    task = TASK
    with pytest.raises(InputError, match="returned entries that are not finite in each of 1000 draws"):
        as_model(spoiled(ALWAYS)).whiten(task.shape)
    # One draw in forty is finite: the trial meets none in three, and one in a thousand.
    rare = criterion(spoiled(1.96), task)
    few = draw_prior(rare, Request(seed=0, chains=1, draws=2), Control())
    assert few.end_to_end.shape[:2] == (1, 2)
    # 25 of 1002 are expected, with a standard deviation of 5.
    assert 5 < 1002 * (1 - few.not_finite) < 45
    # Shipped priors are not tried, but drawn from.
    deep = MatrixFactorization(depth=40, width=100, scaling="unit", normalize=False)
    with pytest.raises(InputError, match=r"not one of 1000 draws of the prior is finite in float32"):
        draw_prior(criterion(deep, task), Request(seed=0, chains=1, draws=5), Control())


def test_priors_of_users_may_be_infinite_now_and_then():
    def inverse(rows, cols, bound=0.5):
        base = dist.Normal(torch.zeros(rows, cols), 1.0).to_event(2)
        return dist.TransformedDistribution(base, [Blown(bound)])

    model = MatrixFactorization(depth=1, prior=inverse, normalize=False)
    prior = draw_prior(criterion(model, TASK), Request(seed=0, chains=2, draws=500), Control())
    # Nine entries, each beyond 0.5 with probability 0.3085; 1000 draws.
    assert prior.not_finite == pytest.approx(1 - 0.6915**9, abs=0.03)
    with pytest.raises(InputError, match="drew W1 with entries that are not finite, 1000 times"):
        MatrixFactorization(depth=1, prior=partial(inverse, bound=-9.0)).whiten((3, 3))


class Blown(torch.distributions.transforms.Transform):
    """Infinite beyond a bound."""

    domain = codomain = torch.distributions.constraints.real
    bijective = False

    def __init__(self, bound):
        super().__init__()
        self.bound = bound

    def _call(self, x):
        return torch.where(x > self.bound, torch.inf, x)


@pytest.fixture(scope="module")
def result():
    """Few draws of a prior some of which are not finite, as descents from it are."""
    return infer(spoiled(-1.0), TASK, eps=0.05, method="rejection", draws=100, chains=4, max_evaluations=50_000)


def test_what_is_not_finite_is_said_everywhere_and_survives_saving(result, tmp_path):
    path = save(result, tmp_path / "spoiled.nc")
    share = result_object(load(path))["not_finite"]
    # 400 draws of a share of 0.159: standard error 0.018.
    assert share == pytest.approx(0.159, abs=0.08)
    assert np.isfinite(result["prior"]["gen_loss"].values).all()
    assert result["gd"]["converged"].values.any()
    shown = f"{100 * share:.1f} %"
    check = {each.name: each for each in diagnose(path).checks}["share of the prior that is not finite"]
    assert (check.status, check.found) == ("caution", share)
    assert shown in str(compare(path))
    # Table and report print this line.
    assert f"{shown} of the prior's draws are not finite" in legend_line(result_object(result))


def test_summaries_of_numbers_whose_squares_overflow():
    for dtype, large in ((np.float32, 1e30), (np.float64, 1e300)):
        found = summarize_independent(np.array([1.0, 3.0], dtype) * dtype(large))
        # A float32 result has seven digits.
        assert found.mean == pytest.approx(2 * large, rel=1e-6)
        assert found.sd == pytest.approx(large, rel=1e-6)
        assert found.mcse == pytest.approx(large, rel=1e-6)


def test_bits_of_finite_draws_are_as_without_the_look():
    vectors = torch.randn(9, 50, generator=torch.Generator().manual_seed(0), device=CPU)
    assert torch.equal(TASK.train_loss(vectors), TASK.residual(vectors).square().mean(0))
