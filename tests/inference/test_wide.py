"""Infinitely wide nets: K against finite nets and closed forms, and the posterior against wide ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from closed_forms import gaussian_log_volume, leaky_kernel
from collapsed_problems import COMPLETION, SENSING, Twin, collapsed_problem, run, source, unnormalised
from problems import errors_apart

from bayesgc.inference import Importance
from bayesgc.inference.collapsed.criterion import CollapsedCriterion, residual_in_ball
from bayesgc.inference.collapsed.gaussian import gaussian_system
from bayesgc.inference.collapsed.wide import wide_limit
from bayesgc.inference.curve import log_ball
from bayesgc.inference.estimates import log_mean, weighted_mean
from bayesgc.models import MatrixFactorization
from bayesgc.models.factorization.collapse import collapse
from bayesgc.models.factorization.wide import wide_gram
from bayesgc.task import completion, sensing

ACTIVATIONS = ("linear", "tanh", "leaky-relu", "relu")


def grams(model: MatrixFactorization, shape: tuple[int, int], draws: int) -> np.ndarray:
    """(draw, col, col): K of finite nets."""
    collapsed = collapse(model, shape, weights=True)
    assert collapsed is not None
    normals = torch.randn(collapsed.size, draws, generator=source(), dtype=torch.float64)
    features = collapsed.features(normals).movedim(-1, 0).numpy()
    return np.einsum("bfc,bfd->bcd", features, features)


def far_apart(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest distance of a mean over draws from what is expected, in standard errors."""
    error = found.std(0, ddof=1) / math.sqrt(len(found))
    return float((abs(found.mean(0) - expected) / error).max())


@pytest.mark.parametrize("scaling", ["fan-out", "fan-in"])
@pytest.mark.parametrize("activation", ["linear", "leaky-relu", "relu"])
def test_at_depth_two_the_limit_is_the_mean_at_any_width(activation, scaling):
    model = MatrixFactorization(2, 6, activation, scaling=scaling, normalize=False)
    expected = wide_gram(model, (3, 4)).numpy()
    found = grams(model, (3, 4), 40_000)
    assert far_apart(found, expected) < 4.5
    if activation != "linear":
        # As an odd activation would have it, units of different inputs would not go together.
        assert far_apart(found, np.diag(expected.diagonal())) > 10
    if activation == "leaky-relu" and scaling == "fan-out":
        np.testing.assert_allclose(expected, leaky_kernel(4, 3, 0.2), rtol=1e-12)


@pytest.mark.parametrize("activation", ["leaky-relu", "relu"])
def test_deeper_it_is_where_wide_nets_go(activation):
    """The diagonal is that of every width, what units have in common is not."""
    apart = {}
    for width, draws in ((3, 10_000), (160, 100)):
        model = MatrixFactorization(4, width, activation, normalize=False)
        found, expected = grams(model, (3, 4), draws), wide_gram(model, (3, 4)).numpy()
        off = ~np.eye(4, dtype=bool)
        apart[width] = far_apart(found[:, off].mean(1), expected[0, 1])
        assert far_apart(found[:, ~off].mean(1), expected[0, 0]) < 4
    assert apart[160] < 4
    assert apart[3] > 6


def test_the_diagonal_in_closed_form():
    """((1 + c²)/2)^(d − 1) / rows for a leaky ReLU of slope c."""
    for depth in (1, 2, 3, 6):
        gram = wide_gram(MatrixFactorization(depth, 5, "leaky-relu", normalize=False), (3, 4))
        np.testing.assert_allclose(gram.diagonal(), (1.04 / 2) ** (depth - 1) / 3, rtol=1e-12)


def test_with_the_paper_s_scaling_tanh_becomes_linear():
    gram = wide_gram(MatrixFactorization(3, 5, "tanh", normalize=False), (3, 4))
    np.testing.assert_allclose(gram, np.eye(4) / 3)
    found = grams(MatrixFactorization(3, 400, "tanh", normalize=False), (3, 4), 50)
    assert abs(found.mean(0) - np.eye(4) / 3).max() < 0.04


