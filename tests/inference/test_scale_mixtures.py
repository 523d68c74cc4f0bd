"""Gaussian scale mixtures in the last layer: the algebra with a Gram matrix for each row, and the methods on it."""

from __future__ import annotations

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from collapsed_problems import TASKS, collapsed_problem, collapsed_target, run, source
from problems import MILD_TASK, errors_apart
from scipy import stats

from bayesgc.inference import NUTS, Importance, Rejection, Splitting
from bayesgc.inference.collapsed.conditioned import conditioned_program
from bayesgc.inference.collapsed.gaussian import gaussian_system
from bayesgc.inference.collapsed.refresh import refresh_at_fixed_values
from bayesgc.models import MatrixFactorization, ScaleMixture
from bayesgc.models.factorization.collapse import collapse, why_not_collapsible
from bayesgc.task import sensing
from bayesgc.validate import InputError

pytestmark = pytest.mark.usefixtures("unchecked")


def matrix_of(law):
    return lambda rows, cols: law.expand([rows, cols]).to_event(2)


PRIORS = {
    "student-t": matrix_of(dist.StudentT(4.0, 0.0, 0.5)),
    "laplace": matrix_of(dist.Laplace(0.0, 0.4)),
    "horseshoe": matrix_of(ScaleMixture(dist.HalfCauchy(1.0), scale=0.2)),
    "spike and slab": matrix_of(ScaleMixture(dist.Bernoulli(0.6), scale=0.7)),
}


def model(name="student-t", depth=2, activation="linear"):
    return MatrixFactorization(depth, 4, activation, PRIORS[name], normalize=False)


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())
@pytest.mark.parametrize("name", ["student-t", "horseshoe"])
def test_the_algebra_is_that_of_full_matrices(name, task, depth):
    target = collapsed_target(model(name, depth), task)
    normals = target.draw(source(), 5)
    values = torch.randn(5, 5, generator=source(1), dtype=torch.float64)
    system = target.system(normals)
    seen, held_out = task.measurements.dense(), task.held_out.dense()
    for i, features in enumerate(target.collapsed.features(normals).movedim(-1, 0).numpy()):
        prior = np.zeros((12, 12))
        for row, each in enumerate(features):
            prior[4 * row : 4 * row + 4, 4 * row : 4 * row + 4] = each.T @ each
        covariance, wanted = seen @ prior @ seen.T, values[i].numpy()
        gain = prior @ seen.T @ np.linalg.inv(covariance)
        # Rounding, amplified by the condition number of S.
        close = {"rel": 1e-6, "abs": 1e-8}
        law = stats.multivariate_normal(np.zeros(5), covariance, allow_singular=True)
        assert float(system.log_density(values)[i]) == pytest.approx(law.logpdf(wanted), **close)
        assert system.mean(values)[i].flatten().numpy() == pytest.approx(gain @ wanted, **close)
        left = np.trace(held_out @ (prior - gain @ seen @ prior) @ held_out.T)
        assert float(system.held_out_variance()[i]) == pytest.approx(left, **close)


@pytest.mark.parametrize("eps", [0.0, 0.1])
def test_the_gradient_is_that_of_automatic_differentiation(eps):
    for task in TASKS.values():
        target = collapsed_target(model(depth=3), task, eps)
        normals = target.draw(source(), 4).requires_grad_()
        score, gradient = target.gradient(normals)
        torch.testing.assert_close(score, target.score(normals))
        torch.testing.assert_close(gradient, torch.autograd.grad(target.score(normals).sum(), normals)[0])


def test_one_gram_matrix_for_all_rows_is_the_same_one_for_each():
    for task in TASKS.values():
        factor = torch.randn(6, 4, 4, generator=source(), dtype=torch.float64)
        gram, values = factor @ factor.mT, torch.randn(6, 5, generator=source(1), dtype=torch.float64)
        shared, single = gaussian_system(task, gram), gaussian_system(task, gram[:, None].expand(-1, 3, -1, -1))
        for name in ("log_density", "mean", "solve"):
            torch.testing.assert_close(getattr(shared, name)(values), getattr(single, name)(values))
        torch.testing.assert_close(shared.held_out_variance(), single.held_out_variance())


@pytest.mark.parametrize("name", PRIORS)
def test_what_is_split_is_joined_again_and_gives_the_same_matrix(name):
    problem = collapsed_problem(model(name, 3))
    normals = torch.randn(problem.latent_size, 7, generator=source(), dtype=torch.float64)
    own, last = problem.collapsed.split(normals)
    assert own.shape[0] == problem.collapsed.size
    torch.testing.assert_close(problem.collapsed.join(own, last), normals, rtol=0, atol=0)
    weights, again = problem.whitened.weights(normals), problem.collapsed.weights(own, last)
    for site in weights:
        torch.testing.assert_close(again[site], weights[site])


def gaps(ours, theirs):
    losses = [each.posterior.summaries["gen_loss"] for each in (ours, theirs)]
    return {
        "log_volume": errors_apart(
            ours.log_volume.value, theirs.log_volume.value, ours.log_volume.mcse, theirs.log_volume.mcse
        ),
        "gen_loss": errors_apart(losses[0].mean, losses[1].mean, losses[0].mcse, losses[1].mcse),
    }


