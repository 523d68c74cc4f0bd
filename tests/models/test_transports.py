"""Transports push standard normals to the law they stand for."""

from __future__ import annotations

import mpmath
import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import stats

from bayesgc.models import Haar, LowRankGaussian, ScaleMixture, register_transport
from bayesgc.models.transports.gamma import log_gamma_quantile
from bayesgc.models.transports.registry import TRANSPORTS, find_transport, transport_of
from bayesgc.validate import InputError


def normals(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def pushed(law, *draws, seed=0, dtype=torch.float64):
    """Draws of a law by its transport, the draw axes first."""
    transport = transport_of(law, "x")
    return transport.push(law, normals(*draws, *law.batch_shape, *transport.normals(law), seed=seed, dtype=dtype))


ROOT = dist.transforms.PowerTransform(torch.tensor(-0.5))
EXACT = {
    "normal": (dist.Normal(1.0, 2.0), stats.norm(1, 2)),
    "uniform": (dist.Uniform(-3.0, 1.0), stats.uniform(-3, 4)),
    "laplace": (dist.Laplace(0.5, 2.0), stats.laplace(0.5, 2)),
    "student-t": (dist.StudentT(3.0, 1.0, 2.0), stats.t(3, 1, 2)),
    "student-t, half a degree of freedom": (dist.StudentT(0.5), stats.t(0.5)),
    "cauchy": (dist.Cauchy(0.0, 1.0), stats.cauchy()),
    "half-cauchy": (dist.HalfCauchy(2.0), stats.halfcauchy(0, 2)),
    "half-normal": (dist.HalfNormal(2.0), stats.halfnorm(0, 2)),
    "exponential": (dist.Exponential(2.0), stats.expon(scale=0.5)),
    "gamma": (dist.Gamma(2.5, 3.0), stats.gamma(2.5, scale=1 / 3)),
    "gamma, small concentration": (dist.Gamma(0.05, 1.0), stats.gamma(0.05)),
    "chi-squared": (dist.Chi2(4.0), stats.chi2(4)),
    "inverse gamma": (dist.InverseGamma(2.0, 3.0), stats.invgamma(2, scale=3)),
    "beta": (dist.Beta(0.5, 2.0), stats.beta(0.5, 2)),
    "fisher": (dist.FisherSnedecor(3.0, 5.0), stats.f(3, 5)),
    "by inverse cdf: logistic": (dist.Logistic(0.0, 1.0), stats.logistic()),
    "transformed: log-normal": (dist.LogNormal(0.0, 0.7), stats.lognorm(0.7)),
    "transformed: weibull": (dist.Weibull(1.0, 2.0), stats.weibull_min(2)),
    "transformed: gumbel": (dist.Gumbel(0.0, 1.0), stats.gumbel_r()),
    "transformed twice": (
        dist.TransformedDistribution(
            dist.Uniform(0.0, 1.0), [dist.transforms.AffineTransform(1.0, 3.0), dist.transforms.ExpTransform()]
        ),
        stats.loguniform(np.e, np.e**4),
    ),
    "independent": (dist.Laplace(torch.zeros(4), torch.ones(4)).to_event(1), stats.laplace()),
    "mixture of one scale": (ScaleMixture(dist.Delta(torch.tensor(2.0))), stats.norm(0, 2)),
    "mixture of scales: student-t": (
        # 1/τ² is χ²_3 / 3.
        ScaleMixture(
            dist.TransformedDistribution(dist.Gamma(1.5, 1.5), [dist.transforms.PowerTransform(torch.tensor(-0.5))])
        ),
        stats.t(3),
    ),
    "a corner of an orthogonal matrix": (
        # The first entry of a uniform unit vector of R³ is uniform on (−1, 1).
        Haar(3, 3),
        stats.uniform(-1, 2),
    ),
}


@pytest.mark.parametrize(("law", "exact"), EXACT.values(), ids=EXACT.keys())
def test_the_law_is_that_of_the_distribution(law, exact):
    draws = pushed(law, 5000)
    draws = (draws[:, 0, 0] if isinstance(law, Haar) else draws).numpy().ravel()
    # Fixed seed; under the right law p < 1e-3 has a chance of 1e-3.
    assert stats.kstest(draws, exact.cdf).pvalue > 1e-3
    # Negative control: the test would see a tenth of a standard deviation.
    quartiles = exact.ppf([0.25, 0.75])
    assert stats.kstest(draws + 0.1 * np.ptp(quartiles), exact.cdf).pvalue < 1e-3


DISCRETE = {
    "bernoulli": dist.Bernoulli(0.3),
    "bernoulli by logits": dist.Bernoulli(logits=torch.tensor(-1.0)),
    "categorical": dist.Categorical(torch.tensor([0.2, 0.5, 0.3])),
    "geometric": dist.Geometric(0.4),
}


@pytest.mark.parametrize("law", DISCRETE.values(), ids=DISCRETE.keys())
def test_discrete_laws_by_their_frequencies(law):
    draws = pushed(law, 20_000)
    assert draws.dtype == law.sample().dtype or draws.dtype == torch.float64
    support = torch.arange(4, dtype=draws.dtype)[: 2 if isinstance(law, dist.Bernoulli) else 3]
    expected = 20_000 * law.log_prob(support).double().exp().numpy()
    seen = np.array([int((draws == value).sum()) for value in support])
    rest = 20_000 - expected.sum()
    if rest > 1:
        seen, expected = np.append(seen, 20_000 - seen.sum()), np.append(expected, rest)
    assert stats.chisquare(seen, expected * seen.sum() / expected.sum()).pvalue > 1e-3


COVARIANCE = torch.tensor([[2.0, 0.6, 0.0], [0.6, 0.5, 0.1], [0.0, 0.1, 1.0]])
COMPARED = {
    "multivariate normal": dist.MultivariateNormal(torch.tensor([1.0, -1.0, 0.0]), COVARIANCE),
    "low-rank normal": dist.LowRankMultivariateNormal(torch.zeros(3), torch.ones(3, 1), torch.tensor([0.1, 1.0, 2.0])),
    "multivariate student-t": dist.MultivariateStudentT(4.0, torch.zeros(3), torch.linalg.cholesky(COVARIANCE)),
    "dirichlet": dist.Dirichlet(torch.tensor([0.3, 1.0, 2.0])),
    "projected normal": dist.ProjectedNormal(torch.tensor([1.0, 0.0, 0.5])),
    "one-hot": dist.OneHotCategorical(torch.tensor([0.2, 0.5, 0.3])),
    "mixture of normals": dist.MixtureSameFamily(
        dist.Categorical(torch.tensor([0.3, 0.7])), dist.Normal(torch.tensor([-2.0, 1.0]), torch.tensor([0.5, 1.0]))
    ),
    "mixture of vectors": dist.MixtureSameFamily(
        dist.Categorical(torch.tensor([0.3, 0.7])),
        dist.StudentT(5.0, torch.tensor([[-2.0, 0.0], [1.0, 3.0]]), 1.0).to_event(1),
    ),
    "logistic normal": dist.LogisticNormal(torch.zeros(2), torch.ones(2)),
    "expanded and masked": dist.Gamma(torch.tensor([0.5, 2.0]), 1.0).expand([3, 2]).mask(True).to_event(2),
    "horseshoe": ScaleMixture(dist.HalfCauchy(1.0)).expand([2, 2]).to_event(2),
    "spike and slab": ScaleMixture(dist.Bernoulli(0.3), scale=2.0).expand([2, 2]).to_event(2),
    "orthonormal columns": Haar(4, 2, 3.0),
    "orthonormal rows": Haar(2, 4),
    "low rank": LowRankGaussian(3, 4, 2),
}


@pytest.mark.parametrize("law", COMPARED.values(), ids=COMPARED.keys())
def test_the_law_is_that_of_the_distribution_s_own_draws(law):
    with torch.random.fork_rng():
        pyro.set_rng_seed(3)
        own = law.sample((4000,)).double()
    ours = pushed(law, 4000).double()
    assert ours.shape == own.shape
    weights = normals(own[0].numel(), seed=9)
    for functional in (
        lambda x: x.flatten(1) @ weights,
        lambda x: x.flatten(1).norm(dim=1),
        lambda x: x.flatten(1)[:, 0],
    ):
        one, two = functional(own.reshape(4000, -1)), functional(ours.reshape(4000, -1))
        # 45 tests of a fixed seed: under equal laws some p < 1e-5 has a chance of 5e-4. Norms may differ by rounding.
        assert stats.ks_2samp(one.numpy().round(5), two.numpy().round(5)).pvalue > 1e-5


@pytest.mark.parametrize("law", COMPARED.values(), ids=COMPARED.keys())
def test_batches_pass_through_and_vmap_gives_the_same(law):
    transport = transport_of(law, "x")
    z = normals(6, 2, *law.batch_shape, *transport.normals(law))
    whole = transport.push(law, z)
    assert whole.shape == (6, 2, *law.shape())
    torch.testing.assert_close(torch.func.vmap(lambda one: transport.push(law, one))(z), whole)
    torch.testing.assert_close(transport.push(law, z[3, 1]), whole[3, 1])


def test_parameters_may_differ_from_draw_to_draw():
    def run(freedom, z):
        return transport_of(dist.StudentT(freedom), "x").push(dist.StudentT(freedom, validate_args=False), z)

    freedoms, z = torch.tensor([0.7, 3.0, 40.0], dtype=torch.float64), normals(3, 2)
    ours = torch.func.vmap(run)(freedoms, z)
    torch.testing.assert_close(
        ours, torch.stack([run(*each) for each in zip(freedoms, z, strict=True)]), rtol=1e-7, atol=0
    )


@pytest.mark.parametrize("concentration", [0.02, 0.3, 1.0, 7.5, 300.0])
def test_gamma_quantiles_by_table_and_by_newton_are_exact(concentration):
    z = torch.tensor([-8.0, -5.0, -1.3, 0.2, 3.1, 6.0, 8.0], dtype=torch.float64)
    table = log_gamma_quantile(torch.tensor(concentration, dtype=torch.float64), z)
    newton = log_gamma_quantile(torch.full_like(z, concentration).requires_grad_(), z)
    torch.testing.assert_close(table, newton.detach(), rtol=1e-6, atol=1e-7)
    for value, tail in zip(newton.tolist(), z.tolist(), strict=True):
        x = mpmath.exp(value)
        ours = mpmath.gammainc(concentration, 0, x, regularized=True)
        other = mpmath.gammainc(concentration, x, mpmath.inf, regularized=True)
        exact = stats.norm.sf(abs(tail))
        assert abs((ours if tail < 0 else other) / exact - 1) < 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("law", "exact"), [(dist.Cauchy(0.0, 1.0), stats.cauchy()), (dist.Logistic(0.0, 1.0), stats.logistic())]
)
def test_tails_are_not_cut_off_and_are_symmetric(law, exact, dtype):
    z = torch.tensor([-8.0, -6.0, -5.5, 5.5, 6.0, 8.0], dtype=dtype)
    ours = transport_of(law, "x").push(law, z)
    expected = torch.from_numpy(np.sign(z.numpy()) * exact.isf(stats.norm.sf(np.abs(z.double().numpy())))).to(dtype)
    # Φ(8) in double keeps one digit of its distance to 1.
    torch.testing.assert_close(ours, expected, rtol=0.05, atol=0)


