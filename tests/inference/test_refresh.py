"""Moves at fixed measured values: what they keep, the law they leave alone, and splitting at small ε with them."""

from __future__ import annotations

from itertools import cycle

import numpy as np
import pytest
import torch
from collapsed_problems import TASKS, collapsed_problem, run, source, unnormalised
from problems import MILD_TASK, errors_apart
from scipy import stats

from bayesgc.inference import Importance, Splitting
from bayesgc.inference.collapsed import refresh
from bayesgc.inference.collapsed.criterion import CollapsedCriterion
from bayesgc.inference.collapsed.refresh import refresh_at_fixed_values
from bayesgc.task import completion, sensing

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize(
    "model", [unnormalised(3), unnormalised(3, 40), unnormalised(2, 4, "tanh"), unnormalised(1)], ids=str
)
def test_measured_values_stay(model, name, dtype):
    problem = collapsed_problem(model, TASKS[name])
    normals = torch.randn(problem.latent_size, 40, generator=source(), dtype=dtype)
    fresh = refresh_at_fixed_values(problem.task, problem.collapsed, normals, source(1))
    assert fresh.dtype == dtype
    assert bool((fresh != normals).any(0).all())
    before, after = (problem.task.measurements.apply(problem.whitened.vectors(each)) for each in (normals, fresh))
    # Rounding of values of the order of one, by products of a few matrices.
    torch.testing.assert_close(after, before, rtol=0, atol=1e-9 if dtype == torch.float64 else 2e-4)


def test_dead_nets_stay_as_they_are():
    problem = collapsed_problem(unnormalised(2, 2, "relu"), MILD_TASK)
    normals = torch.randn(problem.latent_size, 200, generator=source(), dtype=torch.float64)
    fresh = refresh_at_fixed_values(problem.task, problem.collapsed, normals, source(1))
    assert fresh.isfinite().all()


# --- the law they leave alone -----------------------------------------------------------------------------------------

EPS = 0.05


def functionals(problem, normals):
    """Numbers that depend on the hidden layers, on the last one, and on how both go with the measured values."""
    vectors = problem.whitened.vectors(normals)
    exact = CollapsedCriterion(problem.task, problem.collapsed, 0.0, problem.device)
    values = problem.task.measurements.apply(vectors).T
    system = exact.system(normals)
    return {
        "gen_loss": problem.task.gen_loss(vectors),
        "entry": vectors[0],
        "hidden": torch.linalg.vector_norm(normals[: problem.collapsed.size], dim=0),
        "last": torch.linalg.vector_norm(normals[problem.collapsed.size :], dim=0),
        "log_det": system.log_det,
        "density": system.log_density(values),
    }


@pytest.fixture(scope="module", params=["linear", "tanh"])
def conditioned(request):
    """Exact draws of the prior given a small training loss, by rejection."""
    problem = collapsed_problem(unnormalised(2, 4, request.param), MILD_TASK, EPS)
    normals = torch.randn(problem.latent_size, 60_000, generator=source(), dtype=torch.float64)
    return problem, normals[:, problem.score(normals) < EPS]


def unlike(conditioned):
    """The smallest p-value over functionals of half the draws, moved, against the other half, not moved."""
    problem, normals = conditioned
    assert normals.shape[1] > 1500
    moved, other = normals[:, ::2], normals[:, 1::2]
    for step in range(6):
        moved = refresh_at_fixed_values(problem.task, problem.collapsed, moved, source(step + 1))
    pairs = zip(functionals(problem, moved).values(), functionals(problem, other).values(), strict=True)
    return min(stats.ks_2samp(one.numpy(), two.numpy()).pvalue for one, two in pairs)


def test_the_conditioned_law_stays(conditioned):
    # Six functionals of two problems: a p-value below 1e-4 has a chance of about 1e-3.
    assert unlike(conditioned) > 1e-4


def test_accepting_every_move_is_caught(conditioned, monkeypatch):
    # First the size of the step, here the largest, then the chance to accept, here certain.
    draws = cycle([1.0, 0.0])
    monkeypatch.setattr(
        refresh, "_uniforms", lambda exact, count, generator: torch.full((count,), next(draws), dtype=torch.float64)
    )
    assert unlike(conditioned) < 1e-8


