"""Width-free draws: chi quantiles, the full model's law, exact moments at any width, and where they are used."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from scipy import stats

import bayesgc.models.transports.chi as chi
from bayesgc.inference import Control, Criterion, GradientDescent, Request, Splitting
from bayesgc.models import MatrixFactorization, TriangularFactors, WhitenedFactors
from bayesgc.models.factorization.triangular import from_input, from_output
from bayesgc.models.priors.laws import centred_gaussian_scale
from bayesgc.task import sensing
from bayesgc.validate import InputError

CPU = torch.device("cpu")


def draw(whitened, count, seed=0, dtype=torch.float64):
    source = torch.Generator().manual_seed(seed)
    return whitened.vectors(torch.randn(whitened.size, count, generator=source, dtype=dtype))


def reduced(reduce, model, shape):
    scales = [centred_gaussian_scale(law) for law in model.laws(shape).values()]
    return TriangularFactors(reduce(model.layer_shapes(shape), scales), normalize=model.normalize)


# --- chi quantiles ----------------------------------------------------------------------------------------------------

FREEDOMS = [1, 2, 3, 5, 17, 160, 1000, 99_999, 100_000, 10**6]


@pytest.mark.parametrize("freedom", FREEDOMS)
def test_chi_is_the_quantile_of_a_normal(freedom):
    z = np.random.default_rng(freedom).uniform(-9, 9, 4000)
    if freedom > 99_999:
        # SciPy's quantile is off by 5e-9 at a million; its distribution functions are not. The spread of χ is 1/√2.
        x = chi.ChiTransport([freedom]).push(torch.from_numpy(z)[None])[0].numpy()
        p = np.where(z < 0, stats.chi2.cdf(x**2, freedom), stats.chi2.sf(x**2, freedom))
        back = np.where(z < 0, stats.norm.ppf(p), stats.norm.isf(p))
        np.testing.assert_allclose(back, z, rtol=0, atol=1e-8)
        return
    expected = np.where(z < 0, stats.chi.ppf(stats.norm.cdf(z), freedom), stats.chi.isf(stats.norm.sf(z), freedom))
    found = chi.ChiTransport([freedom]).push(torch.from_numpy(z)[None])[0].numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8 * stats.chi.std(freedom))


@pytest.mark.parametrize("freedom", [10**5, 10**6])
def test_both_ways_to_the_quantile_agree(freedom, monkeypatch):
    # Beyond |z| = 4.5 SciPy's quantile begins to fail at a million.
    z = np.linspace(-4, 4, 500)
    series = chi.chi_excess(freedom, z)
    monkeypatch.setattr(chi, "_SERIES_FROM", 10**9)
    np.testing.assert_allclose(series, chi.chi_excess(freedom, z), rtol=0, atol=1e-9)


def test_chi_of_huge_freedom_keeps_its_digits():
    # χ_k − √k is N(0, 1/2) up to O(1/√k).
    z = torch.linspace(-6, 6, 50, dtype=torch.float64)[None]
    for freedom in (10**9, 10**12):
        excess = chi.ChiTransport([freedom]).push(z) - math.sqrt(freedom)
        torch.testing.assert_close(excess, z / math.sqrt(2), rtol=0, atol=20 / math.sqrt(freedom) + 1e-9)


def test_chi_is_smooth_and_goes_on_beyond_the_table():
    z = torch.linspace(-12, 12, 20_001, dtype=torch.float64)[None].requires_grad_()
    for freedom in (1, 4, 10**6):
        x = chi.ChiTransport([freedom], 0.5).push(z)
        (slope,) = torch.autograd.grad(x.sum(), z)
        assert (slope > -1e-9).all()
        # Each slope is that of the secant through its neighbours, to the order of the squared gap.
        secant = (x[0, 2:] - x[0, :-2]) / (z[0, 2:] - z[0, :-2])
        torch.testing.assert_close(slope[0, 1:-1], secant.detach(), rtol=0, atol=2e-6)
    torch.testing.assert_close(slope[0, 0], slope[0, 100])


def test_chi_in_single_precision_and_rows_of_their_own():
    freedoms = [7, 1, 10**6, 7]
    z = torch.randn(4, 300, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    transport = chi.ChiTransport(freedoms, 1e-3)
    exact, single = transport.push(z), transport.push(z.float())
    assert single.dtype == torch.float32
    # 1e-3·χ is about 1 at a million: a few units in the last place.
    torch.testing.assert_close(single.double(), exact, rtol=1e-6, atol=1e-8)
    for row, freedom in enumerate(freedoms):
        alone = chi.ChiTransport([freedom], 1e-3).push(z[row : row + 1])
        torch.testing.assert_close(alone[0], exact[row], rtol=0, atol=0)


# --- the law ----------------------------------------------------------------------------------------------------------

SHAPES = {"tall": (5, 3), "wide": (3, 5), "square": (4, 4)}
WIDTHS = {"equal": (6,), "falling": (9, 5), "rising": (5, 7, 6), "bottleneck": (8, 2, 6)}
FUNCTIONALS = {
    "largest singular value": lambda w: torch.linalg.matrix_norm(w, ord=2),
    "smallest singular value": lambda w: torch.linalg.svdvals(w)[:, -1],
    "share of the largest": lambda w: torch.linalg.matrix_norm(w, ord=2) / torch.linalg.matrix_norm(w),
    "first entry": lambda w: w[:, 0, 0],
    "two entries": lambda w: w[:, 0, 0] * w[:, -1, -1],
    "columns of unlike place": lambda w: torch.linalg.vector_norm(w[:, :, 0], dim=1),
    "last row": lambda w: torch.linalg.vector_norm(w[:, -1], dim=1),
    "angle of two rows": lambda w: (w[:, 0] * w[:, 1]).sum(1),
}


def p_values(one, other, shape):
    """Of the two-sample Kolmogorov–Smirnov test, for each functional of the matrices."""
    matrices = [vectors.T.unflatten(-1, shape) for vectors in (one, other)]
    values = [[f(w).numpy() for f in FUNCTIONALS.values()] for w in matrices]
    # At a rank below the sides the smallest singular value is noise of the arithmetic.
    values = [[np.where(np.abs(v) < 1e-10, 0.0, v) for v in vs] for vs in values]
    return [stats.ks_2samp(a, b).pvalue for a, b in zip(*values, strict=True)]


@pytest.mark.parametrize("widths", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_law_is_that_of_the_full_model(shape, widths):
    model = MatrixFactorization(len(widths) + 1, widths, scaling="fan-in", normalize=False)
    full = draw(WhitenedFactors(model, shape), 3000, seed=1)
    for reduce in (from_input, from_output):
        # 192 tests of fixed seeds: under equal laws some p < 1e-5 has a chance of 0.2 %.
        assert min(p_values(draw(reduced(reduce, model, shape), 3000), full, shape)) > 1e-5


@pytest.mark.parametrize("reduce", [from_input, from_output])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_comparison_sees_wrong_degrees_of_freedom(shape, reduce):
    # Negative control: χ_k all along the diagonal in place of χ_{k−i+1}.
    model = MatrixFactorization(2, (6,), normalize=False)
    right = reduced(reduce, model, shape)
    layers = [replace(each, freedoms=each.freedoms[:1] * len(each.freedoms)) for each in right.reduced]
    wrong = draw(TriangularFactors(layers, normalize=False), 3000)
    assert min(p_values(wrong, draw(WhitenedFactors(model, shape), 3000, seed=1), shape)) < 1e-5


def moments(shape, widths, scales):
    """E[(tr WWᵀ)²] and E[tr (WWᵀ)²], layer by layer by the second moments of Wishart matrices."""
    first, second = shape[1] ** 2, shape[1]
    for rows in (*widths, shape[0]):
        first, second = rows**2 * first + 2 * rows * second, rows * first + rows * (rows + 1) * second
    return np.array([first, second]) * np.prod(scales) ** 4


@pytest.mark.parametrize(
    ("shape", "widths", "expected"),
    [
        ((5, 5), (5,), (31.4, 18.6)),
        ((5, 5), (8, 8), (33.6875, 21.4375)),
        ((3, 5), (7, 4), (43.2143, 34.6429)),
        ((3, 5), (10**6,), None),
        ((5, 3), (10**6, 10**6), None),
        ((4, 4), (10**6, 300, 10**9), None),
    ],
)
@pytest.mark.parametrize("reduce", [from_input, from_output])
def test_second_moments_are_exact(shape, widths, expected, reduce):
    model = MatrixFactorization(len(widths) + 1, widths, normalize=False)
    scales = [rows**-0.5 for rows in (*widths, shape[0])]
    exact = moments(shape, [float(width) for width in widths], scales)
    if expected is not None:
        np.testing.assert_allclose(exact, expected, rtol=2e-6)
    w = draw(reduced(reduce, model, shape), 20_000).T.unflatten(-1, shape)
    gram = w @ w.mT
    trace = gram.diagonal(dim1=-2, dim2=-1).sum(-1)
    values = torch.stack([trace.square(), gram.square().sum((-2, -1))]).numpy()
    errors = values.std(1) / math.sqrt(values.shape[1])
    # Four standard errors, of 24 comparisons with fixed seeds.
    assert (np.abs(values.mean(1) - exact) < 4 * errors).all()


def test_reduced_layers_are_triangular_and_the_last_one_gaussian():
    model = MatrixFactorization(3, (9, 7), scaling="unit", normalize=False)
    form = reduced(from_input, model, (4, 5))
    assert form.shapes == [(5, 5), (5, 5), (4, 5)]
    assert form.last_gaussian
    z = torch.randn(form.size, 3, generator=torch.Generator().manual_seed(0))
    first, second, last = form.layers(z)
    for layer, freedom in ((first, 9), (second, 7)):
        assert (layer.movedim(-1, 0).tril(-1) == 0).all()
        assert form.reduced[0].freedoms == (9, 8, 7, 6, 5)
        assert (layer.diagonal() > 0).all(), freedom
    torch.testing.assert_close(last, z[-20:].unflatten(0, (4, 5)))
    assert len(form.layers(z[:-20])) == 2
    turned = reduced(from_output, model, (4, 5))
    assert turned.shapes == [(4, 5), (4, 4), (4, 4)]
    assert turned.reduced[-1].freedoms == (7, 6, 5, 4)
    assert not turned.last_gaussian
    assert (turned.layers(torch.ones(turned.size, 1))[1][..., 0].triu(1) == 0).all()


def test_gradients_pass_through():
    form = reduced(from_input, MatrixFactorization(3, 8, normalize=False), (3, 3))
    z = torch.randn(form.size, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(form.vectors, z)


# --- where it is used -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [2, 3, 12])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_cost_does_not_depend_on_the_width(shape, depth):
    models = [MatrixFactorization(depth, width) for width in (5, 160, 10**6, 10**9)]
    forms = [reduced(from_input, model, shape) for model in models]
    assert len({form.size for form in forms}) == 1
    assert len({tuple(form.shapes) for form in forms}) == 1
    chosen = [model.whiten(shape) for model in models]
    # At width 5 the full form is used, where it has at most twice the normals.
    assert max(each.size for each in chosen) <= 2 * forms[0].size
    assert all(isinstance(each, TriangularFactors) for each in chosen[1:])
    assert torch.isfinite(draw(chosen[-1], 10, dtype=torch.float32)).all()


def test_a_wide_task_is_reduced_from_the_output():
    form = MatrixFactorization(2, 40).whiten((3, 50))
    assert isinstance(form, TriangularFactors)
    assert form.size == 6 + 150
    assert not form.last_gaussian


def lopsided(rows, cols):
    return dist.Normal(torch.zeros(rows, cols), torch.linspace(1, 2, rows * cols).unflatten(0, (rows, cols))).to_event(
        2
    )


def even(rows, cols):
    return dist.Normal(torch.zeros(rows, cols), torch.full((rows, cols), 0.3)).to_event(2)


FALLS_BACK = {
    "depth one": {"depth": 1},
    "narrow": {"width": 5},
    "nonlinear": {"width": 100, "activation": "tanh"},
    "leaky": {"width": 100, "activation": "leaky-relu"},
    "uniform": {"width": 100, "prior": "uniform"},
    "mean": {"width": 100, "prior": "gaussian:mean=0.1"},
    "lopsided": {"width": 100, "prior": lopsided},
}


@pytest.mark.parametrize("options", FALLS_BACK.values(), ids=FALLS_BACK)
def test_elsewhere_the_full_form_stays(options):
    assert isinstance(MatrixFactorization(**options).whiten((4, 5)), WhitenedFactors)


@pytest.mark.parametrize("scaling", ["fan-in", "fan-out", "unit"])
def test_every_scaling_and_a_function_that_gives_equal_normals(scaling):
    assert isinstance(MatrixFactorization(width=100, scaling=scaling).whiten((4, 5)), TriangularFactors)
    form = MatrixFactorization(width=100, prior=even).whiten((4, 5))
    assert isinstance(form, TriangularFactors)
    assert [layer.scale for layer in form.reduced] == pytest.approx([0.3, 0.3])


def test_whoever_asks_for_weights_gets_the_full_form():
    model = MatrixFactorization(width=100)
    full = model.whiten((4, 5), weights=True)
    assert isinstance(full, WhitenedFactors)
    assert full.weights(torch.zeros(full.size, 2))["W1"].shape == (2, 100, 5)
    form = model.whiten((4, 5))
    with pytest.raises(InputError, match="made without the weights; whiten the model with weights=True"):
        form.weights(torch.zeros(form.size, 2))


@pytest.mark.parametrize("normalize", [False, True])
def test_long_products_stay_finite(normalize):
    vectors = draw(MatrixFactorization(400, 50, normalize=normalize).whiten((5, 5)), 20, dtype=torch.float32)
    assert torch.isfinite(vectors).all()
    if normalize:
        torch.testing.assert_close(torch.linalg.vector_norm(vectors, dim=0), torch.ones(20))


def test_splitting_agrees_with_the_full_form():
    model, task = MatrixFactorization(2, 160, normalize=False), sensing(4, 4, 1, 6, seed=3)
    method = Splitting(particles=100, moves=5)
    runs = []
    for weights in (False, True):
        problem = Criterion(task, model.whiten(task.shape, weights=weights), 0.02, CPU, torch.float32)
        runs.append(method.run(problem, Request(chains=8, draws=50, precision=0.5), Control()))
    pairs = [
        [(run.log_volume.value, run.log_volume.mcse) for run in runs],
        [(run.posterior.summaries["gen_loss"].mean, run.posterior.summaries["gen_loss"].mcse) for run in runs],
    ]
    for (ours, our_error), (full, full_error) in pairs:
        # Errors of 8 islands have 7 degrees of freedom: 4 of them have a chance of 0.5 %.
        assert abs(ours - full) < 4 * math.hypot(our_error, full_error)


def test_descent_from_the_prior_takes_the_models_own_layers():
    model, task = MatrixFactorization(2, 160), sensing(4, 4, 1, 6, seed=3)
    problem = Criterion(task, model.whiten(task.shape), 0.02, CPU, torch.float64)
    factors = GradientDescent(init="prior", restarts=3).start(model, [problem], 0)
    assert [layer.shape[1:] for layer in factors.layers] == [(160, 4), (4, 160)]
    for layer in factors.layers:
        assert stats.kstest(layer.flatten().numpy() * math.sqrt(layer.shape[1]), stats.norm.cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("width", "options", "message"),
    [
        (160, {}, None),
        (10**8, {}, "would not fit into memory; it takes a narrower model"),
        (
            10**6,
            {},
            "over 1e.07 weights with 32 restarts and 20000 steps is too much; `restarts=26` `gd_steps=384` is the most",
        ),
        (10**6, {"restarts": 2}, "`restarts=2` `gd_steps=5000` is the most"),
        (10**6, {"restarts": 2, "steps": 5000}, None),
        (10**6, {"restarts": 26, "steps": 384}, None),
    ],
)
def test_descent_refuses_what_is_too_large(width, options, message):
    model, task = MatrixFactorization(2, width), sensing(5, 5)
    method = GradientDescent(**options)
    reason = method.why_too_large(model, task.shape)
    if message is None:
        assert reason is None
        return
    problem = Criterion(task, model.whiten(task.shape), 0.02, CPU, torch.float32)
    with pytest.raises(InputError, match=message):
        method.run(model, problem, 0, Control())
