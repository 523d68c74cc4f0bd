"""The models' priors against closed forms: width-free laws, moments, prior losses, infinite width, column norms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from closed_forms import (
    column_norms,
    leaky_kernel,
    linear_second_moment,
    mean_log_det,
    scales_of,
    trace_moments,
    width_free_draws,
)
from problems import criterion, errors_apart
from scipy import integrate, stats

from bayesgc.models import MatrixFactorization
from bayesgc.models.activations import LEAKY_SLOPE
from bayesgc.task import sensing

TASK = sensing(3, 5, 1, 8, seed=0)
B_NORM = TASK.zero_gen_loss


def raw(**options):
    return MatrixFactorization(**{"normalize": False} | options)


def vectors(model, draws, shape=(3, 5), seed=0):
    whitened = model.whiten(shape)
    source = torch.Generator().manual_seed(seed)
    return whitened.vectors(torch.randn(whitened.size, draws, generator=source, dtype=torch.float64))


def matrices(model, draws, shape=(3, 5), seed=0):
    return vectors(model, draws, shape, seed).T.reshape(draws, *shape).numpy()


def assert_mean(values, expected, limit=4.5):
    # A mean of independent draws; 4.5 standard errors are passed by chance with probability 7e-6.
    assert errors_apart(np.mean(values), expected, stats.sem(values)) < limit


# --- the law does not depend on how it is drawn -----------------------------------------------------------------------

FUNCTIONALS = {
    "norm": lambda w: np.linalg.norm(w, axis=(1, 2)),
    "smallest singular value": lambda w: np.linalg.svd(w, compute_uv=False)[:, -1],
    "training loss": lambda w: TASK.train_loss(torch.from_numpy(w.reshape(len(w), -1).T)).numpy(),
    "held-out loss": lambda w: TASK.gen_loss(torch.from_numpy(w.reshape(len(w), -1).T)).numpy(),
}


@pytest.mark.parametrize("widths", [(3,), (7, 4), (5, 5, 5)], ids=str)
def test_linear_nets_have_the_width_free_law(widths):
    model = raw(depth=len(widths) + 1, width=widths)
    shapes = model.layer_shapes((3, 5))
    ours = matrices(model, 8000)
    exact = width_free_draws(shapes, scales_of(shapes), 8000, seed=1)
    wrong = width_free_draws(shapes, scales_of(shapes), 8000, seed=2, missing=1) if min(widths) > 3 else None
    for functional in FUNCTIONALS.values():
        # 12 tests: under equal laws some p < 1e-4 has a chance of 0.1 %.
        assert stats.ks_2samp(functional(ours), functional(exact)).pvalue > 1e-4
    if wrong is not None:
        # Negative control: one degree of freedom too few is seen.
        norm = FUNCTIONALS["norm"]
        assert stats.ks_2samp(norm(ours), norm(wrong)).pvalue < 1e-4


# --- moments ----------------------------------------------------------------------------------------------------------

MOMENTS = {
    "square": ((5, 5), (5,), 31.4, 18.6),
    "three layers": ((5, 5), (8, 8), 33.6875, 21.4375),
    "rectangular": ((3, 5), (7, 4), 43.2143, 34.6429),
}


@pytest.mark.parametrize(("shape", "widths", "square_of_trace", "trace_of_square"), MOMENTS.values(), ids=MOMENTS)
def test_trace_moments(shape, widths, square_of_trace, trace_of_square):
    model = raw(depth=len(widths) + 1, width=widths)
    shapes = model.layer_shapes(shape)
    a, b = trace_moments(shapes, scales_of(shapes))
    assert a == pytest.approx(square_of_trace, abs=6e-5)
    assert b == pytest.approx(trace_of_square, abs=6e-5)
    draws = matrices(model, 60_000, shape)
    gram = draws @ draws.transpose(0, 2, 1)
    trace = np.trace(gram, axis1=1, axis2=2)
    assert_mean(trace**2, a)
    assert_mean(np.sum(gram**2, axis=(1, 2)), b)


def test_mean_log_determinant():
    model = raw(depth=3, width=(7, 4))
    shapes = model.layer_shapes((3, 5))
    expected = mean_log_det(shapes, scales_of(shapes))
    assert expected == pytest.approx(-3.2805, abs=6e-5)
    draws = matrices(model, 20_000)
    assert_mean(np.linalg.slogdet(draws @ draws.transpose(0, 2, 1))[1], expected)


# --- the prior's generalisation loss ----------------------------------------------------------------------------------


def gen_losses(model, draws=20_000):
    return TASK.gen_loss(vectors(model, draws)).numpy()


@pytest.mark.parametrize("scaling", ["fan-out", "fan-in", "unit"])
@pytest.mark.parametrize("prior", ["gaussian", "uniform"])
@pytest.mark.parametrize("widths", [(), (6,), (7, 4)], ids=str)
def test_prior_loss_of_linear_nets(widths, prior, scaling):
    model = raw(depth=len(widths) + 1, width=widths, prior=prior, scaling=scaling)
    shapes = model.layer_shapes(TASK.shape)
    variance = linear_second_moment(shapes, scales_of(shapes, scaling), uniform=prior == "uniform")
    if scaling != "unit":
        side = 3 if scaling == "fan-out" else 5
        assert variance == pytest.approx((3.0 ** -len(shapes) if prior == "uniform" else 1.0) / side)
    assert_mean(gen_losses(model), variance + B_NORM)


@pytest.mark.parametrize("prior", ["gaussian", "uniform"])
def test_prior_loss_of_odd_activations(prior):
    # E K_ij = 0 off the diagonal, so E L_gen = E K_11 + ‖b‖²/|B|; K_11 = s_d² ‖first column of H‖², from other draws.
    model = raw(depth=3, width=(7, 4), activation="tanh", prior=prior, scaling="unit")
    whitened = model.whiten(TASK.shape)
    source = torch.Generator().manual_seed(99)
    weights = whitened.weights(torch.randn(whitened.size, 20_000, generator=source, dtype=torch.float64))
    hidden = torch.tanh(weights["W2"] @ torch.tanh(weights["W1"]))[:, :, 0]
    variance = 1.0 if prior == "gaussian" else 1 / 3
    diagonal = variance * hidden.square().sum(1).numpy()
    losses = gen_losses(model)
    apart = errors_apart(losses.mean(), diagonal.mean() + B_NORM, stats.sem(losses), stats.sem(diagonal))
    assert apart < 4.5


def test_prior_loss_of_two_leaky_layers():
    B = TASK.held_out.dense()
    kernel = leaky_kernel(cols=5, rows=3, slope=LEAKY_SLOPE)
    expected = np.trace(B @ np.kron(np.eye(3), kernel) @ B.T) / len(B) + B_NORM
    model = raw(depth=2, width=4, activation="leaky-relu")
    assert_mean(gen_losses(model, 40_000), expected)
    sums = np.sum(matrices(model, 40_000).sum(2) ** 2, axis=1)
    assert_mean(sums, 3 * kernel.sum())
    # Negative control: the diagonal alone, as if the activation were odd, is visibly wrong.
    assert errors_apart(sums.mean(), 3 * np.trace(kernel), stats.sem(sums)) > 6


@pytest.mark.parametrize("widths", [(5, 5), (7, 4, 6)], ids=str)
def test_entries_of_deeper_leaky_nets(widths):
    depth = len(widths) + 1
    draws = matrices(raw(depth=depth, width=widths, activation="leaky-relu"), 40_000)
    assert_mean(np.mean(draws**2, axis=(1, 2)), ((1 + LEAKY_SLOPE**2) / 2) ** (depth - 1) / 3)


# --- infinite width ---------------------------------------------------------------------------------------------------


def entries(model, draws=6000):
    return vectors(model, draws, (2, 3)).numpy()


@pytest.mark.parametrize("prior", ["gaussian", "uniform"])
def test_wide_linear_nets_are_gaussian(prior):
    variance = (1.0 if prior == "gaussian" else 3.0**-2) / 2
    wide = entries(raw(depth=2, width=400, prior=prior))
    flat = wide / math.sqrt(variance)
    # Across one draw's entries the values are dependent at order 1/k, so each entry is tested alone.
    assert all(stats.kstest(entry, stats.norm.cdf).pvalue > 1e-4 for entry in flat)
    assert_mean((flat**2).mean(0), 1.0)
    # Negative control: at width 1 the tails are visibly heavier.
    narrow = entries(raw(depth=2, width=1, prior=prior)) / math.sqrt(variance)
    assert stats.kstest(narrow[0], stats.norm.cdf).pvalue < 1e-4


def test_limit_variance_of_tanh_with_fan_in():
    # At depth two E K_11 = E tanh²(N(0, 1/cols)) holds at every width.
    sd = 3**-0.5
    expected, _ = integrate.quad(lambda x: np.tanh(x) ** 2 * stats.norm.pdf(x, scale=sd), -8 * sd, 8 * sd)
    draws = entries(raw(depth=2, width=50, activation="tanh", scaling="fan-in"))
    assert_mean(np.mean(draws**2, axis=0), expected)


# --- columns ----------------------------------------------------------------------------------------------------------


def first_column(model, draws=8000):
    return np.sum(matrices(model, draws)[:, :, 0] ** 2, axis=1)


@pytest.mark.parametrize("activation", ["linear", "relu"])
@pytest.mark.parametrize("widths", [(4,), (7, 2), (5, 5, 5, 5)], ids=str)
def test_norm_of_a_column(widths, activation):
    model = raw(depth=len(widths) + 1, width=widths, activation=activation)
    shapes = model.layer_shapes((3, 5))
    relu = activation == "relu"
    ours, exact = first_column(model), column_norms(shapes, scales_of(shapes), 8000, seed=1, relu=relu)
    dead = 1 - math.prod(1 - 2.0**-k for k in widths) if relu else 0.0
    assert abs(np.mean(ours == 0) - dead) <= 4.5 * math.sqrt(dead * (1 - dead) / 8000)
    assert stats.ks_2samp(ours[ours > 0], exact[exact > 0]).pvalue > 1e-4
    # Negative control: one more unit in the last hidden layer.
    wider = [*shapes]
    wider[-2] = (wider[-2][0] + 1, wider[-2][1])
    wrong = column_norms(wider, scales_of(shapes), 8000, seed=2, relu=relu)
    assert stats.ks_2samp(ours[ours > 0], wrong[wrong > 0]).pvalue < 1e-4


def test_columns_are_isotropic():
    column = matrices(raw(depth=3, width=4), 8000)[:, :, 0]
    direction = column / np.linalg.norm(column, axis=1, keepdims=True)
    # A coordinate of a uniform direction in three dimensions is uniform on (−1, 1) (Archimedes).
    assert all(stats.kstest(axis, stats.uniform(-1, 2).cdf).pvalue > 1e-4 for axis in direction.T)


def test_the_criterion_sees_the_same_draws_whatever_the_chunk():
    problem = criterion(raw(depth=2, width=4), TASK)
    normals = problem.draw(torch.Generator().manual_seed(0), 3 * problem.chunk + 1)
    kept, losses = problem.evaluate(normals)
    torch.testing.assert_close(kept, problem.whitened.vectors(normals))
    torch.testing.assert_close(losses, TASK.train_loss(kept))