@pytest.mark.parametrize(
    "model",
    [
        MatrixFactorization(normalize=True),
        MatrixFactorization(normalize=False, prior="uniform"),
        MatrixFactorization(normalize=False, prior="gaussian:mean=0.5"),
        MatrixFactorization(normalize=False, scaling="unit"),
        MatrixFactorization(normalize=False, activation="tanh", scaling="fan-in"),
        "no factorisation",
    ],
)
def test_limits_that_are_not_known(model):
    assert wide_gram(model, (3, 4)) is None


@pytest.mark.parametrize("task", [SENSING, COMPLETION], ids=["sensing", "completion"])
@pytest.mark.parametrize("activation", ["relu", "leaky-relu"])
def test_at_zero_loss_it_is_the_algebra_of_one_gram_matrix(task, activation):
    gram = wide_gram(unnormalised(2, 5, activation), task.shape)
    found, twin = wide_limit(task, gram, 0.0), Twin(task, gram.numpy())
    assert found.log_fit.value == pytest.approx(twin.log_density(task.targets), rel=1e-10)
    assert found.gen_loss.value == pytest.approx(twin.gen_loss(task.targets), rel=1e-10)
    variance = np.trace(twin.held_out @ twin.prior @ twin.held_out.T) / len(twin.held_out)
    assert found.prior_gen_loss == pytest.approx(variance + task.zero_gen_loss, rel=1e-10)


@pytest.mark.parametrize("eps", [0.0, 0.05])
@pytest.mark.parametrize("activation", ["leaky-relu", "relu"])
def test_wide_nets_have_that_posterior(activation, eps):
    """Width 4000: what is left of the gap is less than the errors that the test allows."""
    model = unnormalised(2, 4000, activation)
    limit = wide_limit(SENSING, wide_gram(model, SENSING.shape), eps)
    target = CollapsedCriterion(SENSING, collapse(model, SENSING.shape), eps, torch.device("cpu"))
    hidden = torch.randn(target.collapsed.size, 50, generator=source(), dtype=torch.float64)
    normals = hidden if eps == 0 else _with_residuals(hidden, target)
    score, loss = target.evaluate(normals)
    weight = score.exp()
    evidence = math.log(float(weight.mean()))
    mean = float((weight * loss).sum() / weight.sum())
    allowed = 0.01 if eps == 0 else 0.03
    assert evidence == pytest.approx(limit.log_fit.value, abs=4 * allowed)
    assert mean == pytest.approx(limit.gen_loss.value, rel=allowed)
    # Without what the units have in common it is another posterior.
    wrong = wide_limit(SENSING, torch.diag(wide_gram(model, SENSING.shape).diagonal()), eps)
    assert abs(wrong.gen_loss.value / mean - 1) > 2 * allowed


def _with_residuals(hidden: torch.Tensor, target: CollapsedCriterion) -> torch.Tensor:
    """Each hidden layer with 20 residuals in the ball."""
    residuals = torch.randn(target.latent_size - target.collapsed.size, 1000, generator=source(1), dtype=torch.float64)
    return torch.cat([hidden.repeat_interleave(20, dim=1), residuals])


CELLS, DENSE = completion(5, 5, 1, 15, seed=0), sensing(5, 5, 1, 15, seed=0)
SHARES = (1e-4, 0.05, 0.3, 1.0, 2.0, 4.0, 20.0)
"""Thresholds as shares of the zero predictor's loss, from a speck to a ball that holds all of the prior."""


@pytest.mark.parametrize("share", SHARES)
def test_the_volume_is_that_of_the_closed_form_at_any_threshold(share):
    eps = share * CELLS.zero_train_loss
    found = wide_limit(CELLS, wide_gram(unnormalised(2, 5), CELLS.shape), eps).log_fit
    # 4.5 errors for seven thresholds at a fixed seed; where no draw of 65 536 is outside there is no error.
    assert abs(found.value - gaussian_log_volume(CELLS, eps)) < 4.5 * found.mcse + 1e-5
    assert found.mcse < 0.01


