"""Any Pyro program under the methods that serve it: hierarchical, with choices, with sites that have no transport."""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import pytest
import torch
from problems import condition, criterion, errors_apart

from bayesgc.inference import Importance, Rejection, Splitting
from bayesgc.task import sensing
from bayesgc.validate import InputError

pytestmark = pytest.mark.usefixtures("unchecked")

TASK = sensing(3, 3, 1, 3, seed=1)


def chosen_scale():
    """A hyperprior, a discrete choice between two kinds of matrices, and a plate."""
    spread = pyro.sample("spread", dist.InverseGamma(3.0, 1.0))
    low_rank = pyro.sample("low rank", dist.Bernoulli(0.5))
    with pyro.plate("rows", 3):
        row = pyro.sample("row", dist.MultivariateNormal(torch.zeros(3), torch.eye(3)))
        factor = pyro.sample("factor", dist.Normal(0.0, 1.0))
    right = pyro.sample("right", dist.StudentT(4.0, 0.0, 0.5).expand([3]).to_event(1))
    return spread.sqrt() * torch.where(low_rank > 0, factor[:, None] * right, row)


def counted():
    """Poisson counts, whose rate is random, have no transport."""
    rate = pyro.sample("rate", dist.Gamma(2.0, 2.0))
    counts = pyro.sample("counts", dist.Poisson(rate).expand([3, 3]).to_event(2))
    noise = pyro.sample("noise", dist.Normal(0.0, 0.3).expand([3, 3]).to_event(2))
    return 0.5 * (counts - rate) + noise


@pytest.mark.parametrize(("program", "eps"), [(chosen_scale, 0.02), (counted, 0.1)])
def test_splitting_agrees_with_rejection(program, eps):
    problem = criterion(program, TASK, eps)
    ours = condition(Splitting(particles=300, moves=5), problem, precision=0.05, chains=16)
    theirs = condition(Rejection(), problem, precision=0.05)
    gap = errors_apart(ours.log_volume.value, theirs.log_volume.value, ours.log_volume.mcse, theirs.log_volume.mcse)
    losses = [each.posterior.summaries["gen_loss"] for each in (ours, theirs)]
    assert gap < 4.5
    assert errors_apart(losses[0].mean, losses[1].mean, losses[0].mcse, losses[1].mcse) < 4.5


def test_islands_of_carried_sites_are_the_same_on_any_number_of_threads(threads):
    problem, runs = criterion(counted, TASK, 0.3), []
    for number in (1, 2):
        threads(number)
        runs.append(condition(Splitting(particles=50, moves=2), problem, chains=4, precision=1.0, weights=True))
    assert torch.equal(runs[0].posterior.end_to_end, runs[1].posterior.end_to_end)
    assert runs[0].posterior.weights["counts"].shape[2:] == (3, 3)


def test_importance_says_what_it_needs():
    with pytest.raises(InputError, match="importance needs .* splitting and rejection condition any model"):
        condition(Importance(), criterion(counted, TASK, 0.1))