SLOW = pytest.mark.slow


@pytest.mark.parametrize("name", ["student-t", *(pytest.param(name, marks=SLOW) for name in ("laplace", "horseshoe"))])
def test_importance_and_splitting_agree_with_rejection(name):
    problem = collapsed_problem(model(name), MILD_TASK, 0.02)
    reference = run(Rejection(), problem, precision=0.02)
    assert max(gaps(run(Importance(), problem, precision=0.02), reference).values()) < 4.5
    assert max(gaps(run(Splitting(particles=400, moves=5), problem, precision=0.03), reference).values()) < 4.5


@pytest.mark.parametrize("name", ["student-t", "laplace", "horseshoe"])
def test_moves_at_fixed_values_leave_the_conditioned_law_alone(name):
    problem = collapsed_problem(model(name), MILD_TASK, 0.05)
    normals = torch.randn(problem.latent_size, 20_000, generator=source(), dtype=torch.float64)
    fitting = normals[:, problem.score(normals) < 0.05]
    moved, other = fitting[:, ::2], fitting[:, 1::2]
    for step in range(6):
        moved = refresh_at_fixed_values(problem.task, problem.collapsed, moved, source(step + 1))
    for functional in (problem.generalisation, lambda z: problem.collapsed.split(z)[0].norm(dim=0)):
        assert stats.ks_2samp(functional(moved).numpy(), functional(other).numpy()).pvalue > 1e-4


@pytest.mark.slow
def test_nuts_agrees_with_importance():
    problem = collapsed_problem(model("laplace"), MILD_TASK)
    ours = run(NUTS(warmup=200), problem, precision=0.1).posterior.summaries["gen_loss"]
    theirs = run(Importance(), problem).posterior.summaries["gen_loss"]
    assert errors_apart(ours.mean, theirs.mean, ours.mcse, theirs.mcse) < 4.5


def test_conditioned_has_the_scales_as_a_site():
    program = conditioned_program(model("student-t"), MILD_TASK, eps=0.0, complete=True)
    with torch.random.fork_rng():
        pyro.set_rng_seed(1)
        trace = pyro.poutine.trace(program).get_trace()
        batched = pyro.poutine.trace(pyro.plate("draws", 5, dim=-1)(program)).get_trace()
    assert trace.nodes["scales"]["value"].shape == (12,)
    matrix = trace.nodes["end_to_end"]["value"]
    measured = MILD_TASK.measurements.apply(matrix.reshape(-1, 1))[:, 0].numpy()
    np.testing.assert_allclose(measured, MILD_TASK.targets, atol=1e-9)
    torch.testing.assert_close(trace.nodes["W2"]["value"] @ trace.nodes["W1"]["value"].double(), matrix)
    assert batched.nodes["end_to_end"]["value"].shape == (5, 3, 3)


def test_evidence_of_the_program_is_that_of_the_collapsed_form():
    target = collapsed_target(model("student-t"), MILD_TASK)
    normals = target.draw(source(), 3)
    score = target.score(normals)
    program = conditioned_program(model("student-t"), MILD_TASK, eps=0.0)
    weights = target.collapsed.weights(normals, normals.new_zeros(3, 4, 3))
    for i in range(3):
        data = {"W1": weights["W1"][i], "scales": normals[-12:, i]}
        trace = pyro.poutine.trace(pyro.poutine.condition(program, data=data)).get_trace()
        assert float(trace.nodes["y"]["fn"].log_prob(trace.nodes["y"]["value"])) == pytest.approx(float(score[i]))


def test_spikes_are_refused_at_a_positive_threshold_and_served_at_an_exact_fit():
    task = sensing(3, 3, 1, 3, seed=1)
    with pytest.raises(InputError, match="weights with atoms can be of low rank"):
        run(Importance(), collapsed_problem(model("spike and slab"), task, 0.05))
    assert run(Importance(), collapsed_problem(model("spike and slab"), task)).log_evidence is not None


@pytest.mark.parametrize(
    ("law", "collapses"),
    [
        (dist.StudentT(3.0), True),
        (dist.StudentT(3.0, 0.5), False),
        (dist.Uniform(-1.0, 1.0), False),
        (dist.Cauchy(0.0, 1.0), False),
    ],
)
def test_what_has_a_collapsed_form(law, collapses):
    reason = why_not_collapsible(MatrixFactorization(2, prior=matrix_of(law), normalize=False), (3, 3))
    assert (reason is None) is collapses
    assert reason is None or "not Gaussian around zero, nor a mixture of such" in reason


def test_the_prior_of_hidden_layers_may_be_anything_with_a_transport():
    def mixed(rows, cols):
        return matrix_of(dist.Cauchy(0.0, 1.0) if rows == 4 else dist.Normal(0.0, 0.5))(rows, cols)

    assert collapse(MatrixFactorization(2, 4, prior=mixed, normalize=False), (3, 3)) is not None