def test_a_uniform_stays_inside_and_is_symmetric():
    z = torch.tensor([-8.0, -6.0, -5.5, 5.5, 6.0, 8.0])
    law = dist.Uniform(-1.0, 1.0)
    uniform = transport_of(law, "x").push(law, z)
    torch.testing.assert_close(uniform, -uniform.flip(0), rtol=0, atol=0)
    assert uniform.abs().max() <= 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_normals_give_finite_draws(dtype):
    for law in [each[0] for each in EXACT.values()] + list(COMPARED.values()):
        transport = transport_of(law, "x")
        z = torch.tensor([-8.0, 8.0], dtype=dtype).reshape(2, *(1,) * len(law.batch_shape + transport.normals(law)))
        draws = transport.push(law, z.expand(2, *law.batch_shape, *transport.normals(law)))
        assert draws.isfinite().all(), law


def test_the_horseshoe_has_its_density():
    # Carvalho, Polson and Scott 2010, in closed form: (2π³)^(−1/2) exp(x²/2) E₁(x²/2).
    values = [1e-3, 0.1, 1.0, 3.0, 30.0]
    exact = [
        mpmath.log(mpmath.exp(x * x / 2) * mpmath.e1(x * x / 2)) - mpmath.log(2 * mpmath.pi**3) / 2 for x in values
    ]
    ours = ScaleMixture(dist.HalfCauchy(1.0)).log_prob(torch.tensor(values, dtype=torch.float64))
    torch.testing.assert_close(
        ours, torch.tensor([float(each) for each in exact], dtype=torch.float64), rtol=0, atol=1e-6
    )
    with pytest.raises(NotImplementedError, match="Bernoulli scales"):
        ScaleMixture(dist.Bernoulli(0.5)).log_prob(torch.tensor(0.0))