def from_the_ball(system, eps, batch):
    """Measured values uniform in the ball, and their log density: good while the prior is flat across the ball."""
    y = torch.as_tensor(DENSE.targets)
    values = y + residual_in_ball(torch.randn(len(y) + 2, 2000, generator=source(batch), dtype=y.dtype), eps)
    return values, system.log_density(values) + log_ball(len(y), eps)


def from_the_prior(system, eps, batch):
    """Measured values of the prior, and whether they fit: good while many do."""
    rows = torch.linalg.cholesky(system.gram[0, 0])
    matrices = torch.randn(2000, *DENSE.shape, generator=source(batch), dtype=rows.dtype) @ rows.T
    values = matrices.flatten(1) @ torch.as_tensor(DENSE.measurements.dense()).T
    missed = (values - torch.as_tensor(DENSE.targets)).square().mean(1)
    return values, torch.where(missed < eps, 0.0, -torch.inf)


def twin_limit(draws, gram, eps):
    """Volume and E[L_gen | fit] by other draws of the measured values."""
    system, volumes, means = gaussian_system(DENSE, gram[None]), [], []
    for batch in range(20):
        values, weight = draws(system, eps, batch)
        loss = DENSE.gen_loss(system.mean(values).flatten(1).T) + system.held_out_variance() / DENSE.held_out.count
        volumes.append(float(weight.logsumexp(0)) - math.log(len(weight)))
        means.append(float((weight.softmax(0) * loss).sum()))
    return log_mean(np.array(volumes)), weighted_mean(np.array(means), np.array(volumes))


@pytest.mark.parametrize(
    ("draws", "share"),
    [(from_the_ball, 0.05), (from_the_ball, 0.3), (from_the_ball, 1.0), (from_the_prior, 2.0), (from_the_prior, 4.0)],
)
def test_it_agrees_with_draws_from_the_ball_where_it_is_small_and_from_the_prior_where_it_is_large(draws, share):
    gram, eps = wide_gram(unnormalised(2, 5, "relu"), DENSE.shape), share * DENSE.zero_train_loss
    limit = wide_limit(DENSE, gram, eps)
    for ours, theirs in zip((limit.log_fit, limit.gen_loss), twin_limit(draws, gram, eps), strict=True):
        # Ten comparisons at a fixed seed.
        assert errors_apart(ours.value, theirs.value, ours.mcse, theirs.mcse) < 4.5


def test_a_ball_beyond_the_prior_is_no_place_to_draw_from():
    """The negative control: all of the prior fits, and draws all over the ball hardly meet it."""
    gram, eps = wide_gram(unnormalised(2, 5, "relu"), DENSE.shape), 20 * DENSE.zero_train_loss
    limit = wide_limit(DENSE, gram, eps)
    assert limit.log_fit.value == pytest.approx(0.0, abs=1e-4)
    assert limit.gen_loss.value == pytest.approx(limit.prior_gen_loss, rel=0.005)
    assert twin_limit(from_the_ball, gram, eps)[0].value < -1


def test_odd_activations_forget_what_they_fit():
    found = wide_limit(COMPLETION, wide_gram(unnormalised(2, 5), COMPLETION.shape), 0.02)
    assert found.gen_loss.value == pytest.approx(found.prior_gen_loss, rel=1e-9)
    exact = gaussian_log_volume(COMPLETION, 0.02)
    assert errors_apart(found.log_fit.value, exact, found.log_fit.mcse) < 4
    assert errors_apart(found.log_fit.value, gaussian_log_volume(COMPLETION, 0.018), found.log_fit.mcse) > 10


def test_importance_at_a_width_of_a_million_agrees():
    model = unnormalised(2, 10**6)
    limit = wide_limit(SENSING, wide_gram(model, SENSING.shape), 0.05)
    found = run(Importance(), collapsed_problem(model, SENSING, 0.05), precision=0.01)
    volume = found.log_volume
    assert errors_apart(volume.value, limit.log_fit.value, volume.mcse, limit.log_fit.mcse) < 4


def test_measurements_that_have_no_density():
    gram = torch.zeros(4, 4, dtype=torch.float64)
    gram[0, 0] = 1.0
    assert wide_limit(SENSING, gram, 0.0) is None