def test_a_last_layer_from_the_prior_is_caught(conditioned, monkeypatch):
    monkeypatch.setattr(CollapsedCriterion, "complete", lambda self, normals, free, values: (None, free))
    assert unlike(conditioned) < 1e-8


@pytest.mark.parametrize(("depth", "task"), [(10, sensing(5, 5, 2, 22, seed=0)), (36, sensing(5, 5, 1, 15, seed=0))])
def test_the_prior_stays_where_it_is_singular_to_rounding_for_a_share(depth, task, monkeypatch):
    problem = collapsed_problem(unnormalised(depth, 5), task)
    exact = CollapsedCriterion(task, problem.collapsed, 0.0, problem.device)
    normals = torch.randn(problem.latent_size, 600, generator=source(), dtype=torch.float64)
    assert 0.02 < float(exact.system(normals).singular.double().mean()) < 0.5

    def unlike() -> float:
        moved, other = normals[:, ::2], normals[:, 1::2]
        for step in range(10):
            moved = refresh_at_fixed_values(task, problem.collapsed, moved, source(step + 1))
        sides = [task.measures(problem.whitened.vectors(each)) for each in (moved, other)]
        pairs = [[side[name].numpy() for side in sides] for name in ("effective_rank", "nuclear_norm", "gen_loss")]
        return min(stats.ks_2samp(*pair).pvalue for pair in pairs)

    assert unlike() > 1e-3
    # The negative control: moves away from where the density is not known, and none back.
    monkeypatch.setattr(refresh, "_usable", lambda density, last: last.isfinite().all(0).all(0))
    assert unlike() < 1e-6


def test_hidden_layers_do_move(conditioned):
    problem, normals = conditioned
    moved = refresh_at_fixed_values(problem.task, problem.collapsed, normals, source(1))
    share = (moved[: problem.collapsed.size] != normals[: problem.collapsed.size]).any(0).double().mean()
    assert 0.1 < float(share) < 1


# --- small ε ----------------------------------------------------------------------------------------------------------


def gaps(problem, splitting, **request):
    ours, theirs = (run(method, problem, **request) for method in (splitting, Importance()))
    losses = [each.posterior.summaries["gen_loss"] for each in (ours, theirs)]
    return {
        "log_volume": errors_apart(
            ours.log_volume.value, theirs.log_volume.value, ours.log_volume.mcse, theirs.log_volume.mcse
        ),
        "gen_loss": errors_apart(losses[0].mean, losses[1].mean, losses[0].mcse, losses[1].mcse),
    }


@pytest.mark.parametrize("eps", [1e-3, 1e-5])
def test_splitting_agrees_with_importance_at_small_eps(eps):
    problem = collapsed_problem(unnormalised(2, 4), sensing(3, 3, 1, 4, seed=1), eps)
    found = gaps(problem, Splitting(particles=200, moves=5), precision=0.05, draws=100)
    # t with 15 degrees of freedom: 4.5 has a chance of 4e-4.
    assert max(found.values()) < 4.5, found


@pytest.mark.slow
@pytest.mark.parametrize("eps", [1e-3, 1e-5])
@pytest.mark.parametrize("activation", ["linear", "tanh"])
@pytest.mark.parametrize("make", [sensing, completion])
def test_splitting_agrees_with_importance_at_small_eps_at_full_size(make, activation, eps):
    problem = collapsed_problem(unnormalised(2, 8, activation), make(5, 5, 1, 12, seed=0), eps)
    found = gaps(problem, Splitting(), precision=0.02)
    assert max(found.values()) < 4.5, found


def test_the_values_move_too():
    """Splitting leaves the spread of the measured values to the moves that feel the threshold: residuals fill the ball.

    The training loss over ε of a uniform point in the n-ball has the law of U^(2/n).
    """
    problem = collapsed_problem(unnormalised(2, 4), sensing(3, 3, 1, 4, seed=1), 1e-5)
    draws = run(Splitting(particles=200, moves=5), problem, precision=0.05, draws=200).posterior
    loss = draws.quantities["train_loss"].double().numpy() / 1e-5
    # Particles of an island are not independent, so the means over islands are compared.
    means = (loss ** (4 / 2)).mean(1)
    assert errors_apart(means.mean(), 0.5, means.std(ddof=1) / np.sqrt(len(means))) < 4.5