def test_orthogonal_matrices_are_orthogonal():
    for rows, cols in [(4, 2), (2, 4), (3, 3)]:
        q = pushed(Haar(rows, cols, 2.0), 5)
        gram = q.mT @ q if rows >= cols else q @ q.mT
        torch.testing.assert_close(gram, 4 * torch.eye(min(rows, cols), dtype=q.dtype).expand(5, -1, -1))
    assert torch.linalg.matrix_rank(pushed(LowRankGaussian(5, 4, 2), 5)).tolist() == [2] * 5


@pytest.mark.parametrize("law", [dist.Poisson(1.0), dist.VonMises(0.0, 1.0), dist.Poisson(1.0).expand([3]).to_event(1)])
def test_without_a_transport_the_site_is_named(law):
    assert find_transport(law) is None
    with pytest.raises(InputError, match=r"site 'spread' has the distribution (Poisson|VonMises), which has no"):
        transport_of(law, "spread")


def test_a_registered_transport_serves_subclasses(monkeypatch):
    monkeypatch.setattr("bayesgc.models.transports.registry.TRANSPORTS", dict(TRANSPORTS))

    class Square(dist.VonMises):
        """Not a von Mises law at all: the square of a normal in the plane."""

    @register_transport(dist.VonMises, normals=lambda fn: (2,))
    def square(fn, z):
        return z.square().sum(-1)

    assert stats.kstest(pushed(Square(0.0, 1.0), 5000).numpy(), stats.chi2(2).cdf).pvalue > 1e-3
