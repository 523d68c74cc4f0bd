"""Conditioning given the hidden layers: the algebra against full matrices, exact draws, the residual in the ball."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from collapsed_problems import COMPLETION, SENSING, TASKS, Twin, collapsed_target, gram, source, unnormalised
from problems import errors_apart
from scipy import stats

from bayesgc.inference.collapsed import criterion as collapsed
from bayesgc.inference.collapsed import gaussian
from bayesgc.inference.collapsed.criterion import residual_in_ball
from bayesgc.inference.collapsed.gaussian import CellSystem, DenseSystem, gaussian_system
from bayesgc.models.factorization.products import row_product
from bayesgc.models.factorization.triangular import TriangularFactors
from bayesgc.task import sensing

MODELS = {
    "linear": unnormalised(3),
    "tanh": unnormalised(2, 5, "tanh"),
    "leaky ReLU": unnormalised(2, 4, "leaky-relu"),
    "width-free": unnormalised(3, 40),
    "depth one": unnormalised(1),
}
"""A ReLU net can have a K of too low a rank; see the singular draws below."""


@pytest.fixture(params=TASKS.values(), ids=TASKS.keys(), scope="module")
def task(request):
    return request.param


@pytest.mark.parametrize("name", MODELS)
def test_the_algebra_is_that_of_full_matrices(name, task):
    target = collapsed_target(MODELS[name], task)
    normals = target.draw(source(), 6)
    system, values = target.system(normals), torch.randn(6, 5, generator=source(1), dtype=torch.float64)
    log_density, means, solved = system.log_density(values), system.mean(values), system.solve(values)
    for i, matrix in enumerate(gram(target, normals)):
        twin, wanted = Twin(task, matrix), values[i].numpy()
        # Rounding, amplified by the condition number of S, which is below 1e6 here.
        close = {"rel": 1e-7, "abs": 1e-9}
        assert float(log_density[i]) == pytest.approx(twin.log_density(wanted), **close)
        assert solved[i].numpy() == pytest.approx(twin.solve(wanted), **close)
        assert means[i].flatten().numpy() == pytest.approx(twin.mean(wanted), **close)
        assert float(system.held_out_variance()[i]) == pytest.approx(twin.held_out_variance(), **close)
        assert float(system.log_det[i]) == pytest.approx(np.linalg.slogdet(twin.covariance)[1], **close)


@pytest.mark.parametrize("noise", [1e-6, 0.03, 5.0])
def test_one_spectrum_gives_the_density_with_any_noise(noise, task):
    target = collapsed_target(MODELS["tanh"], task)
    normals = target.draw(source(), 6)
    values = torch.randn(6, 5, generator=source(1), dtype=torch.float64)
    with_noise = gaussian_system(task, target.system(normals).gram[:, 0], noise).log_density(values)
    torch.testing.assert_close(
        target.system(normals).spectrum(values).log_density(noise), with_noise, rtol=1e-7, atol=0
    )


def test_a_spectrum_of_what_is_not_finite_has_no_density(task):
    target = collapsed_target(MODELS["linear"], task)
    normals = target.draw(source(), 3)
    normals[:, 1] = torch.inf
    density = target.system(normals).spectrum(torch.ones(3, 5, dtype=torch.float64)).log_density(0.1)
    assert density.isfinite().tolist() == [True, False, True]


def test_what_is_left_to_chance_is_the_variance_on_the_average(task, monkeypatch):
    """As it is told of large systems, by one draw each."""
    target = collapsed_target(MODELS["tanh"], task)
    normals = target.draw(source(), 1).expand(-1, 20_000)
    free = torch.randn(
        task.unfolding[0], target.collapsed.feature_count, 20_000, generator=source(1), dtype=torch.float64
    )
    guess = row_product(free, target.collapsed.features(normals)).flatten(0, 1)
    system = target.system(normals)
    exact = float(target._left_to_chance(system, guess)[0])
    monkeypatch.setattr(type(target), "large", True)
    found = target._left_to_chance(system, guess)
    assert errors_apart(float(found.mean()), exact, float(found.std()) / 20_000**0.5) < 4


def test_arrays_too_large_for_a_table_give_the_same(monkeypatch):
    target = collapsed_target(MODELS["linear"], SENSING)
    normals = target.draw(source(), 6)
    by_table = target.score(normals)
    monkeypatch.setattr(gaussian, "_pays", lambda *sizes: False)
    monkeypatch.setattr(gaussian, "_pairs", None)
    torch.testing.assert_close(target.score(normals), by_table, rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    ("rows", "cols", "count", "pays"), [(5, 5, 15, True), (50, 50, 400, True), (2, 60, 60, False), (60, 60, 900, False)]
)
def test_a_table_is_made_where_it_saves_work_and_can_be_held(rows, cols, count, pays):
    assert gaussian._pays(count, rows, cols) is pays


@pytest.mark.parametrize("name", MODELS)
def test_variance_of_few_measurements_is_all_held_out(name):
    few = sensing(3, 4, 1, 3, seed=2)
    assert few.held_out.count > 2 * few.measurements.count
    target = collapsed_target(MODELS[name], few)
    normals = target.draw(source(), 6)
    expected = [Twin(few, matrix).held_out_variance() for matrix in gram(target, normals)]
    assert target.system(normals).held_out_variance().tolist() == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("eps", [0.0, 0.01])
@pytest.mark.parametrize("name", [name for name in MODELS if name != "depth one"])
def test_the_gradient_in_closed_form_is_that_of_autograd(name, task, eps):
    target = collapsed_target(MODELS[name], task, eps)
    normals = target.draw(source(), 6).requires_grad_(True)
    score = target.score(normals)
    expected = torch.autograd.grad(score.sum(), normals)[0]
    known, gradient = target.gradient(normals)
    torch.testing.assert_close(known, score.detach(), rtol=0, atol=0)
    torch.testing.assert_close(gradient, expected, rtol=1e-8, atol=1e-8)


def test_the_gradient_of_a_singular_draw_is_zero():
    target = collapsed_target(unnormalised(2, 4, "relu"), SENSING)
    score, gradient = target.gradient(torch.full((target.latent_size, 2), -1.0, dtype=torch.float64))
    assert score.tolist() == [-math.inf] * 2
    assert not gradient.any()


def test_the_system_suits_the_task(task):
    system = gaussian_system(task, torch.eye(4, dtype=torch.float64)[None])
    assert isinstance(system, CellSystem if task is COMPLETION else DenseSystem)


def test_the_models_cover_both_ways_to_draw_hidden_layers():
    kinds = {name: type(collapsed_target(model).collapsed.whitened) for name, model in MODELS.items()}
    assert [name for name, kind in kinds.items() if kind is TriangularFactors] == ["width-free"]


@pytest.mark.parametrize("eps", [0.0, 0.1])
@pytest.mark.parametrize("name", ["linear", "tanh"])
def test_score_and_expected_loss_of_a_draw(name, task, eps):
    target = collapsed_target(MODELS[name], task, eps)
    normals = target.draw(source(), 5)
    score, loss = target.evaluate(normals)
    assert torch.equal(target.generalisation(normals), loss)
    targets = target.targets(normals).numpy()
    twins = [Twin(task, matrix) for matrix in gram(target, normals)]
    expected = [twin.log_density(y) + target.log_ball for twin, y in zip(twins, targets, strict=True)]
    assert score.numpy() == pytest.approx(expected, rel=1e-7)
    assert target.score(normals).numpy() == pytest.approx(expected, rel=1e-7)
    assert loss.numpy() == pytest.approx([twin.gen_loss(y) for twin, y in zip(twins, targets, strict=True)], rel=1e-7)


def test_singular_draws_have_no_density(task):
    """A dead ReLU net has K = 0; a K of rank one carries one measurement a row."""
    low = torch.zeros(2, 4, 4, dtype=torch.float64)
    low[1, 0, 0] = 1.0
    system = gaussian_system(task, low)
    assert (system.log_density(torch.ones(2, 5, dtype=torch.float64)) == -math.inf).all()


# --- exact draws ------------------------------------------------------------------------------------------------------

DRAWS = 4000


def exact_draws(task, eps=0.0, name="tanh"):
    """Many draws given one hidden layer, and the twin of that layer."""
    target = collapsed_target(MODELS[name], task, eps)
    normals = target.draw(source(), 1)
    free = torch.randn(task.shape[0], target.collapsed.feature_count, DRAWS, generator=source(1), dtype=torch.float64)
    vectors, last = target.complete(normals.expand(-1, DRAWS), free)
    return target, normals, vectors, last, Twin(task, gram(target, normals)[0])


def covariance_gap(vectors, expected):
    """The largest deviation of a sample covariance, in its standard errors: √((c_ii c_jj + c_ij²)/N) for Gaussians."""
    found, scale = np.cov(vectors), np.diag(expected)
    error = np.sqrt((np.outer(scale, scale) + expected**2) / vectors.shape[1])
    return float((np.abs(found - expected) / np.maximum(error, 1e-9)).max())


def test_draws_have_zero_loss_and_the_law_of_the_closed_form(task):
    _, _, vectors, _, twin = exact_draws(task)
    assert float(task.train_loss(vectors).max()) < 1e-24 * task.zero_train_loss
    mean, spread = twin.mean(task.targets), np.sqrt(np.maximum(np.diag(twin.posterior), 0))
    apart = np.abs(vectors.mean(1).numpy() - mean) / np.maximum(spread / math.sqrt(DRAWS), 1e-9)
    # 12 means and 144 covariances: one beyond 4.5 and 5 standard errors has a chance of 1e-4.
    assert apart.max() < 4.5
    assert covariance_gap(vectors.numpy(), twin.posterior) < 5
    # Negative control: the law before the shift.
    assert covariance_gap(vectors.numpy(), twin.prior) > 10


def test_draws_at_a_threshold_lie_where_their_residual_says(task):
    target, normals, vectors, _, _ = exact_draws(task, eps=0.05)
    measured = task.measurements.apply(vectors)
    torch.testing.assert_close(measured, target.targets(normals).T.expand(-1, DRAWS), rtol=0, atol=1e-10)
    assert (task.train_loss(vectors) < 0.05).all()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", MODELS)
def test_the_last_layer_makes_the_matrix(name):
    target, normals, vectors, last, _ = exact_draws(SENSING, name=name)
    weights = target.collapsed.weights(normals.expand(-1, DRAWS), last)
    value = weights["W1"]
    for layer in list(weights.values())[1:]:
        value = layer @ target.collapsed.whitened.network.activation(value)
    torch.testing.assert_close(value.flatten(1).T, vectors)


def test_draws_take_other_values_on_request(task):
    target = collapsed_target(MODELS["tanh"], task)
    normals, wanted = target.draw(source(), 7), torch.randn(7, 5, generator=source(1), dtype=torch.float64)
    free = torch.randn(3, 5, 7, generator=source(2), dtype=torch.float64)
    torch.testing.assert_close(task.measurements.apply(target.complete(normals, free, wanted)[0]).T, wanted)


# --- the residual in the ball -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 5])
def test_residuals_are_uniform_in_the_ball(count):
    residual = residual_in_ball(torch.randn(count + 2, 20_000, generator=source(), dtype=torch.float64), 0.3)
    radius = torch.linalg.vector_norm(residual, dim=1) / math.sqrt(count * 0.3)
    assert float(radius.max()) < 1
    assert stats.kstest((radius**count).numpy(), "uniform").pvalue > 1e-3
    # Directions: a coordinate has mean 0 and mean square 1/(n + 2) of the squared radius.
    share = (residual / math.sqrt(count * 0.3)).numpy()
    assert np.abs(share.mean(0)).max() * math.sqrt(20_000 * (count + 2)) < 4.5
    assert (share**2).mean(0) == pytest.approx(np.full(count, 1 / (count + 2)), rel=0.05)
    # Negative control: points on rays with a uniform radius crowd in the middle.
    assert count == 1 or stats.kstest(radius.numpy(), "uniform").pvalue < 1e-6


@pytest.mark.parametrize(("count", "volume"), [(1, 2), (2, math.pi), (3, 4 / 3 * math.pi), (4, math.pi**2 / 2)])
def test_volume_of_the_ball(count, volume):
    eps = 0.07
    target = collapsed_target(unnormalised(), sensing(3, 4, 1, count, seed=0), eps)
    assert math.exp(target.log_ball) == pytest.approx(volume * math.sqrt(count * eps) ** count)
    assert collapsed_target(unnormalised(), sensing(3, 4, 1, count, seed=0)).log_ball == 0


@pytest.mark.parametrize("eps", [0.0, 0.1])
def test_chunks_change_nothing_but_rounding(task, eps, monkeypatch):
    target = collapsed_target(MODELS["linear"], task, eps)
    normals = target.draw(source(), 50)
    free = torch.randn(3, 4, 50, generator=source(1), dtype=torch.float64)
    whole = [*target.evaluate(normals), *target.complete(normals, free)]
    monkeypatch.setattr(collapsed, "_CHUNK_NUMBERS", 1)
    assert target.chunk == 4
    parts = [*target.evaluate(normals), *target.complete(normals, free)]
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
