"""NUTS on the collapsed density: the density, its gradient, the posterior against importance, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from problems import CPU, errors_apart

from bayesgc.inference import NUTS, Control, Criterion, Importance, Outcome, Progress, Request, Run
from bayesgc.inference.collapsed.chains import Chain
from bayesgc.inference.collapsed.criterion import CollapsedCriterion
from bayesgc.inference.mixing import Mixing, mixing
from bayesgc.inference.streams import Stream, generator
from bayesgc.models import MatrixFactorization
from bayesgc.models.factorization.collapse import collapse
from bayesgc.task import ArrayTask, completion, load, sensing
from bayesgc.validate import InputError

TASK = sensing(3, 3, 1, 4, seed=1)
QUICK = NUTS(warmup=100, target_accept=0.8)
WIDE = MatrixFactorization(depth=2, width=8, normalize=False)
"""Far from singular covariances, so that a transition takes few steps."""


def narrow(activation: str = "linear", **options) -> MatrixFactorization:
    return MatrixFactorization(depth=2, width=3, activation=activation, normalize=False, **options)


def problem(model: MatrixFactorization | None = None, task: ArrayTask = TASK, eps: float = 0.0, **options) -> Criterion:
    model = model or narrow()
    collapsed = collapse(model, task.shape, **options)
    whitened = model.whiten(task.shape, **options) if collapsed is None else collapsed.whitened
    return Criterion(task, whitened, eps, CPU, torch.float32, collapsed)


def collapsed_target(model: MatrixFactorization, task: ArrayTask = TASK, eps: float = 0.0) -> CollapsedCriterion:
    criterion = problem(model, task, eps, weights=True)
    return CollapsedCriterion(criterion.task, criterion.collapsed, criterion.eps, CPU)


def run(criterion: Criterion, method: NUTS = QUICK, control: Control | None = None, **request) -> Run:
    return method.run(criterion, Request(**request), control or Control(max_seconds=120))


def brief(criterion: Criterion, **request) -> Run:
    """A run that a count of evaluations ends, long before it converges."""
    return run(criterion, NUTS(warmup=10, target_accept=0.8), Control(max_evaluations=600), **request)


def agreement(chains: Run, weighted: Run, name: str = "gen_loss") -> float:
    ours, theirs = chains.posterior.summaries[name], weighted.posterior.summaries[name]
    return errors_apart(ours.mean, theirs.mean, ours.mcse, theirs.mcse)


@pytest.mark.parametrize("activation", ["linear", "tanh", "leaky-relu", "relu"])
@pytest.mark.parametrize("eps", [0.0, 0.01])
@pytest.mark.parametrize("make", [sensing, completion])
def test_gradient_is_that_of_finite_differences(activation, eps, make):
    target = collapsed_target(narrow(activation), make(3, 3, 1, 4, seed=1), eps)
    chain = Chain(target, generator(0, Stream.CHAIN, 0, CPU), warmup=1, target_accept=0.8, max_tree_depth=5)
    normals = chain._state["normals"].clone().requires_grad_(True)
    gradient = torch.autograd.grad(chain._potential({"normals": normals}), normals)[0]
    step = 1e-6 * torch.eye(len(normals), dtype=torch.float64)
    with torch.no_grad():
        up, down = (torch.stack([chain._potential({"normals": normals + s * e}) for e in step]) for s in (1, -1))
    # Central differences are good to step² and rounding, relative to the curvature: about 1e-7 here.
    torch.testing.assert_close(gradient, (up - down) / 2e-6, rtol=1e-4, atol=1e-5)


def test_a_singular_draw_is_a_wall_and_not_an_error():
    target = collapsed_target(narrow("relu"))
    dead = torch.full((target.latent_size, 1), -1.0, dtype=torch.float64)
    assert target.score(dead).item() == -math.inf


@pytest.mark.parametrize("eps", [0.0, 0.01])
@pytest.mark.usefixtures("unchecked")
def test_agrees_with_importance(eps):
    criterion = problem(WIDE, eps=eps)
    chains = run(criterion, seed=3, chains=2, draws=200)
    weighted = Importance().run(criterion, Request(seed=3), Control())
    assert chains.outcome is Outcome.CONVERGED, chains.message
    # 4.5 combined standard errors: two runs and three quantities at a fixed seed, so that a false alarm is rare.
    for name in ("gen_loss", "effective_rank", "nuclear_norm"):
        assert agreement(chains, weighted, name) < 4.5
    fitted = chains.posterior.quantities["train_loss"]
    assert (fitted < max(eps, 1e-12)).all()
    assert chains.log_volume is None
    assert chains.log_evidence is None


@pytest.mark.usefixtures("unchecked")
def test_a_wrong_density_is_found_out(monkeypatch):
    """The negative control: a density to the power of one fifth does not agree with importance."""
    criterion = problem(WIDE)
    weighted = Importance().run(criterion, Request(seed=3), Control())
    right = CollapsedCriterion.gradient
    monkeypatch.setattr(
        CollapsedCriterion, "gradient", lambda self, normals: tuple(0.2 * each for each in right(self, normals))
    )
    chains = run(criterion, seed=3, chains=2, draws=400)
    assert max(agreement(chains, weighted, name) for name in ("gen_loss", "effective_rank", "nuclear_norm")) > 6


@pytest.mark.usefixtures("unchecked")
def test_one_seed_repeats_and_the_global_generator_is_left_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = brief(problem(WIDE), seed=0, chains=2, draws=20)
    assert torch.equal(torch.get_rng_state(), before)
    again, other = (brief(problem(WIDE), seed=seed, chains=2, draws=20) for seed in (0, 1))
    assert torch.equal(first.posterior.end_to_end, again.posterior.end_to_end)
    assert not torch.equal(first.posterior.end_to_end, other.posterior.end_to_end)
    assert not torch.equal(first.posterior.end_to_end[0], first.posterior.end_to_end[1])


@pytest.mark.usefixtures("unchecked")
def test_weights_multiply_to_the_end_to_end_matrix():
    found = brief(problem(narrow("tanh"), weights=True), chains=1, draws=20, weights=True).posterior
    product = found.weights["W2"] @ torch.tanh(found.weights["W1"])
    torch.testing.assert_close(product, found.end_to_end)
    assert found.sample_stats["diverging"].shape == (1, 20)


@pytest.mark.usefixtures("unchecked")
def test_a_fit_that_leaves_nothing_open_is_found_at_once():
    """Every cell is observed: all draws are the truth, and constants have mixed."""
    task = completion(2, 2, 1, 4, seed=0)
    found = run(
        problem(WIDE, task), NUTS(warmup=30, most_divergent=0.5), Control(max_evaluations=5000), chains=1, draws=100
    )
    assert found.outcome is Outcome.CONVERGED, found.message
    assert found.diagnostics["draws"] == 100
    np.testing.assert_allclose(found.posterior.end_to_end, np.broadcast_to(task.truth, (1, 100, 2, 2)), atol=1e-6)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("interrupt", "outcome"), [(False, Outcome.CONVERGED), (True, Outcome.INTERRUPTED)])
def test_it_looks_once_more_when_the_budget_ends(interrupt, outcome, monkeypatch):
    """60 draws are too few, and of the 120 that it goes on to make there is a budget for 105."""
    control = Control()

    def end(progress: Progress) -> None:
        if progress.done >= 30 + 105:
            control.interrupt() if interrupt else monkeypatch.setattr(Control, "affords", lambda self, spent: False)

    control.report = end
    method = NUTS(warmup=30, most_divergent=0.5)
    found = run(problem(WIDE, completion(2, 2, 1, 4, seed=0)), method, control, chains=1, draws=60)
    assert (found.outcome, found.diagnostics["draws"]) == (outcome, 105)
    assert found.message == outcome.advice


@pytest.mark.usefixtures("unchecked")
def test_an_interrupted_run_keeps_its_finished_chains():
    control = Control()

    def stop_in_the_second_chain(progress: Progress) -> None:
        if progress.detail.startswith("chain 2"):
            control.interrupt()

    control.report = stop_in_the_second_chain
    found = run(problem(WIDE), NUTS(warmup=20), control, chains=3, draws=15)
    assert found.outcome is Outcome.INTERRUPTED
    assert "only 1 of 3 chains" in found.message
    assert found.posterior.end_to_end.shape == (1, 15, 3, 3)


@pytest.mark.usefixtures("unchecked")
def test_a_budget_spent_in_the_warm_up_leaves_nothing():
    found = run(problem(), control=Control(max_evaluations=50))
    assert found.outcome is Outcome.EXHAUSTED
    assert found.posterior is None
    assert "warm-up" in found.message


@pytest.mark.usefixtures("unchecked")
def test_divergences_end_a_run():
    careless = NUTS(warmup=20, target_accept=0.05, most_divergent=0.0)
    found = run(problem(task=completion(3, 3, 1, 6, seed=0)), careless, chains=2, draws=100)
    assert found.outcome is Outcome.STALLED
    assert "diverged" in found.message
    assert found.diagnostics["divergences"] > 0


def test_mixing_sees_chains_that_disagree_and_passes_those_that_do_not():
    draws = np.random.default_rng(0).normal(size=(4, 500))
    assert mixing({"x": draws}).complaint(4) is None
    assert "R-hat" in mixing({"x": draws, "y": draws + np.arange(4)[:, None]}).complaint(4)
    assert "effective sample size" in Mixing(1.0, 399.0, 500.0).complaint(4)
    walk = np.cumsum(draws[:1], axis=1)
    assert mixing({"x": walk}).complaint(1) is not None
    constant = np.ones((4, 500))
    assert mixing({"x": draws, "rank": constant}) == mixing({"x": draws})
    assert mixing({"rank": constant}) == Mixing(1.0, 2000.0, 2000.0)
    for too_little in ({}, {"rank": constant[:, :7]}, {"x": draws[:, :7], "rank": constant}):
        assert "R-hat is nan" in mixing(too_little).complaint(4)


@pytest.mark.parametrize(
    ("criterion", "message"),
    [
        (lambda: problem(MatrixFactorization(normalize=True), eps=0.01), "unnormalised"),
        (lambda: problem(narrow("relu"), eps=0.01), "relu hidden units can die"),
        (lambda: problem(MatrixFactorization(depth=1, normalize=False)), "nothing to sample at depth 1"),
        (
            lambda: problem(MatrixFactorization(depth=2, width=1, normalize=False)),
            "nuts cannot condition .* width of 1",
        ),
    ],
)
def test_refusals(criterion, message):
    with pytest.raises(InputError, match=message):
        run(criterion())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"warmup": 0}, "warmup is 0"),
        ({"target_accept": 1.0}, "target_accept is 1.0"),
        ({"max_tree_depth": 99}, "max_tree_depth is 99"),
        ({"most_divergent": -1}, "most_divergent is -1"),
    ],
)
def test_bad_hyperparameters(options, message):
    with pytest.raises(InputError, match=message):
        NUTS(**options)


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", ["shared-1", "shared-5", "shared-6"])
def test_cases_with_known_answers(cases, name):
    facts = cases[name].facts
    model = MatrixFactorization(facts["depth"], facts["width"], facts["activation"], facts["prior"], normalize=False)
    found = run(problem(model, load(cases[name].path), facts["eps"]), NUTS(), Control(max_seconds=600), seed=0)
    assert found.outcome is Outcome.CONVERGED, found.message
    loss = found.posterior.summaries["gen_loss"]
    # 4 combined standard errors for three comparisons at a fixed seed.
    assert errors_apart(loss.mean, facts["gen"], loss.mcse, facts["gen_se"]) < 4
